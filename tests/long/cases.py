"""Versions that are worse, each in its own way, and what is predicted of them.

What a version does wrong is a config of the sample agent. What is predicted comes from the same
simulation as docs/statistics.md, at the same rate and weight, plus the warm-up that is waited for;
or, where a source of its own judges, from the rule by which its measurements count. When a version
runs out of memory is nobody's statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from tests.statistics.bets import errors_seen, latency_seen
from tests.statistics.canaries import Course, Durations, simulated

from agentherd.api import Analysis, Metric

RATE: Final = 100.0
"""Requests a second, of both versions together."""

WEIGHT: Final = 10
"""Percentage of them that the new version is given."""

PERCENTS: Final = (10, 50, 90)

CANARIES: Final = 2000

BAD_IN_A_ROW: Final = Metric.model_fields["failure_limit"].default
MEASURED_EVERY: Final = Metric.model_fields["interval_seconds"].default


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A version that is worse: in words, as config, and as a simulated course.

    `before` is the config of the stable version. `triggers` are the right reasons to give it up.
    Of one that is `killed` requests are lost that nobody answers. One that is `polite` answers all
    requests with 200 and an error in the body, which only a source that reads it can tell.
    """

    what: str
    config: Mapping[str, str]
    triggers: frozenset[str]
    before: Mapping[str, str] = field(default_factory=dict)
    course: Course | None = None
    killed: bool = False
    polite: bool = False


def _failing(part: float) -> Course:
    course = Course(rate=RATE, share=WEIGHT / 100, errors=0, failing=part, durations=None)
    assert course.interval == Analysis().interval_seconds
    return course


_ERRORS: Final = frozenset({"ErrorRate"})

CASES: Final[Mapping[str, Case]] = {
    "errors-50": Case(
        what="half of its requests fail",
        config={"errorRate": "0.5"},
        triggers=_ERRORS,
        course=_failing(0.5),
    ),
    "errors-5": Case(
        what="5 % fail",
        config={"errorRate": "0.05"},
        triggers=_ERRORS,
        course=_failing(0.05),
    ),
    "errors-1": Case(
        what="1 % fails",
        config={"errorRate": "0.01"},
        triggers=_ERRORS,
        course=_failing(0.01),
    ),
    "slower": Case(
        what="slower by half: 150 ms, not 100",
        before={"latencySeconds": "0.1"},
        config={"latencySeconds": "0.15"},
        triggers=frozenset({"PerformanceImpact"}),
        course=Course(
            rate=RATE,
            share=WEIGHT / 100,
            errors=0,
            slower=1.5,
            durations=Durations(shape="steady"),
        ),
    ),
    "leak": Case(
        what="leaks 3 MB a second until it is killed",
        config={"memoryLeakMBPerSecond": "3"},
        # A probe that is made each second may see its end before the kubelet tells of it.
        triggers=frozenset({"OutOfMemory", "HealthProbe"}),
        killed=True,
    ),
    "error-body": Case(
        what="answers 200 with an error in the body",
        config={"greeting": "error: no tokens left"},
        triggers=frozenset({"MetricFailed"}),
        polite=True,
    ),
}


def predicted(case: Case) -> dict[str, Sequence[float]] | None:
    """What so many percent of the runs stay below; None where nothing is predicted.

    `verdict` is in seconds since the first request to the new version, `lost` in requests until
    then.
    """
    if case.polite:
        # The first measurement is made as soon as it has its weight.
        seconds = (BAD_IN_A_ROW - 1) * MEASURED_EVERY
        lost = round(seconds * RATE * WEIGHT / 100)
        return {"verdict": [seconds] * len(PERCENTS), "lost": [lost] * len(PERCENTS)}
    return _simulated(case.course) if case.course is not None else None


def _simulated(course: Course) -> dict[str, Sequence[float]]:
    seen = simulated(course, canaries=CANARIES, seed=1)
    by_latency = course.durations is not None
    failed = latency_seen(seen) if by_latency else errors_seen(seen)
    warm_up = Analysis().warm_up_seconds
    seconds = np.where(failed < 0, np.inf, warm_up + (failed + 1) * course.interval)
    counted = np.cumsum(seen.canary.errors, axis=0)[failed, np.arange(CANARIES)]
    before = np.random.default_rng(2).poisson(
        warm_up * course.rate * WEIGHT / 100 * course.failing, CANARIES
    )
    lost = np.where(failed < 0, np.inf, counted + before)
    return {"verdict": _below(seconds), "lost": _below(lost)}


def _below(values: Any) -> Sequence[float]:
    parts = [percent / 100 for percent in PERCENTS]
    return [float(each) for each in np.quantile(values, parts, method="higher")]
