"""What there is now, as metrics: bounded, and gone with what it was about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import generate_latest
from tests.twin import raw_agent, raw_upgrade

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, Key
from agentherd.engine import census
from agentherd.engine.fleets import Fleets
from agentherd.engine.metrics import Metrics
from agentherd.engine.store import Store

NOON = "2026-11-21T12:00:00Z"
LABELS = {"namespace": "default", "kind": "Agent", "target": "greeter"}


@pytest.fixture
def fleets() -> Fleets:
    return Fleets([Store(AGENT, wake=lambda _: None)])


def running(name: str, *, minute: int = 0, version: int = 1, **status: Any) -> dict[str, Any]:
    begun = {"phase": "Progressing", "startedAt": f"2026-11-21T12:{minute:02}:00Z", "weight": 25}
    return raw_upgrade(name, status=begun | status, metadata={"resourceVersion": str(version)})


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def test_an_upgrade_that_runs_tells_its_weights(fleets: Fleets) -> None:
    """Asked for and seen, as parts of one."""
    metrics = Metrics()
    fleets.put_subject(AGENT_UPGRADE, running("greeter-2", weightSeen=20))

    census.take(fleets, metrics)

    assert value(metrics, "agentherd_upgrade_weight_ratio", name="greeter-2", **LABELS) == 0.25
    assert value(metrics, "agentherd_upgrade_weight_seen_ratio", name="greeter-2", **LABELS) == 0.2
    assert value(metrics, "agentherd_upgrades", phase="Progressing") == 1


def test_the_time_of_the_last_change_is_that_of_the_history(fleets: Fleets) -> None:
    """From which a rule knows what is stuck, and in which phase."""
    metrics = Metrics()
    entry = {"phase": "Paused", "reason": "Paused", "message": "", "at": "2026-11-21T13:00:00Z"}
    fleets.put_subject(AGENT_UPGRADE, running("greeter-2", phase="Paused", history=[entry]))

    census.take(fleets, metrics)

    name = "agentherd_upgrade_changed_timestamp_seconds"
    assert value(metrics, name, name="greeter-2", phase="Paused", **LABELS) == 1795266000


@pytest.mark.parametrize(
    ("phase", "minutes"), [("Progressing", 120), ("Promoting", 120), ("Paused", 0)]
)
def test_an_upgrade_is_due_when_its_pause_and_its_deadline_are_over(
    fleets: Fleets, phase: str, minutes: int
) -> None:
    """A long pause is nothing to be woken for; one that waits for a person has no end to miss."""
    metrics = Metrics()
    strategy = {
        "type": "Canary",
        "maxSurge": 1,
        "steps": [{"weight": 25, "pause": {"seconds": 7200}}],
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 0,
        "abortScaleDownDelaySeconds": 0,
        "rollbackWindow": 0,
    }
    begun = {
        "steps": 1,
        "step": 1,
        "weightSince": NOON,
        "progressSince": NOON,
        "strategy": strategy,
    }
    fleets.put_subject(AGENT_UPGRADE, running("greeter-2", phase=phase, **begun))

    census.take(fleets, metrics)

    name = "agentherd_upgrade_due_timestamp_seconds"
    found = value(metrics, name, name="greeter-2", phase=phase, **LABELS)
    assert found == datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() + minutes * 60


def test_the_series_of_an_upgrade_go_with_its_end(fleets: Fleets) -> None:
    """Whichever it is; what it was not seen to get has none from the beginning."""
    metrics = Metrics()
    fleets.put_subject(AGENT_UPGRADE, running("greeter-2"))
    census.take(fleets, metrics)
    before = generate_latest(metrics.registry).decode()

    fleets.put_subject(AGENT_UPGRADE, running("greeter-2", version=2, phase="Succeeded"))
    census.take(fleets, metrics)

    after = generate_latest(metrics.registry).decode()
    assert before.count('name="greeter-2"') == 3
    assert "greeter-2" not in after


def test_of_many_upgrades_those_that_run_the_longest_are_told(
    fleets: Fleets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, the number of series is bounded."""
    monkeypatch.setattr(census, "MAX_TOLD", 2)
    metrics = Metrics()
    for name, minute in (("new", 9), ("old", 1), ("older", 0)):
        fleets.put_subject(AGENT_UPGRADE, running(name, minute=minute))

    census.take(fleets, metrics)

    text = generate_latest(metrics.registry).decode()
    assert [name for name in ("new", "old", "older") if f'name="{name}"' in text] == [
        "old",
        "older",
    ]
    assert value(metrics, "agentherd_upgrades", phase="Progressing") == 3


def test_who_does_not_lead_knows_of_nothing(fleets: Fleets) -> None:
    """What was known before is not told any more."""
    metrics = Metrics()
    fleets.put_subject(AGENT, raw_agent(status={"phase": "Error"}))
    census.take(fleets, metrics)

    census.take(None, metrics)

    assert value(metrics, "agentherd_agents", phase="Error") is None
    assert value(metrics, "agentherd_objects", kind="Agent") is None


def test_the_upgrade_under_way_is_known_until_its_end() -> None:
    """Afterwards a line of the log about the Agent has nothing to do with it."""
    store = Store(AGENT, wake=lambda _: None)
    store.put_subject(AGENT, raw_agent(status={"upgrade": "greeter-2"}))
    store.put_subject(AGENT_UPGRADE, running("greeter-2"))
    during = store.under_way(Key("default", "greeter"))
    ended = running("greeter-2", version=2, finishedAt="2026-11-21T13:00:00Z")
    store.put_subject(AGENT_UPGRADE, ended)

    assert during == "uid-of-greeter-2"
    assert store.under_way(Key("default", "greeter")) == ""
    assert store.under_way(Key("default", "nobody")) == ""
