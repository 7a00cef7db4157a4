"""Two tests that may be looked at all the time, go on bit for bit, and mind only what was seen.

How often they are wrong, and how fast, is seen in thousands of simulated canaries
(tests/unit/statistics); here is what holds for each.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import Evidence, Side, Timed
from agentherd.domain.judging.evidence import error_strength, latency_strength, observe

Look = tuple[Side, Side]


@st.composite
def sides(draw: st.DrawFn) -> Side:
    requests = draw(st.integers(0, 500) | st.integers(0, 2**50))
    return Side(
        requests=requests,
        errors=draw(st.integers(0, requests)),
        timed=draw(st.integers(0, requests)),
        microseconds=draw(st.integers(0, 10**9) | st.integers(0, 2**60)),
    )


looks = st.tuples(sides(), sides())
several = st.lists(looks, max_size=10)
margins = st.floats(1, 100)
impacts = st.floats(0, 100)
numbers = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=16).map(tuple)


def after(
    *seen: Look, before: Evidence | None = None, margin: float = 2, impact: float = 0.2
) -> Evidence:
    found = before or Evidence()
    for canary, stable in seen:
        found = observe(found, canary, stable, error_margin=margin, performance_impact=impact)
    return found


def failing(canary: int, of: int, *, stable: int, of_stable: int) -> Look:
    return Side(requests=of, errors=canary), Side(requests=of_stable, errors=stable)


def taking(canary: int, of: int, *, stable: int, of_stable: int) -> Look:
    """Means in microseconds, each of so many requests."""
    return (
        Side(timed=of, microseconds=of * canary),
        Side(timed=of_stable, microseconds=of_stable * stable),
    )


def worth(purses: tuple[int, ...]) -> float:
    return math.fsum(math.exp(purse / 1e6) for purse in purses) if purses else 1


# What must not change anything


@given(several)
def test_a_look_that_saw_nothing_changes_nothing(seen: list[Look]) -> None:
    """No data is not bad data."""
    before = after(*seen)

    assert after((Side(), Side()), before=before) == before


@given(several, sides())
def test_one_version_alone_is_not_judged(seen: list[Look], alone: Side) -> None:
    """Without the other there is nothing to compare with."""
    before = after(*seen)

    for look in ((alone, Side()), (Side(), alone)):
        assert after(look, before=before).errors == before.errors


def test_requests_that_all_succeed_say_nothing_of_errors() -> None:
    """However many they are."""
    assert after(failing(0, 10**6, stable=0, of_stable=10**6)).errors == ()


@given(several, several)
def test_evidence_that_was_written_down_goes_on_bit_for_bit(
    first: list[Look], second: list[Look]
) -> None:
    """An operator that is killed between any two looks comes to the same verdict."""
    kept = Evidence.model_validate_json(after(*first).model_dump_json(by_alias=True))

    assert after(*second, before=kept) == after(*first, *second)


# What must not count against a version


@given(several, st.integers(1, 10**6), st.integers(1, 10**6), st.fractions(0, 1), margins)
def test_an_outage_of_both_is_no_evidence(
    seen: list[Look], of: int, of_stable: int, part: float, margin: float
) -> None:
    """Nor is any look at which the new version failed no more often than the other."""
    before = after(*seen, margin=margin)
    outage = failing(
        math.floor(part * of), of, stable=math.ceil(part * of_stable), of_stable=of_stable
    )

    found = after(outage, before=before, margin=margin)

    assert worth(found.errors) <= worth(before.errors) * (1 + 1e-9)


@given(several, st.integers(10, 1000), st.integers(10, 1000), st.integers(1, 10**6), impacts)
def test_a_version_that_is_not_slower_than_allowed_gives_no_evidence(
    seen: list[Look], of: int, of_stable: int, mean: int, impact: float
) -> None:
    """By however little it is faster, and however many requests there were."""
    before = after(*seen, impact=impact).model_copy(update={"canary": Timed(), "stable": Timed()})
    allowed = math.floor(mean * (1 + impact) * (1 - 1e-9))

    found = after(
        taking(allowed, of, stable=mean, of_stable=of_stable), before=before, impact=impact
    )

    assert worth(found.latency) <= worth(before.latency) * (1 + 1e-9)


@given(looks, margins, impacts)
def test_no_single_look_decides(look: Look, margin: float, impact: float) -> None:
    """A burst, or a scrape that caught an outage of one version first, is not a verdict."""
    found = after(look, margin=margin, impact=impact)

    assert max(error_strength(found), latency_strength(found)) < 1000


@pytest.mark.parametrize(("margin", "strength"), [(2, 0), (1, 1000)])
def test_half_as_many_errors_again_are_within_the_margin(margin: float, strength: int) -> None:
    """They may go on for ever, unless the margin says that they may not."""
    look = failing(30, 2000, stable=180, of_stable=18_000)

    assert error_strength(after(*[look] * 1000, margin=margin)) == strength


def test_the_mean_of_a_few_is_not_compared() -> None:
    """Nine and a million requests wait for the tenth."""
    waiting = after(taking(90, 9, stable=1, of_stable=10**6))

    assert waiting.latency == ()
    assert waiting.canary == Timed(requests=9, microseconds=810)
    assert after(taking(90, 1, stable=1, of_stable=0), before=waiting).latency


@given(st.lists(st.integers(1, 10**6), min_size=20, max_size=20))
def test_what_waits_is_compared_as_if_it_had_come_at_once(means: list[int]) -> None:
    """Durations of a look are as good as those of two."""
    mine, theirs = means[:10], means[10:]
    apart = [
        taking(one, 1, stable=other, of_stable=1) for one, other in zip(mine, theirs, strict=True)
    ]
    together = (Side(timed=10, microseconds=sum(mine)), Side(timed=10, microseconds=sum(theirs)))

    assert after(*apart) == after(together)


def test_a_mean_of_fewer_stable_requests_is_taken_to_be_too_low() -> None:
    """By a tenth for ten requests, so that being a little slower than allowed is no evidence."""
    at_the_limit = taking(1250, 1000, stable=1000, of_stable=10)
    beyond_doubt = taking(1250, 1000, stable=1000, of_stable=1000)

    assert worth(after(at_the_limit).latency) < 1 < worth(after(beyond_doubt).latency)


# What must be found


def test_half_of_the_requests_failing_is_a_failure_after_three_looks() -> None:
    """Of twenty requests each, the rate of the smallest canary that is worth the name."""
    look = failing(10, 20, stable=1, of_stable=180)

    assert error_strength(after(look, look, look)) == 1000


def test_a_version_that_fails_after_a_long_good_time_is_found() -> None:
    """What it did well for an hour does not make up for what it does now."""
    good = failing(0, 20, stable=1, of_stable=180)
    bad = failing(10, 20, stable=1, of_stable=180)
    before = after(*[good] * 1800)

    assert error_strength(before) == 0
    assert error_strength(after(*[bad] * 8, before=before)) == 1000


@pytest.mark.parametrize(("mean", "strength"), [(1150, 0), (1250, 1000)])
def test_a_quarter_slower_is_a_failure_and_less_than_a_fifth_is_not(
    mean: int, strength: int
) -> None:
    """Within a minute and a half, if durations are always the same."""
    look = taking(mean, 10, stable=1000, of_stable=90)

    assert latency_strength(after(*[look] * 45)) == strength


@given(several)
def test_errors_and_durations_are_judged_apart(seen: list[Look]) -> None:
    """What is known of the one only does not touch the other."""
    untimed = [
        tuple(side.model_copy(update={"timed": 0, "microseconds": 0}) for side in look)
        for look in seen
    ]

    assert after(*untimed).errors == after(*seen).errors  # type: ignore[arg-type]


# What must not break


@given(numbers, numbers, several, margins, impacts)
def test_no_state_that_somebody_has_written_stops_the_judgement(
    errors: tuple[int, ...],
    latency: tuple[int, ...],
    seen: list[Look],
    margin: float,
    impact: float,
) -> None:
    """Neither another version of the operator, nor a hand in the status."""
    found = after(
        *seen, before=Evidence(errors=errors, latency=latency), margin=margin, impact=impact
    )

    assert 0 <= error_strength(found) <= 1000
    assert 0 <= latency_strength(found) <= 1000
