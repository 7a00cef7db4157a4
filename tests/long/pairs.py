"""Whether users notice a swap by its latency: the same load with and without one, in pairs.

One load at a fixed rate goes on all the while. In a round there is a time in which nothing happens
and one from the patch of `activeVersion` until the pods of the version that lost are gone; which
of the two comes first changes from round to round, so that a machine that slows down favours
neither. Both versions take 100 ms for an answer: of the few hundred microseconds that the dummy
needs by itself, one percent would be less than any clock of a busy machine is good for.

A round yields one difference, in percent of its quiet time. What all of them yield is their mean
with its interval of 95 % by the bootstrap, and half the width of that is the noise. With a noise
of one percent and more nothing is claimed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from devcluster.progress import Progress
from tests.e2e.models import (
    change,
    load,
    served,
    version,
    wait_until_active,
    wait_until_gone,
)
from tests.e2e.served import UNJUDGED, canary, step
from tests.e2e.world import World
from tests.load.load import LONGEST, MOST_REQUESTS
from tests.load.report import Report

RATE: Final = 100.0
LATENCY: Final = 0.1
QUIET: Final = 15.0
"""Seconds in which nothing happens."""

APART: Final = 2.0
"""Seconds between two times that are compared: what is in flight belongs to neither."""

GOAL: Final = 1.0
"""Percent by which latency may increase, and which the noise has to be below."""

RESAMPLES: Final = 20_000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was sent in a time; latencies in seconds, of what was answered."""

    seconds: float
    sent: int
    failed: int
    mean: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A round: the time in which nothing happened, and that of a swap."""

    quiet: Window
    swap: Window
    quiet_first: bool

    @property
    def mean(self) -> float:
        """By how many percent the mean was larger during the swap."""
        return 100 * (self.swap.mean / self.quiet.mean - 1)

    @property
    def p95(self) -> float:
        """The same for the 95th percentile."""
        return 100 * (self.swap.p95 / self.quiet.p95 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean of the rounds' differences and its interval, in percent."""

    mean: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def claim(self) -> str:
        """What may be said of the goal."""
        if self.noise >= GOAL:
            return "nothing: the noise is too large"
        if self.high < GOAL:
            return f"below {GOAL:g} %"
        return f"not below {GOAL:g} %" if self.low >= GOAL else f"nothing: {GOAL:g} % is inside"


def pairs(world: World, directory: Path, *, count: int, progress: Progress) -> list[Pair]:
    """So many rounds."""
    policy = canary(step(10, seconds=2), step(20, seconds=2), analysis=UNJUDGED)
    served(
        world,
        *(version(name, latency_seconds=LATENCY) for name in ("v1", "v2")),
        replicas=2,
        upgradePolicy={**policy, "rollbackWindow": 0},
    )
    times: list[tuple[bool, tuple[float, float], tuple[float, float]]] = []
    with load(world, directory, rate=RATE, seconds=min(LONGEST, MOST_REQUESTS / RATE)) as running:
        world.operator.runs_for(APART)
        for number in range(count):
            first = number % 2 == 0
            if first:
                quiet = _quiet(world)
            swap = _swap(world, number)
            if not first:
                quiet = _quiet(world)
            times.append((first, quiet, swap))
            progress.say(f"{number + 1} of {count}, a swap of {swap[1] - swap[0]:.1f} s")
        report = running.stop()
    assert report.answers[-1].at >= max(times[-1][1][1], times[-1][2][1]) - APART, (
        "the load was over before the last round was"
    )
    return [
        Pair(quiet=window(report, *quiet), swap=window(report, *swap), quiet_first=first)
        for first, quiet, swap in times
    ]


def _quiet(world: World) -> tuple[float, float]:
    begin = time.time()
    world.operator.runs_for(QUIET)
    end = time.time()
    world.operator.runs_for(APART)
    return begin, end


def _swap(world: World, number: int) -> tuple[float, float]:
    """One in steps; `rollbackWindow` 0 makes that of the way back one as well."""
    old, new = ("v1", "v2") if number % 2 == 0 else ("v2", "v1")
    begin = time.time()
    change(world, activeVersion=new)
    wait_until_active(world, new)
    wait_until_gone(world, old)
    end = time.time()
    world.operator.runs_for(APART)
    return begin, end


def window(report: Report, begin: float, end: float) -> Window:
    """What was sent between two moments."""
    found = report.between(begin, end)
    return Window(
        seconds=end - begin,
        sent=found.sent,
        failed=len(found.failed),
        mean=statistics.fmean(answer.latency for answer in found.answers if answer.code),
        p95=found.latency(95),
    )


def difference(percents: Sequence[float]) -> Difference:
    """The mean of so many differences, and what it would be in other rounds like these."""
    seen = np.asarray(percents, dtype=float)
    drawn = np.random.default_rng(1).choice(seen, size=(RESAMPLES, seen.size))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn.mean(axis=1), (tail, 1 - tail))
    return Difference(mean=float(seen.mean()), low=float(low), high=float(high))
