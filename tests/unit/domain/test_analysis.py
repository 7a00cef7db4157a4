"""What pods have done is counted once, from when it is known, and never made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON

from agentherd.api import Analysis, AnalysisStatus, Look, Side, Verdict
from agentherd.api.analysis import MAX_COUNTED_PODS, MAX_LOOKS
from agentherd.domain.judging.analysis import (
    MOST,
    CountedPod,
    counts_from,
    looked,
    tells_errors,
    tells_latency,
    thinned,
    waits_for_stable,
)
from agentherd.domain.judging.evidence import error_strength, latency_strength
from agentherd.domain.readings import Totals

EAGER = Analysis(interval_seconds=1, warm_up_seconds=0)
BEGUN = AnalysisStatus(verdict=Verdict.INCONCLUSIVE, since=NOON)

Counted = Mapping[str, Totals | int | None]


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def pods(counted: Counted) -> list[CountedPod]:
    """Pods by their totals; a number are requests without an error that nobody has timed."""
    return [
        CountedPod(uid=uid, totals=Totals(requests=n, errors=0) if isinstance(n, int) else n)
        for uid, n in counted.items()
    ]


def look(
    before: AnalysisStatus,
    at: float,
    canary: Counted,
    stable: Counted,
    *,
    settings: Analysis = EAGER,
    weight: int = 20,
) -> AnalysisStatus:
    return looked(
        before,
        settings,
        canary=pods(canary),
        stable=pods(stable),
        weight=weight,
        now=after(at),
    )


def looks(*rounds: tuple[Counted, Counted], **how: int) -> AnalysisStatus:
    """The state after one look a second."""
    status = BEGUN
    for at, (canary, stable) in enumerate(rounds):
        status = look(status, at, canary, stable, **how)
    return status


def errors(requests: int, errors: int | None) -> Totals:
    return Totals(requests=requests, errors=errors)


def test_what_a_pod_did_before_the_first_look_does_not_count() -> None:
    """It is noted, and what is added to it from then on counts."""
    first = looks(({"c": 100}, {"s": 900}))
    second = look(first, 1, {"c": 110}, {"s": 990})

    assert (first.canary.requests, first.looked_at) == (0, NOON)
    assert (second.canary.requests, second.stable.requests) == (10, 90)


def test_what_is_counted_is_what_the_evidence_is_made_of() -> None:
    """Ten requests that all fail, beside ninety that do not, a few times."""
    status = looks(
        *(({"c": errors(10 * n, 10 * n)}, {"s": errors(90 * n, 0)}) for n in range(6)),
    )

    assert status.canary == Side(requests=50, errors=50)
    assert error_strength(status.evidence) == 1000


WARMING = Analysis(interval_seconds=1, warm_up_seconds=5)


def test_requests_of_the_warm_up_do_not_count() -> None:
    first = look(BEGUN, 0, {"c": 10}, {"s": 10}, settings=WARMING)
    early = look(first, 4.9, {"c": 50}, {"s": 50}, settings=WARMING)
    warm = look(early, 5, {"c": 60}, {"s": 60}, settings=WARMING)
    second = look(warm, 6, {"c": 61}, {"s": 63}, settings=WARMING)

    assert early == first
    assert counts_from(early, WARMING) == after(5)
    assert counts_from(warm, WARMING) is None
    assert (second.canary.requests, second.stable.requests) == (1, 3)


def test_a_pod_that_joins_later_warms_up_on_its_own() -> None:
    """The one that is warm counts on meanwhile; what the other did before it was does not."""
    status = look(BEGUN, 0, {"c": 0}, {"s": 0}, settings=WARMING)
    status = look(status, 5, {"c": 10}, {"s": 10}, settings=WARMING)

    status = look(status, 8, {"c": 20, "d": 5}, {"s": 20}, settings=WARMING)
    status = look(status, 12, {"c": 30, "d": 500}, {"s": 30}, settings=WARMING)
    cold = status.canary.requests
    status = look(status, 13, {"c": 31, "d": 600}, {"s": 31}, settings=WARMING)
    status = look(status, 14, {"c": 32, "d": 602}, {"s": 32}, settings=WARMING)

    assert cold == 20
    assert status.canary.requests == 24


def test_a_warm_up_that_began_by_a_clock_that_was_ahead_begins_anew() -> None:
    """It would last until that time comes, in which nothing counts."""
    status = look(BEGUN, 3600, {"c": 0}, {"s": 0}, settings=WARMING)

    for second in range(8):
        status = look(status, second, {"c": second}, {"s": second}, settings=WARMING)

    assert (status.canary.requests, status.stable.requests) == (2, 2)


def test_a_pod_that_is_not_ready_yet_does_not_begin_to_warm_up() -> None:
    """Nobody sends it anything, so its caches stay as cold as they are."""
    starting = CountedPod(uid="c", totals=Totals(requests=0, errors=0), ready=False)

    status = looked(BEGUN, WARMING, canary=[starting], stable=[], weight=20, now=after(0))

    assert status == BEGUN


def test_what_is_counted_by_another_name_is_noted_anew() -> None:
    """The Agent says meanwhile where its metrics are; what was proved before stays."""
    before = looks(({"c": 0}, {"s": 0}), ({"c": 5}, {"s": 5}))
    told = {"settings": EAGER, "weight": 20, "counters": "other"}

    def then(status: AnalysisStatus, at: float, requests: int) -> AnalysisStatus:
        each = [pods({name: requests}) for name in "cs"]
        return looked(status, canary=each[0], stable=each[1], now=after(at), **told)

    changed = then(before, 2, 6)
    noted = then(changed, 3, 900)
    counted = then(noted, 4, 903)

    assert changed.pods == ()
    assert (noted.canary.requests, counted.canary.requests) == (5, 8)


def test_a_look_is_taken_once_in_an_interval() -> None:
    """A status of it is written each time, and those cost."""
    settings = Analysis(interval_seconds=3, warm_up_seconds=0)
    first = look(BEGUN, 0, {"c": 0}, {"s": 0}, settings=settings)

    early = look(first, 2.9, {"c": 5}, {"s": 5}, settings=settings)
    second = look(first, 3, {"c": 6}, {"s": 6}, settings=settings)

    assert early == first
    assert second.canary.requests == 6


def test_where_nothing_is_added_nothing_is_written() -> None:
    status = looks(({"c": 5}, {"s": 5}))

    assert look(status, 60, {"c": 5}, {"s": 5}) == status


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (errors(100, 5), errors(7, 2), Side(requests=7, errors=2)),
        (errors(100, 5), errors(120, 1), Side(requests=120, errors=1)),
        (errors(10, 0), errors(12, 12), Side(requests=12, errors=12)),
        (errors(100, 5), errors(101, None), Side(requests=1)),
        (errors(100, None), errors(101, 50), Side(requests=1)),
        (errors(0, 0), errors(MOST + 1, 0), Side()),
        (
            Totals(requests=9, timed=9, microseconds=900),
            Totals(requests=12, timed=12, microseconds=1000),
            Side(requests=3, timed=3, microseconds=100),
        ),
        (
            Totals(requests=9, timed=9, microseconds=900),
            Totals(requests=12, timed=3, microseconds=40),
            Side(requests=12, timed=3, microseconds=40),
        ),
        (
            Totals(requests=9),
            Totals(requests=12, timed=12, microseconds=1000),
            Side(requests=3),
        ),
    ],
    ids=[
        "restarted",
        "restarted, by the errors",
        "restarted and got beyond",
        "errors not told any more",
        "errors told for the first time",
        "made up",
        "durations",
        "restarted, by the durations",
        "durations told for the first time",
    ],
)
def test_what_a_pod_has_added(before: Totals, now: Totals, expected: Side) -> None:
    """After a restart all that it counts has been added; what is told once only adds nothing."""
    status = looks(({"c": before}, {"s": 0}), ({"c": now}, {"s": 1}), weight=100)

    assert status.canary == expected


def test_a_pod_that_cannot_be_read_adds_what_it_did_once_it_can() -> None:
    status = looks(
        ({"c": 0, "d": 0}, {"s": 0}),
        ({"c": None, "d": 1}, {"s": 10}),
        ({"c": 9, "d": 2}, {"s": 20}),
    )

    assert status.canary.requests == 11


def test_a_pod_that_is_new_is_only_noted() -> None:
    status = looks(({"c": 0}, {"s": 0}), ({"c": 5, "d": 700}, {"s": 5}))

    assert status.canary.requests == 5


def test_a_pod_that_is_gone_takes_nothing_back_and_is_forgotten() -> None:
    status = looks(({"c": 0, "d": 0}, {"s": 0}), ({"c": 5, "d": 5}, {"s": 5}), ({"c": 6}, {"s": 6}))

    assert status.canary.requests == 11
    assert [pod.uid for pod in status.pods] == ["c", "s"]


@pytest.mark.parametrize(
    ("canary", "stable"),
    [({"c": 5}, {"s": 0}), ({"c": 0}, {"s": 5}), ({"c": 5}, {"s": None})],
    ids=["only the new version", "only the stable one", "the stable one cannot be read"],
)
def test_what_only_one_version_did_waits_for_the_other(canary: Counted, stable: Counted) -> None:
    """Both are compared by what they did in the same time."""
    first = looks(({"c": 0}, {"s": 0}))

    early = look(first, 1, canary, stable)
    second = look(early, 2, {"c": 6}, {"s": 6})

    assert early == first
    assert (second.canary.requests, second.stable.requests) == (6, 6)


@pytest.mark.parametrize(
    ("canary", "stable", "waits"),
    [
        ({"c": 5}, {"s": 0}, True),
        ({"c": 0}, {"s": 5}, False),
        ({"c": 5}, {"s": 5}, False),
        ({"c": 5}, {"s": None}, False),
        ({"c": 5}, {"new": 9}, False),
    ],
    ids=["only the new version", "only the stable one", "both", "it cannot be read", "it is new"],
)
def test_who_is_waited_for_is_known(canary: Counted, stable: Counted, waits: bool) -> None:
    """What cannot be read has not said that it had no requests."""
    first = looks(({"c": 0}, {"s": 0}))

    assert waits_for_stable(first, canary=pods(canary), stable=pods(stable)) is waits


def test_a_clock_that_is_behind_that_of_the_last_look_delays_nothing() -> None:
    """The operator runs on another node now; the counters say what was added all the same."""
    ahead = look(BEGUN, 3600, {"c": 0}, {"s": 0})

    status = look(ahead, 1, {"c": 6}, {"s": 6})

    assert (status.canary.requests, status.looked_at) == (6, after(1))


def test_a_version_that_has_all_requests_waits_for_nobody() -> None:
    status = looks(({"c": 0}, {"s": 0}), ({"c": 5}, {"s": 0}), weight=100)

    assert status.canary.requests == status.step_requests == 5


def test_durations_that_are_compared_with_none_are_not_kept_for_later() -> None:
    """The stable version may have requests again at another time, when all is slower."""
    before = {"c": Totals(requests=0, timed=0, microseconds=0)}
    now = {"c": Totals(requests=50, timed=50, microseconds=50)}

    alone = looks((before, {"s": 0}), (now, {"s": 0}), weight=100)

    assert alone.canary.timed == 50
    assert alone.evidence.canary.requests == 0


def test_requests_of_which_nobody_says_how_they_ended_prove_nothing() -> None:
    """The stable version would have no errors, and any of the new one would be too many."""
    status = looks(
        *(({"c": errors(10 * n, 10 * n)}, {"s": errors(90 * n, None)}) for n in range(6)),
    )

    assert error_strength(status.evidence) == 0
    assert not tells_errors(status)


@pytest.mark.parametrize(("slower", "proved"), [(900, False), (1100, True)])
def test_what_is_slower_by_less_than_a_millisecond_is_not_slower(slower: int, proved: bool) -> None:
    """Twice as slow, and still quicker than anybody would notice."""

    def timed(requests: int, each: int) -> Totals:
        return Totals(requests=requests, timed=requests, microseconds=requests * each)

    status = looks(
        *(({"c": timed(50 * n, 1000 + slower)}, {"s": timed(50 * n, 1000)}) for n in range(40)),
    )

    assert (latency_strength(status.evidence) == 1000) is proved
    assert status.canary.microseconds == status.canary.timed * (1000 + slower)


def test_durations_are_told_when_all_pods_tell_them() -> None:
    timed = Totals(requests=1, timed=1, microseconds=10)

    assert tells_latency(looks(({"c": timed}, {"s": timed})))
    assert not tells_latency(looks(({"c": timed}, {"s": 1})))


def test_of_very_many_pods_as_many_are_compared_as_are_kept() -> None:
    """Of both versions some, and the same ones each time."""
    canary = {f"c{n:03}": 0 for n in range(MAX_COUNTED_PODS)}
    stable = {f"s{n:03}": 0 for n in range(MAX_COUNTED_PODS)}
    first = looks((canary, stable))

    second = look(
        first, 1, {"a": 0} | dict.fromkeys(canary, 1), {"b": 0} | dict.fromkeys(stable, 1)
    )

    assert len(first.pods) == len(second.pods) == MAX_COUNTED_PODS
    assert second.canary.requests == second.stable.requests == MAX_COUNTED_PODS // 2


# Looks for a chart


def a_look(number: int) -> Look:
    side = Side(requests=number)
    return Look(at=after(number), weight=20, canary=side, stable=side)


@given(st.integers(0, 3 * MAX_LOOKS))
def test_looks_are_put_together_and_none_is_lost(number: int) -> None:
    kept: tuple[Look, ...] = ()
    for each in range(number):
        kept = thinned((*kept, a_look(each)))

    assert len(kept) <= MAX_LOOKS
    assert sum(each.canary.requests for each in kept) == sum(range(number))
    assert [each.at for each in kept] == sorted({each.at for each in kept})
    assert not number or kept[-1].at == after(number - 1)


# Whatever happens


steps = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(0, 20),
        st.sampled_from(["read", "unread", "restarted", "not written"]),
    ),
    max_size=30,
)


@given(steps)
def test_all_that_pods_did_counts_once_and_nothing_else(
    steps: Sequence[tuple[int, int, str]],
) -> None:
    """Whether looks are missed, containers restart, or an operator dies before it has written."""
    status = looks(({"c": 0}, {"s": 0}))
    counters, happened = [0, 0], [0, 0]
    for at, (canary, stable, what) in enumerate(steps, 1):
        if what == "restarted":
            # What was counted since the last look is lost with the container.
            counters = [0, 0]
            status = look(status, at, {"c": 0}, {"s": 0})
        counters = [counters[0] + canary, counters[1] + stable]
        happened = [happened[0] + canary, happened[1] + stable]
        totals = [None if what == "unread" else n for n in counters]
        seen = look(status, at + 0.5, {"c": totals[0]}, {"s": totals[1]}, weight=20)
        status = status if what == "not written" else seen

    assert status.canary.requests <= happened[0]
    assert status.stable.requests <= happened[1]
    assert sum(each.canary.requests for each in status.looks) == status.canary.requests


@given(steps)
def test_what_a_dead_process_has_not_written_is_counted_by_the_next(
    steps: Sequence[tuple[int, int, str]],
) -> None:
    """In the end all of it, as if nobody had died."""
    status = looks(({"c": 0}, {"s": 0}))
    canary, stable = 0, 0
    for at, (more, others, what) in enumerate([*steps, (1, 1, "read")], 1):
        canary, stable = canary + more, stable + others
        seen = look(status, at, {"c": canary}, {"s": stable})
        status = seen if what == "read" else status

    assert (status.canary.requests, status.stable.requests) == (canary, stable)
