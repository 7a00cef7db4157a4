"""Two sequential tests of whether the new version is worse: by its errors, by its latency.

Whoever looks at every scrape and stops when it looks bad must not use a test that is meant for one
look. Each test here is a set of bets against the new version that are fair, or worse than fair, as
long as it is no worse: that what they are worth ever reaches 1/α has then a probability of at most
α, however often one looks (Ville 1939). docs/statistics.md derives them and shows what they do.

A long good time must not ruin a bet, or it would be blind to what comes after; a single burst must
not win it. So a part of each purse stays out of each look, savings put new money into the bets as
time goes by, and what one look can win is bounded.

Purses are kept in whole millionths of natural logarithms, rounded down, so that a test that was
written down and read again goes on bit for bit, and rounding favours no rollback.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentherd.api import Evidence, Side, Timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bets:
    """How money is laid on the bets of a test.

    `shares` are the parts of it that go to each bet, of what is not saved at first and of what is
    saved and moved later; `staked` is the part of a purse that is staked at a look; `alpha` says
    which part of the good versions may be rolled back, by both tests together one in a hundred.
    """

    shares: tuple[float, ...]
    staked: float
    alpha: float


RATIOS: Final = (1.5, 2.5, 6, 20)
"""How many times the margin the error rate is that each bet on the errors does best at."""

STEEPNESSES: Final = (2, 6, 20, 60)
"""How sharply each bet on the latency tells slower from faster; noise calls for a low one."""

ERRORS: Final = Bets(shares=(1 / 4, 1 / 2, 1 / 8, 1 / 8), staked=0.95, alpha=0.009)
LATENCY: Final = Bets(shares=(1 / 4, 1 / 4, 1 / 4, 1 / 4), staked=0.5, alpha=0.001)
"""Less is staked on the latency, because that of one look is often like that of the look before."""

SAVINGS: Final = 0.1
"""Part of the money that is kept at first, and put into the bets later."""

ENOUGH_TIMED: Final = 10
"""Requests either version has timed before their means are compared: the mean of a few is mostly
below the true one, so that whichever version has more of them would seem slow."""

CONTINUITY: Final = 0.25
"""Errors added on both sides, so that a rate of some is not infinitely above one of none."""

_MICRO: Final = 1_000_000
_FULL: Final = 2**62


def observe(
    evidence: Evidence,
    canary: Side,
    stable: Side,
    *,
    error_margin: float,
    performance_impact: float,
) -> Evidence:
    """The evidence after one more look.

    `canary` and `stable` are what both versions did since the look before. `error_margin` and
    `performance_impact` say what is allowed, as in `agentherd.api.Analysis`.
    """
    errors, latency = evidence.errors, evidence.latency
    if canary.requests and stable.requests and canary.errors + stable.errors:
        allowed, ratios = odds(error_margin)
        gains = [_gain_from_errors(canary, stable, allowed, ratio) for ratio in ratios]
        errors = _after(errors, gains, ERRORS)
    timed, timed_stable = _added(evidence.canary, canary), _added(evidence.stable, stable)
    if min(timed.requests, timed_stable.requests) >= ENOUGH_TIMED:
        if timed.microseconds and timed_stable.microseconds:
            slower = _slower(timed, timed_stable) - math.log1p(performance_impact)
            gains = [math.tanh(steepness * slower) for steepness in STEEPNESSES]
            latency = _after(latency, gains, LATENCY)
        timed = timed_stable = Timed()
    return Evidence(errors=errors, latency=latency, canary=timed, stable=timed_stable)


def error_strength(evidence: Evidence) -> int:
    """How far the evidence of more errors is on its way to a verdict, from 0 to 1000: failed."""
    return _strength(evidence.errors, ERRORS)


def latency_strength(evidence: Evidence) -> int:
    """How far the evidence of a higher latency is on its way, from 0 to 1000: failed."""
    return _strength(evidence.latency, LATENCY)


def odds(margin: float) -> tuple[float, list[float]]:
    """How many times the errors of stable the bets are fair at, and the ratios to that they are on.

    A bet wins against what fails more than about the root of its ratio times as often as is fair,
    which is no less than the margin; up to half of it, or as often as stable, is fair.
    """
    allowed = max(1.0, margin / 2)
    return allowed, [margin / allowed * ratio for ratio in RATIOS]


def _gain_from_errors(canary: Side, stable: Side, allowed: float, ratio: float) -> float:
    """What a bet on `ratio` times the error rate that is `allowed` wins for each unit staked.

    By counts it is fair if each error is as likely to be of the canary as each request is. By rates
    it is fair if each rate is a common one times an exponential variable of its own, which makes
    their quotient r log-logistic. The smaller gain is fair in either case, and below `ratio`.
    """
    errors = canary.errors + stable.errors
    expected = allowed * canary.requests
    part = expected / (expected + stable.requests)
    by_counts = canary.errors * math.log(ratio) - errors * math.log1p((ratio - 1) * part)
    rate = (canary.errors + CONTINUITY) / expected
    rate_of_stable = (stable.errors + CONTINUITY) / stable.requests
    quotient = (rate + rate_of_stable) / (rate + ratio * rate_of_stable)
    by_rates = math.log(ratio) + 2 * math.log(quotient)
    return math.expm1(min(by_counts, by_rates))


def _slower(canary: Timed, stable: Timed) -> float:
    """Logarithm of how many times longer the requests to the canary took.

    If stable has timed fewer requests its mean is the more likely to be too low; what it falls
    short by in the second order is taken off (for a coefficient of variation of √2).
    """
    times = canary.microseconds / canary.requests * stable.requests / stable.microseconds
    return math.log(times) - max(0, 1 / stable.requests - 1 / canary.requests)


def _after(purses: Sequence[int], gains: Sequence[float], bets: Bets) -> tuple[int, ...]:
    """The savings and the purse of each bet after all were staked once more.

    Half of the third power of the savings moves into the bets, so that these fall with the root of
    the number of looks and there is something to bet with at any time.
    """
    first = _at_first(bets)
    # What another version of the operator, or a hand, has left is not gone on with.
    saved, *staked = purses if len(purses) == len(first) and purses[0] <= first[0] else first
    moved = 3 * saved / _MICRO - math.log(2)
    after = [
        _log_of_sum([purse / _MICRO + math.log1p(bets.staked * gain), moved + math.log(share)])
        for purse, gain, share in zip(staked, gains, bets.shares, strict=True)
    ]
    rest = saved + _down(math.log1p(-math.exp(2 * saved / _MICRO) / 2))
    return (rest, *map(_down, after))


def _at_first(bets: Bets) -> list[int]:
    parts = [SAVINGS, *((1 - SAVINGS) * share for share in bets.shares)]
    return [_down(math.log(part)) for part in parts]


def _added(waiting: Timed, new: Side) -> Timed:
    return Timed(
        requests=min(waiting.requests + new.timed, _FULL),
        microseconds=min(waiting.microseconds + new.microseconds, _FULL),
    )


def _strength(purses: Sequence[int], bets: Bets) -> int:
    if not purses:
        return 0
    part = _log_of_sum([purse / _MICRO for purse in purses]) / -math.log(bets.alpha)
    return min(max(math.floor(1000 * part), 0), 1000)


def _log_of_sum(logs: Iterable[float]) -> float:
    """Logarithm of the sum of what these are the logarithms of."""
    terms = [*logs]
    most = max(terms)
    return most + math.log(math.fsum(math.exp(term - most) for term in terms))


def _down(nats: float) -> int:
    return math.floor(_MICRO * nats)
