"""Two sequential tests of whether the new version is worse: by its errors, by its latency.

Whoever looks at every scrape and stops when it looks bad must not use a test that is meant for one
look. Each test here is a bet against the new version, whose winnings can be expected to grow only
if it is worse; that they ever reach 1/α has a probability of at most α for one that is not, however
often one looks (Ville 1939). docs/statistics.md derives both, and shows what they do.

Evidence is kept in whole millionths of natural logarithms, rounded down, so that a test that was
written down and read again goes on bit for bit, and rounding favours no rollback.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from agentherd.api import Evidence, Side

ALPHA: Final = 0.01
"""How many good versions may be rolled back, by both tests together."""

RATIOS: Final = (1.5, 2, 3, 5, 8, 13, 20, 35, 60)
"""By how much more often than allowed the new version may fail: what the error test tries."""

STAKES: Final = (0.5, 1, 2, 4, 8, 16, 32)
"""How much the latency test bets on a look, for slowdowns from large and noisy to small."""

_MICRO: Final = 1_000_000
_ENOUGH: Final = math.log(2 / ALPHA)


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
    errors = _errors(evidence.errors, canary, stable, error_margin)
    slower = _log_of_slowdown(canary, stable, performance_impact)
    return Evidence(
        errors=errors,
        latency_sum=evidence.latency_sum + _down(slower),
        latency_squares=evidence.latency_squares - _down(-slower * slower),
    )


def error_strength(evidence: Evidence) -> int:
    """How far the evidence of more errors is on its way to a verdict, from 0 to 1000: failed."""
    return _strength(each / _MICRO for each in evidence.errors)


def latency_strength(evidence: Evidence) -> int:
    """How far the evidence of a higher latency is on its way, from 0 to 1000: failed."""
    total, squares = evidence.latency_sum / _MICRO, evidence.latency_squares / _MICRO
    return _strength(stake * total - stake * stake * squares / 2 for stake in STAKES)


def _errors(before: Sequence[int], canary: Side, stable: Side, margin: float) -> tuple[int, ...]:
    errors = canary.errors + stable.errors
    if errors == 0 or canary.requests == 0 or stable.requests == 0:
        return tuple(before)
    part = margin * canary.requests / (margin * canary.requests + stable.requests)
    return tuple(
        log + _down(canary.errors * math.log(ratio) - errors * math.log(1 - part + ratio * part))
        for log, ratio in zip(before or (0,) * len(RATIOS), RATIOS, strict=True)
    )


def _log_of_slowdown(canary: Side, stable: Side, impact: float) -> float:
    if not all((canary.timed, stable.timed, canary.microseconds, stable.microseconds)):
        return 0.0
    ratio = canary.microseconds / canary.timed / (stable.microseconds / stable.timed)
    return math.log(ratio) - math.log1p(impact)


def _strength(logs: Iterable[float]) -> int:
    mean = _log_of_mean([*logs])
    if mean >= _ENOUGH:
        return 1000
    return min(max(math.floor(1000 * mean / _ENOUGH), 0), 999)


def _log_of_mean(logs: Sequence[float]) -> float:
    if not logs:
        return 0.0
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


def _down(nats: float) -> int:
    return math.floor(_MICRO * nats)
