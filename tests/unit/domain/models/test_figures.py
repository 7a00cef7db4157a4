"""What is told of a version is what a load generator measures, or nothing."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from agentherd.api import VersionPerformance
from agentherd.domain.models.figures import Figures, figures, performance, quantile
from agentherd.domain.readings import (
    Buckets,
    Counters,
    Increase,
    Reading,
    Sample,
    Totals,
    reading,
    window,
)
from agentherd.engine.exposition import totals

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
FINE = tuple(0.001 * 1.5**n for n in range(24))


def pod(
    counted: Totals | None = None,
    *,
    seconds: float = 10,
    in_flight: float | None = None,
    accuracy: float | None = None,
    at: datetime = NOON,
) -> Reading:
    return Reading(
        recent=0,
        in_flight=in_flight,
        at=at,
        seconds=seconds,
        since_last=0,
        increase=None if counted is None else Increase(counted=counted, seconds=seconds),
        accuracy=accuracy,
    )


def of(*pods: Reading) -> Figures:
    found = figures(pods)
    assert found is not None
    return found


# What is known, and what is not


def test_nothing_is_told_of_a_version_without_pods() -> None:
    assert figures([]) is None


def test_a_first_look_tells_only_what_is_there_at_that_moment() -> None:
    found = of(pod(in_flight=3, accuracy=0.9))

    assert (found.in_flight, found.accuracy) == (3, 0.9)
    assert (found.mean_ms, found.requests_per_second, found.error_rate) == (None, None, None)


def test_without_requests_there_is_a_throughput_and_no_latency() -> None:
    """A latency of 0 would be the best of all, and a version that fails always answers nothing."""
    found = of(pod(Totals(requests=0, errors=0, timed=0, microseconds=0)))

    assert found.requests_per_second == 0
    assert (found.mean_ms, found.p99_ms, found.error_rate) == (None, None, None)


def test_what_pods_do_not_tell_is_not_known() -> None:
    found = of(pod(Totals(requests=100)))

    assert found.requests_per_second == 10
    assert (found.mean_ms, found.p50_ms, found.error_rate) == (None, None, None)


def test_pods_are_put_together_by_what_they_have_counted() -> None:
    """The mean is that of all requests: not half way between a busy pod and an idle one."""
    busy = Totals(requests=90, errors=9, timed=90, microseconds=900_000)
    idle = Totals(requests=10, errors=1, timed=10, microseconds=1_100_000)

    found = of(pod(busy, in_flight=2, accuracy=0.9), pod(idle, in_flight=1, accuracy=0.8))

    assert (found.mean_ms, found.requests_per_second, found.error_rate) == (20, 10, 0.1)
    assert found.in_flight == 3
    assert found.accuracy == pytest.approx(0.85)


def test_a_pod_that_has_just_come_counts_with_its_own_seconds() -> None:
    found = of(pod(Totals(requests=100)), pod(Totals(requests=10), seconds=1))

    assert found.requests_per_second == 20
    assert found.seconds == 10


def test_a_pod_without_requests_hides_nothing_of_the_others() -> None:
    """Some libraries tell of no durations before the first one."""
    told = Totals(
        requests=10, errors=1, timed=10, microseconds=50_000, buckets=((1, 10), (inf, 10))
    )

    found = of(pod(told), pod(Totals(requests=0)))

    assert (found.mean_ms, found.p50_ms, found.error_rate) == (5, 500, 0.1)


def test_a_pod_that_does_not_tell_what_is_in_flight_makes_the_sum_unknown() -> None:
    assert of(pod(in_flight=3), pod()).in_flight is None


def test_the_status_has_three_digits() -> None:
    found = Figures(
        at=NOON,
        seconds=10,
        requests=12345,
        timed=12345,
        mean_ms=1.23456,
        p99_ms=1234.5,
        requests_per_second=1234.5,
        error_rate=0.00123456,
        in_flight=7,
    )

    assert performance(found) == VersionPerformance(
        at=NOON,
        mean_milliseconds=1.23,
        p99_milliseconds=1230,
        requests_per_second=1230,
        error_rate=0.00123,
        in_flight=7,
    )


@given(
    st.lists(st.none() | st.floats(), min_size=7, max_size=7),
    st.none() | st.integers(),
)
def test_whatever_pods_tell_the_status_has_room_for_what_is_told(
    told: list[float | None], in_flight: int | None
) -> None:
    """One number that the API server refuses would keep all the rest from being told."""
    mean, p50, p95, p99, rate, errors, accuracy = told
    found = performance(
        Figures(
            at=NOON,
            seconds=10,
            requests=1,
            timed=1,
            mean_ms=mean,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            requests_per_second=rate,
            error_rate=errors,
            in_flight=in_flight,
            accuracy=accuracy,
        )
    )

    sent = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert VersionPerformance.model_validate_json(sent) == found
    assert 0 <= (found.in_flight or 0) < 2**31


# Percentiles


@pytest.mark.parametrize(
    ("part", "buckets", "milliseconds"),
    [
        (0.5, ((0.1, 10), (0.2, 20), (inf, 20)), 100),
        (0.75, ((0.1, 10), (0.2, 20), (inf, 20)), 150),
        (0.5, ((0.1, 20), (inf, 20)), 50),
        (0.95, ((0.1, 0), (0.2, 0), (0.4, 100), (inf, 100)), 390),
        (0.99, ((0.1, 10), (0.2, 20), (inf, 40)), 200),
        (0.5, ((inf, 40),), None),
        (0.5, ((0.1, 0), (inf, 0)), None),
        (0.5, (), None),
        (0.5, ((0.1, 10), (0.2, 9), (0.4, 30), (inf, 30)), 250),
    ],
    ids=[
        "at a bound",
        "between two",
        "below the first",
        "empty buckets are passed over",
        "above the last bound it is that bound",
        "no bound",
        "no request",
        "no histogram",
        "buckets out of step",
    ],
)
def test_a_percentile_is_interpolated_in_its_bucket(
    part: float, buckets: Buckets, milliseconds: float | None
) -> None:
    expected = None if milliseconds is None else pytest.approx(milliseconds)

    assert quantile(part, buckets) == expected


histograms = st.lists(st.integers(0, 1000), min_size=2, max_size=12).map(
    lambda counts: tuple(zip([*FINE[: len(counts) - 1], inf], accumulate(counts), strict=True))
)


@given(histograms, st.floats(0.01, 1), st.floats(0.01, 1))
def test_percentiles_are_in_order_and_within_the_bounds(
    buckets: Buckets, one: float, other: float
) -> None:
    low, high = (quantile(part, buckets) for part in sorted((one, other)))

    if low is not None and high is not None:
        assert 0 <= low <= high <= 1000 * buckets[-2][0]


# Looks at a server under load, beside what the load generator measures


class Server:
    """A pod whose requests are known: when each was answered, how long it took, if it failed."""

    def __init__(self, requests: Sequence[tuple[float, float, bool]]) -> None:
        self.requests = sorted(requests)

    def look(self, at: float, *, started: float = -inf) -> Sample:
        done = [each for each in self.requests if started < each[0] <= at]
        took = sorted(seconds for _, seconds, _ in done)
        buckets = [(bound, bisect_left(took, bound)) for bound in FINE]
        told = Totals(
            requests=len(done),
            errors=sum(failed for *_, failed in done),
            timed=len(done),
            microseconds=int(sum(took) * 1e6),
            buckets=(*buckets, (inf, len(done))),
        )
        return Sample(totals=told, in_flight=0, at=at)


def load(
    dice: random.Random, *, rate: float, seconds: float, mean: float, errors: float
) -> list[tuple[float, float, bool]]:
    """Requests at random times whose durations are spread log-normally, as real ones mostly are."""
    spread = 0.6
    at, found = 0.0, []
    while (at := at + dice.expovariate(rate)) < seconds:
        took = exp(dice.gauss(log(mean) - spread**2 / 2, spread))
        found.append((at, took, dice.random() < errors))
    return found


def looked_at(
    servers: Sequence[Server], times: Sequence[float], *, every: int = 1, now: float
) -> Figures:
    found = [
        reading([each.look(at) for at in times], now=now, at=NOON, every=every, figures=True)
        for each in servers
    ]
    return of(*[each for each in found if each is not None])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("every", "jitter", "lost"), [(1, 0.0, 0.0), (1, 0.3, 0.3), (10, 0.9, 0.0)]
)
def test_figures_are_within_a_fifth_of_those_of_the_load_generator(
    seed: int, every: int, jitter: float, lost: float
) -> None:
    """Over a minute of steady load, with looks that come late and some that do not come at all."""
    dice = random.Random(seed)
    requests = load(dice, rate=150, seconds=60, mean=0.05, errors=0.1)
    servers = [Server(requests[n::3]) for n in range(3)]
    times = [n + dice.random() * jitter for n in range(0, 61, every) if dice.random() >= lost]

    found = looked_at(servers, times, every=every, now=60.9)

    took = sorted(seconds for _, seconds, _ in requests)
    measured = {
        "mean_ms": 1000 * sum(took) / len(took),
        "requests_per_second": len(requests) / 60,
        "error_rate": sum(failed for *_, failed in requests) / len(requests),
        "p50_ms": 1000 * took[len(took) // 2],
        "p95_ms": 1000 * took[len(took) * 95 // 100],
    }
    for name, value in measured.items():
        within = 0.2 if name != "error_rate" else 0.3
        assert getattr(found, name) == pytest.approx(value, rel=within), name


def test_a_restart_costs_only_what_was_counted_since_the_look_before_it() -> None:
    requests = load(random.Random(1), rate=100, seconds=10, mean=0.02, errors=0)
    server = Server(requests)
    looks = [server.look(n, started=5.5 if n > 5 else -inf) for n in range(11)]

    found = reading(looks, now=10, at=NOON, figures=True)

    assert found is not None
    assert found.increase is not None
    counted = found.increase.counted
    missed = sum(5 < at <= 5.5 for at, *_ in requests)
    assert counted.requests == counted.timed == len(requests) - missed
    assert counted.buckets[-1] == (inf, counted.requests)


def test_figures_follow_a_change_within_the_window() -> None:
    dice = random.Random(2)
    before = load(dice, rate=100, seconds=30, mean=0.02, errors=0)
    after = [
        (30 + at, took, failed)
        for at, took, failed in load(dice, rate=100, seconds=11, mean=0.1, errors=0)
    ]

    found = looked_at([Server([*before, *after])], range(42), now=41)

    assert found.mean_ms == pytest.approx(100, rel=0.1)


def test_one_seldom_look_that_is_missed_leaves_figures() -> None:
    requests = load(random.Random(3), rate=100, seconds=60, mean=0.02, errors=0)

    found = looked_at([Server(requests)], [0, 10, 20, 30, 40, 60], every=10, now=60)

    assert found.seconds == 20 < window(10)
    assert found.requests_per_second == pytest.approx(100, rel=0.1)


def test_what_a_library_writes_becomes_figures() -> None:
    """The whole way, of a histogram that has no series before its first request."""
    registry = CollectorRegistry()
    requests = Counter("http_requests", "Requests", ["code"], registry=registry)
    durations = Histogram("seconds", "Durations", ["path"], registry=registry)
    counters = Counters(
        url="",
        requests="http_requests_total",
        in_flight="",
        error_label="code",
        error_values=("5xx",),
        latency="seconds",
        figures=True,
    )

    def look(at: float) -> Sample:
        told = totals(generate_latest(registry).decode(), counters)
        assert told is not None
        return Sample(totals=told, in_flight=None, at=at)

    looks = [look(0)]
    for n in range(100):
        requests.labels(code="500" if n % 10 == 0 else "200").inc()
        durations.labels(path="/").observe(0.04)
    looks.append(look(4))

    told = reading(looks, now=4, at=NOON, figures=True)
    assert told is not None
    found = of(told)
    assert found.mean_ms == pytest.approx(40)
    assert (found.requests_per_second, found.error_rate) == (25, 0.1)
    assert found.p50_ms == pytest.approx(37.5)


def test_the_time_is_that_of_the_latest_look() -> None:
    assert of(pod(at=NOON), pod(at=NOON + timedelta(seconds=3))).at == NOON + timedelta(seconds=3)
