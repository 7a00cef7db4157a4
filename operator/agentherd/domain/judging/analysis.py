"""What the pods of both versions have done since they were last looked at.

Pods tell totals, and what counts is what was added to them. How far each has been taken into
account stands in the status beside the evidence that came of it, and is written in the same patch:
so a look counts once, whoever dies when, and one that is not written has not taken place. What is
not known is not guessed. A pod that is seen for the first time is only noted, one that cannot be
read adds nothing, and one that began again at 0 adds what it has counted since. Each pod has a
warm-up of its own, from the look at which it is first seen ready, whatever the others have done.

What is counted by one definition of the metrics cannot be held against what is counted by another:
when the Agent says anew where its metrics are, all pods are noted anew.

Both versions are compared by what they did in the same time. While only one of them has had
requests, nothing is taken into account, and the time of the next look grows until both have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import Analysis, AnalysisStatus, Evidence, Look, PodCounters, Side
from agentherd.api.analysis import MAX_COUNTED_PODS, MAX_LOOKS
from agentherd.domain.judging.evidence import observe
from agentherd.domain.readings import Totals

MOST: Final = 10**8
"""Requests of a pod between two looks beyond which it does not count but make up."""

LONGEST: Final = 10**15
"""Microseconds that all these requests together may have taken."""

NOTICEABLE: Final = 1000
"""Microseconds that nobody misses. A process that was just started, or runs on another node, is
slower by a good part of one of these, whatever the version."""

_FULL: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedPod:
    """A pod that exists, and its counters as they were last read; None where they were not."""

    uid: str
    totals: Totals | None
    ready: bool = True


def looked(
    before: AnalysisStatus,
    settings: Analysis,
    *,
    canary: Sequence[CountedPod],
    stable: Sequence[CountedPod],
    weight: int,
    counters: str = "",
    now: datetime,
) -> AnalysisStatus:
    """The state after a look at the pods; the same while it is too early, or nothing was added.

    `weight` is the percentage of requests that the new version has been given, and `counters` a
    name for what the pods are asked for from now on.
    """
    if before.counters != counters:
        # What was read up to now is still what they were asked for before.
        return before.model_copy(update={"counters": counters, "pods": ()})
    if not _is_due(before, settings, now):
        return before
    canary, stable = _bounded(canary, stable, {pod.uid for pod in before.pods})
    known = {pod.uid: pod for pod in warm(before)}
    added, compared = _added(canary, known), _added(stable, known)
    both = added.requests and compared.requests
    alone = weight == 100 and (added.requests or compared.requests)
    noted = _noted(before, settings, (*canary, *stable), anew=bool(both or alone), now=now)
    if not both and not alone:
        if noted == before.pods:
            return before
        return before.model_copy(update={"looked_at": now, "pods": noted})
    return before.model_copy(
        update={
            "looked_at": now,
            "step_requests": before.step_requests + added.requests,
            "canary": _sum((before.canary, added)),
            "stable": _sum((before.stable, compared)),
            "evidence": _evidence(before, settings, added, compared, noted)
            if both
            else before.evidence,
            "pods": noted,
            "looks": thinned(
                (*before.looks, Look(at=now, weight=weight, canary=added, stable=compared))
            ),
        }
    )


def waits_for_stable(
    status: AnalysisStatus, *, canary: Sequence[CountedPod], stable: Sequence[CountedPod]
) -> bool:
    """Whether of both versions only the new one has answered since they were last compared."""
    known = {pod.uid: pod for pod in warm(status)}
    read = any(pod.totals is not None and pod.uid in known for pod in stable)
    return read and _added(canary, known).requests > 0 and not _added(stable, known).requests


def warm(status: AnalysisStatus) -> Sequence[PodCounters]:
    """The pods whose requests count."""
    return [pod for pod in status.pods if pod.warms_since is None]


def counts_from(status: AnalysisStatus, settings: Analysis) -> datetime | None:
    """When the warm-up of the first pod is over, as far as that is known; None once it is."""
    if status.since is None or warm(status):
        return None
    first = min((pod.warms_since for pod in status.pods if pod.warms_since), default=status.since)
    return first + timedelta(seconds=settings.warm_up_seconds)


def tells_errors(status: AnalysisStatus) -> bool:
    """Whether the pods say which of their requests ended in errors."""
    return all(pod.errors is not None for pod in warm(status))


def tells_latency(status: AnalysisStatus) -> bool:
    """Whether the pods say how long their requests took."""
    return all(pod.timed is not None for pod in warm(status))


def thinned(looks: Sequence[Look]) -> tuple[Look, ...]:
    """The looks, neighbours put together where there are more than are kept."""
    if len(looks) <= MAX_LOOKS:
        return tuple(looks)
    # The latest stays as it is, so that a chart ends with what is now.
    older = looks[:-1]
    return (*(_together(older[at : at + 2]) for at in range(0, len(older), 2)), looks[-1])


def _is_due(before: AnalysisStatus, settings: Analysis, now: datetime) -> bool:
    if before.since is None:
        return False
    if before.looked_at is None or before.looked_at > now:  # by a clock that was ahead of ours
        return True
    return now >= before.looked_at + timedelta(seconds=settings.interval_seconds)


def _bounded(
    canary: Sequence[CountedPod], stable: Sequence[CountedPod], known: Collection[str]
) -> tuple[Sequence[CountedPod], Sequence[CountedPod]]:
    """As many pods of both as the status has room for, those that are in it already first."""
    if len(canary) + len(stable) <= MAX_COUNTED_PODS:
        return canary, stable

    def in_order(pods: Sequence[CountedPod]) -> Sequence[CountedPod]:
        return sorted(pods, key=lambda pod: (pod.uid not in known, pod.uid))

    first = in_order(canary)[: max(MAX_COUNTED_PODS // 2, MAX_COUNTED_PODS - len(stable))]
    return first, in_order(stable)[: MAX_COUNTED_PODS - len(first)]


def _added(pods: Iterable[CountedPod], known: Mapping[str, PodCounters]) -> Side:
    """What was added by the pods of one version."""
    return _sum(
        _increase(known[pod.uid], pod.totals)
        for pod in pods
        if pod.totals is not None and pod.uid in known
    )


def _increase(before: PodCounters, after: Totals) -> Side:
    """What a pod has added to its counters, of which only what is told both times is known."""
    started_anew = _has_started_anew(before, after)

    def added(earlier: int | None, later: int | None) -> int:
        if earlier is None or later is None:
            return 0
        return later if started_anew else later - earlier

    side = {
        "requests": added(before.requests, after.requests),
        "errors": added(before.errors, after.errors),
        "timed": added(before.timed, after.timed),
        "microseconds": added(before.microseconds, after.microseconds),
    }
    made_up = max(side["requests"], side["timed"]) > MOST or side["microseconds"] > LONGEST
    return Side() if made_up else Side(**side)


def _has_started_anew(before: PodCounters, after: Totals) -> bool:
    """Whether the container was restarted, so that its counters began at 0 again."""
    pairs = (
        (before.requests, after.requests),
        (before.errors, after.errors),
        (before.timed, after.timed),
        (before.microseconds, after.microseconds),
    )
    falls = any(b is not None and a is not None and a < b for b, a in pairs)
    # One that got beyond where it was meanwhile would have added more errors than requests.
    new_errors = (after.errors or 0) - (before.errors or 0)
    told = before.errors is not None and after.errors is not None
    return falls or (told and new_errors > after.requests - before.requests)


def _noted(
    before: AnalysisStatus,
    settings: Analysis,
    pods: Iterable[CountedPod],
    *,
    anew: bool,
    now: datetime,
) -> tuple[PodCounters, ...]:
    """How far each pod has been taken into account: up to now, if `anew` or it is new."""
    known = {pod.uid: pod for pod in before.pods}
    warm_up = timedelta(seconds=settings.warm_up_seconds)
    notes = (_note(pod, known.get(pod.uid), warm_up, anew=anew, now=now) for pod in pods)
    return tuple(sorted(filter(None, notes), key=lambda note: note.uid))


def _note(
    pod: CountedPod,
    before: PodCounters | None,
    warm_up: timedelta,
    *,
    anew: bool,
    now: datetime,
) -> PodCounters | None:
    totals = pod.totals
    if totals is None:
        return before
    if before is None:
        if not pod.ready:
            return None
        if warm_up:
            return PodCounters(uid=pod.uid, warms_since=now)
    elif before.warms_since is not None:
        if before.warms_since > now:  # by a clock that was ahead of ours
            return PodCounters(uid=pod.uid, warms_since=now)
        if now < before.warms_since + warm_up:
            return before
    elif not anew:
        return before
    return PodCounters(
        uid=pod.uid,
        requests=totals.requests,
        errors=totals.errors,
        timed=totals.timed,
        microseconds=totals.microseconds,
    )


def _evidence(
    before: AnalysisStatus,
    settings: Analysis,
    canary: Side,
    stable: Side,
    noted: Sequence[PodCounters],
) -> Evidence:
    counted = (*warm(before), *(pod for pod in noted if pod.warms_since is None))
    if any(pod.errors is None for pod in counted):
        # Requests of which it is not known how they ended are no proof of good ones.
        untold = {"requests": 0, "errors": 0}
        canary, stable = canary.model_copy(update=untold), stable.model_copy(update=untold)
    return observe(
        before.evidence,
        _as_noticed(canary, stable),
        stable,
        error_margin=settings.error_margin,
        performance_impact=settings.performance_impact,
    )


def _as_noticed(canary: Side, stable: Side) -> Side:
    """The canary as fast as stable, where it is slower by less than anybody would notice."""
    if not canary.timed or not stable.timed:
        return canary
    usual = stable.microseconds * canary.timed // stable.timed
    if not usual < canary.microseconds < usual + NOTICEABLE * canary.timed:
        return canary
    return canary.model_copy(update={"microseconds": usual})


def _together(looks: Sequence[Look]) -> Look:
    return looks[-1].model_copy(
        update={
            "canary": _sum(look.canary for look in looks),
            "stable": _sum(look.stable for look in looks),
        }
    )


def _sum(sides: Iterable[Side]) -> Side:
    each = tuple(sides)
    return Side(
        requests=min(sum(side.requests for side in each), _FULL),
        errors=min(sum(side.errors for side in each), _FULL),
        timed=min(sum(side.timed for side in each), _FULL),
        microseconds=min(sum(side.microseconds for side in each), _FULL),
    )
