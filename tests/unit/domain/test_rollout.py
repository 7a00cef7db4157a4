"""The new revision surges to full size; the old one serves until it is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import set_view

from agentherd.domain.rollout import Rollout, roll_out
from agentherd.domain.views import ReplicaSetView

REVISIONS = ["new", "old", "older", "oldest"]


@st.composite
def replica_sets(draw: st.DrawFn) -> list[ReplicaSetView]:
    found = []
    for revision in draw(st.lists(st.sampled_from(REVISIONS), unique=True)):
        wanted = draw(st.integers(0, 5))
        replicas = draw(st.integers(0, 6))
        available = draw(st.integers(0, replicas))
        found.append(
            set_view(
                revision,
                wanted=wanted,
                replicas=replicas,
                ready=available,
                available=available,
                current=draw(st.booleans()),
            )
        )
    return found


situations = given(
    sets=replica_sets(),
    stable=st.none() | st.sampled_from(REVISIONS),
    wanted=st.integers(0, 5),
)


def target_new(sets: list[ReplicaSetView], *, stable: str | None, wanted: int) -> Rollout:
    return roll_out(target="new", stable=stable, wanted=wanted, sets=sets)


@situations
def test_no_size_is_negative(sets: list[ReplicaSetView], stable: str | None, wanted: int) -> None:
    """Whatever was seen, what is asked for is possible."""
    assert all(size >= 0 for size in target_new(sets, stable=stable, wanted=wanted).sizes.values())


@situations
def test_every_revision_has_a_size(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """Nothing that exists is forgotten, and the target is asked for in full."""
    sizes = target_new(sets, stable=stable, wanted=wanted).sizes

    assert set(sizes) == {"new"} | {view.revision for view in sets}
    assert sizes["new"] == wanted


@situations
def test_the_stable_revision_is_kept_until_the_target_is_complete(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """A version that never starts costs nothing but the attempt."""
    rollout = target_new(sets, stable=stable, wanted=wanted)

    kept = next((view.wanted for view in sets if view.revision == stable), 0)
    if not rollout.complete and kept and stable is not None:
        assert rollout.sizes[stable] == wanted


@situations
def test_a_stable_revision_without_pods_is_not_started_again(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """An Agent that wakes up with a new version has nothing that could go on serving."""
    rollout = target_new(sets, stable=stable, wanted=wanted)

    for view in sets:
        if view.revision != "new" and not view.wanted:
            assert rollout.sizes[view.revision] == 0


@situations
def test_pods_are_never_removed_on_a_guess(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """As long as it is not known which revision is stable, what serves stays, and nothing else."""
    rollout = target_new(sets, stable=stable, wanted=wanted)

    if not rollout.complete and wanted and stable not in {view.revision for view in sets}:
        kept = {v.revision: min(v.wanted, v.available) for v in sets if v.revision != "new"}
        assert {r: size for r, size in rollout.sizes.items() if r != "new"} == kept


@situations
def test_a_complete_target_is_all_there_is(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """Once it is there in full, everything else goes."""
    rollout = target_new(sets, stable=stable, wanted=wanted)

    if rollout.complete:
        assert not any(size for revision, size in rollout.sizes.items() if revision != "new")


@situations
def test_nothing_wanted_means_no_pods_at_all(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """Suspended and Offline leave no revision running."""
    assert not any(target_new(sets, stable=stable, wanted=0).sizes.values())


@situations
def test_serving_pods_of_all_revisions_are_counted(
    sets: list[ReplicaSetView], stable: str | None, wanted: int
) -> None:
    """People are served by whichever revision is available."""
    rollout = target_new(sets, stable=stable, wanted=wanted)

    assert rollout.serving == sum(view.available for view in sets)
    assert rollout.available == sum(v.available for v in sets if v.revision == "new")


@pytest.mark.parametrize(
    ("view", "complete"),
    [
        (set_view("new"), True),
        (set_view("new", available=1), False),
        (set_view("new", wanted=3), False),
        (set_view("new", current=False), False),
    ],
    ids=["all available", "one missing", "not scaled yet", "status of an older spec"],
)
def test_complete_means_seen_to_be_complete(view: ReplicaSetView, *, complete: bool) -> None:
    """Old counts and half-done scaling do not pass for a finished rollout."""
    assert target_new([view], stable="old", wanted=2).complete is complete


def test_a_target_without_a_replica_set_is_not_complete() -> None:
    """Not even when no pods are wanted of it."""
    assert not target_new([set_view("old", wanted=0)], stable="old", wanted=0).complete


def test_what_the_spec_moved_on_from_goes_at_once() -> None:
    """Of three revisions the one in the middle is neither serving nor wanted."""
    sets = [set_view("new", available=0), set_view("old", available=0), set_view("older")]

    assert target_new(sets, stable="older", wanted=2).sizes == {"new": 2, "old": 0, "older": 2}
