"""How many pods each revision has: the stable one all that are wanted, an upgrade's on top."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON, set_view
from tests.unit.domain.samples import canary, course_of

from agentherd.api import AgentUpgradeStatus, UpgradePhase
from agentherd.domain.upgrades.rollout import first_sizes, is_complete, kept_until, upgrade_sizes
from agentherd.domain.upgrades.strategy import Course
from agentherd.domain.views import ReplicaSetView

REVISIONS = ["new", "old", "older", "oldest"]
MOVING = [UpgradePhase.PROGRESSING, UpgradePhase.PAUSED, UpgradePhase.PROMOTING]
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
STEPS = canary(5, 25, 50)
ONE_BY_ONE = course_of(ROLLING)


@st.composite
def replica_sets(draw: st.DrawFn) -> list[ReplicaSetView]:
    found = []
    for revision in draw(st.lists(st.sampled_from(REVISIONS), unique=True)):
        replicas = draw(st.integers(0, 6))
        available = draw(st.integers(0, replicas))
        found.append(
            set_view(
                revision,
                wanted=draw(st.integers(0, 5)),
                replicas=replicas,
                ready=available,
                available=available,
                current=draw(st.booleans()),
            )
        )
    return found


def status(phase: UpgradePhase, **fields: Any) -> AgentUpgradeStatus:
    known = {"phase": phase, "from_revision": "old", "to_revision": "new"}
    return AgentUpgradeStatus().model_copy(update=known | fields)


def sizes_of(
    course: Course,
    state: AgentUpgradeStatus | None,
    *sets: ReplicaSetView,
    stable: str = "old",
    wanted: int = 4,
    now: Any = NOON,
) -> dict[str, int]:
    found = upgrade_sizes(
        stable=stable,
        wanted=wanted,
        status=state,
        course=course,
        by_gateway=True,
        sets=sets,
        now=now,
    )
    return dict(found)


# Before anything is stable

first = given(sets=replica_sets(), wanted=st.integers(0, 5))


@first
def test_at_first_every_revision_has_a_size(sets: list[ReplicaSetView], wanted: int) -> None:
    """Nothing that exists is forgotten, and the target is asked for in full."""
    sizes = first_sizes(target="new", wanted=wanted, sets=sets)

    assert set(sizes) == {"new"} | {view.revision for view in sets}
    assert sizes["new"] == wanted


@first
def test_at_first_pods_are_never_removed_on_a_guess(
    sets: list[ReplicaSetView], wanted: int
) -> None:
    """What serves stays until the target is there, and what never served goes."""
    sizes = first_sizes(target="new", wanted=wanted, sets=sets)

    there = any(is_complete(view, wanted) for view in sets if view.revision == "new")
    for view in sets:
        if view.revision != "new":
            serves = 0 if there or not wanted else min(view.wanted, view.available)
            assert sizes[view.revision] == serves


@pytest.mark.parametrize(
    ("view", "complete"),
    [
        (set_view("new"), True),
        (set_view("new", available=1), False),
        (set_view("new", wanted=3), False),
        (set_view("new", current=False), False),
        (None, False),
    ],
    ids=["all available", "one missing", "not scaled yet", "status of an older spec", "none"],
)
def test_complete_means_seen_to_be_complete(view: ReplicaSetView | None, *, complete: bool) -> None:
    """Old counts and half-done scaling do not pass for a finished rollout."""
    assert is_complete(view, 2) is complete


# With a stable revision

courses = st.sampled_from(
    [STEPS, canary({"weight": 50, "replicas": 9}), course_of({"type": "BlueGreen"})]
)


@st.composite
def states(draw: st.DrawFn) -> AgentUpgradeStatus:
    phase = draw(st.sampled_from(UpgradePhase))
    ended = draw(st.sampled_from([None, NOON]))
    return status(phase, step=draw(st.integers(0, 1)), steps=1, finished_at=ended)


situations = given(sets=replica_sets(), wanted=st.integers(0, 5), state=states(), course=courses)


@situations
def test_the_stable_revision_always_has_all_that_are_wanted(
    sets: list[ReplicaSetView], wanted: int, state: AgentUpgradeStatus, course: Course
) -> None:
    """So it can take everything back at any moment."""
    assert sizes_of(course, state, *sets, wanted=wanted)["old"] == wanted
    assert sizes_of(course, state, *sets, wanted=wanted, stable="new")["new"] == wanted


@situations
def test_every_revision_has_a_size_that_is_possible(
    sets: list[ReplicaSetView], wanted: int, state: AgentUpgradeStatus, course: Course
) -> None:
    """And those that have nothing to do with the upgrade have none."""
    sizes = sizes_of(course, state, *sets, wanted=wanted)

    assert set(sizes) >= {"old"} | {view.revision for view in sets}
    assert all(size >= 0 for size in sizes.values())
    assert not any(sizes.get(other) for other in ("older", "oldest"))
    assert wanted or not any(sizes.values())


@situations
def test_an_upgrade_to_what_serves_takes_no_pod_away(
    sets: list[ReplicaSetView], wanted: int, state: AgentUpgradeStatus, course: Course
) -> None:
    """As when an attempt is repeated that has succeeded."""
    same = state.model_copy(update={"from_revision": "old", "to_revision": "old"})

    assert sizes_of(course, same, *sets, wanted=wanted)["old"] == wanted


@pytest.mark.parametrize(
    ("step", "phase", "pods"),
    [
        (1, UpgradePhase.PROGRESSING, 1),
        (2, UpgradePhase.PROGRESSING, 1),
        (3, UpgradePhase.PAUSED, 2),
        (3, UpgradePhase.PROMOTING, 4),
        (0, UpgradePhase.PROMOTING, 4),
        (1, UpgradePhase.PENDING, 0),
        (1, UpgradePhase.SUPERSEDED, 0),
    ],
)
def test_the_new_version_gets_what_its_step_needs(
    step: int, phase: UpgradePhase, pods: int
) -> None:
    """On top of all pods of the old one."""
    sizes = sizes_of(STEPS, status(phase, step=step, steps=3), set_view("old", wanted=4))

    assert sizes == {"old": 4} | ({"new": pods} if phase in MOVING else {})


def test_the_new_version_keeps_its_pods_while_it_is_rolled_back() -> None:
    """They finish what they have begun, and no new ones are started."""
    sets = (set_view("old", wanted=4), set_view("new", wanted=2))

    assert sizes_of(STEPS, status(UpgradePhase.ROLLING_BACK, steps=3), *sets)["new"] == 2


def test_a_version_that_is_gone_back_to_gets_all_its_pods_again() -> None:
    """Before anything is sent to it."""
    sets = (set_view("old", wanted=0), set_view("new", wanted=4))

    sizes = sizes_of(STEPS, status(UpgradePhase.ROLLING_BACK, steps=3), *sets, stable="new")

    assert sizes == {"old": 4, "new": 4}


@pytest.mark.parametrize(
    ("phase", "stable", "loser", "delay"),
    [
        (UpgradePhase.SUCCEEDED, "new", "old", 60),
        (UpgradePhase.ROLLED_BACK, "old", "new", 90),
    ],
)
def test_the_version_that_lost_is_kept_for_a_while(
    phase: UpgradePhase, stable: str, loser: str, delay: int
) -> None:
    """One to go back to, the other to look at."""
    course = canary(5, scaleDownDelaySeconds=60, abortScaleDownDelaySeconds=90)
    sets = (set_view("old", wanted=3), set_view("new", wanted=3))
    state = status(phase, finished_at=NOON, steps=1)
    end = NOON + timedelta(seconds=delay)

    early = sizes_of(course, state, *sets, stable=stable, now=end - timedelta(seconds=1))
    late = sizes_of(course, state, *sets, stable=stable, now=end)

    assert kept_until(state, course) == end
    assert (early[loser], late[loser]) == (3, 0)


# Pod by pod


def test_pods_are_replaced_within_the_surge() -> None:
    """The stable revision gives way here, and only here."""
    sets = (set_view("old", wanted=4), set_view("new", wanted=1))

    sizes = sizes_of(ONE_BY_ONE, status(UpgradePhase.PROMOTING), *sets)

    assert sizes == {"old": 3, "new": 1}


def test_a_paused_replacement_stays_where_it_is() -> None:
    """Neither side grows or shrinks."""
    sets = (set_view("old", wanted=3), set_view("new", wanted=1))

    assert sizes_of(ONE_BY_ONE, status(UpgradePhase.PAUSED), *sets) == {"old": 3, "new": 1}


@pytest.mark.parametrize(("old", "available"), [(4, 0), (3, 1), (2, 2)])
def test_a_replacement_that_is_paused_gives_up_no_pod_for_one_that_is_not_there_yet(
    old: int, available: int
) -> None:
    """As it would not if it went on; and none comes back for one that is lost."""
    sets = (set_view("old", wanted=old), set_view("new", wanted=2, available=available))

    sizes = sizes_of(ONE_BY_ONE, status(UpgradePhase.PAUSED), *sets)

    assert sizes == {"old": old, "new": 2}


def test_a_paused_replacement_still_follows_what_is_wanted() -> None:
    """Scaling is no part of the upgrade; the old version takes the difference."""
    sets = (set_view("old", wanted=3), set_view("new", wanted=1))
    state = status(UpgradePhase.PAUSED)

    assert sizes_of(ONE_BY_ONE, state, *sets, wanted=6) == {"old": 5, "new": 1}
    assert sum(sizes_of(ONE_BY_ONE, state, *sets, wanted=2).values()) == 2


def test_a_replacement_that_was_stopped_begins_with_the_old_version() -> None:
    """The new one has not proved anything yet, and would be all that there is."""
    sets = (set_view("old", wanted=0), set_view("new", wanted=0))
    state = status(UpgradePhase.PROMOTING)

    woken = sizes_of(ONE_BY_ONE, state, *sets)
    afterwards = sizes_of(ONE_BY_ONE, state, set_view("old", wanted=4), sets[1])

    assert (woken, afterwards) == ({"old": 4, "new": 0}, {"old": 4, "new": 1})


@pytest.mark.parametrize("phase", [UpgradePhase.PAUSED, UpgradePhase.PROMOTING])
def test_the_last_pod_of_the_old_version_stays_until_the_new_one_has_taken_over(
    phase: UpgradePhase,
) -> None:
    """A person, a tester or a newer change may still bring all requests back to it."""
    sets = (set_view("old", wanted=1), set_view("new", wanted=4))

    assert sizes_of(ONE_BY_ONE, status(phase), *sets) == {"old": 1, "new": 4}


def test_when_all_pods_are_replaced_the_old_version_does_not_come_back() -> None:
    """At its last turn the new revision is the stable one."""
    sets = (set_view("old", wanted=0), set_view("new", wanted=4))

    sizes = sizes_of(ONE_BY_ONE, status(UpgradePhase.PROMOTING), *sets, stable="new")

    assert sizes == {"old": 0, "new": 4}
