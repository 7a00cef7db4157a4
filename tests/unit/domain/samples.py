"""Upgrades to test with, and Agents that have them. Every builder takes what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from tests.twin.samples import NOON
from tests.twin.samples import facts as agent_facts

from agentherd.api import Agent, AgentUpgrade, AgentUpgradeSpec, AgentUpgradeStatus, Strategy
from agentherd.domain import children
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.phase import Facts as PhaseFacts
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.moves import Facts
from agentherd.domain.upgrades.rules import begin
from agentherd.domain.upgrades.strategy import DEFAULTS, Course, course, settled
from agentherd.domain.views import RevisionView

OWNED: Final = [
    {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "Agent",
        "name": "greeter",
        "uid": "uid-of-greeter",
        "controller": True,
    }
]
"""Owner references of an upgrade that the operator has made."""


def phase_facts(**fields: Any) -> PhaseFacts:
    """The facts of an Agent that wants two pods, has none, and is not being upgraded."""
    return agent_facts(**{"upgrade": None} | fields)


def canary(*steps: Any, **strategy: Any) -> Course:
    """A course of steps: each a weight, or a step in the words of the wire."""
    said = [{"weight": step} if isinstance(step, int) else step for step in steps]
    return course_of({"type": "Canary", "canary": {"steps": said}} | strategy)


def course_of(strategy: dict[str, Any], *, direct: bool = False) -> Course:
    """The course of a strategy in the words of the wire."""
    written = Strategy.model_validate(strategy)
    return course(settled(written, DEFAULTS, progress_deadline_seconds=600), direct=direct)


def upgrade_spec(**spec: Any) -> AgentUpgradeSpec:
    """What is asked of an upgrade of `greeter`, in the words of the wire."""
    return AgentUpgradeSpec.model_validate({"targetRef": {"name": "greeter"}} | spec)


def seen_upgrade(
    name: str,
    *,
    status: dict[str, Any] | AgentUpgradeStatus | None = None,
    metadata: dict[str, Any] | None = None,
    owned: bool = False,
    seen: dict[str, Any] | None = None,
    **spec: Any,
) -> SeenUpgrade:
    """An upgrade of `greeter`; a person's, unless it is `owned` by the Agent."""
    if isinstance(status, AgentUpgradeStatus):
        status = status.model_dump(by_alias=True, exclude_none=True)
    body = {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "ownerReferences": OWNED if owned else [],
        }
        | (metadata or {}),
        "spec": {"targetRef": {"name": "greeter"}} | spec,
        "status": status or {},
    }
    return SeenUpgrade(**{"upgrade": AgentUpgrade.model_validate(body)} | (seen or {}))


def upgraded(
    one: Agent,
    *upgrades: SeenUpgrade,
    stable: str | None,
    target: str | None = None,
    governing: str | None = None,
    **seen: Any,
) -> AgentObservation:
    """An Agent of whose upgrades something is seen; its spec was seen before, unless `target`."""
    known = one.status.model_copy(
        update={
            "stable_revision": stable,
            "target_revision": target,
            "upgrade": governing,
            "observed_generation": one.metadata.generation,
        }
    )
    return AgentObservation(
        agent=one.model_copy(update={"status": known}),
        upgrades={each.upgrade.metadata.name: each for each in upgrades},
        **seen,
    )


def kept(one: Agent, number: int = 1) -> RevisionView:
    """The record of the revision that an Agent's spec asks for."""
    made = children.controller_revision(one, revision_of(one.spec), number)
    metadata = made["metadata"] | {"uid": f"uid-of-{number}", "resourceVersion": "1"}
    return RevisionView.of(made | {"metadata": metadata})


def upgrade_facts(**fields: Any) -> Facts:
    """The facts of an upgrade at its first step of three, which wants two pods and has none."""
    given = {
        "spec": upgrade_spec(),
        "status": AgentUpgradeStatus(),
        "course": canary(5, 25, 50),
        "wanted": 2,
        "canary": 0,
        "asked": 0,
        "stable": 2,
        "by_gateway": True,
        "settle": timedelta(seconds=2),
        "fault": None,
        "refusal": None,
        "promoted": False,
        "shifted": False,
        "returnable": True,
        "obstacle": None,
        "writer": "kubectl",
        "now": NOON,
    } | fields
    return Facts(**given)


def begun(facts: Facts) -> Facts:
    """The same after its first move."""
    move = begin(
        facts,
        settled(None, DEFAULTS, progress_deadline_seconds=600),
        from_revision="0" * 10,
        to_revision="1" * 10,
        versions=(None, None),
    )
    status = facts.status.model_copy(update={"phase": move.phase, **move.changes})
    return replace(facts, status=status)
