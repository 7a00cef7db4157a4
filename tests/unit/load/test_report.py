"""What is counted, and how."""

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load.answer import GATEWAY, Answer, Failure, Source
from tests.load.report import Report

Make = Callable[..., Answer]


def test_answers_are_counted_by_version_and_code(answer: Make) -> None:
    report = Report.of(
        [
            answer(0, "1"),
            answer(1, "1"),
            answer(2, "2", code=500, failure=Failure.ERROR),
            answer(3, code=502, failure=Failure.ERROR),
            answer(4, code=0, failure=Failure.RESET),
        ]
    )

    assert (report.sent, report.answered, len(report.failed)) == (5, 4, 3)
    assert report.counts == {
        ("1", 200): 2,
        ("2", 500): 1,
        ("gateway", 502): 1,
        ("nobody", 0): 1,
    }
    assert report.failures == {Failure.ERROR: 2, Failure.RESET: 1}


def test_a_canary_may_fail_but_nobody_else(answer: Make) -> None:
    """What the Gateway answers counts, and so does no answer at all, whoever was to give it."""
    report = Report.of(
        [
            answer(0, "1", code=500, failure=Failure.ERROR),
            answer(1, "2", code=500, failure=Failure.ERROR),
            answer(2, code=502, failure=Failure.ERROR),
            answer(3, code=0, failure=Failure.REFUSED),
        ]
    )

    assert [each.number for each in report.failed_but_by("2")] == [0, 2, 3]


def test_revisions_of_one_version_can_be_told_apart(answer: Make) -> None:
    report = Report.of([answer(0, "1", revision="a"), answer(1, "1", revision="b")])

    assert report.counts == {("1", 200): 2}
    assert report.by(Source.REVISION).counts == {("a", 200): 1, ("b", 200): 1}


def test_the_share_of_a_version_is_of_all_that_was_sent_in_that_time(answer: Make) -> None:
    report = Report.of(
        [
            answer(0, "1", second=0),
            answer(1, "2", second=1),
            answer(2, "1", second=1.5),
            answer(3, code=502, failure=Failure.ERROR, second=1.6),
            answer(4, "1", second=1.9),
        ]
    )
    began = report.answers[0].at

    assert report.share("2") == pytest.approx(1 / 5)
    assert report.between(began + 1).share("2") == pytest.approx(1 / 4)
    assert math.isnan(report.between(began + 9).share("2"))


def test_the_last_of_a_version_is_the_one_that_was_sent_last(answer: Make) -> None:
    """Not the one that was answered last."""
    late = answer(0, "2", second=0, latency=9.0)
    report = Report.of([answer(1, "2", second=1), late, answer(2, "1", second=2)])

    last = report.last_by("2")

    assert last is not None
    assert last.number == 1
    assert report.last_by("3") is None


def test_a_gap_in_the_numbers_is_a_request_of_which_nothing_is_known(answer: Make) -> None:
    assert Report.of([answer(0), answer(1), answer(4)]).missing == 2
    assert Report.of([]).missing == 0


@pytest.mark.parametrize(("percent", "seconds"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_a_latency_that_was_seen(
    answer: Make, percent: float, seconds: float
) -> None:
    report = Report.of(answer(n, "1", latency=float(n + 1)) for n in range(100))

    assert report.latency(percent) == seconds


def test_latencies_are_those_of_answers(answer: Make) -> None:
    report = Report.of([answer(0, code=0, latency=30.0, failure=Failure.TIMEOUT)])

    assert math.isnan(report.latency(99))


def test_the_timeline_has_every_second_and_what_failed_in_it(answer: Make) -> None:
    report = Report.of(
        [
            answer(0, "1", second=0.1),
            answer(1, "1", second=1.0),
            answer(2, "2", second=3.2),
            answer(3, code=503, failure=Failure.ERROR, second=3.3),
        ]
    )

    timeline = report.timeline()

    assert [(each.at, dict(each.by), each.failed) for each in timeline] == [
        (0, {"1": 2}, 0),
        (1, {}, 0),
        (2, {}, 0),
        (3, {"2": 1, GATEWAY: 1}, 1),
    ]
    assert timeline[3].share("2") == 0.5
    assert math.isnan(timeline[1].share("2"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "1", "2"]), st.floats(0, 60), st.sampled_from([0, 200, 502]))
    )
)
def test_every_request_is_counted_once_everywhere(
    drawn: list[tuple[str, float, int]],
) -> None:
    report = Report.of(
        Answer(number=n, at=1e9 + at, latency=0.1, code=code, version=version)
        for n, (version, at, code) in enumerate(drawn)
    )

    assert report.counts.total() == len(drawn)
    assert sum(second.by.total() for second in report.timeline()) == len(drawn)


def test_a_report_is_plain_data_even_when_nothing_was_sent() -> None:
    written = json.loads(json.dumps(Report.of([]).to_json()))

    assert (written["sent"], written["latency"]) == (0, {"p50": None, "p99": None})
