"""What a few looks at the counters of a pod tell, and what they do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.domain.readings import (
    ENOUGH,
    UNCHECKED,
    WINDOW,
    Checks,
    Increase,
    Reading,
    Sample,
    Totals,
    added,
    increase,
    reading,
    share,
)

NOON = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)


def every_second(*counts: int) -> list[Sample]:
    return [
        Sample(totals=Totals(requests=n), in_flight=None, at=float(at))
        for at, n in enumerate(counts)
    ]


def read(samples: Sequence[Sample], *, now: float | None = None) -> Reading:
    found = reading(samples, now=samples[-1].at if now is None else now, at=NOON)
    assert found is not None
    return found


def pod(recent: float) -> Reading:
    return Reading(recent=recent, in_flight=None, at=NOON, seconds=10.0, since_last=None)


@pytest.mark.parametrize(
    ("counts", "recent", "since_last"),
    [
        ((500,), 0, None),
        ((500, 500, 500), 0, 0),
        ((0, 3, 3, 10), 10, 7),
        ((500, 510, 4, 6), 16, 2),
        ((500, 510, 4), 14, 4),
        ((500, 0, 0), 0, 0),
        (tuple(range(0, 3000, 100)), 1000, 100),
    ],
    ids=[
        "what came before the first look is not known",
        "no traffic",
        "increases are added up",
        "a counter that goes down has begun at 0 again",
        "it has just done so",
        "a restarted pod that gets nothing",
        "what is older than the window does not count",
    ],
)
def test_requests_are_counted_by_their_increase(
    counts: tuple[int, ...], recent: float, since_last: float | None
) -> None:
    found = read(every_second(*counts))

    assert (found.recent, found.since_last) == (recent, since_last)


def test_a_missing_look_loses_no_request() -> None:
    looks = every_second(0, 10, 20, 30, 40)

    assert read([looks[0], looks[4]]).recent == read(looks).recent == 40


def test_requests_of_a_gap_longer_than_the_window_are_not_taken_for_recent() -> None:
    found = read(
        [
            Sample(totals=Totals(requests=0), in_flight=None, at=0),
            Sample(totals=Totals(requests=9000), in_flight=None, at=WINDOW + 1),
        ]
    )

    assert (found.recent, found.seconds, found.since_last) == (0, 0, 9000)


def test_the_window_slides_on_while_a_pod_does_not_answer() -> None:
    looks = every_second(0, 10, 20)

    at_times = [reading(looks, now=now, at=NOON) for now in (2, 11, 12, 12.1)]

    assert [found and found.recent for found in at_times] == [20, 10, 0, None]


def test_nothing_is_known_without_a_look() -> None:
    assert reading([], now=0, at=NOON) is None


def test_what_is_in_flight_is_what_the_latest_look_saw() -> None:
    looks = [
        Sample(totals=Totals(requests=1), in_flight=7, at=0),
        Sample(totals=Totals(requests=1), in_flight=2, at=1),
    ]

    assert read(looks).in_flight == 2
    assert read([*looks, Sample(totals=Totals(requests=1), in_flight=None, at=2)]).in_flight is None


def test_the_counters_are_those_of_the_latest_look() -> None:
    """As far as the pod tells them, also when it has not answered since."""
    told = Totals(requests=9, errors=1, timed=9, microseconds=500)
    looks = [*every_second(3, 5), Sample(totals=told, in_flight=None, at=2)]

    assert read(looks, now=6).totals == told


def test_a_reading_tells_its_time_in_whole_seconds_and_for_how_long_it_counted() -> None:
    found = read(every_second(0, 10, 20), now=5)

    assert found.at == NOON.replace(microsecond=0)
    assert found.seconds == 2


counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=30)


@given(counts, st.floats(0.1, 5))
def test_never_more_is_counted_than_came_since_the_first_look(
    increases: list[int], step: float
) -> None:
    """With a counter that never restarts, the sum of the increases is an upper bound."""
    totals = [sum(increases[: n + 1]) for n in range(len(increases))]
    looks = [
        Sample(totals=Totals(requests=n), in_flight=None, at=at * step)
        for at, n in enumerate(totals)
    ]

    found = read(looks)

    assert 0 <= found.recent <= totals[-1] - totals[0]
    assert 0 <= found.seconds <= WINDOW


@given(counts)
def test_restarts_never_make_a_count_negative(values: list[int]) -> None:
    found = read(every_second(*values))

    assert found.recent >= 0
    assert found.recent <= sum(max(pair) for pair in pairwise(values))


@pytest.mark.parametrize(
    ("canary", "stable", "percent"),
    [
        ([5], [95], 5),
        ([0], [100], 0),
        ([100], [0], 100),
        ([10, 10], [30, 30, 20], 20),
        ([1], [199], 1),
        ([1], [200], 0),
        ([ENOUGH / 2], [ENOUGH / 2], 50),
        ([ENOUGH / 2], [ENOUGH / 2 - 1], None),
        ([0], [0], None),
        ([], [100], None),
        ([100], [], None),
        ([], [], None),
    ],
)
def test_the_share_is_of_the_requests_of_both_sides(
    canary: list[float], stable: list[float], percent: int | None
) -> None:
    """It is not known of too few requests, nor when one side tells nothing."""
    assert share(map(pod, canary), map(pod, stable)) == percent


sides = st.lists(st.floats(0, 2.0**53), min_size=1, max_size=5)


@given(sides, sides)
def test_the_shares_of_both_sides_make_up_the_whole(
    canary: list[float], stable: list[float]
) -> None:
    """Up to the one percent that rounding half up may add."""
    ours = share(map(pod, canary), map(pod, stable))
    theirs = share(map(pod, stable), map(pod, canary))

    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert 0 <= ours <= 100
        assert ours + theirs in {100, 101}


# What figures are made of


def counting(requests: int, *buckets: int) -> Totals:
    """Durations up to 0.1 s, up to 1 s, and all."""
    bounds = (0.1, 1.0, inf)
    return Totals(
        requests=requests,
        errors=0,
        timed=requests,
        microseconds=1000 * requests,
        buckets=tuple(zip(bounds, buckets, strict=False)),
    )


def counted(*totals: Totals) -> Totals:
    looks = [Sample(totals=each, in_flight=None, at=at) for at, each in enumerate(totals)]
    found = increase(looks)
    assert found is not None
    assert found.seconds == len(totals) - 1
    return found.counted


def test_an_increase_is_what_was_counted_between_the_first_and_the_latest_look() -> None:
    assert counted(counting(10, 5, 8, 10), counting(14, 6, 9, 14), counting(20, 10, 18, 20)) == (
        counting(10, 5, 10, 10)
    )


def test_an_increase_over_a_restart_is_that_of_both_lives() -> None:
    before = counting(10, 5, 8, 10), counting(14, 6, 9, 14)
    after = counting(3, 2, 3, 3), counting(7, 4, 7, 7)

    assert counted(*before, *after) == counting(4 + 7, 1 + 4, 1 + 7, 4 + 7)


def test_the_first_requests_of_a_pod_bring_its_buckets() -> None:
    """A histogram with labels has none before."""
    assert counted(counting(0), counting(3, 2, 3, 3)) == counting(3, 2, 3, 3)
    assert counted(counting(5, 5, 5, 5), counting(0), counting(3, 2, 3, 3)) == counting(3, 2, 3, 3)


def test_what_a_look_does_not_tell_is_not_known_of_the_increase() -> None:
    told, untold = counting(10, 5, 8, 10), Totals(requests=4)

    assert counted(untold, told) == Totals(requests=6)
    assert added(told, untold) == Totals(requests=14)


def test_a_part_of_a_counter_that_begins_anew_tells_nothing() -> None:
    """The requests go on: it was no restart."""
    before = Totals(requests=10, errors=7, timed=10, microseconds=500)
    after = Totals(requests=12, errors=1, timed=12, microseconds=700)

    assert counted(before, after) == Totals(requests=2, timed=2, microseconds=200)


def test_rare_looks_are_known_for_longer_and_yet_not_taken_for_recent() -> None:
    looks = [
        Sample(totals=Totals(requests=100 * n), in_flight=None, at=10.0 * n) for n in range(10)
    ]

    found = reading(looks, now=95, at=NOON, every=10, figures=True)

    assert found is not None
    assert found.increase == Increase(counted=Totals(requests=200), seconds=20)
    assert (found.recent, found.seconds) == (0, 0)


def test_nobody_pays_for_figures_that_are_not_asked_for() -> None:
    assert read(every_second(0, 10)).increase is None


# Health


def answered(*statuses: int) -> Checks:
    """What is known after these answers, one each second."""
    checks = UNCHECKED
    for at, status in enumerate(statuses):
        checks = checks.after(status, at=float(at))
    return checks


@pytest.mark.parametrize(
    ("statuses", "failures"),
    [
        ((), 0),
        ((200, 399, 302), 0),
        ((200, 503, 500, 503), 3),
        ((200, 503, 503, 200), 0),
        ((503, 503, 200, 503), 1),
        ((200, 199, 400, 404), 3),
        ((503, 503), 2),
        ((403, 403, 403), 0),
        ((403, 503, 403), 0),
        ((200, 403), 1),
    ],
    ids=[
        "no answer",
        "all that is below 400 is healthy",
        "failures in a row are counted",
        "a healthy answer ends the row",
        "and what came before it is past",
        "all else fails",
        "a pod may never have been healthy when it was asked",
        "somebody on the way may refuse us from the beginning",
        "then only what the pod itself says counts",
        "a refusal that is new is the pod's",
    ],
)
def test_answers_that_fail_are_counted_in_a_row(statuses: tuple[int, ...], failures: int) -> None:
    assert answered(*statuses).failures == failures


@pytest.mark.parametrize(("seconds", "failures"), [(WINDOW, 3), (WINDOW + 0.1, 1)])
def test_a_row_does_not_go_on_after_a_long_silence(seconds: float, failures: int) -> None:
    """Nobody knows what was in between; a short one is merely no data."""
    before = answered(200, 503, 503)

    assert before.after(503, at=before.at + seconds).failures == failures


@given(st.lists(st.integers(100, 599), max_size=30))
def test_a_row_is_never_longer_than_the_failing_answers_at_the_end(statuses: list[int]) -> None:
    failing = [not 200 <= status < 400 for status in statuses]
    at_the_end = next((n for n, bad in enumerate(reversed(failing)) if not bad), len(failing))

    assert answered(*statuses).failures <= at_the_end
