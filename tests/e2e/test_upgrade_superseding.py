"""A change takes the place of the one that runs, wherever that is: what counts is the last spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import template
from tests.e2e.test_upgrade_words import (
    NO_IMAGE,
    PAUSE,
    canary,
    change,
    names,
    quiet,
    steer,
    step,
    upgrade,
    wait_at_step,
    wait_for_one_service,
    wait_for_sizes,
)
from tests.e2e.world import START, World, condition, identity, observed

POLICY: Final = canary(step(25), step(50))

BAD: Final = {"template": template(**NO_IMAGE)}
GOOD: Final = {"template": template(image=PAUSE)}


def _gathering(world: World, name: str) -> None:
    """Before the first pod of the new version is there."""
    world.wait_until("AgentUpgrade", name, _is({"Progressing"}))


def _at_the_first_step(world: World, name: str) -> None:
    wait_at_step(world, name, 1)


def _at_the_last_step(world: World, name: str) -> None:
    wait_at_step(world, name, 1)
    steer(world, name, promote={"step": 1})
    wait_at_step(world, name, 2)


def _promoting(world: World, name: str) -> None:
    """On its way to take over."""
    wait_at_step(world, name, 1)
    steer(world, name, promote={"full": True})
    world.wait_until("AgentUpgrade", name, _is({"Promoting", "Succeeded"}))


def _going_back(world: World, name: str) -> None:
    """On its way back after it had taken over, for which pods have to start."""
    _promoting(world, name)
    world.wait_upgrade(name, "Succeeded")
    steer(world, name, rollback={"requested": True})
    world.wait_until("AgentUpgrade", name, _is({"RollingBack", "RolledBack"}))


MOMENTS: Final[dict[str, Callable[[World, str], None]]] = {
    "gathering": _gathering,
    "first": _at_the_first_step,
    "last": _at_the_last_step,
    "promoting": _promoting,
    "back": _going_back,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_newer_good_version_takes_the_place_of_one_that_runs(
    shared_world: World, moment: str
) -> None:
    """It begins from the version that serves then, and is what is left in the end."""
    world, name = shared_world, f"good-{moment}"
    former = _begun(world, name, moment)

    newer = change(world, name, version="3.0.0")
    world.wait_until("AgentUpgrade", newer, _is({"Progressing", "Paused", "Promoting"}))
    steer(world, newer, promote={"full": True})
    found = world.wait_upgrade(newer, "Succeeded")

    _ended(world, name, former)
    assert world.wait_until_ready(name)["status"]["stableRevision"] == found["status"]["toRevision"]
    wait_for_sizes(world, name, {found["status"]["toRevision"]: 2})
    wait_for_one_service(world, name)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_newer_bad_version_leaves_what_served_before(shared_world: World, moment: str) -> None:
    """Both are gone in the end, and the Agent says why it is not as its spec wants it."""
    world, name = shared_world, f"bad-{moment}"
    former = _begun(world, name, moment)

    newer = change(world, name, version="3.0.0", **BAD)
    found = world.wait_upgrade(newer, "RolledBack")

    _ended(world, name, former)
    told = world.wait_until("Agent", name, lambda seen: _reason(seen) == "RolledBack")
    assert found["status"]["rollback"]["trigger"] == "ImageUnavailable"
    assert told["status"]["stableRevision"] == found["status"]["fromRevision"]
    wait_for_sizes(world, name, {found["status"]["fromRevision"]: 2})
    wait_for_one_service(world, name)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_spec_set_back_ends_where_it_began(shared_world: World, moment: str) -> None:
    """The former version is there as it was; what had not taken over takes no upgrade to leave."""
    world, name = shared_world, f"back-{moment}"
    first = _stable(world, name)
    former = change(world, name, version="2.0.0")
    MOMENTS[moment](world, former)

    world.change(name, version="1.0.0")

    _ended(world, name, former)
    wait_for_sizes(world, name, {first: 2})
    assert world.wait_until_ready(name)["status"]["stableRevision"] == first
    wait_for_one_service(world, name)


def test_a_changed_spec_takes_the_place_of_what_a_person_tries(shared_world: World) -> None:
    """What stands in the Agent is the newer word, whoever made the upgrade."""
    world = shared_world
    _stable(world, "insisting")
    world.apply(upgrade("attempt", "insisting", to={"version": "2.0.0"}))
    wait_at_step(world, "attempt", 1)

    newer = change(world, "insisting", version="3.0.0")
    wait_at_step(world, newer, 1)
    steer(world, newer, promote={"full": True})
    found = world.wait_upgrade(newer, "Succeeded")

    assert world.upgrade("attempt")["status"]["phase"] == "Superseded"
    assert world.wait_until_ready("insisting")["spec"]["version"] == "3.0.0"
    wait_for_sizes(world, "insisting", {found["status"]["toRevision"]: 2})


def test_a_spec_that_asks_for_the_same_lets_an_upgrade_go_on(shared_world: World) -> None:
    """Two people who want the same do not stand in each other's way."""
    world = shared_world
    _stable(world, "agreeing")
    world.apply(upgrade("first-to-ask", "agreeing", to={"version": "2.0.0"}))
    wait_at_step(world, "first-to-ask", 1)

    world.change("agreeing", version="2.0.0")
    world.wait_until("Agent", "agreeing", observed)
    steer(world, "first-to-ask", promote={"full": True})
    world.wait_upgrade("first-to-ask", "Succeeded")

    assert names(world.upgrades("agreeing")) == {"first-to-ask"}
    assert world.wait_until_ready("agreeing")["spec"]["version"] == "2.0.0"


def test_from_the_very_first_version_on_the_last_one_counts(shared_world: World) -> None:
    """Bad, bad, good: there is nothing to protect yet, so no upgrade is made of it."""
    world = shared_world
    world.apply(quiet("newborn", replicas=2, upgradePolicy=POLICY, **BAD))
    world.wait_until("Agent", "newborn", _tells("ImageUnavailable"), within=START)

    change(world, "newborn", version="1.1.0")
    world.wait_until("Agent", "newborn", _tells("ImageUnavailable"), within=START)
    change(world, "newborn", version="1.2.0", **GOOD)
    found = world.wait_until_ready("newborn")

    assert world.upgrades("newborn") == []
    assert found["status"].get("formerRevisions", []) == []
    wait_for_sizes(world, "newborn", {found["status"]["stableRevision"]: 2})


def test_bad_versions_one_after_the_other_never_touch_what_serves(shared_world: World) -> None:
    """Good, bad, bad, good: the first pods serve until the last ones do."""
    world = shared_world
    world.apply(quiet("tried", replicas=2, upgradePolicy=POLICY))
    first = world.wait_until_ready("tried")["status"]["stableRevision"]
    before = [identity(pod) for pod in world.pods("tried")]

    one = change(world, "tried", version="2.0.0", **BAD)
    world.wait_upgrade(one, "RolledBack")
    two = change(world, "tried", version="3.0.0")
    world.wait_upgrade(two, "RolledBack")
    wait_for_sizes(world, "tried", {first: 2})
    meanwhile = [identity(pod) for pod in world.pods("tried")]
    three = change(world, "tried", version="4.0.0", **GOOD)
    wait_at_step(world, three, 1)
    steer(world, three, promote={"full": True})
    found = world.wait_upgrade(three, "Succeeded")

    assert sorted(meanwhile) == sorted(before)
    assert found["status"]["fromRevision"] == first
    assert world.status("tried")["formerRevisions"] == [first]
    wait_for_sizes(world, "tried", {found["status"]["toRevision"]: 2})


def _stable(world: World, name: str) -> str:
    """An Agent of version 1.0.0 with two pods; returns its revision."""
    world.apply(quiet(name, replicas=2, upgradePolicy=POLICY))
    revision: str = world.wait_until_ready(name)["status"]["stableRevision"]
    return revision


def _begun(world: World, name: str, moment: str) -> str:
    """An upgrade to 2.0.0 at a moment; returns its name."""
    _stable(world, name)
    former = change(world, name, version="2.0.0")
    MOMENTS[moment](world, former)
    return former


def _ended(world: World, name: str, former: str) -> None:
    """The upgrade whose place was taken has ended, and the only one that may run is another."""
    world.wait_until("AgentUpgrade", former, _is({"Superseded", "Succeeded", "RolledBack"}))


def _is(phases: set[str]) -> Callable[[Object], bool]:
    return lambda seen: seen.get("status", {}).get("phase") in phases


def _reason(seen: Object) -> Any:
    ready = condition(seen, "Ready")
    return ready["reason"] if ready else None


def _tells(reason: str) -> Callable[[Object], bool]:
    """Whether an Agent has a reason, told of the revision that it asks for now."""

    return lambda seen: observed(seen) and _reason(seen) == reason
