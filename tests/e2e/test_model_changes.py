"""People change their mind about the versions of a model, and operators die: all ends well."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.models import (
    KIND,
    NAME,
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
    wait_for_pods,
    wait_for_state,
    wait_for_weight,
    wait_until,
    wait_until_active,
    wait_until_gone,
)
from tests.e2e.served import (
    LONGEST,
    PARENT,
    UNJUDGED,
    backends,
    canary,
    hostname,
    promote,
    roll_back,
    step,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.sight import Sight
from tests.e2e.test_upgrade_words import restart
from tests.e2e.world import World, condition

THREE: Final = (version("v1"), version("v2"), version("v3"))
TRIED: Final = {"version": "v2", "weight": 20}
CALM: Final = canary(step(10, seconds=3), step(20, seconds=3), analysis=UNJUDGED)


def only(world: World, name: str, *, size: int = 1) -> Object:
    """Nothing is left but one version: its pods, one Service, a route with one backend."""
    found = wait_until_active(world, name)
    for other in {"v1", "v2", "v3"} - {name}:
        wait_until_gone(world, other)
    wait_for_pods(world, size, of=name)
    world.wait_until("HTTPRoute", NAME, lambda route: len(backends(route)) == 1)
    return found


def states(models: Sight, of: str) -> list[str]:
    """The states of a version in the order in which they were entered."""
    entered: list[str] = []
    for seen in models.seen:
        told = state(seen.object, of)
        if told and entered[-1:] != [told]:
            entered.append(told)
    return entered


def test_a_swap_goes_through_the_states_in_their_order(world: World) -> None:
    """Loading, Ready without requests, Canary, Active; the other one is drained and goes."""
    policy = canary(step(20, seconds=2), analysis=UNJUDGED) | {"scaleDownDelaySeconds": 3}
    served(
        world,
        version("v1"),
        version("v2", start_seconds=2),
        upgradePolicy=policy,
        drain={"delaySeconds": 3},
    )

    with Sight(world, KIND) as models:
        change(world, activeVersion="v2")
        wait_until_active(world, "v2")
        wait_for_state(world, "Pending", "v1")

    assert states(models, "v2") == ["Pending", "Loading", "Ready", "Canary", "Active"]
    assert states(models, "v1") == ["Active", "Standby", "Draining", "Pending"]
    assert {seen.object["status"]["phase"] for seen in models.seen} == {"Ready"}


def test_a_canary_that_is_removed_leaves_everything_to_the_active_version(
    world: World, tmp_path: Path
) -> None:
    served(world, *THREE)
    with load(world, tmp_path) as running:
        change(world, canary=TRIED)
        wait_for_weight(world, "v2", 20)
        wait_until_sent(world, running, 200)
        change(world, canary=None)
        found = only(world, "v1")
        over = wait_until_only(world, running, "v1")
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.share("v2") > 0
    assert report.between(over).share("v1") == 1
    assert swaps(found) == [("v1", "v2", "Superseded")]


@pytest.mark.parametrize("by", ["activeVersion", "upgrade"])
def test_a_canary_is_promoted_by_either_way(world: World, tmp_path: Path, by: str) -> None:
    """Its name as the active version, or `promote` of its upgrade; it is no canary any more."""
    served(world, *THREE)
    with load(world, tmp_path) as running:
        upgrade = change(world, canary=TRIED)
        wait_for_weight(world, "v2", 20)
        if by == "upgrade":
            promote(world, upgrade, full=True)
        else:
            change(world, activeVersion="v2")
        wait_until_active(world, "v2")
        only(world, "v2")
        over = wait_until_only(world, running, "v2")
        wait_until_sent(world, running, 100)
        report = running.stop()

    spec = world.wait_until(KIND, NAME, lambda seen: "canary" not in seen["spec"])["spec"]
    assert report.failed == ()
    assert report.between(over).share("v2") == 1
    assert spec["activeVersion"] == "v2"
    assert swaps(world.get(KIND, NAME)) == [("v1", "v2", "Promoted")]

    change(world, activeVersion="v3")
    only(world, "v3")
    world.operator.runs_for(5)
    assert status(world)["activeVersion"] == "v3"


def test_another_canary_takes_the_place_of_the_first(world: World, tmp_path: Path) -> None:
    served(world, *THREE)
    with load(world, tmp_path) as running:
        change(world, canary=TRIED)
        wait_for_weight(world, "v2", 20)
        change(world, canary={"version": "v3", "weight": 10})
        found = wait_for_weight(world, "v3", 10)
        wait_until_gone(world, "v2")
        wait_until_sent(world, running, 300)
        report = running.stop()

    assert report.failed == ()
    assert version_in(found, "v2")["weight"] == 0
    assert swaps(found) == [("v1", "v2", "Superseded")]


def test_another_active_version_takes_over_while_a_canary_is_tried(
    world: World, tmp_path: Path
) -> None:
    """The canary waits meanwhile, and is then tried beside what serves."""
    served(world, *THREE, upgradePolicy=CALM)
    with load(world, tmp_path) as running:
        change(world, canary=TRIED)
        wait_for_weight(world, "v2", 20)
        change(world, activeVersion="v3")
        found = wait_until(world, lambda seen: seen["status"].get("activeVersion") == "v3")
        found = wait_for_weight(world, "v2", 20)
        report = running.stop()

    assert report.failed == ()
    assert swaps(found) == [("v1", "v2", "Superseded"), ("v1", "v3", "Promoted")]


def test_a_version_that_served_is_tried_like_any_other(world: World) -> None:
    """As a canary it gets its weight and no more, though a swap would go back to it at once."""
    served(world, *THREE)
    change(world, activeVersion="v2")
    only(world, "v2")

    change(world, canary={"version": "v1", "weight": 10})
    wait_for_weight(world, "v1", 10)
    world.operator.runs_for(8)

    found = world.get(KIND, NAME)
    assert found["status"]["activeVersion"] == "v2"
    assert (version_in(found, "v1")["weight"], version_in(found, "v2")["weight"]) == (10, 90)


def test_a_swap_that_a_person_takes_back_ends_where_it_began(world: World, tmp_path: Path) -> None:
    """The reason they gave is told of the version, and the swap is not begun again."""
    served(world, *THREE, upgradePolicy=canary(step(20, waits=True), analysis=UNJUDGED))
    with load(world, tmp_path) as running:
        upgrade = change(world, activeVersion="v2")
        wait_for_weight(world, "v2", 20)
        roll_back(world, upgrade, "answers are odd")
        found = wait_for_state(world, "Failed", "v2")
        wait_until_only(world, running, "v1")
        world.operator.runs_for(5)
        report = running.stop()

    assert report.failed == ()
    assert found["status"]["lastRollback"]["reason"] == "answers are odd"
    assert "answers are odd" in (condition(found, "Ready") or {})["message"]
    assert swaps(wait_until(world, lambda seen: bool(swaps(seen)))) == [("v1", "v2", "RolledBack")]


PHASES: Final = ("Loading", "Ready", "Canary", "Active")


@pytest.mark.parametrize("by", ["activeVersion", "canary"])
def test_an_operator_that_is_killed_in_each_phase_of_a_swap_ends_it_all_the_same(
    world: World, tmp_path: Path, by: str
) -> None:
    """One version, one upgrade, one swap in the history, and no request lost.

    A new operator goes on before the test knows of it, so each phase lasts for long enough to see.
    """
    steps = [step(10, seconds=5), step(20, seconds=5)]
    served(
        world,
        version("v1"),
        version("v2", start_seconds=2),
        replicas=2,
        upgradePolicy=canary(*steps, analysis=UNJUDGED),
        traffic={
            "parentRefs": [PARENT],
            "hostnames": [hostname(world, NAME)],
            "settleSeconds": 10,
        },
    )
    with load(world, tmp_path, seconds=2 * LONGEST) as running:
        asked = {"version": "v2", "steps": steps} if by == "canary" else "v2"
        upgrade = change_field(world, by, asked)
        for phase in PHASES:
            wait_for_state(world, phase, "v2")
            restart(world)
        found = only(world, "v2", size=2)
        over = wait_until_only(world, running, "v2")
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.between(over).share("v2") == 1
    assert [one["metadata"]["name"] for one in world.upgrades(NAME)] == [upgrade]
    assert found["spec"]["activeVersion"] == "v2"
    assert swaps(world.get(KIND, NAME)) == [("v1", "v2", "Promoted")]


def test_an_operator_that_is_killed_while_a_canary_is_taken_back_does_so_all_the_same(
    world: World, tmp_path: Path
) -> None:
    served(world, *THREE)
    with load(world, tmp_path) as running:
        change(world, canary=TRIED)
        wait_for_weight(world, "v2", 20)
        world.operator.kill()
        change(world, canary=None)
        world.delete("Lease", "agentherd")
        world.operator.start()
        restart(world)
        found = only(world, "v1")
        report = running.stop()

    assert report.failed == ()
    assert swaps(found) == [("v1", "v2", "Superseded")]


def test_a_version_is_kept_warm_until_the_next_one_takes_over(world: World) -> None:
    served(world, *THREE, keepWarm=True)
    change(world, activeVersion="v2")
    wait_until_active(world, "v2")
    wait_for_state(world, "Standby", "v1")

    change(world, activeVersion="v3")
    wait_for_state(world, "Canary", "v3")
    during = [len(pods(world, of=name)) for name in ("v1", "v2")]
    wait_until_active(world, "v3")
    wait_until_gone(world, "v1")

    assert during[1] == 1
    wait_for_state(world, "Standby", "v2")
    wait_for_pods(world, 1, of="v2")
