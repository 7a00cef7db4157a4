"""What docs/statistics.md says of the judgement is what thousands of simulated canaries show."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.statistics.bets import errors_seen, latency_seen
from tests.statistics.canaries import Course, Durations, Seen, simulated
from tests.statistics.report import FIGURES, PAGE, with_tables
from tests.statistics.table import BAD, COMPARED, GOOD, Row

from agentherd.api import Evidence, Side
from agentherd.domain.judging.evidence import error_strength, latency_strength, observe

KEPT: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))


def rows(*, quick: bool) -> list[Any]:
    return [pytest.param(row, id=row.what) for row in (*GOOD, *BAD) if row.quick or not quick]


def side(seen: Any, at: int, canary: int) -> Side:
    requests = int(seen.requests[at, canary])
    return Side(
        requests=requests,
        errors=int(seen.errors[at, canary]),
        timed=requests,
        microseconds=round(1e6 * seen.seconds[at, canary]),
    )


def judged(seen: Seen, canary: int, *, killed: bool = False) -> tuple[Evidence, int, int]:
    """What the operator makes of a canary: evidence, and the looks at which its tests fail."""
    evidence, by_errors, by_latency = Evidence(), -1, -1
    for at in range(len(seen.canary.requests)):
        if killed:
            evidence = Evidence.model_validate_json(evidence.model_dump_json(by_alias=True))
        new, old = side(seen.canary, at, canary), side(seen.stable, at, canary)
        evidence = observe(evidence, new, old, error_margin=2, performance_impact=0.2)
        if by_errors < 0 and error_strength(evidence) == 1000:
            by_errors = at
        if by_latency < 0 and latency_strength(evidence) == 1000:
            by_latency = at
    return evidence, by_errors, by_latency


@pytest.mark.parametrize("row", rows(quick=True))
def test_simulated_canaries_end_as_promised(row: Row) -> None:
    """Of 2,000 each: how many are rolled back, and how soon."""
    figures = row.figures()

    assert row.kept(figures), figures


@pytest.mark.parametrize("row", rows(quick=False))
def test_what_is_written_down_is_as_promised(row: Row) -> None:
    """Those that take longer were simulated when the page was last written."""
    [figures] = [each for each in KEPT["good"] + KEPT["bad"] if each["what"] == row.what]

    assert row.kept(figures)


def test_nothing_is_written_down_that_is_not_simulated() -> None:
    """A row that is changed has to be simulated anew."""
    simulated_now = [[row.what for row in GOOD], [row.what for row in BAD]]

    assert [[row["what"] for row in KEPT[name]] for name in ("good", "bad")] == simulated_now
    assert [row["what"] for row in KEPT["compared"]] == [what for what, _ in COMPARED]


def test_the_tables_of_the_page_are_those_of_the_figures() -> None:
    """`python -m tests.statistics` writes both."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_tables(page, KEPT) == page


def test_a_good_canary_is_rolled_back_less_often_than_by_thresholds() -> None:
    """And a bad one sooner: that is what it is all for."""
    compared = {row["what"]: row for row in KEPT["compared"]}
    good, bad = compared["good, 100 requests/s"], compared["five times the errors, 100 requests/s"]

    assert good["bets"]["rolledBack"] < good["threeStrikes"]["rolledBack"]
    assert bad["bets"]["median"] < bad["threeStrikes"]["median"]


@pytest.mark.parametrize(
    "course",
    [
        pytest.param(Course(worse=5, looks=60), id="more errors"),
        pytest.param(Course(rate=50, slower=2, looks=60), id="slower"),
        pytest.param(Course(rate=4, share=0.5, bursts=1, looks=60), id="few requests"),
        pytest.param(
            Course(share=(0.1, 0.9), durations=Durations(waves=0.3), looks=60), id="steps"
        ),
    ],
)
def test_the_simulation_judges_as_the_operator_does(course: Course) -> None:
    """Each test fails at the same look."""
    seen = simulated(course, canaries=20, seed=5)

    alone = [judged(seen, canary)[1:] for canary in range(20)]

    assert alone == list(zip(errors_seen(seen), latency_seen(seen), strict=True))


def test_an_operator_that_is_killed_after_every_look_judges_the_same() -> None:
    """All it knows is in the status, to the last bit."""
    seen = simulated(Course(rate=50, worse=3, slower=1.3, looks=120), canaries=5, seed=6)

    assert [judged(seen, each, killed=True) for each in range(5)] == [
        judged(seen, each) for each in range(5)
    ]


def test_bets_are_fair_while_each_error_is_as_likely_to_be_of_either_version() -> None:
    """No bet can be expected to win, whatever the rates, the weight and their sum."""
    random = np.random.default_rng(7)
    for part, errors in ((0.01, 1), (0.1, 3), (0.5, 10), (0.9, 200)):
        stakes = []
        for mine in random.binomial(errors, part, 2000):
            canary = Side(requests=round(1000 * part), errors=int(mine))
            stable = Side(requests=round(1000 * (1 - part)), errors=int(errors - mine))
            found = observe(Evidence(), canary, stable, error_margin=2, performance_impact=0)
            stakes.append(np.exp(np.array(found.errors) / 1e6).sum())

        assert np.mean(stakes) <= 1 + 4 * np.std(stakes) / np.sqrt(len(stakes))
