"""A version of a model that is no good: the one that serves goes on, and the reason is told soon.

Whatever is wrong is tried once: nothing is tried again by itself, and nobody is sent to and fro.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.models import (
    KIND,
    NAME,
    TOLD,
    change,
    change_field,
    load,
    pods,
    served,
    state,
    status,
    swaps,
    version,
    version_in,
    wait_for_state,
    wait_for_weight,
    wait_until,
    wait_until_gone,
)
from tests.e2e.served import canary, step, wait_until_only, wait_until_sent
from tests.e2e.sight import Sight
from tests.e2e.world import START, World, condition, condition_status

JUDGED: Final = canary(
    step(10, seconds=30),
    step(20, seconds=30),
    analysis={"intervalSeconds": 1, "warmUpSeconds": 2, "minimumRequests": 20},
)
RATE: Final = 80.0


def given_up(world: World, *, within: float) -> Object:
    """Wait until v2 was given up."""
    return wait_until(world, lambda seen: state(seen, "v2") == "Failed", within=within)


def taken_back(world: World) -> Object:
    """Wait until the way back of v2 is over too, the routes send nothing to it any more."""
    return wait_until(world, lambda seen: state(seen, "v2") == "Failed" and bool(swaps(seen)))


def once(models: Sight, world: World) -> None:
    """Nothing swings: each state of v2 was entered once, v1 served all the time, one upgrade."""
    states: list[str] = []
    for seen in models.seen:
        told = state(seen.object, "v2")
        if told and states[-1:] != [told]:
            states.append(told)
    assert len(set(states)) == len(states), states
    served_by = {seen.object.get("status", {}).get("activeVersion") for seen in models.seen}
    assert served_by == {"v1"}
    phases = {seen.object["status"]["phase"] for seen in models.seen if "status" in seen.object}
    assert phases == {"Ready"}
    assert len(world.upgrades(NAME)) == 1
    assert world.upgrades(NAME)[0]["status"]["attempt"] == 1


WRONG: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "slower by half": ({"latency_seconds": 0.3}, "PerformanceImpact", "slower"),
    "errors for one in ten": ({"latency_seconds": 0.2, "error_rate": 0.1}, "ErrorRate", "errors"),
}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("by", ["activeVersion", "canary"])
def test_a_version_that_is_worse_is_given_up(
    world: World, tmp_path: Path, fault: str, by: str
) -> None:
    """It is judged beside the other one, and goes back as soon as that is sure."""
    settings, trigger, said = WRONG[fault]
    v1 = version("v1", latency_seconds=0.2)
    served(world, v1, version("v2", **settings), upgradePolicy=JUDGED)

    asked = {"version": "v2", "weight": 20} if by == "canary" else "v2"
    with Sight(world, KIND) as models, load(world, tmp_path, rate=RATE) as running:
        change_field(world, by, asked)
        given_up(world, within=150)
        found = taken_back(world)
        back = wait_until_only(world, running, "v1")
        wait_until_sent(world, running, 400)
        report = running.stop()

    print(f"{fault}: {found['status']['lastRollback']}")
    once(models, world)
    assert found["status"]["lastRollback"]["trigger"] == trigger
    assert found["status"]["lastRollback"]["version"] == "v2"
    assert said in version_in(found, "v2")["message"]
    assert report.failed_but_by("v2") == ()
    assert report.between(back).share("v1") == 1


@pytest.mark.row("M02")
@pytest.mark.parametrize("by", ["activeVersion", "canary"])
def test_m02_a_version_that_is_not_accurate_enough_is_not_promoted(
    world: World, tmp_path: Path, by: str
) -> None:
    """What is missing and what to do about it stands where people look."""
    served(
        world,
        version("v1", accuracy=0.92),
        version("v2", accuracy=0.85),
        upgradePolicy=JUDGED,
        slo={"accuracy": 0.9},
    )
    wait_until(world, lambda seen: condition_status(seen, "ObjectivesMet") == "True")
    asked = {"version": "v2", "steps": [step(10, seconds=30)]} if by == "canary" else "v2"

    with Sight(world, KIND) as models, load(world, tmp_path) as running:
        begin = time.time()
        upgrade = change_field(world, by, asked)
        found = given_up(world, within=START + TOLD)
        took = time.time() - begin
        wait_until_only(world, running, "v1")
        report = running.stop()

    told = version_in(found, "v2")["message"]
    print(f"M02: after {took:.1f} s: {told}")
    once(models, world)
    assert "accuracy is 0.85, below 0.9" in told
    assert "Improve the version and register it under another name" in told
    record = world.upgrade(upgrade)["status"]["rollback"]
    assert record["trigger"] == "ObjectiveMissed"
    assert "Improve the version" in record["reason"]
    assert "Improve the version" in (condition(found, "Ready") or {})["message"]
    assert report.failed == ()
    kept = {condition_status(seen.object, "ObjectivesMet") for seen in models.seen}
    assert "False" not in kept
    wait_until(world, lambda seen: condition_status(seen, "ObjectivesMet") == "True")


def test_a_version_that_never_becomes_ready_is_given_up_at_its_deadline(
    world: World, tmp_path: Path
) -> None:
    """Until then it is told that it loads; nobody is sent to it."""
    v2 = version("v2", start_seconds=3600)
    served(world, version("v1"), v2, upgradePolicy=JUDGED, progressDeadlineSeconds=15)

    with Sight(world, KIND) as models, load(world, tmp_path) as running:
        begin = time.time()
        change(world, activeVersion="v2")
        wait_for_state(world, "Loading", "v2")
        found = given_up(world, within=60)
        took = time.time() - begin
        wait_until_gone(world, "v2")
        world.operator.runs_for(10)
        report = running.stop()

    once(models, world)
    print(f"never ready: after {took:.1f} s: {found['status']['lastRollback']}")
    assert 14 <= took < 15 + TOLD
    assert found["status"]["lastRollback"]["trigger"] == "ProgressDeadline"
    assert report.failed == ()
    assert report.share("v1") == 1


SICK: Final[dict[str, tuple[Object, set[str]]]] = {
    "image that does not exist": (
        version("v2", container={"image": "localhost/nobody/none:1", "imagePullPolicy": "Never"}),
        {"ImageUnavailable"},
    ),
    "settings that are refused": (version("v2", backend="gpt"), {"Crash"}),
}


@pytest.mark.parametrize("fault", SICK)
def test_a_version_that_cannot_start_is_told_and_given_up(
    world: World, tmp_path: Path, fault: str
) -> None:
    v2, triggers = SICK[fault]
    served(world, version("v1"), v2, upgradePolicy=JUDGED)

    with Sight(world, KIND) as models, load(world, tmp_path, rate=40) as running:
        change(world, activeVersion="v2")
        found = given_up(world, within=START)
        world.operator.runs_for(10)
        report = running.stop()

    once(models, world)
    print(f"{fault}: {found['status']['lastRollback']}")
    assert found["status"]["lastRollback"]["trigger"] in triggers
    assert report.failed == ()
    assert report.share("v1") == 1


def test_a_version_that_runs_out_of_memory_is_given_up(world: World, tmp_path: Path) -> None:
    """It serves well until the kernel kills it, and that is the reason that is told in the end.

    Its probe fails a moment before it is known why.
    """
    v2 = version("v2", memory_leak_mb_per_second=6)
    served(world, version("v1"), v2, upgradePolicy=JUDGED)

    with (
        Sight(world, "Pod") as seen_pods,
        Sight(world, KIND) as models,
        load(world, tmp_path, rate=RATE) as running,
    ):
        change(world, canary={"version": "v2", "weight": 20})
        given_up(world, within=90)
        found = wait_until(
            world,
            lambda seen: (
                seen["status"]["lastRollback"]["trigger"] == "OutOfMemory" and bool(swaps(seen))
            ),
        )
        back = wait_until_only(world, running, "v1")
        world.operator.runs_for(10)
        report = running.stop()

    killed = seen_pods.first(_is_out_of_memory)
    told = models.first(lambda seen: state(seen, "v2") == "Failed")
    print(f"memory: told {told - killed:.1f} s after the kill: {found['status']['lastRollback']}")
    once(models, world)
    assert told - killed < TOLD
    assert "more memory than its limit" in version_in(found, "v2")["message"]
    assert "more memory than its limit" in found["status"]["swaps"][-1]["reason"]
    assert _brief(report.failed)
    assert report.between(back).share("v1") == 1


def test_a_version_that_fails_is_not_tried_again_by_itself(world: World) -> None:
    """Not by another weight, other words about it, or a new operator; by a person it is."""
    served(world, version("v1"), SICK["image that does not exist"][0], upgradePolicy=JUDGED)
    upgrade = change(world, canary={"version": "v2", "weight": 10})
    taken_back(world)

    change(world, canary={"version": "v2", "weight": 5})
    world.operator.stop()
    world.operator.start()
    wait_until_gone(world, "v2")
    world.operator.runs_for(8)
    found = given_up(world, within=10)
    assert swaps(found) == [("v1", "v2", "RolledBack")]
    assert pods(world, of="v2") == []
    assert len(world.upgrades(NAME)) == 1

    world.patch("AgentUpgrade", upgrade, {"spec": {"attempt": 2}})
    wait_until(world, lambda seen: len(swaps(seen)) == 2)
    assert status(world)["activeVersion"] == "v1"


def test_the_active_version_that_breaks_a_promise_is_told_and_serves_on(world: World) -> None:
    """There is nothing better to go back to."""
    served(world, version("v1", accuracy=0.5), version("v2"), slo={"accuracy": 0.9})

    found = wait_until(world, lambda seen: condition_status(seen, "ObjectivesMet") == "False")

    assert "accuracy is 0.5, below 0.9" in (condition(found, "ObjectivesMet") or {})["message"]
    assert state(found, "v1") == "Active"
    wait_for_weight(world, "v1", 100)


def _is_out_of_memory(pod: Object) -> bool:
    for each in pod.get("status", {}).get("containerStatuses", ()):
        for ended in (each.get("state", {}), each.get("lastState", {})):
            if ended.get("terminated", {}).get("reason") == "OOMKilled":
                return True
    return False


def _brief(failed: tuple[Any, ...]) -> bool:
    """Whether all failures came within three seconds, as those at a pod that is killed do."""
    return not failed or failed[-1].at - failed[0].at < 3
