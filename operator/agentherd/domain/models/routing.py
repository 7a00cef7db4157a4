"""The weight of a version that is tried, by how it does: routing `Performance`.

What a version costs its users is how long it takes, made longer for each request that fails. The
cost of the canary over that of stable says which weight it deserves: the most up to a quarter
dearer, the least from two and a half times as dear, on a straight line of the logarithm in between.
The weight follows in whole points and must not swing, although a version that gets more requests
mostly becomes slower by it, then deserves less, becomes faster, and so on:

- *No effect is answered twice.* A weight stays until all that is measured was measured after it was
  changed. (A loop swings that acts faster than it sees.)
- *There is a band in which nothing is done*, at least 15 percent of the cost to either side, wider
  the fewer requests there were. The weight moves no further than to the end of what may be
  deserved, so it comes to rest where it enters. To be turned back, one point more must itself make
  the canary a third dearer, as is so only near the limit of what it can bear.
- *Steps are small, and up asks for more than down*, as in the congestion control of TCP (Chiu and
  Jain 1989): by a single point, upwards the later the less there is to gain; by half only down, and
  only when the least is deserved beyond doubt. So even at its limit, where one mean of a queue says
  little about the next, a canary wanders slowly by a few points.

Nothing is remembered but the weight and when it was changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentherd.domain.models.figures import Figures
from agentherd.domain.readings import WINDOW

EFFECT: Final = 2.0
"""Seconds after which a weight is in effect and most requests from before it are answered."""

BEST: Final = math.log(1.25)
"""Logarithm of the cost over that of stable up to which the canary deserves the most."""

WORST: Final = math.log(2.5)
"""Logarithm of the cost over that of stable from which on it deserves the least."""

BAND: Final = math.log(1.15)
"""How far a cost may at least be from the one that deserves the weight, without a change."""

ENOUGH: Final = 10
"""Requests either version must have answered: the mean of fewer is mostly below the true one."""

DOUBT_DOWN: Final = 2.0
DOUBT_UP: Final = 4.0
"""Standard errors by which a cost is doubted. They are those of requests that know nothing of each
other; those in one queue wait for the same ones, and a weight that is too low harms nobody."""

SEVERITY: Final = 20
"""How much failures cost: one in 22 as much as taking two and a half times as long."""

FAR: Final = 4
"""Points that a weight may be short of what is deserved, from which on it need not wait longer."""

FLOOR_MS: Final = 1.0
"""Added to both latencies, because a fraction of a millisecond is no difference to anybody."""

_LEAST_ANSWERED: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The smallest and the largest weight of the canary, in percent; the largest counts more."""

    minimum: int
    maximum: int

    def hold(self, weight: int) -> int:
        """The weight within the bounds that is nearest to this one."""
        return min(max(weight, self.minimum), self.maximum)


def next_weight(
    current: int,
    *,
    stable: Figures | None,
    canary: Figures | None,
    bounds: Bounds,
    now: datetime,
    changed_at: datetime,
) -> int:
    """The weight of the canary in percent from now on; the current one as long as nothing is known.

    `changed_at` is when the weight was last changed, by whomever.
    """
    weight = bounds.hold(current)
    if weight != current or stable is None or canary is None:
        return weight
    if min(stable.timed, canary.timed) < ENOUGH or stable.mean_ms is None or canary.mean_ms is None:
        return weight
    # In units of the time that everything measured now was measured in.
    settled = (now - changed_at).total_seconds() - EFFECT
    settled /= max(WINDOW, stable.seconds, canary.seconds)
    cheapest, dearest = _costs(stable, canary)
    most, least = math.ceil(_deserved(cheapest, bounds)), math.floor(_deserved(dearest, bounds))
    if most < weight and settled >= 1:
        return max(most, weight // 2) if cheapest >= WORST else weight - 1
    if least > weight and settled >= max(FAR / (least - weight), 1):
        return weight + 1
    return weight


def _deserved(cost: float, bounds: Bounds) -> float:
    """The weight that a cost deserves, given as its logarithm over that of stable."""
    part = min(max((WORST - cost) / (WORST - BEST), 0), 1)
    minimum = bounds.hold(bounds.minimum)
    return minimum + part * (bounds.maximum - minimum)


def _costs(stable: Figures, canary: Figures) -> tuple[float, float]:
    """Logarithms of the least and the most that the canary may cost over what stable does."""
    slower = math.log(_latency(canary) / _latency(stable))
    # For durations that vary as much as they last.
    error = math.sqrt(1 / canary.timed + 1 / stable.timed)
    failing = canary.error_rate or 0
    usual = _cost_of_failing(stable.error_rate or 0)
    # A weight is not lowered for failures that may be chance, nor raised as if they were.
    surely = _cost_of_failing(_surely(failing, canary.requests)) - usual
    seen = _cost_of_failing(failing) - usual
    return (
        slower - max(BAND, DOUBT_DOWN * error) + surely,
        slower + max(BAND, DOUBT_UP * error) + seen,
    )


def _latency(figures: Figures) -> float:
    return (figures.mean_ms or 0) + FLOOR_MS


def _cost_of_failing(rate: float) -> float:
    return -SEVERITY * math.log(max(1 - rate, _LEAST_ANSWERED))


def _surely(rate: float, requests: int) -> float:
    """The lower end of the interval of Wilson (1927) for a rate that was seen in so many."""
    if not requests:
        return 0
    doubt = DOUBT_DOWN**2 / requests
    spread = math.sqrt(doubt * (rate * (1 - rate) + doubt / 4))
    return max((rate + doubt / 2 - spread) / (1 + doubt), 0)
