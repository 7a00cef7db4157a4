"""What is simulated, what it is promised to yield, and how that is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from tests.statistics.bets import errors_seen, latency_seen
from tests.statistics.canaries import Course, Durations, Seen, simulated
from tests.statistics.thresholds import FIVE_MINUTES, THREE_STRIKES

CANARIES: Final = 2000

Failed = Any
"""The look at which each canary failed, -1 where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Canaries of one kind: in words, as a course, and what is promised of them.

    `at_most` and `at_least` are percents of them that are rolled back; `median` and `slowest` are
    seconds, of half and of 99 of 100.
    """

    what: str
    course: Course
    at_most: float | None = None
    at_least: float | None = None
    median: float | None = None
    slowest: float | None = None
    seed: int = 1

    @property
    def quick(self) -> bool:
        """Whether it takes less than about a second to simulate."""
        drawn_in_sums = ("exponential", "gamma", "steady")
        timed = self.course.durations
        return self.course.looks <= 400 and (timed is None or timed.shape in drawn_in_sums)

    def seen(self) -> Seen:
        return simulated(self.course, canaries=CANARIES, seed=self.seed)

    def figures(self) -> dict[str, Any]:
        """How many were rolled back, and when."""
        seen = self.seen()
        by_errors, by_latency = errors_seen(seen), latency_seen(seen)
        return {
            "byErrors": percent(by_errors),
            "byLatency": percent(by_latency),
            **times(first_of(by_errors, by_latency), self.course),
        }

    def kept(self, figures: Mapping[str, Any]) -> bool:
        """Whether it is as it was promised."""
        rolled_back = figures["rolledBack"]
        return (
            (self.at_most is None or rolled_back <= self.at_most)
            and (self.at_least is None or rolled_back >= self.at_least)
            and (self.median is None or (figures["median"] or np.inf) <= self.median)
            and (self.slowest is None or (figures["p99"] or np.inf) <= self.slowest)
        )


def first_of(one: Failed, other: Failed) -> Failed:
    """The earlier of two."""
    return np.where((one < 0) | ((other >= 0) & (other < one)), other, one)


def percent(failed: Failed) -> float:
    return round(100 * float((failed >= 0).mean()), 2)


def times(failed: Failed, course: Course) -> dict[str, Any]:
    """Percent, and seconds from when it became worse until so many of all had failed."""
    seconds = np.where(failed >= 0, (failed - course.since + 1) * course.interval, np.inf)
    found = {}
    for name, part in (("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        at = float(np.quantile(seconds, part, method="higher"))
        found[name] = round(at) if np.isfinite(at) else None
    return {"rolledBack": percent(failed), **found}


def _good(what: str, course: Course, at_most: float | None = 1) -> Row:
    return Row(what=what, course=course, at_most=at_most)


LONGER: Final = Course(looks=1800)
BURSTY: Final = Course(bursts=1)
UNTIMED: Final = Course(durations=None)

GOOD: Final = (
    _good("5 requests/s, an hour", replace(LONGER, rate=5)),
    _good("20 requests/s, an hour", replace(LONGER, rate=20)),
    _good("100 requests/s, an hour", LONGER),
    _good("1,000 requests/s", Course(rate=1000)),
    _good("one request a minute, a day", Course(rate=1 / 60, interval=120, looks=720, share=0.5)),
    _good("100 requests/s, half of them to the canary", Course(share=0.5)),
    _good("100 requests/s, 10, 30, 50, then 90 % of them", Course(share=(0.1, 0.3, 0.5, 0.9))),
    _good("100 requests/s, one in five fails", Course(errors=0.2)),
    _good("an outage: for a minute half of all requests fail", Course(outage=(100, 130, 0.5))),
    _good(
        "the same, seen of the canary a second sooner", Course(outage=(100, 130, 0.5), ahead=0.5)
    ),
    _good("the same, seen of it a second later", Course(outage=(100, 130, 0.5), ahead=-0.5)),
    _good("the same for 2 s only, a second sooner", Course(outage=(100, 101, 0.5), ahead=0.5)),
    _good("one in ten pods is not read at a look", Course(missing=0.1)),
    _good("the same during the outage", Course(missing=0.1, outage=(100, 130, 0.5))),
    _good("one in fifty pods is restarted at a look", Course(restarts=0.02)),
    _good("bursts, coefficient of variation ½", Course(bursts=0.5)),
    _good("bursts, 1", BURSTY),
    _good("bursts, 1; 20 requests/s, an hour", replace(LONGER, rate=20, bursts=1)),
    _good("bursts, 1; half to the canary", replace(BURSTY, share=0.5)),
    _good("bursts, 1; 1,000 requests/s", replace(BURSTY, rate=1000)),
    _good(
        "bursts, 1; 1,000 requests/s, 1 % to the canary", Course(rate=1000, share=0.01, bursts=1)
    ),
    _good(
        "bursts, 1; 1,000 requests/s, one in twenty fails", replace(BURSTY, rate=1000, errors=0.05)
    ),
    _good("bursts, ½, that last 10 s", Course(bursts=0.5, lasting=5)),
    _good("bursts, 1, that last 10 s", Course(bursts=1, lasting=5), None),
    _good("the same, with a look every 10 s", Course(bursts=1, interval=10, looks=60)),
    _good("bursts, 2", Course(bursts=2), None),
    _good("bursts, 2; 1,000 requests/s", Course(rate=1000, bursts=2), None),
    _good(
        "durations with heavy tails (Pareto, alpha 2.1)",
        Course(rate=50, durations=Durations(shape="pareto")),
    ),
    _good(
        "the same, 90 % of the requests to the canary",
        Course(rate=50, share=0.9, durations=Durations(shape="pareto")),
    ),
    _good(
        "lognormal durations, 90 % to the canary, 10 requests/s",
        Course(rate=10, share=0.9, durations=Durations(shape="lognormal")),
    ),
    _good("both become three times as slow", Course(durations=Durations(drift=3))),
    _good(
        "means wander by 10 %, correlation 0.8",
        Course(rate=500, share=0.5, durations=Durations(waves=0.1, memory=0.8)),
    ),
    _good(
        "means wander by 15 %",
        Course(rate=500, share=0.5, durations=Durations(waves=0.15, memory=0.8)),
    ),
    _good(
        "means wander by 20 %",
        Course(rate=500, share=0.5, durations=Durations(waves=0.2, memory=0.8)),
        None,
    ),
    _good(
        "15 % slower, which is allowed; lognormal",
        Course(rate=50, slower=1.15, durations=Durations(shape="lognormal")),
    ),
    _good(
        "15 % slower; the same in 5 % of the mean",
        Course(rate=50, looks=1800, slower=1.15, durations=Durations(shape="steady")),
    ),
    _good(
        "20 % slower; lognormal, 90 % to the canary",
        Course(rate=50, slower=1.2, share=0.9, durations=Durations(shape="lognormal")),
    ),
    _good("1.5 times the errors, which the margin allows", Course(worse=1.5), None),
    _good("twice the errors, which is the margin", Course(worse=2), None),
)
"""Versions that are no worse, or not by more than is allowed."""


def _bad(what: str, course: Course, **promised: float) -> Row:
    return Row(what=what, course=course, **promised)  # type: ignore[arg-type]


def _slow(rate: float, slower: float, shape: str, looks: int = 900) -> Course:
    return Course(rate=rate, slower=slower, looks=looks, durations=Durations(shape=shape))


BAD: Final = (
    _bad(
        "half of the requests fail, 1,000 requests/s",
        Course(rate=1000, failing=0.5),
        median=6,
        slowest=6,
    ),
    _bad("half fail, 100 requests/s", Course(failing=0.5), median=6, slowest=10),
    _bad("half fail, 20 requests/s", Course(rate=20, failing=0.5), median=10, slowest=20),
    _bad("half fail, 5 requests/s", Course(rate=5, failing=0.5, looks=900), at_least=99),
    _bad(
        "half fail after an hour in which all was well",
        Course(failing=0.5, looks=1900, since=1800),
        median=20,
    ),
    _bad(
        "half fail after an outage of both, a minute",
        Course(failing=0.5, looks=400, since=150, outage=(100, 130, 0.5)),
        median=20,
    ),
    _bad("5 % fail, of stable none", Course(errors=0, failing=0.05), median=20),
    _bad("1 % fails, of stable none", Course(errors=0, failing=0.01, looks=900), at_least=99),
    _bad("five times the errors, 1,000 requests/s", Course(rate=1000, worse=5), median=45),
    _bad("five times the errors, 100 requests/s", Course(worse=5), median=45),
    _bad("five times, half of the requests to the canary", Course(worse=5, share=0.5), median=45),
    _bad("five times, 20 requests/s", Course(rate=20, worse=5, looks=900), at_least=90),
    _bad(
        "five times, after 20 minutes in which all was well",
        Course(worse=5, looks=1000, since=600),
        at_least=90,
    ),
    _bad("five times, bursts of 1", Course(worse=5, bursts=1, looks=900), at_least=90),
    _bad(
        "five times, bursts of 1, 1,000 requests/s",
        Course(rate=1000, worse=5, bursts=1, looks=900),
        at_least=90,
    ),
    _bad("three times, 100 requests/s", Course(worse=3, looks=900), at_least=90),
    _bad("three times, 1,000 requests/s", Course(rate=1000, worse=3, looks=900), at_least=90),
    _bad("slower by half, 50 requests/s, exponential", _slow(50, 1.5, "exponential"), at_least=99),
    _bad("the same, lognormal (sigma 1)", _slow(50, 1.5, "lognormal", 300), at_least=99),
    _bad("the same, gamma (shape 4)", _slow(50, 1.5, "gamma"), at_least=99),
    _bad("the same, within 5 % of the mean", _slow(50, 1.5, "steady"), at_least=99),
    _bad("slower by half, 10 requests/s, exponential", _slow(10, 1.5, "exponential"), at_least=90),
    _bad(
        "slower by half, 50 requests/s, means wander by 10 %",
        Course(rate=50, slower=1.5, durations=Durations(waves=0.1, memory=0.8)),
        at_least=95,
    ),
    _bad("twice as slow, 50 requests/s, exponential", _slow(50, 2, "exponential"), at_least=99),
    _bad(
        "25 % slower, 50 requests/s, within 5 % of the mean", _slow(50, 1.25, "steady"), at_least=99
    ),
    _bad("25 % slower, 50 requests/s, gamma", _slow(50, 1.25, "gamma")),
    _bad("25 % slower, 50 requests/s, exponential", _slow(50, 1.25, "exponential")),
    _bad("25 % slower, 500 requests/s, exponential", _slow(500, 1.25, "exponential"), at_least=95),
)
"""Versions that are worse by more than is allowed."""

COMPARED: Final = (
    ("good, 5 requests/s", Course(rate=5, looks=900)),
    ("good, 20 requests/s", Course(rate=20, looks=900)),
    ("good, 100 requests/s", Course(looks=900)),
    (
        "an outage: for a minute half of all requests fail",
        Course(looks=900, outage=(100, 130, 0.5)),
    ),
    ("five times the errors, 100 requests/s", Course(worse=5, looks=900)),
    ("half of the requests fail, 100 requests/s", Course(failing=0.5, looks=900)),
)
"""Half an hour each, judged by their errors in three ways."""

RATES: Final = (1, 5, 20, 100, 500)
"""Requests a second, a tenth of them to the canary."""

WORSE: Final = {
    "half fail": Course(failing=0.5),
    "5 % fail": Course(failing=0.05),
    "2.5 % fail": Course(worse=5),
    "twice as slow": Course(slower=2),
    "slower by half": Course(slower=1.5),
}
"""What half of the canaries are rolled back for after how long; of stable 0.5 % fails."""

RULES: Final = {
    "bets": errors_seen,
    "threeStrikes": THREE_STRIKES.errors_seen,
    "fiveMinutes": FIVE_MINUTES.errors_seen,
}


def compared(course: Course) -> dict[str, dict[str, Any]]:
    """What each rule makes of the same canaries."""
    seen = simulated(replace(course, durations=None), canaries=CANARIES, seed=1)
    return {name: times(rule(seen), course) for name, rule in RULES.items()}


def medians() -> list[dict[str, Any]]:
    """After how many seconds half of the canaries are rolled back, within two hours."""
    found = []
    for rate in RATES:
        row: dict[str, Any] = {"rate": rate}
        for what, worse in WORSE.items():
            course = replace(worse, rate=rate, looks=3600 if rate < 100 else 600)
            seen = simulated(course, canaries=CANARIES // 4, seed=2)
            row[what] = times(first_of(errors_seen(seen), latency_seen(seen)), course)["median"]
        found.append(row)
    return found
