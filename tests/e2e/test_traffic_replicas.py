"""A change of an Agent without a Gateway: traffic is split by the number of pods."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest
from tests.e2e.served import (
    FOLLOWED_WITHIN,
    NEW,
    OLD,
    canary,
    change,
    load_on_service,
    roll_back,
    served,
    step,
    wait_for_weight,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.world import World, condition
from tests.load.load import Load

WAITING: Final = canary(step(50, waits=True))

FAILS_AFTER: Final = 25
"""Seconds after the start of a process at which its probe fails: by then both new pods serve, on a
busy machine too."""


@pytest.mark.row("H06")
def test_h06_no_request_fails_while_pods_are_exchanged(world: World, tmp_path: Path) -> None:
    """Two pods become four, of which two go: each request finds one that serves."""
    steps = canary(step(34, seconds=3), step(50, seconds=3))
    world.apply(served("a", traffic=None, upgradePolicy=steps))
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        world.wait_upgrade(upgrade, "Succeeded")
        promoted = wait_until_only(world, running, NEW)
        world.wait_until_children("a", "Pod", lambda pods: len(pods) == 2, within=60)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.between(promoted).share(NEW) == 1


def test_pods_are_the_weight(world: World, tmp_path: Path) -> None:
    """Two new pods beside two old ones get half of the requests, and the status says who splits."""
    world.apply(served("a", traffic=None, upgradePolicy=WAITING))
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        world.wait_upgrade(upgrade, "Paused")
        _wait_until_all_answer(world, running)
        begun = time.time()
        wait_until_sent(world, running, 400)
        report = running.stop()
    found = world.upgrade(upgrade)

    assert report.failed == ()
    assert report.between(begun).share(NEW) == pytest.approx(0.5, abs=0.15)
    applied = condition(found, "TrafficApplied")
    assert applied is not None
    assert (applied["status"], applied["reason"]) == ("True", "SharedByReplicas")


@pytest.mark.row("G01")
def test_g01_going_back_costs_no_request(world: World, tmp_path: Path) -> None:
    """A patch in the middle takes everything back to the old pods."""
    world.apply(served("a", traffic=None, upgradePolicy=WAITING))
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 50)
        wait_until_sent(world, running, 200)
        roll_back(world, upgrade)
        world.wait_upgrade(upgrade, "RolledBack", within=30)
        over = wait_until_only(world, running, OLD)
        world.wait_until_children("a", "Pod", lambda pods: len(pods) == 2, within=60)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.share(NEW) > 0
    assert report.between(over).share(OLD) == 1


@pytest.mark.row("G02")
def test_g02_pods_that_stop_being_ready_are_left(world: World, tmp_path: Path) -> None:
    """New pods whose probe fails get no more requests, and the old ones answer them all."""
    world.apply(served("a", traffic=None, upgradePolicy=WAITING))
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a", config={"probeFailAfterSeconds": str(FAILS_AFTER)})
        wait_for_weight(world, upgrade, 50)
        found = world.wait_upgrade(upgrade, "RolledBack", within=FAILS_AFTER + 30)
        over = wait_until_only(world, running, OLD)
        wait_until_sent(world, running, 200)
        report = running.stop()

    assert report.failed_but_by(NEW) == ()
    assert report.share(NEW) > 0
    assert report.between(over).share(OLD) == 1
    assert found["status"]["rollback"]["trigger"] == "HealthProbe"


def test_pods_replaced_one_by_one_cost_no_request(world: World, tmp_path: Path) -> None:
    """A rolling update of four pods, one more at a time, under load."""
    policy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    world.apply(
        served("a", traffic=None, replicas=4, upgradePolicy={**policy, "scaleDownDelaySeconds": 1})
    )
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        world.wait_upgrade(upgrade, "Succeeded", within=90)
        promoted = wait_until_only(world, running, NEW)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.between(promoted).share(NEW) == 1


def _wait_until_all_answer(world: World, running: Load) -> None:
    """Wait until those who send to the Service know all pods that are there."""
    pods = {pod["metadata"]["name"] for pod in world.pods("a")}
    before = running.so_far().sent

    def holds() -> bool:
        return pods <= {answer.pod for answer in running.so_far().answers[before:]}

    world.operator.wait_until(holds, within=FOLLOWED_WITHIN)
