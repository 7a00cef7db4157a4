"""Proof alone takes a version back, opinion alone does not, and the threshold is a whole number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import Analysis
from agentherd.domain.judging.score import feedback, is_reached, score

DEFAULTS = Analysis()

ratings = st.lists(st.integers(1, 5), max_size=50)
strengths = st.lists(st.integers(0, 1000), max_size=12)
fractions = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


def total(ratings: list[int], strengths: list[int]) -> int:
    weight = DEFAULTS.feedback_weight
    return score(ratings=ratings, strengths=strengths, feedback_weight=weight).total


@pytest.mark.row("G03")
@pytest.mark.parametrize(
    ("ratings", "strengths", "expected"),
    [
        pytest.param([], [], 0, id="nothing is known"),
        pytest.param([5, 5], [0, 0], 0, id="all is well"),
        pytest.param([1], [0, 0], 300, id="the worst feedback alone"),
        pytest.param([5], [1000, 0], 700, id="a failed test alone"),
        pytest.param([], [0, 1000], 700, id="a failed test, and nobody has said anything"),
        pytest.param([1], [1000], 1000, id="both"),
        pytest.param([5], [999], 699, id="a test that has all but failed"),
        pytest.param([1], [571], 699, id="bad feedback and less than enough"),
        pytest.param([1], [572], 700, id="bad feedback and half a proof"),
    ],
)
def test_feedback_and_measurements_make_the_score(
    ratings: list[int], strengths: list[int], expected: int
) -> None:
    """0.3 of the one and 0.7 of the other, in integer thousandths."""
    assert total(ratings, strengths) == expected


@pytest.mark.row("G03")
@pytest.mark.parametrize(("strength", "reached"), [(1000, True), (999, False)])
def test_the_threshold_is_inclusive(strength: int, reached: bool) -> None:
    """Exactly 0.7 is enough, and a thousandth less is not."""
    found = score(ratings=[], strengths=[strength], feedback_weight=DEFAULTS.feedback_weight)

    assert is_reached(found, threshold=DEFAULTS.rollback_threshold) is reached


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [([5], 0), ([4], 250), ([3], 500), ([2], 750), ([1], 1000), ([5, 4, 4], 166), ([], 0)],
)
def test_feedback_is_how_far_the_ratings_are_from_the_best(
    ratings: list[int], expected: int
) -> None:
    """On average, and rounded down."""
    assert feedback(ratings) == expected


@given(ratings, strengths, fractions)
def test_the_score_lies_between_its_parts(
    ratings: list[int], strengths: list[int], weight: float
) -> None:
    """It is neither better nor worse than both."""
    found = score(ratings=ratings, strengths=strengths, feedback_weight=weight)

    parts = sorted([found.feedback, found.system])
    assert parts[0] <= found.total <= parts[1]


@given(ratings, strengths, fractions, st.integers(0, 1000))
def test_nothing_bad_makes_the_score_better(
    ratings: list[int], strengths: list[int], weight: float, strength: int
) -> None:
    """One more measurement, or a rating of 1, never lowers it."""
    before = score(ratings=ratings, strengths=strengths, feedback_weight=weight).total

    measured = score(ratings=ratings, strengths=[*strengths, strength], feedback_weight=weight)
    rated = score(ratings=[*ratings, 1], strengths=strengths, feedback_weight=weight)

    assert before <= min(measured.total, rated.total)
