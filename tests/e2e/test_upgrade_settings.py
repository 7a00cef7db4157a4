"""What an upgrade leaves open is answered by the operator's settings, once and for the attempt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
import yaml
from tests.e2e.cluster import Object
from tests.e2e.operator_process import ROOT
from tests.e2e.test_upgrade_words import change, quiet, steer, upgrade
from tests.e2e.world import START, World

SETTINGS: Final = {
    "AGENTHERD_CANARY_WEIGHTS": "10,50",
    "AGENTHERD_CANARY_PAUSE_SECONDS": "3600",
    "AGENTHERD_MAX_SURGE": "50%",
    "AGENTHERD_SCALE_DOWN_DELAY_SECONDS": "1",
    "AGENTHERD_ABORT_SCALE_DOWN_DELAY_SECONDS": "2",
    "AGENTHERD_ROLLBACK_WINDOW": "4",
}


@pytest.mark.row("E08")
def test_e08_the_settings_of_the_operator_hold_where_nobody_says_otherwise(world: World) -> None:
    """The values in force stand in the status; a setting changed later counts for the next one."""
    world.operator.stop()
    world.operator.configure(**SETTINGS)
    world.operator.start()
    world.apply(quiet("a", upgradePolicy=None))
    world.wait_until_ready("a")

    name = change(world, "a", version="2.0.0")
    before = world.wait_until("AgentUpgrade", name, _weighs(10), within=START)
    world.operator.stop()
    world.operator.configure(AGENTHERD_CANARY_WEIGHTS="99", AGENTHERD_CANARY_PAUSE_SECONDS="1")
    world.operator.start()
    steer(world, name, promote={"step": 1})
    after = world.wait_until("AgentUpgrade", name, _weighs(50), within=START)

    assert before["status"]["strategy"] == {
        "type": "Canary",
        "steps": [{"weight": weight, "pause": {"seconds": 3600}} for weight in (10, 50)],
        "maxSurge": "50%",
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 1,
        "abortScaleDownDelaySeconds": 2,
        "rollbackWindow": 4,
        "automation": "Auto",
    }
    assert after["status"]["strategy"] == before["status"]["strategy"]
    assert after["status"]["weight"] == 50


@pytest.mark.row("E08")
def test_e08_each_upgrade_may_say_otherwise(shared_world: World) -> None:
    """Value by value: what it does not say is still the operator's."""
    world = shared_world
    world.apply(quiet("mine", upgradePolicy={"type": "Canary", "rollbackWindow": 1}))
    world.wait_until_ready("mine")

    mine = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%"}}
    world.apply(upgrade("mine-now", "mine", to={"version": "2.0.0"}, strategy=mine))
    ended = world.wait_upgrade("mine-now", "Succeeded")

    assert ended["status"]["strategy"] == {
        "type": "RollingUpdate",
        "steps": [],
        "maxSurge": "50%",
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 30,
        "abortScaleDownDelaySeconds": 30,
        "rollbackWindow": 3,
        "automation": "Auto",
    }


@pytest.mark.row("E08")
@pytest.mark.parametrize(
    ("strategy", "complaint"),
    [
        ({"rollbackWindow": 21}, "rollbackWindow"),
        ({"scaleDownDelaySeconds": -1}, "scaleDownDelaySeconds"),
        ({"abortScaleDownDelaySeconds": 1.5}, "abortScaleDownDelaySeconds"),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "150%"}}, "maxSurge"),
        ({"canary": {"steps": [{"weight": 101}]}}, "weight"),
        ({"canary": {"steps": [{"weight": 5, "pause": {"seconds": 0}}]}}, "seconds"),
    ],
)
def test_e08_a_value_out_of_bounds_is_refused(
    shared_world: World, strategy: dict[str, Any], complaint: str
) -> None:
    """By the API server, with the name of the field."""
    wrong = json.dumps(upgrade("wrong", "nobody", strategy=strategy))

    refused = shared_world.kubectl("apply", "-f", "-", stdin=wrong)

    assert refused.code != 0
    assert complaint in refused.err


@pytest.mark.row("E08")
def test_e08_the_deployment_lists_all_six() -> None:
    """With the values that hold when nobody changes them."""
    manifest = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]

    assert {each["name"]: each["value"] for each in container["env"]} == {
        "AGENTHERD_CANARY_WEIGHTS": "5,25,50",
        "AGENTHERD_CANARY_PAUSE_SECONDS": "30",
        "AGENTHERD_MAX_SURGE": "25%",
        "AGENTHERD_SCALE_DOWN_DELAY_SECONDS": "30",
        "AGENTHERD_ABORT_SCALE_DOWN_DELAY_SECONDS": "30",
        "AGENTHERD_ROLLBACK_WINDOW": "3",
    }


def _weighs(weight: int) -> Callable[[Object], bool]:
    return lambda seen: seen.get("status", {}).get("weight") == weight
