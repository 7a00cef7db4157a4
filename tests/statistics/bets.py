"""The bets of `agentherd.domain.judging.evidence` on many canaries at once.

The operator judges one canary at a time; two thousand of them would take it minutes. That this is
the same judgement, a test shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.statistics.canaries import Seen

from agentherd.domain.judging import evidence

MARGIN = 2.0
IMPACT = 0.2


def errors_seen(seen: Seen, *, margin: float = MARGIN) -> Any:
    """At which look the error test fails for each canary; -1 where it never does."""
    canary, stable = seen.canary, seen.stable
    count = canary.errors + stable.errors
    looked = (canary.requests > 0) & (stable.requests > 0) & (count > 0)
    n_c, n_s = np.maximum(canary.requests, 1), np.maximum(stable.requests, 1)
    allowed, ratios = evidence.odds(margin)
    part = allowed * n_c / (allowed * n_c + n_s)
    rate = (canary.errors + evidence.CONTINUITY) / (allowed * n_c)
    rate_of_stable = (stable.errors + evidence.CONTINUITY) / n_s
    gains = []
    for ratio in ratios:
        by_counts = canary.errors * np.log(ratio) - count * np.log1p((ratio - 1) * part)
        quotient = (rate + rate_of_stable) / (rate + ratio * rate_of_stable)
        by_rates = np.log(ratio) + 2 * np.log(quotient)
        gains.append(np.expm1(np.minimum(by_counts, by_rates)))
    return _failed(looked, gains, evidence.ERRORS)


def latency_seen(seen: Seen, *, impact: float = IMPACT) -> Any:
    """At which look the latency test fails for each canary; -1 where it never does."""
    waiting = np.zeros((4, seen.canary.requests.shape[1]))
    slower = np.zeros(seen.canary.requests.shape)
    looked = np.zeros(slower.shape, dtype=bool)
    sides = (seen.canary.requests, seen.canary.seconds, seen.stable.requests, seen.stable.seconds)
    for at in range(len(slower)):
        waiting += [side[at] for side in sides]
        n_c, s_c, n_s, s_s = waiting
        enough = np.minimum(n_c, n_s) >= evidence.ENOUGH_TIMED
        looked[at] = enough
        n_c, s_c, n_s, s_s = (np.where(enough, each, 1) for each in waiting)
        slower[at] = np.log(s_c / n_c * n_s / s_s) - np.maximum(0, 1 / n_s - 1 / n_c)
        waiting = np.where(enough, 0, waiting)
    slower -= np.log1p(impact)
    gains = [np.tanh(steepness * slower) for steepness in evidence.STEEPNESSES]
    return _failed(looked, gains, evidence.LATENCY)


def _failed(looked: Any, gains: list[Any], bets: evidence.Bets) -> Any:
    canaries = looked.shape[1]
    saved = np.full(canaries, evidence.SAVINGS)
    with np.errstate(divide="ignore"):
        start = np.log((1 - evidence.SAVINGS) * np.array(bets.shares))
        purses = np.repeat(start[:, None], canaries, axis=1)
        staked = np.log1p(bets.staked * np.where(looked, np.array(gains), 0))
        failed = np.full(canaries, -1)
        for at, now in enumerate(looked):
            moved = np.where(now, saved**3 / 2, 0)
            fresh = np.log(moved) + np.log(bets.shares)[:, None]
            purses = np.logaddexp(purses + staked[:, at], fresh)
            saved = saved - moved
            worth = np.logaddexp(np.logaddexp.reduce(purses), np.log(saved))
            failed = np.where((failed < 0) & (worth >= -np.log(bets.alpha)), at, failed)
    return failed
