"""`greeter` at specs that are numbered, and upgrades that lead from one to another."""

from __future__ import annotations

from typing import Any

from tests.twin.samples import NOON, agent
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.api import Agent
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import Objection


def asks(version: int, **spec: Any) -> Agent:
    """`greeter` at its spec of that number, which asks for that version."""
    metadata = {"generation": version}
    return agent(version=f"{version}.0.0", replicas=2, metadata=metadata, **spec)


def hash_of(version: int) -> str:
    return revision_of(asks(version).spec).hash


def running(name: str, leads_to: int, **fields: Any) -> SeenUpgrade:
    """An upgrade at its first step."""
    status = {
        "phase": "Progressing",
        "fromRevision": hash_of(1),
        "toRevision": hash_of(leads_to),
        "steps": 1,
        "step": 1,
    }
    return seen_upgrade(name, status=status, **{"to": {"revision": hash_of(leads_to)}} | fields)


def ended(name: str, phase: str, led_to: int, **fields: Any) -> SeenUpgrade:
    status = {"phase": phase, "toRevision": hash_of(led_to), "attempt": 1, "finishedAt": NOON}
    return seen_upgrade(name, status=status, **fields)


BAD_TEMPLATE = {"spec": {"containers": None}}
RECORDS = {f"greeter-{hash_of(n)}": kept(asks(n), n) for n in (1, 2, 3)}


def at(
    version: int,
    *upgrades: SeenUpgrade,
    stable: int | None = 1,
    target: int = 1,
    governing: str | None = None,
    **spec: Any,
) -> AgentObservation:
    """An Agent whose spec asks for `version`; the operator has last acted on `target`."""
    return upgraded(
        asks(version, **spec),
        *upgrades,
        stable=hash_of(stable) if stable else None,
        target=hash_of(target),
        governing=governing,
        revisions=RECORDS,
    )


def reason_of(found: Objection | None) -> Reason | None:
    return found.reason if found else None
