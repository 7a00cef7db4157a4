"""Which pods go when a ReplicaSet shrinks, and when: first out of traffic, then idle, then gone.

A pod in excess is marked, which takes it out of traffic, and goes once it has nothing in flight or
its time is over. Nothing is remembered but the marks, and those are on the pods.

Which pods are deleted is not ours to say: the controller of ReplicaSets chooses, first the unready
ones, then by deletion cost. So the size is lowered only as far as every choice it has is right. As
long as some pods in excess still work, those that may go are *released*, to a cost below that of a
mere mark, and count from the moment that is seen. Pods that have ended or are being deleted do not
count in a ReplicaSet and take no part here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from agentherd.domain.readings import Reading

DRAINING_COST: Final = "-1000"
RELEASED_COST: Final = "-2000"

_SECOND: Final = timedelta(seconds=1)


class DrainingPod(Protocol):
    """What is asked of a pod that may have to go."""

    @property
    def uid(self) -> str:
        """Identity, by which readings are found and pods are named in the answer."""

    @property
    def name(self) -> str:
        """Name, which decides between pods that are alike."""

    @property
    def ready(self) -> bool:
        """Whether it could get requests if it were in traffic."""

    @property
    def admitted(self) -> bool:
        """Whether requests are sent to it even while it is unready."""

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out already."""

    @property
    def finished(self) -> bool:
        """Whether it has ended and stays as a record."""

    @property
    def in_traffic(self) -> bool:
        """Whether its label lets Services select it."""

    @property
    def draining_since(self) -> datetime | None:
        """When it was taken out of traffic to be stopped; None without that annotation."""

    @property
    def released(self) -> bool:
        """Whether its deletion cost is `RELEASED_COST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is written on a pod that has to go: since when, and whether it may be deleted now.

    The label takes it out of traffic, `since` and `cost` are annotations.
    """

    since: datetime
    released: bool

    @property
    def cost(self) -> str:
        """The deletion cost: of two pods that are ready, the one with the lower goes first."""
        return RELEASED_COST if self.released else DRAINING_COST


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinking:
    """What to write now, by uid of pod, and when to look again though nothing has happened.

    Marks come before a lower size, and a higher size comes before taking marks away: else the
    ReplicaSet would be short of a pod that is not marked.
    """

    size: int
    mark: Mapping[str, Mark]
    unmark: tuple[str, ...]
    wake_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Tells of a pod whether it may go, by what it reports or by time."""

    readings: Mapping[str, Reading]
    reports: bool
    settle: timedelta
    timeout: timedelta
    now: datetime

    def mark(self, pod: DrainingPod) -> datetime | None:
        """Since when it is out of traffic; None for a mark that is not kept or not yet true."""
        since = pod.draining_since
        if since is None or pod.in_traffic or since > self.now + _SECOND:
            return None
        return since

    def may_go(self, pod: DrainingPod) -> bool:
        """Whether nothing is lost with it, or it has had its time."""
        if not pod.ready and not pod.admitted:
            return True
        since = self.mark(pod)
        if since is None:
            return False
        settled = since + self.settle
        if self.now >= settled + self.timeout:
            return True
        if not self.reports:
            return self.now >= settled
        reading = self.readings.get(pod.uid)
        if not pod.ready:
            # It may well tell nothing any more, and then it is not waited for.
            return self.now >= settled and not (reading and reading.in_flight)
        return (
            reading is not None
            and reading.at >= settled
            and reading.in_flight == 0
            and reading.since_last == 0
        )

    def next_change(self, pod: DrainingPod) -> datetime | None:
        """When a marked pod that may not go yet may go by time alone."""
        since = self.mark(pod)
        if since is None:
            return None
        settled = since + self.settle
        if not self.reports or (not pod.ready and self.now < settled):
            return settled
        return settled + self.timeout

    def order(self, pod: DrainingPod) -> tuple[bool, bool, bool, datetime, str, str]:
        """Who goes first: the unready, then the longest marked, then by name.

        One that is released comes before others that are marked: the ReplicaSet may have been
        lowered for it already, and would take another one in its place.
        """
        since = self.mark(pod)
        marked = since is not None
        released = marked and pod.released
        return (pod.ready, not marked, not released, since or self.now, pod.name, pod.uid)


def shrink(
    *,
    current: int,
    size: int,
    pods: Collection[DrainingPod],
    readings: Mapping[str, Reading],
    reports: bool,
    settle: timedelta,
    timeout: timedelta,
    now: datetime,
) -> Shrinking:
    """Bring a ReplicaSet of `current` pods to `size`; up at once, down as its `pods` may go.

    A mark needs `settle` until nothing is sent to the pod any more; it then has `timeout` to
    finish. Pods that have metrics (`reports`) tell when they have; the others are not waited for.
    """
    judge = _Judge(readings=readings, reports=reports, settle=settle, timeout=timeout, now=now)
    alive = sorted((p for p in pods if not (p.deleting or p.finished)), key=judge.order)
    # What a ReplicaSet was told to remove and has not yet is still among the living, so it is
    # these that are counted; pods it has still to make are gone already.
    excess = alive[: max(0, len(alive) - size)]
    kept = alive[len(excess) :]
    going = {pod.uid for pod in excess if judge.may_go(pod)}
    staying = len(alive) - _certain(alive, excess, going)
    changes = [judge.next_change(pod) for pod in excess if pod.uid not in going]
    return Shrinking(
        size=max(size, min(current, staying)),
        mark=_marks(excess, going, judge) if kept or len(going) < len(excess) else {},
        unmark=tuple(p.uid for p in kept if p.draining_since is not None or not p.in_traffic),
        wake_at=min((change for change in changes if change), default=None),
    )


def mark_time(now: datetime) -> datetime:
    """The time of a mark made now, which has whole seconds: rounded up, never a wait too short."""
    return now if now.microsecond == 0 else now.replace(microsecond=0) + _SECOND


def _certain(
    alive: Sequence[DrainingPod], excess: Sequence[DrainingPod], going: Collection[str]
) -> int:
    """By how many pods the ReplicaSet can be lowered without one being taken that may not go."""
    released = [pod for pod in alive if pod.released]
    if any(pod.uid not in going for pod in released):
        return 0
    if len(going) == len(excess):
        return len(excess)
    if any(not pod.ready and pod.uid not in going for pod in excess):
        # That one would be taken before any that is ready.
        released = [pod for pod in released if not pod.ready]
    return len(released)


def _marks(
    excess: Sequence[DrainingPod], going: Collection[str], judge: _Judge
) -> Mapping[str, Mark]:
    """The marks that are missing or not as they should be.

    When all in excess may go there is nothing to choose between them and nobody is released.
    """
    marks = {}
    for pod in excess:
        since = judge.mark(pod)
        chosen = pod.released if len(going) == len(excess) else pod.uid in going
        if since is None or chosen != pod.released:
            marks[pod.uid] = Mark(since=since or mark_time(judge.now), released=chosen)
    return marks
