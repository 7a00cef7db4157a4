"""An upgrade goes its way in order, whoever dies meanwhile."""

from __future__ import annotations

from typing import Final

import pytest
from tests.e2e.cluster import Moment, Object
from tests.e2e.test_upgrade_words import (
    ENDED,
    canary,
    change,
    names,
    quiet,
    restart,
    step,
    wait_for_one_service,
    wait_for_sizes,
    walked,
)
from tests.e2e.world import World, condition, condition_status

POLICY: Final = canary(step(25, seconds=1), step(50, seconds=1))

COURSE: Final = [
    ("Progressing", "UpgradeStarted"),
    ("Progressing", "StepReached"),
    ("Progressing", "WaitingForPods"),
    ("Progressing", "StepReached"),
    ("Promoting", "Promoting"),
    ("Succeeded", "UpgradeSucceeded"),
]


@pytest.mark.row("E01")
def test_e01_phases_follow_each_other_and_no_step_is_told_twice(world: World) -> None:
    """The history is the course, step by step, and the conditions say how it ended."""
    world.apply(quiet("a", upgradePolicy=POLICY))
    before = world.wait_until_ready("a")["status"]["stableRevision"]

    name = change(world, "a", version="2.0.0")
    found = world.wait_upgrade(name, "Succeeded")

    assert [(phase, reason) for phase, reason, _ in walked(found)] == COURSE
    status = found["status"]
    after = world.wait_until_ready("a")["status"]["stableRevision"]
    assert (status["fromRevision"], status["toRevision"]) == (before, after)
    assert (status["fromVersion"], status["toVersion"]) == ("1.0.0", "2.0.0")
    assert (status["steps"], status["weight"], status["attempt"]) == (2, 100, 1)
    assert condition_status(found, "Succeeded") == "True"
    assert condition_status(found, "Ready") == "True"
    assert condition(found, "Reconciling") is None


@pytest.mark.row("E01")
def test_e01_an_operator_killed_at_every_step_ends_where_one_that_lives_does(world: World) -> None:
    """SIGKILL after every entry of the history: no step is repeated, nothing is left behind."""
    world.apply(quiet("a", replicas=2, upgradePolicy=POLICY))
    world.wait_until_ready("a")

    since = world.now("AgentUpgrade")
    name = change(world, "a", version="2.0.0")
    kills = _killed_until_it_ends(world, since=since)

    found = world.upgrade(name)
    assert kills >= 4
    assert [(phase, reason) for phase, reason, _ in walked(found)] == COURSE
    assert names(world.upgrades("a")) == {name}
    target = world.wait_until_ready("a")["status"]["stableRevision"]
    wait_for_sizes(world, "a", {target: 2})
    wait_for_one_service(world, "a")
    for pod in world.pods("a"):
        assert pod["metadata"]["labels"]["agentherd.dev/traffic"] == "on"


def _killed_until_it_ends(world: World, *, since: Moment) -> int:
    """Restart the operator whenever the history has become longer; returns how often."""
    told = kills = 0
    for seen in world.follow("AgentUpgrade", since=since, within=240):
        status: Object = seen.object.get("status", {})
        if status.get("phase") in ENDED:
            return kills
        if len(status.get("history", ())) > told:
            told = len(status["history"])
            restart(world)
            kills += 1
    raise AssertionError("it has not ended")
