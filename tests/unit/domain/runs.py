"""An upgrade from one version of `greeter` to the next, and what it does at a moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.twin.samples import NOON, agent, set_view
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.domain.faults import Fault
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import choose
from agentherd.domain.upgrades.run import Run, run

HEALTH = {"http": {"port": 8080}, "failureThreshold": 2}
BEFORE = agent(image="agent:1", replicas=2, version="1.0.0", health=HEALTH)
ASKED = {"image": "agent:2", "replicas": 2, "version": "2.0.0", "health": HEALTH}
OLD = revision_of(BEFORE.spec)
NEW = revision_of(agent(**ASKED).spec)
CRASH = Fault(Reason.CRASHING, "it crashed")
NO_NODE = Fault(Reason.UNSCHEDULABLE, "fits no node")
ROLLBACK = {"trigger": "Requested", "reason": "no", "requestedBy": "kubectl", "at": NOON}
RECORDS = {f"greeter-{OLD.hash}": kept(BEFORE, 1), f"greeter-{NEW.hash}": kept(agent(**ASKED), 2)}

SETTLED = {
    "type": "Canary",
    "steps": [{"weight": 0, "mirror": 20}, {"weight": 50}],
    "maxSurge": 1,
    "progressDeadlineSeconds": 600,
    "scaleDownDelaySeconds": 0,
    "abortScaleDownDelaySeconds": 0,
    "rollbackWindow": 3,
}


def begun(phase: str = "Progressing", **fields: Any) -> SeenUpgrade:
    """The upgrade from the old version to the new one, under way."""
    status = {
        "phase": phase,
        "fromRevision": OLD.hash,
        "toRevision": NEW.hash,
        "steps": 3,
        "step": 1,
        "startedAt": NOON,
        "progressSince": NOON,
    }
    known = {"owned": True, "to": {"revision": NEW.hash}, "status": status}
    return seen_upgrade(
        "greeter-2", **known | fields | {"status": status | fields.get("status", {})}
    )


def fresh(**fields: Any) -> SeenUpgrade:
    """The same before it has begun."""
    return seen_upgrade("greeter-2", **{"owned": True, "to": {"revision": NEW.hash}} | fields)


def sets(old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ReplicaSets of both versions, two pods each unless something else is said."""
    views = [set_view(OLD.hash, **(old or {})), set_view(NEW.hash, **(new or {}))]
    return {view.name: view for view in views}


def seen_with(
    *upgrades: SeenUpgrade, stable: str | None = OLD.hash, **fields: Any
) -> AgentObservation:
    spec = {name: fields.pop(name) for name in tuple(fields) if name not in SEEN}
    known = {"replica_sets": sets(), "revisions": RECORDS}
    one = agent(**ASKED | {"metadata": {"generation": 2}} | spec)
    return upgraded(
        one, *upgrades, stable=stable, target=NEW.hash, governing="greeter-2", **known | fields
    )


SEEN = set(AgentObservation.__dataclass_fields__)


def went(
    seen: AgentObservation,
    *,
    old: Any = OLD,
    obstacle: Fault | None = None,
    shifted: bool = False,
    refusal: Failure | None = None,
    now: datetime = NOON,
) -> Run | None:
    return run(
        seen,
        choose(seen),
        old=old,
        obstacle=obstacle,
        shifted=shifted,
        refusal=refusal,
        settle=timedelta(seconds=2),
        now=now,
    )


def found(seen: AgentObservation, **fields: Any) -> Run:
    result = went(seen, **fields)
    assert result is not None
    return result


def pods(*views: Any) -> dict[str, Any]:
    return {view.name: view for view in views}


def refused(kind: str, reason: Reason, revision: str = NEW.hash) -> dict[Ref, Failure]:
    failure = Failure(reason=reason, message="no", generation=2, retry_at=NOON)
    return {Ref(kind, f"greeter-{revision}"): failure}
