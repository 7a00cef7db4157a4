"""What the metrics of an analysis say of a new version: what to ask when, and what answers mean.

Everything that is known is in the status: when a metric was measured last, and how. So a process
that is started anew asks when the next answer is due, and an answer that is taken into account is
never counted twice, however often it is seen. A source that says nothing of use has said nothing
about the new version: that is neither good nor bad, and so it is held against nobody and in
nobody's favour. What counts as of no use is wider than what is no number, since most of what is
measured cannot be negative, and nothing is as large as what a wrong query or another page gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import HTTPRequest, Measurement, Metric, MetricStatus, PrometheusQuery, Verdict
from agentherd.api.analysis import MAX_MEASUREMENTS

LARGEST: Final = 2.0**53
"""From here on a float does not count by one any more: no share, count or duration is as large."""

_PLACEHOLDER: Final = re.compile(r"\$\(([A-Z_]+)\)")

Statuses = tuple[MetricStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a source said `at` a time (whole seconds): a value, or in the message why there is none.

    A tester, which judges by itself, also gives a `verdict`.
    """

    at: datetime
    value: float | None = None
    message: str = ""
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a source is to be asked now for a metric, with all placeholders filled in.

    `since` is the time of the latest answer that was taken into account in this `attempt`; only one
    of another time says anything new.
    """

    metric: str
    source: PrometheusQuery | HTTPRequest
    attempt: int
    since: datetime | None = None


# What is asked


def due(
    statuses: Statuses,
    metrics: tuple[Metric, ...],
    names: Mapping[str, str],
    *,
    attempt: int,
    now: datetime,
) -> tuple[Question, ...]:
    """What has to be asked at `now`; a tester is not asked, it is started.

    `names` are what the placeholders stand for: `$(AGENT)` for the value of `AGENT`.
    """
    latest = _latest(statuses)
    questions = []
    for metric in metrics:
        since = latest.get(metric.name)
        source = _source(metric, names)
        # A time to come is that of a clock that was ahead of ours.
        waits = since is not None and since <= now < since + _interval(metric)
        if source is not None and not waits:
            questions.append(
                Question(metric=metric.name, source=source, attempt=attempt, since=since)
            )
    return tuple(questions)


def due_at(
    before: Statuses, after: Statuses, metrics: tuple[Metric, ...], *, now: datetime
) -> datetime | None:
    """When the next of the metrics that have been measured is due; None when there is none.

    What was due `before` is asked at `now`, and is not waited for: its answer tells of itself.
    """
    answered, latest = _latest(before), _latest(after)
    times = []
    for metric in metrics:
        at = latest.get(metric.name)
        if at is None or metric.job is not None:
            continue
        again = at + _interval(metric)
        if now < again or at != answered.get(metric.name):
            times.append(again)
    return min(times, default=None)


def filled(text: str, names: Mapping[str, str]) -> str:
    """A text with what its placeholders stand for; one that is not known stays as it is."""
    return _PLACEHOLDER.sub(lambda match: names.get(match[1], match[0]), text)


def _source(metric: Metric, names: Mapping[str, str]) -> PrometheusQuery | HTTPRequest | None:
    if metric.prometheus is not None:
        query = filled(metric.prometheus.query, names)
        return metric.prometheus.model_copy(update={"query": query})
    if metric.http is not None:
        return metric.http.model_copy(update={"url": filled(metric.http.url, names)})
    return None


def _interval(metric: Metric) -> timedelta:
    return timedelta(seconds=metric.interval_seconds)


def _latest(statuses: Statuses) -> Mapping[str, datetime]:
    return {each.name: each.measurements[-1].at for each in statuses if each.measurements}


# What the answers mean


def judged(
    statuses: Statuses, metrics: tuple[Metric, ...], answers: Mapping[str, Measured]
) -> Statuses:
    """The statuses of all `metrics`, in their order, after the answers by their names."""
    known = {each.name: each for each in statuses}
    result = []
    for metric in metrics:
        status = known.get(metric.name) or MetricStatus(
            name=metric.name, verdict=Verdict.INCONCLUSIVE
        )
        answer = answers.get(metric.name)
        result.append(status if answer is None else after(status, metric, answer))
    return tuple(result)


def after(status: MetricStatus, metric: Metric, measured: Measured) -> MetricStatus:
    """The status of a metric after an answer; the same status after one that it knows already.

    Of a tester all that was not yet known is noted until it has said its word, whatever the order:
    that it runs and how it ends is told by another clock than that it could not be started before.
    """
    measurement = _measurement(metric, measured)
    news = metric.job is not None and measurement not in status.measurements
    news = news and status.verdict is Verdict.INCONCLUSIVE
    if status.measurements and not news:
        latest = status.measurements[-1].at
        # Of what is asked, one that seems to be older is of another clock.
        if measured.at == latest or (metric.job is not None and measured.at < latest):
            return status
    failures = status.failures
    if measurement.verdict is not Verdict.INCONCLUSIVE:
        failures = failures + 1 if measurement.verdict is Verdict.FAIL else 0
    # A tester is run once, so its word is the last one.
    limit = 1 if metric.job is not None else metric.failure_limit
    verdict = measurement.verdict
    if status.verdict is Verdict.FAIL or failures >= limit:
        verdict = Verdict.FAIL
    elif verdict is Verdict.FAIL:
        verdict = Verdict.INCONCLUSIVE  # bad, but not yet bad enough
    return MetricStatus(
        name=status.name,
        verdict=verdict,
        failures=failures,
        measurements=(*status.measurements, measurement)[-MAX_MEASUREMENTS:],
    )


def _measurement(metric: Metric, measured: Measured) -> Measurement:
    value = measured.value
    if measured.verdict is not None:
        return Measurement(at=measured.at, verdict=measured.verdict, message=measured.message)
    if value is None:
        message = measured.message or "no answer"
        return Measurement(at=measured.at, verdict=Verdict.INCONCLUSIVE, message=message)
    if nonsense := _nonsense(metric, value):
        return Measurement(at=measured.at, verdict=Verdict.INCONCLUSIVE, message=nonsense)
    bad = _badness(metric, value)
    verdict = Verdict.FAIL if bad else Verdict.PASS
    return Measurement(at=measured.at, verdict=verdict, value=value, message=bad)


def _nonsense(metric: Metric, value: float) -> str:
    """Why a value cannot be what the metric is about; "" where it can."""
    if not math.isfinite(value):
        return f"the answer is {value}, which is not a number to compare with"
    if abs(value) >= LARGEST:
        return f"the answer is {value:g}, which is too large to be a measurement"
    bounds = [bound for bound in (metric.minimum, metric.maximum) if bound is not None]
    if value < 0 and all(bound >= 0 for bound in bounds):
        return f"the answer is {value:g}, which is negative, and neither bound is"
    return ""


def _badness(metric: Metric, value: float) -> str:
    if metric.minimum is not None and value < metric.minimum:
        return f"{value:g} is below the minimum of {metric.minimum:g}"
    if metric.maximum is not None and value > metric.maximum:
        return f"{value:g} is above the maximum of {metric.maximum:g}"
    return ""


# What follows


def failed(statuses: Statuses, metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """The names of the metrics that roll an upgrade back, testers among them."""
    return tuple(m.name for m in _counting(metrics) if _verdict(statuses, m) is Verdict.FAIL)


def awaited(statuses: Statuses, metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """The names of the testers that have to pass before a promotion and have not yet."""
    testers = (metric for metric in _counting(metrics) if metric.job is not None)
    return tuple(m.name for m in testers if _verdict(statuses, m) is not Verdict.PASS)


def inconclusive(statuses: Statuses, metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """The names of the metrics, testers left aside, that do not say now that all is well."""
    asked = (metric for metric in _counting(metrics) if metric.job is None)
    return tuple(m.name for m in asked if _verdict(statuses, m) is Verdict.INCONCLUSIVE)


def told(statuses: Statuses, names: Iterable[str], *, untold: str = "not measured yet") -> str:
    """What the latest measurements of some metrics say, in words; "" without names.

    `untold` is said of one of which nothing is known.
    """
    latest = {each.name: each.measurements[-1] for each in statuses if each.measurements}
    parts = []
    for name in names:
        said = latest[name].message if name in latest else untold
        parts.append(f"{name}: {said}")
    return "; ".join(parts)


def _counting(metrics: tuple[Metric, ...]) -> Iterator[Metric]:
    return (metric for metric in metrics if not metric.dry_run)


def _verdict(statuses: Statuses, metric: Metric) -> Verdict:
    found = next((each for each in statuses if each.name == metric.name), None)
    return found.verdict if found is not None else Verdict.INCONCLUSIVE
