"""What looks at a pod tell: how many requests it got lately and still has, and if it is healthy.

A counter tells only by its increase, and only while somebody looks: what a pod got before the
first look, or between the last look and a restart, is not known and not guessed. So a reading
counts less rather than more, and says for how long it counted.

What a pod answers to a check is told by the pod; a silence is told by whatever lies between, and
so it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

WINDOW: Final = 10.0
"""Seconds that are recent: long enough for a figure, short enough to follow a change of weight."""

Buckets = tuple[tuple[float, int], ...]
"""How many requests took at most so many seconds, the last bound infinite; () when not told."""

ENOUGH: Final = 20
"""Requests below which a share is noise: of 20, one more or less is five percent already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Where the metrics of a pod are, and their names.

    Requests whose `error_label` has one of `error_values` are errors; x is any digit, or an x.
    Those with a label that is one of the paths in `probed` are no user's, and are not counted.

    With `figures` the buckets of `latency` and the gauge `accuracy` are read too, and readings tell
    what was counted between looks.
    """

    url: str
    requests: str
    in_flight: str
    error_label: str
    error_values: tuple[str, ...]
    latency: str
    probed: tuple[str, ...] = ()
    figures: bool = False
    accuracy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """Figures are wanted of whatever serves, all the time; `accuracy` names the gauge of it."""

    accuracy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod to look at: its metrics, and the URL that tells whether it is healthy.

    It is looked at `every` so many seconds. One that drains or that is being judged needs a look
    each second, and so does whoever counts the failures of its health in a row.
    """

    uid: str
    counters: Counters | None = None
    health: str | None = None
    every: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a pod has counted since its container was started.

    None is what it does not tell: which requests ended in `errors`, or how long those that were
    `timed` took, in `microseconds` together. `buckets` are of the same requests, and only read for
    figures.
    """

    requests: int
    errors: int | None = None
    timed: int | None = None
    microseconds: int | None = None
    buckets: Buckets = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a pod, at a time in seconds of a clock that never goes back."""

    totals: Totals
    in_flight: float | None
    at: float
    accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """What a pod has counted between the first and the latest of some looks, `seconds` apart."""

    counted: Totals
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one pod.

    `recent` are the requests of the last `WINDOW` seconds, counted during `seconds` of them;
    `since_last` those between the two latest looks, None after a first look. `in_flight` is as of
    the latest look, at `at` (whole seconds), and None when the pod does not tell; `totals` are what
    it had counted then, and `accuracy` what it told of it.

    `increase` is what figures are made of: None where they are not asked for, and after a first
    look.
    """

    recent: float
    in_flight: float | None
    at: datetime
    seconds: float
    since_last: float | None
    totals: Totals | None = None
    increase: Increase | None = None
    accuracy: float | None = None


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


def reading(
    samples: Sequence[Sample], *, now: float, at: datetime, every: int = 1, figures: bool = False
) -> Reading | None:
    """What samples in the order of their time say at `now`; None when all of them are too old.

    `at` is the time of day of the latest sample, `every` how many seconds they are apart.
    """
    # Where looks are rare, those of which an increase is told are not all recent.
    known = [sample for sample in samples if sample.at >= now - window(every)]
    if not known:
        return None
    # An increase across the start of the window is left out: which part of it is recent is not
    # known, and requests from before a change of weight would tell of a weight that is past.
    recent = [sample for sample in known if sample.at >= now - WINDOW]
    latest = known[-1]
    return Reading(
        recent=sum(_increase(before, after) for before, after in pairwise(recent)),
        in_flight=latest.in_flight,
        at=at.replace(microsecond=0),
        seconds=latest.at - recent[0].at if recent else 0,
        since_last=_increase(samples[-2], latest) if len(samples) > 1 else None,
        totals=latest.totals,
        increase=increase(known) if figures else None,
        accuracy=latest.accuracy,
    )


def window(every: int) -> float:
    """Seconds of looks that an increase is told of: two of them may be missed, or one rare one."""
    return max(WINDOW, 2.5 * every)


def increase(samples: Sequence[Sample]) -> Increase | None:
    """What was counted between these samples; None of a single one."""
    if len(samples) < 2:
        return None
    first, *others = _lives(samples)
    counted = _between(first[0].totals, first[-1].totals)
    for life in others:
        # All that a container has counted came after the restart.
        counted = added(counted, life[-1].totals)
    return Increase(counted=counted, seconds=samples[-1].at - samples[0].at)


def added(one: Totals, other: Totals) -> Totals:
    """Both together; what one of them does not tell is not known of them together."""
    return Totals(
        requests=one.requests + other.requests,
        errors=_sum(one.errors, other.errors),
        timed=_sum(one.timed, other.timed),
        microseconds=_sum(one.microseconds, other.microseconds),
        buckets=_buckets(one, other, sign=1),
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
    if _restarted(before, after):
        return after.totals.requests
    return after.totals.requests - before.totals.requests


def _restarted(before: Sample, after: Sample) -> bool:
    """Whether the container was started anew in between, with counters that begin at 0."""
    return after.totals.requests < before.totals.requests


def _lives(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """The samples between restarts of the container."""
    begin = 0
    for end, (before, after) in enumerate(pairwise(samples), 1):
        if _restarted(before, after):
            yield samples[begin:end]
            begin = end
    yield samples[begin:]


def _between(before: Totals, after: Totals) -> Totals:
    return Totals(
        requests=after.requests - before.requests,
        errors=_difference(before.errors, after.errors),
        timed=_difference(before.timed, after.timed),
        microseconds=_difference(before.microseconds, after.microseconds),
        buckets=_buckets(after, before, sign=-1),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _difference(before: int | None, after: int | None) -> int | None:
    """What was counted in between; a part of a counter may begin anew, and tells nothing then."""
    if before is None or after is None or after < before:
        return None
    return after - before


def _buckets(one: Totals, other: Totals, *, sign: int) -> Buckets:
    """The buckets of both, or of the first without the second, at the bounds that both have."""
    if not other.timed and other.timed is not None:
        # A histogram with labels has no buckets before its first request.
        return one.buckets
    if not one.timed and one.timed is not None and sign > 0:
        return other.buckets
    others = dict(other.buckets)
    return tuple(
        (bound, max(count + sign * others[bound], 0))
        for bound, count in one.buckets
        if bound in others
    )
