"""The weight of a canary follows how it does, within its bounds, and does not swing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentherd.domain.models.figures import Figures, figures
from agentherd.domain.models.routing import ENOUGH, Bounds, next_weight
from agentherd.domain.readings import Sample, Totals, reading

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOON - timedelta(hours=1)
BOUNDS = Bounds(minimum=1, maximum=20)


def did(
    mean_ms: float | None = 50,
    *,
    error_rate: float | None = 0,
    requests: int = 10_000,
    seconds: float = 10,
) -> Figures:
    return Figures(
        at=NOON,
        seconds=seconds,
        requests=requests,
        timed=0 if mean_ms is None else requests,
        mean_ms=mean_ms,
        error_rate=error_rate,
    )


def after(
    current: int,
    canary: Figures | None,
    *,
    stable: Figures | None = None,
    bounds: Bounds = BOUNDS,
    changed_at: datetime = LONG_AGO,
) -> int:
    """The weight after `current`, of a canary beside a stable version that takes 50 ms."""
    return next_weight(
        current,
        stable=stable or did(),
        canary=canary,
        bounds=bounds,
        now=NOON,
        changed_at=changed_at,
    )


@pytest.mark.parametrize(
    ("current", "canary", "weight"),
    [
        (10, did(50), 11),
        (10, did(10), 11),
        (20, did(50), 20),
        (20, did(60), 20),
        (13, did(75), 13),
        (20, did(100), 19),
        (20, did(250), 10),
        (10, did(250), 5),
        (2, did(250), 1),
        (1, did(250), 1),
        (20, did(50, error_rate=0.2), 10),
        (20, did(50, error_rate=0.01), 20),
        (20, did(5, error_rate=0.5), 10),
        (20, did(50, error_rate=1), 10),
    ],
    ids=[
        "as good as stable",
        "better gains no more",
        "as good, with the most",
        "a little slower keeps the most",
        "somewhat slower keeps what it has",
        "twice as slow loses a point",
        "five times slower loses half",
        "and half again",
        "down to the least",
        "and no further",
        "one request in five fails",
        "one in a hundred does",
        "failing fast is not being fast",
        "all fail",
    ],
)
def test_a_weight_follows_what_a_version_costs(current: int, canary: Figures, weight: int) -> None:
    assert after(current, canary) == weight


def test_what_both_versions_suffer_from_changes_nothing() -> None:
    """An outage of what both depend on is nobody's fault."""
    suffering = did(900, error_rate=0.3)

    assert after(20, suffering, stable=suffering) == 20


@pytest.mark.parametrize(
    ("stable", "canary"),
    [
        (did(), None),
        (did(), did(None)),
        (did(), did(900, requests=ENOUGH - 1)),
        (did(requests=ENOUGH - 1), did(900)),
        (did(None), did(900)),
        (did(), did(50, requests=ENOUGH)),
        (did(), did(110, requests=ENOUGH)),
        (did(), did(50, error_rate=1 / 20, requests=20)),
    ],
    ids=[
        "canary unknown",
        "no durations",
        "too few requests",
        "too few of stable",
        "none of stable",
        "a good one that may be bad",
        "a slow one that may be quick",
        "one failure",
    ],
)
def test_without_enough_data_a_weight_stays(stable: Figures, canary: Figures | None) -> None:
    assert after(17, canary, stable=stable) == 17


def test_without_a_stable_version_to_compare_with_a_weight_stays() -> None:
    alone = next_weight(
        10, stable=None, canary=did(900), bounds=BOUNDS, now=NOON, changed_at=LONG_AGO
    )

    assert alone == 10


@pytest.mark.parametrize(
    ("seconds_since", "looked_for", "weight"),
    [(11.9, 10, 20), (12, 10, 10), (12, 3, 10), (21.9, 20, 20), (22, 20, 10)],
)
def test_a_weight_stays_until_all_that_is_measured_is_its_own_effect(
    seconds_since: float, looked_for: float, weight: int
) -> None:
    """However seldom pods are looked at; two seconds go by until a weight is in effect."""
    changed_at = NOON - timedelta(seconds=seconds_since)

    assert after(20, did(900, seconds=looked_for), changed_at=changed_at) == weight


@pytest.mark.parametrize(
    ("current", "seconds_since", "weight"),
    [(10, 12, 11), (19, 12, 19), (19, 41, 19), (19, 42, 20), (18, 22, 19), (18, 21, 18)],
)
def test_the_less_there_is_to_gain_the_longer_it_takes(
    current: int, seconds_since: float, weight: int
) -> None:
    assert after(current, did(), changed_at=NOON - timedelta(seconds=seconds_since)) == weight


@pytest.mark.parametrize(
    ("current", "bounds", "weight"),
    [
        (20, Bounds(minimum=1, maximum=5), 5),
        (0, Bounds(minimum=3, maximum=20), 3),
        (10, Bounds(minimum=5, maximum=2), 2),
        (2, Bounds(minimum=5, maximum=2), 2),
    ],
)
def test_the_bounds_hold_at_once_and_without_data(
    current: int, bounds: Bounds, weight: int
) -> None:
    """The cap holds before the least."""
    assert after(current, None, bounds=bounds, changed_at=NOON) == weight
    assert after(weight, did(), bounds=bounds) <= bounds.maximum


latencies = st.floats(0, 10_000)
rates = st.floats(0, 1)
requests = st.integers(0, 100_000)
sides = st.builds(
    lambda mean, rate, n: did(mean, error_rate=rate, requests=n), latencies, rates, requests
)
percents = st.integers(0, 100)
bounds_of = st.builds(lambda low, high: Bounds(minimum=low, maximum=high), percents, percents)
ages = st.floats(0, 120).map(lambda seconds: NOON - timedelta(seconds=seconds))


@given(percents, sides, st.none() | sides, bounds_of, ages)
def test_no_weight_is_ever_outside_of_the_bounds(
    current: int, stable: Figures, canary: Figures | None, bounds: Bounds, changed_at: datetime
) -> None:
    weight = after(current, canary, stable=stable, bounds=bounds, changed_at=changed_at)

    assert min(bounds.minimum, bounds.maximum) <= weight <= bounds.maximum


@given(percents, sides, sides, latencies, rates, ages)
def test_a_version_that_is_slower_or_fails_more_never_gets_more(
    current: int,
    stable: Figures,
    canary: Figures,
    slower: float,
    failing: float,
    changed_at: datetime,
) -> None:
    worse = replace(
        canary,
        mean_ms=max(canary.mean_ms or 0, slower),
        error_rate=max(canary.error_rate or 0, failing),
    )

    better, less = (
        after(current, each, stable=stable, changed_at=changed_at) for each in (canary, worse)
    )

    assert less <= better


@given(st.integers(1, 20), sides, sides, ages)
def test_one_change_is_never_more_than_a_point_up_or_half_down(
    current: int, stable: Figures, canary: Figures, changed_at: datetime
) -> None:
    assert (
        current // 2
        <= after(current, canary, stable=stable, changed_at=changed_at)
        <= (current + 1)
    )


# A closed loop: what the weight does to the queues decides on the weight


Failing = Callable[[float], float]
"""The part of the requests that fail at a time."""


def never(_: float) -> float:
    return 0


@dataclass
class Version:
    """Pods that serve one request after the other, in times that vary as much as they last."""

    service_ms: float
    pods: int = 1
    failing: Failing = never
    free_at: list[float] = field(default_factory=list)
    answers: list[tuple[float, float, bool]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def serve(self, at: float, dice: random.Random) -> None:
        """One more request, at whichever pod it comes to."""
        self.free_at = self.free_at or [0.0] * self.pods
        pod = dice.randrange(self.pods)
        done = max(at, self.free_at[pod]) + dice.expovariate(1000 / self.service_ms)
        self.free_at[pod] = done
        self.answers.append((done, done - at, dice.random() < self.failing(at)))

    def look(self, now: float) -> Figures | None:
        """What is known after one more look, as the operator makes one each second."""
        counted = self.samples[-1].totals if self.samples else Totals(requests=0)
        done = [each for each in self.answers if each[0] <= now]
        self.answers = [each for each in self.answers if each[0] > now]
        requests = counted.requests + len(done)
        totals = Totals(
            requests=requests,
            errors=(counted.errors or 0) + sum(failed for *_, failed in done),
            timed=requests,
            microseconds=(counted.microseconds or 0) + int(sum(each[1] for each in done) * 1e6),
        )
        self.samples = [*self.samples[-12:], Sample(totals=totals, in_flight=None, at=now)]
        told = reading(self.samples, now=now, at=NOON, figures=True)
        return figures([told] if told is not None else [])


def routed(
    stable: Version,
    canary: Version,
    *,
    weight: int,
    seconds: int,
    rate: float = 200,
    seed: int = 0,
    bounds: Bounds = BOUNDS,
) -> Sequence[int]:
    """The weight in each second; a change takes effect a second later."""
    dice = random.Random(seed)
    weights = [weight, weight]
    changed_at = NOON - timedelta(seconds=60)
    at = 0.0
    for second in range(1, seconds + 1):
        while (at := at + dice.expovariate(rate)) < second:
            version = canary if dice.random() < weights[-2] / 100 else stable
            version.serve(at, dice)
        now = NOON + timedelta(seconds=second)
        chosen = next_weight(
            weights[-1],
            stable=stable.look(second),
            canary=canary.look(second),
            bounds=bounds,
            now=now,
            changed_at=changed_at,
        )
        if chosen != weights[-1]:
            changed_at = now
        weights.append(chosen)
    return weights


def changes(weights: Sequence[int]) -> int:
    return sum(before != after for before, after in pairwise(weights))


SEEDS = range(3)

LIMITS = {25: 16, 35: 11, 50: 8}
"""Weights that 200 requests a second make 0.8 of what one pod can bear, by milliseconds each."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_version_five_times_slower_has_the_least_within_a_minute(seed: int) -> None:
    """And keeps it from then on."""
    weights = routed(Version(10, pods=8), Version(50, pods=8), weight=20, seconds=300, seed=seed)

    assert set(weights[60:]) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_version_that_becomes_slow_loses_its_weight_within_a_minute(seed: int) -> None:
    slow = Version(10, pods=8)
    weights: list[int] = []

    def becomes_slow(at: float) -> float:
        slow.service_ms = 10 if at < 60 else 100
        return 0

    slow.failing = becomes_slow
    weights += routed(Version(10, pods=8), slow, weight=20, seconds=180, seed=seed)

    assert min(weights[:60]) >= 18
    assert set(weights[125:]) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_versions_that_are_alike_end_at_the_most_and_stay_there(seed: int) -> None:
    """Within five minutes, and then the weight changes no more than once in a minute."""
    weights = routed(Version(10, pods=4), Version(10, pods=2), weight=5, seconds=900, seed=seed)

    assert weights == sorted(weights[:300]) + list(weights[300:])
    assert min(weights[300:]) >= 17
    assert changes(weights[300:]) <= 10


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("service_ms", LIMITS)
def test_a_version_near_its_limit_is_given_what_it_can_bear(seed: int, service_ms: int) -> None:
    """Its queue grows steeply with its weight: a rule that follows at once would swing widely."""
    weights = routed(Version(20, pods=8), Version(service_ms), weight=1, seconds=900, seed=seed)

    later = weights[300:]
    steps = [after - before for before, after in pairwise(later)]
    assert max(later) <= LIMITS[service_ms]
    assert sum(map(abs, steps)) / len(later) < 6 / 60


@settings(max_examples=40)
@given(st.floats(1.5, 40), st.floats(20, 60))
def test_without_noise_a_weight_stays_within_two_points(limit: float, alone_ms: float) -> None:
    """In front of one queue of any limit, in percent of all requests, and of any speed.

    By the formula for the mean time in it (M/M/1); the other version always takes 20 ms.
    """
    weight, age, weights = 1, 60, []
    for _ in range(1200):
        took = alone_ms / (1 - min(weight / limit, 0.995))
        chosen = after(
            weight,
            did(took, requests=200 * weight),
            stable=did(20, requests=200 * (100 - weight)),
            changed_at=NOON - timedelta(seconds=age),
        )
        age = age + 1 if chosen == weight else 1
        weight = chosen
        weights.append(weight)

    assert max(weights[600:]) - min(weights[600:]) <= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_burst_of_errors_costs_weight_that_comes_back(seed: int) -> None:
    def burst(at: float) -> float:
        return 0.4 if 60 <= at < 75 else 0

    weights = routed(
        Version(10, pods=4),
        Version(10, pods=4, failing=burst),
        weight=20,
        seconds=480,
        seed=seed,
    )

    assert min(weights[60:110]) <= 10
    assert weights[-1] >= 17


@pytest.mark.parametrize("seed", SEEDS)
def test_one_request_in_ten_that_fails_costs_a_version_its_weight(seed: int) -> None:
    weights = routed(
        Version(10, pods=4),
        Version(10, pods=4, failing=lambda _: 0.1),
        weight=20,
        seconds=300,
        seed=seed,
    )

    assert max(weights[200:]) <= 6
    assert min(weights[:200]) <= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_with_few_requests_a_weight_hardly_moves(seed: int) -> None:
    """Two requests a second, of which the canary gets one in ten seconds."""
    weights = routed(Version(10), Version(10), weight=5, seconds=600, rate=2, seed=seed)

    assert set(weights) == {5}
