"""A new version may be compared with as many fresh pods of the stable one, which leave nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.served import canary, change, load, routed, step, wait_for_weight, wait_until_sent
from tests.e2e.world import World, is_ready

RATE: Final = 40.0
ENDS: Final = 120.0
FRESH: Final = {"intervalSeconds": 1, "warmUpSeconds": 2, "baseline": "Fresh"}
SHORT: Final = canary(step(50, seconds=15), analysis=FRESH)
WAITING: Final = canary(step(50, waits=True), analysis=FRESH)
BASELINE: Final = "agentherd.dev/baseline"


def fresh(objects: list[Object]) -> list[Object]:
    """Those that belong to a baseline."""
    return [each for each in objects if BASELINE in each["metadata"].get("labels", {})]


def wait_until_there(world: World) -> None:
    """Wait until all fresh pods are ready, of which there is at least one."""
    world.wait_until_children(
        "a",
        "Pod",
        lambda pods: bool(fresh(pods)) and all(map(is_ready, fresh(pods))),
        within=ENDS,
    )


def wait_until_gone(world: World) -> None:
    """Wait until nothing of a baseline is left."""
    for kind in ("ReplicaSet", "Pod"):
        world.wait_until_children("a", kind, lambda found: not fresh(found), within=ENDS)


def sizes(world: World) -> dict[str, int]:
    """How many pods each ReplicaSet is to have."""
    return {
        each["metadata"]["name"]: each["spec"]["replicas"]
        for each in world.children("a", "ReplicaSet")
        if each["spec"]["replicas"]
    }


@pytest.mark.parametrize(
    ("config", "phase"),
    [({}, "Succeeded"), ({"errorRate": "0.5"}, "RolledBack")],
    ids=["good", "bad"],
)
def test_a_version_is_compared_with_its_like(
    world: World, tmp_path: Path, config: dict[str, str], phase: str
) -> None:
    """What is found is what would be found of the stable pods; afterwards no fresh pod is left."""
    world.apply(routed(world, "a", replicas=2, upgradePolicy=SHORT, config={}))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path, rate=RATE) as running:
        upgrade = change(world, "a", config=config)
        wait_until_there(world)
        found = world.wait_upgrade(upgrade, phase, within=ENDS)
        wait_until_gone(world)
        wait_until_sent(world, running, 1)

    counted: dict[str, Any] = found["status"]["analysis"]
    assert counted["canary"]["requests"] > 0
    assert counted["stable"]["requests"] > 0
    assert counted["stable"].get("errors", 0) == 0


def test_fresh_pods_are_additional_and_go_when_a_person_aborts(
    world: World, tmp_path: Path
) -> None:
    """No size of either version depends on them."""
    world.apply(routed(world, "a", replicas=2, upgradePolicy=WAITING, config={}))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path, rate=RATE) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 50)
        wait_until_there(world)
        during = sizes(world)
        asked = {"requested": True, "reason": "enough seen"}
        world.patch("AgentUpgrade", upgrade, {"spec": {"rollback": asked}})
        world.wait_upgrade(upgrade, "RolledBack", within=ENDS)
        wait_until_gone(world)
        wait_until_sent(world, running, 1)

    baseline = next(name for name in during if name.endswith("-baseline"))
    stable = baseline.removesuffix("-baseline")
    assert (during.pop(baseline), during.pop(stable)) == (1, 2)
    assert list(during.values()) == [1]
