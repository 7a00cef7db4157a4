"""How the figures of the long runs are summed up, and what counts as a promise kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.long.figures import of_canary, of_rollbacks, percentiles
from tests.long.rollbacks import Rollback


def rollback(**more: Any) -> Rollback:
    plain: dict[str, Any] = {
        "trigger": "Requested",
        "write": 0.05,
        "last_request": 0.1,
        "end": 0.2,
        "told": 0,
        "in_order": True,
        "sent": 1000,
        "losses": {"lost": 0},
    }
    return Rollback(**(plain | more))


def canary(**more: Any) -> dict[str, Any]:
    plain = {
        "phase": "Succeeded",
        "ended with": "2.0.0",
        "lost": 0,
        "lost before the change": 0,
        "requests": {"sent": 60_000},
    }
    return {**plain, **more}


def test_a_percentile_is_a_time_that_was_seen() -> None:
    assert percentiles([0.1 * n for n in range(1, 31)]) == {"p50": 1.5, "p99": 3.0, "max": 3.0}
    assert percentiles([]) == {}


def test_triggers_are_told_apart() -> None:
    done = [rollback(), rollback(trigger="HealthProbe", write=0.3)]

    figures = of_rollbacks("rollbacks", done).figures

    assert figures["all"]["write"]["max"] == 0.3
    assert figures["by trigger"]["Requested"]["write"]["max"] == 0.05


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({}, True),
        ({"write": 5.0, "last_request": 5.0}, True),
        ({"losses": {"lost": 1}}, False),
        ({"in_order": False}, False),
        ({"end": 30.0}, False),
    ],
)
def test_a_slow_machine_breaks_no_promise_of_a_rollback(
    more: dict[str, Any], *, kept: bool
) -> None:
    assert of_rollbacks("rollbacks", [rollback(), rollback(**more)]).kept is kept


def test_no_rollback_at_all_shows_nothing() -> None:
    assert not of_rollbacks("rollbacks", []).kept


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({}, True),
        ({"lost": 1}, False),
        ({"phase": "RolledBack"}, False),
        ({"ended with": "1.0.0"}, False),
    ],
)
def test_a_canary_loses_nothing_and_ends_as_it_should(more: dict[str, Any], *, kept: bool) -> None:
    outcome = of_canary("canary", canary(**more), ended="2.0.0", phase="Succeeded")

    assert outcome.kept is kept


def test_what_was_lost_before_the_change_is_the_machines() -> None:
    lost = canary(**{"lost": 7, "lost before the change": 7})

    outcome = of_canary("canary", lost, ended="2.0.0", phase="Succeeded")

    assert not outcome.kept
    assert "too slow" in outcome.line


def test_all_figures_are_written_with_what_the_machine_did(tmp_path: Path) -> None:
    written = json.loads(of_rollbacks("rollbacks", [rollback()]).write(tmp_path).read_text())

    assert (written["name"], written["kept"]) == ("rollbacks", True)
    assert len(written["load"]) == 3
    assert written["rollbacks"][0]["write"] == 0.05
