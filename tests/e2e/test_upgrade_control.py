"""Steering by `kubectl patch` alone: each word has its effect once, and is remembered."""

from __future__ import annotations

from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import template
from tests.e2e.test_upgrade_words import (
    NO_IMAGE,
    canary,
    change,
    controls,
    phases,
    quiet,
    sizes,
    steer,
    step,
    upgrade,
    wait_at_step,
    walked,
)
from tests.e2e.world import World, condition, observed

THREE_STEPS: Final = canary(step(10), step(30), step(50))


@pytest.fixture
def begun(shared_world: World, request: pytest.FixtureRequest) -> tuple[World, str, str]:
    """An Agent with an upgrade that waits at its first step: the world and both names."""
    title = request.node.name.removeprefix("test_")
    name = title[:40].strip("_").replace("_", "-")
    shared_world.apply(quiet(name, upgradePolicy=THREE_STEPS))
    shared_world.wait_until_ready(name)
    upgraded = change(shared_world, name, version="2.0.0")
    wait_at_step(shared_world, upgraded, 1)
    return shared_world, name, upgraded


def test_a_paused_upgrade_stays_and_a_resumed_one_goes_on(
    begun: tuple[World, str, str],
) -> None:
    """Paused holds even where there is leave to go on; it keeps pods and weight."""
    world, agent_name, name = begun

    steer(world, name, paused=True)
    steer(world, name, paused=True)
    steer(world, name, promote={"step": 1})
    held = world.wait_until("AgentUpgrade", name, lambda seen: _why(seen) == "Paused")
    kept = sizes(world, agent_name)
    steer(world, name, paused=False)
    steer(world, name, paused=False)
    found = wait_at_step(world, name, 2)

    assert (held["status"]["step"], held["status"]["weight"]) == (1, 10)
    assert len(kept) == 2
    assert sorted(controls(found)) == [
        ("Paused", ""),
        ("Promoted", "through step 1"),
        ("Resumed", ""),
    ]
    assert next(verb for verb, _ in controls(found)) == "Paused"
    assert {done["by"] for done in found["status"]["controls"]} == {"kubectl-patch"}
    assert all(done["at"] for done in found["status"]["controls"])


def test_promoting_a_step_goes_on_to_the_next_and_no_further(
    begun: tuple[World, str, str],
) -> None:
    """Said twice it is done once, since it names the step and not a number of steps."""
    world, _, name = begun

    steer(world, name, promote={"step": 1})
    wait_at_step(world, name, 2)
    steer(world, name, promote={"step": 1})
    steer(world, name, promote={"step": 1}, paused=False)
    second = wait_at_step(world, name, 2)
    steer(world, name, promote={"step": 2})
    third = wait_at_step(world, name, 3)

    assert controls(second) == [("Promoted", "through step 1")]
    assert controls(third) == [("Promoted", "through step 1"), ("Promoted", "through step 2")]


def test_promoting_in_full_skips_what_is_left(begun: tuple[World, str, str]) -> None:
    """No further step is taken; the new version serves as soon as its pods are ready."""
    world, agent_name, name = begun

    steer(world, name, promote={"full": True})
    steer(world, name, promote={"full": True})
    found = world.wait_upgrade(name, "Succeeded")

    assert [(phase, reason) for phase, reason, _ in walked(found)][-2:] == [
        ("Promoting", "Promoting"),
        ("Succeeded", "UpgradeSucceeded"),
    ]
    assert not any("step 2" in message or "step 3" in message for *_, message in walked(found))
    assert controls(found) == [("Promoted", "full")]
    assert world.wait_until_ready(agent_name)["spec"]["version"] == "2.0.0"


def test_an_abort_goes_back_and_a_second_one_changes_nothing(
    begun: tuple[World, str, str],
) -> None:
    """One record, one entry, one end."""
    world, _, name = begun

    steer(world, name, rollback={"requested": True, "reason": "no"})
    once = world.wait_upgrade(name, "RolledBack")
    steer(world, name, rollback={"requested": True, "reason": "no"}, paused=False)
    twice = world.wait_upgrade(name, "RolledBack")

    assert phases(twice) == ["Progressing", "Paused", "RollingBack", "RolledBack"]
    assert twice["status"]["rollback"] == once["status"]["rollback"]
    assert controls(twice) == [("RollbackRequested", "attempt 1: no")]


def test_an_upgrade_that_was_rolled_back_is_tried_again(begun: tuple[World, str, str]) -> None:
    """The next attempt begins from the first step, with a record of its own."""
    world, agent_name, name = begun
    steer(world, name, rollback={"requested": True, "reason": "no"})
    world.wait_upgrade(name, "RolledBack")

    steer(world, name, attempt=2, rollback={"requested": False})
    wait_at_step(world, name, 1)
    steer(world, name, attempt=2, rollback={"requested": False})
    again = wait_at_step(world, name, 1)
    steer(world, name, promote={"full": True})
    found = world.wait_upgrade(name, "Succeeded")

    assert again["status"]["attempt"] == 2
    assert "rollback" not in again["status"]
    assert controls(found) == [
        ("RollbackRequested", "attempt 1: no"),
        ("Retried", "attempt 2"),
        ("Promoted", "full"),
    ]
    assert world.wait_until_ready(agent_name)["spec"]["version"] == "2.0.0"


def test_an_attempt_is_made_again_after_a_failure_and_may_fail_again(
    shared_world: World,
) -> None:
    """What failed by itself can be retried too; each attempt is judged anew."""
    world = shared_world
    world.apply(quiet("stubborn", upgradePolicy=canary(step(50))))
    world.wait_until_ready("stubborn")
    name = change(world, "stubborn", template=template(**NO_IMAGE))
    first = world.wait_upgrade(name, "RolledBack")

    steer(world, name, attempt=2)
    world.wait_until(
        "AgentUpgrade",
        name,
        lambda seen: seen["status"].get("attempt") == 2 and seen["status"]["phase"] == "RolledBack",
        within=60,
    )

    second = world.upgrade(name)
    assert first["status"]["rollback"]["trigger"] == "ImageUnavailable"
    assert second["status"]["rollback"]["trigger"] == "ImageUnavailable"
    assert second["status"]["rollback"]["at"] > first["status"]["rollback"]["at"]
    assert controls(second) == [("Retried", "attempt 2")]


def test_any_kept_revision_is_gone_back_to(shared_world: World) -> None:
    """Three versions on, the first one comes back, without steps, and the Agent's spec is it."""
    world = shared_world
    world.apply(quiet("traveller", config={"greeting": "one"}))
    first = world.wait_until_ready("traveller")["status"]["stableRevision"]
    for version, greeting in (("2.0.0", "two"), ("3.0.0", "three")):
        world.change("traveller", version=version, config={"greeting": greeting})
        kept = world.wait_until_ready("traveller")["status"]["formerRevisions"]

    world.apply(upgrade("return", "traveller", to={"revision": first}, strategy=THREE_STEPS))
    found = world.wait_upgrade("return", "Succeeded")

    after = world.wait_until_ready("traveller")
    assert kept[-1] == first
    assert found["status"].get("steps", 0) == 0
    assert after["status"]["stableRevision"] == first
    assert (after["spec"]["version"], after["spec"]["config"]) == ("1.0.0", {"greeting": "one"})


def test_who_steers_what_others_have_followed_is_told_so(shared_world: World) -> None:
    """It has no effect, which is said together with what would have one."""
    world = shared_world
    world.apply(quiet("followed"))
    first = world.wait_until_ready("followed")["status"]["stableRevision"]
    former = change(world, "followed", version="2.0.0")
    world.wait_upgrade(former, "Succeeded")
    world.wait_upgrade(change(world, "followed", version="3.0.0"), "Succeeded")
    before = world.wait_until_ready("followed")["status"]["stableRevision"]

    steer(world, former, rollback={"requested": True, "reason": "too late"})
    found = world.wait_upgrade(former, "Succeeded")

    told = (condition(found, "Progressing") or {})["message"]
    assert "has no effect" in told
    assert f"revision {first}, create an AgentUpgrade" in told
    assert controls(found) == [("RollbackRequested", "attempt 1: too late")]
    assert world.status("followed")["stableRevision"] == before


def test_who_steers_with_another_client_is_named_by_it(begun: tuple[World, str, str]) -> None:
    """The field manager of the write is who did it, as far as the API server tells."""
    world, _, name = begun

    world.patch("AgentUpgrade", name, {"spec": {"promote": {"step": 1}}}, manager="dashboard")
    found = wait_at_step(world, name, 2)

    assert [(done["verb"], done["by"]) for done in found["status"]["controls"]] == [
        ("Promoted", "dashboard")
    ]


def _why(seen: Object) -> str | None:
    progressing = condition(seen, "Progressing")
    return progressing["reason"] if progressing and observed(seen) else None
