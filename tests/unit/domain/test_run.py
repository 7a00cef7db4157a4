"""From what is seen of an Agent to what the upgrade that governs it does next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.twin.samples import NOON, pod_view
from tests.unit.domain.runs import (
    NEW,
    OLD,
    ROLLBACK,
    SETTLED,
    begun,
    found,
    fresh,
    pods,
    seen_with,
    sets,
    went,
)

from agentherd.api import AgentUpgradeStatus, StrategyType, UpgradePhase
from agentherd.domain.observation import AgentObservation
from agentherd.domain.readings import Reading
from agentherd.domain.upgrades.change import choose
from agentherd.domain.upgrades.run import mirrored, weight_seen

# Whether it begins


@pytest.mark.parametrize(
    "seen",
    [
        seen_with(),
        seen_with(fresh(), stable=None),
        seen_with(begun("Superseded")),
        seen_with(fresh(paused=True)),
        seen_with(fresh(to={"revision": "0" * 10})),
        seen_with(fresh(), operatingMode="Offline"),
    ],
    ids=["not made", "never available", "superseded", "paused", "cannot be made", "no pods"],
)
def test_what_may_not_begin_does_not(seen: AgentObservation) -> None:
    """Nothing of the Agent moves for it."""
    assert went(seen) is None


def test_an_upgrade_that_is_still_to_be_made_does_not_begin() -> None:
    """It begins when it is there."""
    seen = seen_with()
    one = seen.agent.model_copy(
        update={"status": seen.agent.status.model_copy(update={"target_revision": OLD.hash})}
    )

    assert choose(replace(seen, agent=one)).make
    assert went(replace(seen, agent=one)) is None


def test_an_upgrade_begins_with_all_that_it_needs_to_know_later() -> None:
    """From where to where, by which strategy, since when."""
    status = found(seen_with(fresh())).status

    assert (status.phase, status.step, status.steps) == (UpgradePhase.PROGRESSING, 1, 3)
    assert (status.from_revision, status.to_revision) == (OLD.hash, NEW.hash)
    assert (status.from_version, status.to_version) == ("1.0.0", "2.0.0")


def test_another_attempt_begins_like_the_first() -> None:
    """What came of the former one is forgotten."""
    again = begun("RolledBack", attempt=2, status={"rollback": ROLLBACK, "attempt": 1, "step": 2})

    status = found(seen_with(again)).status

    assert (status.phase, status.step, status.attempt) == (UpgradePhase.PROGRESSING, 1, 2)
    assert status.rollback is None


def test_another_attempt_of_a_superseded_upgrade_does_not_begin() -> None:
    """The change that took its place stays there."""
    assert went(seen_with(begun("Superseded", attempt=2))) is None


@pytest.mark.parametrize("phase", ["Progressing", "Promoting", "Succeeded"])
def test_an_attempt_that_is_asked_for_too_early_changes_nothing(phase: str) -> None:
    """The one that runs goes on, and what has succeeded stays so."""
    stable = NEW.hash if phase == "Succeeded" else OLD.hash

    once = found(seen_with(begun(phase, status={"attempt": 1}), stable=stable))
    raised = found(seen_with(begun(phase, attempt=2, status={"attempt": 1}), stable=stable))

    assert (raised.move, raised.status, raised.serving) == (once.move, once.status, once.serving)


# Its course

BLUE = {"type": "BlueGreen"}
ONE_BY_ONE = {"type": "RollingUpdate"}


def test_the_own_strategy_of_an_upgrade_comes_before_that_of_the_agent() -> None:
    """And that before what holds everywhere."""
    own = found(seen_with(fresh(strategy=BLUE), upgradePolicy=ONE_BY_ONE))
    policy = found(seen_with(fresh(), upgradePolicy=ONE_BY_ONE))
    neither = found(seen_with(fresh()))

    assert own.course.type is StrategyType.BLUE_GREEN
    assert policy.course.type is StrategyType.ROLLING_UPDATE
    assert neither.course.type is StrategyType.CANARY


def test_a_strategy_holds_from_the_beginning_to_the_end() -> None:
    """What somebody changes in the Agent meanwhile is for the next upgrade."""
    first = found(seen_with(fresh(), upgradePolicy=BLUE))

    later = found(seen_with(fresh(status=first.status), upgradePolicy=ONE_BY_ONE))

    assert later.course == first.course


def former(seen: AgentObservation, *revisions: str) -> AgentObservation:
    status = seen.agent.status.model_copy(update={"former_revisions": revisions})
    return replace(seen, agent=seen.agent.model_copy(update={"status": status}))


@pytest.mark.parametrize(
    ("revisions", "steps"),
    [
        ((NEW.hash,), 0),
        (("a", "b", NEW.hash), 0),
        (("a", "b", "c", NEW.hash), 3),
        (("a",), 3),
    ],
    ids=["the one before", "the last in the window", "too long ago", "never"],
)
def test_what_has_proved_itself_lately_is_gone_back_to_without_steps(
    revisions: tuple[str, ...], steps: int
) -> None:
    """As a person does who needs the old version now."""
    assert found(former(seen_with(fresh()), *revisions)).status.steps == steps


def test_in_maintenance_there_are_no_steps() -> None:
    """Nobody is served who could suffer."""
    assert found(seen_with(fresh(), operatingMode="Maintenance")).status.steps == 0


@pytest.mark.parametrize("steps", [0, 3])
def test_a_course_that_was_begun_is_ended(steps: int) -> None:
    """Whatever the mode or the window are meanwhile."""
    one = begun(status={"steps": steps, "step": min(steps, 1)})

    for mode in ("Running", "Maintenance"):
        assert len(found(seen_with(one, operatingMode=mode)).course.steps) == steps


# Whether requests may be divided


@pytest.mark.parametrize(
    ("phase", "stable", "moving"),
    [
        ("Progressing", OLD.hash, True),
        ("Promoting", NEW.hash, False),
        ("RollingBack", OLD.hash, False),
        ("Succeeded", NEW.hash, False),
    ],
)
def test_requests_are_divided_only_on_the_way(phase: str, stable: str, *, moving: bool) -> None:
    """Never on the way back, nor once it has taken over."""
    one = begun(phase, status={"rollback": ROLLBACK} if phase == "RollingBack" else {})

    assert found(seen_with(one, stable=stable)).moving is moving


def test_pods_are_replaced_one_by_one_only_without_steps() -> None:
    """And only while it is on its way."""
    strategy = found(seen_with(fresh(strategy=ONE_BY_ONE))).status
    half = seen_with(
        fresh(status=strategy, strategy=ONE_BY_ONE), replica_sets=sets(new={"wanted": 1})
    )

    assert found(half).rolls
    assert not found(seen_with(begun())).rolls


# What is measured


def read(requests: float) -> Reading:
    return Reading(at=NOON, in_flight=0, recent=requests, seconds=10, since_last=requests)


def test_the_weight_that_is_seen_is_that_of_the_pods() -> None:
    """Whatever the route says."""
    views = [pod_view("new", revision=NEW.hash), pod_view("old", revision=OLD.hash)]
    other = pod_view("other", revision="x")
    readings = {"uid-of-new": read(25), "uid-of-old": read(75), "uid-of-other": read(900)}
    seen = seen_with(pods=pods(*views, other), readings=readings)

    assert weight_seen(seen, new=NEW.hash, old=OLD.hash) == 25
    assert weight_seen(replace(seen, readings={}), new=NEW.hash, old=OLD.hash) is None


# Copies


@pytest.mark.parametrize(
    ("phase", "step", "percent"),
    [
        ("Progressing", 1, 20),
        ("Paused", 1, 20),
        ("Progressing", 0, 0),
        ("Progressing", 2, 0),
        ("Promoting", 1, 0),
        ("RollingBack", 1, 0),
        ("RolledBack", 1, 0),
        ("Superseded", 1, 0),
        ("Succeeded", 1, 0),
    ],
)
def test_copies_are_made_at_their_step_and_nowhere_else(
    phase: str, step: int, percent: int
) -> None:
    """Neither before the first step, nor on the way to an end."""
    status = {"phase": phase, "step": step, "steps": 2, "strategy": SETTLED}

    assert mirrored(AgentUpgradeStatus.model_validate(status)) == percent
    assert mirrored(AgentUpgradeStatus.model_validate(status | {"strategy": None})) == 0
