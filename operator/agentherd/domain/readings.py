"""What looks at a pod tell: how many requests it got lately and still has, and if it is healthy.

A counter tells only by its increase, and only while somebody looks: what a pod got before the
first look, or between the last look and a restart, is not known and not guessed. So a reading
counts less rather than more, and says for how long it counted.

What a pod answers to a check is told by the pod; a silence is told by whatever lies between, and
so it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

WINDOW: Final = 10.0
"""Seconds that are recent: long enough for a figure, short enough to follow a change of weight."""

ENOUGH: Final = 20
"""Requests below which a share is noise: of 20, one more or less is five percent already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Where the metrics of a pod are, and their names.

    Requests whose `error_label` has one of `error_values` are errors; x is any digit, or an x.
    Those with a label that is one of the paths in `probed` are no user's, and are not counted.
    """

    url: str
    requests: str
    in_flight: str
    error_label: str
    error_values: tuple[str, ...]
    latency: str
    probed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod to look at: its metrics, and the URL that tells whether it is healthy."""

    uid: str
    counters: Counters | None = None
    health: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a pod has counted since its container was started.

    None is what it does not tell: which requests ended in `errors`, or how long those that were
    `timed` took, in `microseconds` together.
    """

    requests: int
    errors: int | None = None
    timed: int | None = None
    microseconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a pod, at a time in seconds of a clock that never goes back."""

    totals: Totals
    in_flight: float | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one pod.

    `recent` are the requests of the last `WINDOW` seconds, counted during `seconds` of them;
    `since_last` those between the two latest looks, None after a first look. `in_flight` is as of
    the latest look, at `at` (whole seconds), and None when the pod does not tell; `totals` are what
    it had counted then.
    """

    recent: float
    in_flight: float | None
    at: datetime
    seconds: float
    since_last: float | None
    totals: Totals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The checks of one pod: `failures` of them in a row up to the latest, answered with `status`.

    `passed` says that one was healthy, and `at` is in seconds of a clock that never goes back.
    """

    failures: int = 0
    status: int = 0
    passed: bool = False
    at: float = 0

    def after(self, status: int, *, at: float) -> Checks:
        """These checks and one more answer; a longer silence ends the row."""
        if 200 <= status < 400:
            return Checks(status=status, passed=True, at=at)
        # Whoever guards the way to the pod may let the kubelet through and not us, all the time.
        refused = 400 <= status < 500 and not self.passed
        row = self.failures if at - self.at <= WINDOW else 0
        return replace(self, failures=0 if refused else row + 1, status=status, at=at)


UNCHECKED: Final = Checks()


def reading(samples: Sequence[Sample], *, now: float, at: datetime) -> Reading | None:
    """What samples in the order of their time say at `now`; None when all of them are too old.

    `at` is the time of day of the latest sample.
    """
    # An increase across the start of the window is left out: which part of it is recent is not
    # known, and requests from before a change of weight would tell of a weight that is past.
    recent = [sample for sample in samples if sample.at >= now - WINDOW]
    if not recent:
        return None
    latest = recent[-1]
    return Reading(
        recent=sum(_increase(before, after) for before, after in pairwise(recent)),
        in_flight=latest.in_flight,
        at=at.replace(microsecond=0),
        seconds=latest.at - recent[0].at,
        since_last=_increase(samples[-2], latest) if len(samples) > 1 else None,
        totals=latest.totals,
    )


def share(canary: Iterable[Reading], stable: Iterable[Reading]) -> int | None:
    """Percent of the recent requests that the canary got, rounded half up.

    None when there are fewer than `ENOUGH` of them, or when nothing is known of one side.
    """
    sides = [[pod.recent for pod in side] for side in (canary, stable)]
    total = sum(map(sum, sides))
    if not all(sides) or total < ENOUGH:
        return None
    return int(100 * sum(sides[0]) / total + 0.5)


def _increase(before: Sample, after: Sample) -> float:
    if after.totals.requests < before.totals.requests:
        # The container was restarted, and its counter began at 0 again.
        return after.totals.requests
    return after.totals.requests - before.totals.requests
