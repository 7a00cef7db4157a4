"""What metrics of one's own say of a new version: when they are asked, and what answers mean."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import Measurement, Metric, MetricStatus, Verdict
from agentherd.domain.judging.metrics import (
    Measured,
    after,
    awaited,
    due,
    due_at,
    failed,
    filled,
    inconclusive,
    judged,
    told,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NAMES = {"AGENT": "shop", "CANARY_REVISION": "0123456789"}


def metric(name: str = "quality", **fields: object) -> Metric:
    bounds = {} if fields.keys() & {"minimum", "maximum", "job"} else {"minimum": 0.8}
    source = {} if "job" in fields else {"http": {"url": "http://judge:8080/score"}}
    return Metric.model_validate({"name": name, **source, **bounds, **fields})


def job_metric(name: str = "smoke", **fields: object) -> Metric:
    return metric(name, job={"template": {"spec": {}}}, **fields)


def unmeasured(name: str = "quality") -> MetricStatus:
    return MetricStatus(name=name, verdict=Verdict.INCONCLUSIVE)


def answered(value: float | None, *, second: int = 0, message: str = "") -> Measured:
    return Measured(at=NOON + timedelta(seconds=second), value=value, message=message)


def series(asked: Metric, *values: float | None) -> MetricStatus:
    status = unmeasured(asked.name)
    for second, value in enumerate(values):
        status = after(status, asked, answered(value, second=second, message="down"))
    return status


def last(status: MetricStatus) -> Measurement:
    return status.measurements[-1]


@pytest.mark.parametrize(
    ("bounds", "value", "verdict"),
    [
        ({"minimum": 0.8}, 0.8, Verdict.PASS),
        ({"minimum": 0.8}, 0.79, Verdict.FAIL),
        ({"maximum": 2}, 2, Verdict.PASS),
        ({"maximum": 2}, 2.01, Verdict.FAIL),
        ({"minimum": 1, "maximum": 2}, 0, Verdict.FAIL),
        ({"maximum": 0}, 0, Verdict.PASS),
        ({"minimum": -5}, -4, Verdict.PASS),
        ({"maximum": 5, "minimum": -5}, -6, Verdict.FAIL),
    ],
)
def test_bounds_are_good_themselves(
    bounds: dict[str, float], value: float, verdict: Verdict
) -> None:
    status = series(metric(**bounds), value)

    assert last(status).verdict is verdict
    assert last(status).value == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (2.0**53, "too large"),
        (-1e300, "too large"),
        (-1, "negative"),
        (None, "down"),
    ],
)
@pytest.mark.parametrize("bounds", [{"minimum": 0.8}, {"maximum": 2}])
def test_what_makes_no_sense_says_nothing(
    bounds: dict[str, float], value: float | None, why: str
) -> None:
    """It is neither good nor bad, and the status says why."""
    status = series(metric(**bounds), value, value, value, value)

    assert (status.verdict, status.failures) == (Verdict.INCONCLUSIVE, 0)
    assert (last(status).verdict, last(status).value) == (Verdict.INCONCLUSIVE, None)
    assert why in last(status).message


@pytest.mark.parametrize(
    ("values", "verdict", "failures"),
    [
        ((0.1, 0.1), Verdict.INCONCLUSIVE, 2),
        ((0.1, 0.1, 0.1), Verdict.FAIL, 3),
        ((0.1, 0.1, 0.9, 0.1), Verdict.INCONCLUSIVE, 1),
        ((0.1, None, 0.1, None, 0.1), Verdict.FAIL, 3),
        ((0.1, 0.1, 0.1, 0.9), Verdict.FAIL, 0),
        ((0.1, 0.1, 0.1, None), Verdict.FAIL, 3),
        ((0.9, None), Verdict.INCONCLUSIVE, 0),
        ((0.1, 0.9), Verdict.PASS, 0),
    ],
    ids=[
        "bad, but not often enough",
        "the limit is reached",
        "a good one ends the row",
        "one that could not be made does not",
        "what has failed stays so",
        "also without an answer",
        "an answer of before does not stand for one of now",
        "good again",
    ],
)
def test_bad_measurements_in_a_row_fail(
    values: tuple[float | None, ...], verdict: Verdict, failures: int
) -> None:
    status = series(metric(), *values)

    assert (status.verdict, status.failures) == (verdict, failures)


def test_an_answer_counts_once() -> None:
    """Whoever sees it again, after a restart or before the status is written, learns nothing."""
    status = series(metric(), 0.1)

    assert after(status, metric(), answered(0.1)) == status


def test_the_latest_measurements_are_kept() -> None:
    status = series(metric(), *(0.9 + number / 100 for number in range(12)))

    assert len(status.measurements) == 10
    assert last(status).value == pytest.approx(1.01)


def test_the_first_word_of_a_tester_is_its_last() -> None:
    said = Measured(at=NOON, verdict=Verdict.FAIL, message="Job shop-smoke-1 failed")

    status = after(unmeasured("smoke"), job_metric(failure_limit=3), said)

    assert (status.verdict, last(status).message) == (Verdict.FAIL, "Job shop-smoke-1 failed")


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_a_tester_is_heard_by_whatever_clock_it_ended(verdict: Verdict) -> None:
    """It could not be started at first, and nobody would wait for a second word."""
    refused = Measured(at=NOON + timedelta(seconds=60), message="quota exceeded")
    ended = Measured(at=NOON, verdict=verdict)

    status = after(after(unmeasured("smoke"), job_metric(), refused), job_metric(), ended)

    assert status.verdict is verdict
    assert after(status, job_metric(), ended) == status


def test_that_a_tester_runs_is_noted_by_whatever_clock() -> None:
    """Once; it could not be started at first, by a clock that was ahead."""
    refused = Measured(at=NOON + timedelta(seconds=60), message="quota exceeded")
    runs = Measured(at=NOON, message="it runs")

    status = after(after(unmeasured("smoke"), job_metric(), refused), job_metric(), runs)

    assert [each.message for each in status.measurements] == ["quota exceeded", "it runs"]
    assert after(status, job_metric(), runs) == status


def test_what_else_is_told_after_its_word_changes_nothing() -> None:
    passed = after(unmeasured("smoke"), job_metric(), Measured(at=NOON, verdict=Verdict.PASS))

    assert after(passed, job_metric(), Measured(at=NOON, message="it runs")) == passed


def test_a_dry_run_has_no_consequences() -> None:
    metrics = (metric(dry_run=True), job_metric(dry_run=True))
    statuses = (series(metrics[0], 0, 0, 0), unmeasured("smoke"))

    assert statuses[0].verdict is Verdict.FAIL
    assert not failed(statuses, metrics)
    assert not awaited(statuses, metrics)
    assert not inconclusive(statuses, metrics)


def test_what_has_failed_is_missing_or_is_not_known_is_told_by_name() -> None:
    metrics = (metric("bad"), metric("down"), metric("well"), metric("new"), job_metric())
    statuses = judged(
        (series(metrics[0], 0.1, 0.1, 0.1),), metrics, {"down": answered(None), "well": answered(1)}
    )

    assert [each.name for each in statuses] == ["bad", "down", "well", "new", "smoke"]
    assert failed(statuses, metrics) == ("bad",)
    assert awaited(statuses, metrics) == ("smoke",)
    assert inconclusive(statuses, metrics) == ("down", "new")
    assert told(statuses, ("bad", "down", "new")) == (
        "bad: 0.1 is below the minimum of 0.8; down: no answer; new: not measured yet"
    )


def test_a_metric_is_due_when_its_interval_is_over() -> None:
    asked = metric(intervalSeconds=10)
    statuses = (series(asked, 0.9),)

    def asked_at(second: int) -> bool:
        now = NOON + timedelta(seconds=second)
        return bool(due(statuses, (asked,), NAMES, attempt=1, now=now))

    assert [asked_at(second) for second in (0, 9, 10, 60)] == [False, False, True, True]
    assert due_at(statuses, statuses, (asked,), now=NOON) == NOON + timedelta(seconds=10)


def test_a_measurement_of_a_clock_that_was_ahead_delays_no_other() -> None:
    """Nor does it stand for what is measured from then on."""
    asked = metric(intervalSeconds=10, failureLimit=1)
    ahead = after(unmeasured(), asked, answered(0.9, second=300))

    (question,) = due((ahead,), (asked,), NAMES, attempt=1, now=NOON)
    now = after(ahead, asked, answered(0.1, second=1))

    assert question.since == NOON + timedelta(seconds=300)
    assert (last(now).value, now.verdict) == (0.1, Verdict.FAIL)
    assert after(now, asked, answered(0.1, second=1)) == now


def test_who_is_being_asked_is_not_waited_for() -> None:
    """The answer tells of itself, however slow; only one that was just heard may be due again."""
    asked = metric(intervalSeconds=1)
    before, after = (series(asked, 0.9),), (series(asked, 0.9, 0.9),)
    later = NOON + timedelta(seconds=60)

    assert due_at(before, before, (asked,), now=later) is None
    assert due_at(before, after, (asked,), now=later) == NOON + timedelta(seconds=2)


def test_what_was_never_measured_is_due_at_once() -> None:
    """And a tester never is: it is started, not asked."""
    questions = due((), (metric(), job_metric()), NAMES, attempt=2, now=NOON)

    assert [(q.metric, q.attempt, q.since) for q in questions] == [("quality", 2, None)]
    assert due_at((), (), (metric(), job_metric()), now=NOON) is None


def test_placeholders_are_filled_in_where_they_are_known() -> None:
    asked = Metric.model_validate(
        {
            "name": "errors",
            "maximum": 1,
            "prometheus": {
                "address": "http://prometheus:9090",
                "query": 'sum(rate(x{a="$(AGENT)",r="$(CANARY_REVISION)",o="$(OTHER)"}[1m]))',
            },
        }
    )

    (question,) = due((), (asked,), NAMES, attempt=1, now=NOON)

    assert getattr(question.source, "query", "") == (
        'sum(rate(x{a="shop",r="0123456789",o="$(OTHER)"}[1m]))'
    )
    assert filled("$(AGENT)$(AGENT) $AGENT", NAMES) == "shopshop $AGENT"


VALUES = st.lists(st.one_of(st.none(), st.floats()), max_size=15)


@given(VALUES, st.integers(1, 5))
def test_it_fails_only_for_bad_numbers_and_enough_of_them(
    values: list[float | None], limit: int
) -> None:
    """Without that many numbers below the minimum nothing fails, whatever a source says."""
    asked = metric(failureLimit=limit)
    bad = [v for v in values if v is not None and 0 <= v < 0.8]

    status = series(asked, *values)

    assert status.verdict is not Verdict.FAIL or len(bad) >= limit
    assert status == MetricStatus.model_validate_json(status.model_dump_json(by_alias=True))
