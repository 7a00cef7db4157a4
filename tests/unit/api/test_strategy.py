"""How a change is made: what may be written, and what it means when nothing is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from agentherd.api import Canary, Pause, Strategy, StrategyType


def strategy(**fields: Any) -> Strategy:
    return Strategy.model_validate(fields)


def test_nothing_is_a_canary_that_leaves_the_rest_open() -> None:
    """So that whoever runs the operator can answer it."""
    assert strategy().model_dump(exclude_none=True) == {"type": StrategyType.CANARY}
    assert Canary().steps is None


def test_a_canary_may_have_no_steps() -> None:
    """Which is not the same as not to name them."""
    found = strategy(canary={"steps": []})

    assert found.canary == Canary(steps=())


def test_a_pause_without_seconds_waits_for_a_person() -> None:
    """And no pause is no wait."""
    found = strategy(canary={"steps": [{"weight": 10, "pause": {}}, {"weight": 20}]})

    assert found.canary is not None
    assert found.canary.steps is not None
    assert found.canary.steps[0].pause == Pause(seconds=None)
    assert found.canary.steps[1].pause is None


def test_a_strategy_is_written_as_it_was_read() -> None:
    """So that the operator can put the Agent's strategy into an upgrade."""
    raw = {
        "type": "Canary",
        "canary": {
            "steps": [{"weight": 0, "mirror": 20}, {"weight": 10, "replicas": 2, "pause": {}}]
        },
        "progressDeadlineSeconds": 60,
        "scaleDownDelaySeconds": 0,
        "abortScaleDownDelaySeconds": 0,
        "rollbackWindow": 0,
    }

    assert strategy(**raw).model_dump(by_alias=True, exclude_none=True) == raw


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Recreate"},
        {"canary": {"steps": [{}]}},
        {"canary": {"steps": [{"weight": -1}]}},
        {"canary": {"steps": [{"weight": 101}]}},
        {"canary": {"steps": [{"weight": 1, "replicas": 10001}]}},
        {"canary": {"steps": [{"weight": 0, "mirror": 0}]}},
        {"canary": {"steps": [{"weight": 0, "mirror": 101}]}},
        {"canary": {"steps": [{"weight": 1, "pause": {"seconds": 0}}]}},
        {"canary": {"steps": [{"weight": 1, "pause": {"seconds": 604801}}]}},
        {"canary": {"steps": [{"weight": 1}] * 21}},
        {"progressDeadlineSeconds": 9},
        {"progressDeadlineSeconds": 86401},
        {"scaleDownDelaySeconds": 86401},
        {"abortScaleDownDelaySeconds": -1},
        {"rollbackWindow": 21},
    ],
)
def test_values_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    """Where the schema has a bound, so has the model."""
    with pytest.raises(ValidationError):
        strategy(**fields)


@pytest.mark.parametrize(
    ("surge", "allowed"),
    [
        ("1%", True),
        ("25%", True),
        ("100%", True),
        ("0%", False),
        ("101%", False),
        ("25", False),
        ("%", False),
        ("2.5%", False),
    ],
)
def test_a_surge_is_a_percentage_above_none(
    schema: dict[str, Any], surge: str, allowed: bool
) -> None:
    """With nothing above the pods wanted, no pod could ever be replaced."""
    policy = schema["properties"]["spec"]["properties"]["upgradePolicy"]["properties"]
    bounds = policy["rollingUpdate"]["properties"]["maxSurge"]

    assert bounds["minimum"] == 1
    assert bool(re.fullmatch(bounds["pattern"], surge)) is allowed


@pytest.mark.parametrize("surge", [2, "30%"])
def test_a_surge_is_a_number_or_a_percentage(surge: int | str) -> None:
    """Neither is turned into the other."""
    found = strategy(type="RollingUpdate", rollingUpdate={"maxSurge": surge}).rolling_update

    assert found is not None
    assert found.max_surge == surge
    assert type(found.max_surge) is type(surge)
