"""What people did to an upgrade is recorded, each thing once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentherd.api import AgentUpgrade
from agentherd.domain.observation import SeenUpgrade
from agentherd.domain.upgrades.status import waiting_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def after(upgrade: AgentUpgrade, **spec: Any) -> AgentUpgrade:
    """The upgrade once the operator has seen a person's change of its spec."""
    changed = upgrade.model_copy(
        update={"spec": AgentUpgrade.model_validate(_raw(spec)).spec, "status": upgrade.status}
    )
    seen = SeenUpgrade(upgrade=changed, writer="kubectl")
    return changed.model_copy(update={"status": waiting_status(seen, None, now=NOW)})


def verbs(upgrade: AgentUpgrade) -> list[tuple[str, str]]:
    return [(control.verb, control.detail) for control in upgrade.status.controls]


def _raw(spec: Any) -> dict[str, Any]:
    metadata = {"name": "hello-2", "namespace": "default", "uid": "u", "generation": 1}
    return {"metadata": metadata, "spec": {"targetRef": {"name": "hello"}, **spec}}


FRESH = after(AgentUpgrade.model_validate(_raw({})))


def test_what_is_said_twice_is_recorded_once() -> None:
    """A status that is written again tells of nothing new."""
    promoted = after(FRESH, promote={"full": True})

    assert verbs(after(promoted, promote={"full": True})) == [("Promoted", "full")]


def test_each_attempt_is_promoted_for_itself() -> None:
    """That the first attempt was promoted says nothing about the second."""
    first = after(FRESH, promote={"full": True})
    second = after(first, attempt=2)

    again = after(second, attempt=2, promote={"full": True})

    assert verbs(again) == [("Promoted", "full"), ("Retried", "attempt 2"), ("Promoted", "full")]


def test_a_pause_is_recorded_with_its_end() -> None:
    """Pausing, going on and pausing again are three things."""
    paused = after(after(after(FRESH, paused=True), paused=False), paused=True)

    assert [verb for verb, _ in verbs(paused)] == ["Paused", "Resumed", "Paused"]


def test_who_steered_is_named() -> None:
    """By the name that their client gives itself."""
    assert after(FRESH, paused=True).status.controls[0].by == "kubectl"
