"""The rollback score: how bad the feedback and what was measured are, put together.

What was measured is proof, what people and agents say is opinion; by default opinion alone, however
bad, takes no version back, and proof alone just does. So that "just" means the same everywhere the
score is made of integers, thousandths, and the threshold is inclusive. A failing probe is no matter
of degree and never passes through the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agentherd.api import Score

WORST: Final = 1000
"""The score, or a part of it, that cannot be worse."""

_BEST_RATING: Final = 5
_WORST_RATING: Final = 1


def score(*, ratings: Sequence[int], strengths: Iterable[int], feedback_weight: float) -> Score:
    """The score of `ratings` from 1 to 5 and of the `strengths` of what was measured.

    Each strength is in thousandths, 1000 for a test or a metric that has failed; the largest
    counts. All is rounded down: what is not reached is not reached.
    """
    weight = _thousandths(feedback_weight)
    opinion = feedback(ratings)
    system = max(strengths, default=0)
    total = (weight * opinion + (WORST - weight) * system) // WORST
    return Score(feedback=opinion, system=system, total=total)


def feedback(ratings: Sequence[int]) -> int:
    """How bad the ratings are on average, in thousandths; 0 where there are none."""
    if not ratings:
        return 0
    missing = sum(_BEST_RATING - rating for rating in ratings)
    return WORST * missing // (len(ratings) * (_BEST_RATING - _WORST_RATING))


def is_reached(score: Score, *, threshold: float) -> bool:
    """Whether the score asks for a rollback."""
    return score.total >= _thousandths(threshold)


def _thousandths(fraction: float) -> int:
    return round(WORST * fraction)
