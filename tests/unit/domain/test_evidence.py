"""Two bets against the new version, which go on bit for bit and mind only what was seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import Evidence, Side
from agentherd.domain.evidence import error_strength, latency_strength, observe


@st.composite
def sides(draw: st.DrawFn, *, requests: int = 500) -> Side:
    seen = draw(st.integers(0, requests))
    return Side(
        requests=seen,
        errors=draw(st.integers(0, seen)),
        timed=seen,
        microseconds=seen * draw(st.integers(0, 10**7)),
    )


looks = st.lists(st.tuples(sides(), sides()), max_size=20)


def after(*seen: tuple[Side, Side], before: Evidence | None = None) -> Evidence:
    found = before or Evidence()
    for canary, stable in seen:
        found = observe(found, canary, stable, error_margin=2, performance_impact=0.2)
    return found


@given(looks)
def test_a_look_that_saw_nothing_changes_nothing(seen: list[tuple[Side, Side]]) -> None:
    """No data is not bad data."""
    before = after(*seen)

    assert after((Side(), Side()), before=before) == before


@given(looks, looks)
def test_evidence_that_was_written_down_goes_on_bit_for_bit(
    first: list[tuple[Side, Side]], second: list[tuple[Side, Side]]
) -> None:
    """An operator that is killed between any two looks comes to the same verdict."""
    kept = Evidence.model_validate_json(after(*first).model_dump_json(by_alias=True))

    assert after(*second, before=kept) == after(*first, *second)


def test_half_of_the_requests_failing_is_a_failure() -> None:
    """Within three looks, of ten requests each."""
    look = (Side(requests=10, errors=5), Side(requests=90))

    assert error_strength(after(look, look, look)) == 1000


def test_twice_the_latency_is_a_failure() -> None:
    """Within a minute."""
    look = (Side(timed=10, microseconds=20), Side(timed=90, microseconds=90))

    assert latency_strength(after(*[look] * 30)) == 1000
