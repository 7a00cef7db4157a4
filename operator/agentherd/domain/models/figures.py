"""How one version of a model does: latency, throughput, errors, load and accuracy.

A figure is of the requests that were answered while somebody looked, by all pods of the version
together: their counts are added up first, so that a pod that does more counts for more. What cannot
be known from that is None and never 0, which would be the best latency of all.

The figures are those of the pods: what a request waits for on its way to them is not in here. Mean
and rates are exact for the window; a percentile is no finer than the buckets it is looked up in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from math import fsum, isfinite, isinf
from typing import Final

from agentherd.api import VersionPerformance
from agentherd.domain.readings import Buckets, Increase, Reading, Totals, added

_MILLI: Final = 1000

_MOST: Final = 2**31 - 1
"""What a count in the status holds."""

_LARGEST: Final = 1e12
"""Larger than any time or rate that is meant seriously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How a version did in the last `seconds` before `at`.

    `requests` of them were answered, `timed` of which tell how long they took; `error_rate` is the
    part that failed. `in_flight` and `accuracy` are of the latest looks.
    """

    at: datetime
    seconds: float
    requests: int
    timed: int
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    requests_per_second: float | None = None
    error_rate: float | None = None
    in_flight: int | None = None
    accuracy: float | None = None


def figures(readings: Iterable[Reading]) -> Figures | None:
    """The figures of a version from the readings of its pods; None of a version nobody looks at."""
    pods = [*readings]
    if not pods:
        return None
    increases = [pod.increase for pod in pods if pod.increase is not None]
    # A pod without a request need not tell yet how they end and how long they take.
    counts = [each.counted for each in increases if each.counted.requests]
    counted = reduce(added, counts, Totals(requests=0, errors=0, timed=0, microseconds=0))
    p50, p95, p99 = (quantile(part, counted.buckets) for part in (0.5, 0.95, 0.99))
    return Figures(
        at=max(pod.at for pod in pods),
        seconds=max((each.seconds for each in increases), default=0),
        requests=counted.requests,
        timed=counted.timed or 0,
        mean_ms=_mean(counted),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        requests_per_second=_rate(increases),
        error_rate=_error_rate(counted),
        in_flight=_in_flight(pods),
        accuracy=_accuracy(pods),
    )


def performance(figures: Figures) -> VersionPerformance:
    """The figures as the status tells them, with three digits, beyond which they are noise.

    What comes from pods may be anything: a number that the status has no room for is not told.
    """
    return VersionPerformance(
        at=figures.at,
        mean_milliseconds=_three_digits(figures.mean_ms),
        p50_milliseconds=_three_digits(figures.p50_ms),
        p95_milliseconds=_three_digits(figures.p95_ms),
        p99_milliseconds=_three_digits(figures.p99_ms),
        requests_per_second=_three_digits(figures.requests_per_second),
        error_rate=_three_digits(figures.error_rate, at_most=1),
        in_flight=_counted(figures.in_flight),
        accuracy=figures.accuracy if isfinite(figures.accuracy or 0) else None,
    )


def quantile(part: float, buckets: Buckets) -> float | None:
    """Milliseconds within which this part of the requests was answered; None without any.

    Within a bucket requests are taken to be spread evenly, as the function histogram_quantile of
    Prometheus does, so that dashboards show the same. Of what took longer than the last bound it is
    only known that it did: that bound is told.
    """
    finite = [bound for bound, _ in buckets if not isinf(bound)]
    if not finite or not (total := buckets[-1][1]):
        return None
    rank = part * total
    # Buckets that are read while they are counted up may be a little out of step.
    reached, below = 0, 0.0
    for bound, count in buckets:
        if count >= rank and not isinf(bound):
            return _MILLI * (below + (bound - below) * (rank - reached) / (count - reached))
        reached, below = max(reached, count), bound
    return _MILLI * finite[-1]


def _mean(counted: Totals) -> float | None:
    if not counted.timed or counted.microseconds is None:
        return None
    return counted.microseconds / counted.timed / _MILLI


def _rate(increases: Sequence[Increase]) -> float | None:
    """Requests a second; each pod has its own seconds, for some have been looked at for longer."""
    rates = [each.counted.requests / each.seconds for each in increases if each.seconds]
    return fsum(rates) if rates else None


def _error_rate(counted: Totals) -> float | None:
    if not counted.requests or counted.errors is None:
        return None
    return min(counted.errors / counted.requests, 1)


def _in_flight(pods: Sequence[Reading]) -> int | None:
    told = [pod.in_flight for pod in pods if pod.in_flight is not None]
    return round(fsum(told)) if len(told) == len(pods) else None


def _accuracy(pods: Sequence[Reading]) -> float | None:
    told = [pod.accuracy for pod in pods if pod.accuracy is not None]
    return fsum(told) / len(told) if told else None


def _three_digits(value: float | None, *, at_most: float = _LARGEST) -> float | None:
    if value is None or not 0 <= value <= at_most:
        return None
    return float(f"{value:.3g}")


def _counted(value: int | None) -> int | None:
    return None if value is None or value < 0 else min(value, _MOST)
