"""What runs with versions that are worse are counted as, predicted to be, and shown as."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from tests.load.answer import Answer, Failure
from tests.load.report import Report
from tests.long.cases import CASES, predicted
from tests.long.figures import of_verdicts
from tests.long.page import END, FIGURES, MARK, PAGE, with_table
from tests.long.verdicts import Run, measured

SINCE = 1000.0
ENDED = {"status": {"rollback": {"trigger": "ErrorRate", "reason": "it fails more often"}}}


def answer(number: int, **more: Any) -> Answer:
    plain = {"number": number, "at": SINCE + number, "latency": 0.001, "code": 200}
    return Answer(**(plain | {"version": "1.0.0"} | more))


REPORT = Report.of(
    [
        answer(0),
        answer(1, version="2.0.0"),
        answer(2, version="2.0.0", code=500, failure=Failure.ERROR),
        answer(3, version="", code=502, failure=Failure.ERROR),
        answer(4, version="2.0.0"),
        answer(5),
    ]
)


def counted(name: str, ended: dict[str, Any] | None = None) -> Run:
    found = ended or ENDED
    return measured(
        CASES[name], REPORT, found, weighted=SINCE + 0.5, decided=SINCE + 4.5, since=SINCE
    )


def run(**more: Any) -> Run:
    return Run(**(asdict(counted("errors-50")) | {"lost_elsewhere": 0} | more))


def test_times_are_those_of_one_clock_since_the_attempt_was_asked_for() -> None:
    """And a verdict is told from the first request that could show anything."""
    found = counted("errors-50")

    assert (found.weight, found.first_request, found.first_lost) == (0.5, 1.0, 2.0)
    assert (found.verdict, found.last_request) == (4.5, 4.0)
    assert found.since_first_request(found.verdict) == 3.5


@pytest.mark.parametrize(("name", "lost"), [("errors-50", 2), ("leak", 2), ("error-body", 4)])
def test_users_lose_what_was_answered_with_an_error_wherever_it_stands(
    name: str, lost: int
) -> None:
    """In the status, in the body, or because there was no answer."""
    found = counted(name)

    assert (found.lost, found.lost_elsewhere, found.at_canary) == (lost, 1, 3)


def test_a_run_that_a_person_ended_had_no_verdict() -> None:
    found = counted("errors-1", {"status": {"rollback": {"trigger": "Requested"}}})

    assert (found.trigger, found.verdict) == (None, None)
    assert "no verdict" in str(found)


@pytest.mark.parametrize("name", CASES)
def test_more_is_lost_the_later_the_verdict(name: str) -> None:
    """Half of the runs take no less than a tenth of them, nor lose less."""
    found = predicted(CASES[name]) or {}

    assert all([*values] == sorted(values) for values in found.values())


def test_the_smaller_the_difference_the_later_the_verdict() -> None:
    """As the page on statistics tells."""
    medians = [(predicted(CASES[f"errors-{part}"]) or {})["verdict"][1] for part in (50, 5, 1)]

    assert medians == sorted(medians)


@pytest.mark.parametrize(
    ("name", "more", "kept"),
    [
        ("errors-50", {}, True),
        ("errors-50", {"trigger": "HealthProbe"}, False),
        ("errors-50", {"trigger": None, "verdict": None}, False),
        ("errors-50", {"lost_elsewhere": 1}, False),
        ("leak", {"trigger": "OutOfMemory", "lost_elsewhere": 1}, True),
    ],
)
def test_a_version_is_given_up_for_what_is_wrong_with_it(
    name: str, more: dict[str, Any], *, kept: bool
) -> None:
    """And only one that is killed loses what it did not answer."""
    assert of_verdicts(name, [run(**more)], CASES[name]).kept is kept


def test_no_run_at_all_shows_nothing() -> None:
    assert not of_verdicts("errors-50", [], CASES["errors-50"]).kept


def test_the_table_says_how_many_had_no_verdict() -> None:
    """Their times are not in it, their requests are."""
    without = run(trigger=None, verdict=None, lost=50)
    case = {
        "name": "errors-50",
        "what": "half fail",
        "predicted": {"verdict": [8.0, 9.0, 9.0], "lost": [40, 40, 40]},
        "runs": [asdict(run()), asdict(without)],
    }

    page = with_table(f"before\n{MARK}old\n{END}after\n", {"cases": [case]})

    assert page.startswith("before\n")
    assert page.endswith(f"{END}after\n")
    assert (
        "| half fail | `ErrorRate` 1 of 2 | 3.5 | 8 / 9 / 9 | 3.0 | 3 | 2 / 2 / 50 | 40 |"
    ) in page


def test_the_table_of_the_page_is_that_of_the_figures() -> None:
    """`python -m tests.long.page` writes both."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_table(page, json.loads(FIGURES.read_text(encoding="utf-8"))) == page
