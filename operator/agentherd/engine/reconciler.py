"""The loop of the operator: take a key, observe, decide, apply.

It is the same for every kind; what differs is given: how to observe, and what to decide. All
that is remembered between two turns are things that may be forgotten: which write was refused
and when to try again, and how long unimportant news has waited.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from agentherd.domain.errors import Invalid, TerminalError, TransientError
from agentherd.domain.judging.metrics import Question
from agentherd.domain.kinds import REPLICA_SET, Key, Kind
from agentherd.domain.plan import Failure, Owner, Plan, Ref, Write, WriteStatus
from agentherd.domain.readings import Target
from agentherd.domain.reasons import Reason
from agentherd.domain.warmth import WarmUpRequest
from agentherd.engine.about import ABOUT, About
from agentherd.engine.applier import Applier, Refusal, is_left_out
from agentherd.engine.metrics import Metrics
from agentherd.engine.work_queue import WorkQueue

log = logging.getLogger(__name__)

RESULTS: Final = ("done", "failed", "bug")
"""How a turn may end, in the words of the metrics: all of them count from 0."""

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 10.0

REFUSED_RETRY: Final = timedelta(minutes=5)
"""A refused object is refused again, unless a policy or webhook changed its mind."""

FORBIDDEN_RETRY: Final = timedelta(seconds=15)
"""Quota and permissions change without a word to us."""

REPEATED: Final = 60.0
"""Seconds after which the log says the same of an object again."""

SAME_AGAIN: Final = 1.0
"""Seconds before an object is looked at again for which there was nothing to do, if that is asked
for at once: the same would follow, and workers that turn without a wait let nothing else run, not
even what they wait for."""

GATHER_SECONDS: Final = 5.0
"""How long counters and wordings of a status may wait for news that matters."""


class Observation(Protocol):
    """What was seen of one object and of all that belongs to it."""

    @property
    def owner(self) -> Owner | None:
        """The object that is reconciled; None when only something of it is left."""
        ...

    @property
    def generation(self) -> int:
        """Which spec of the object was seen."""
        ...

    @property
    def phase(self) -> str | None:
        """The phase that its status says."""
        ...


class Measurements(Protocol):
    """What goes and looks at pods when a decision depends on it."""

    def follow(self, key: Key, targets: Collection[Target]) -> None:
        """Measure these pods for an object from now on, and no others."""
        ...


class Sources(Protocol):
    """Whom else is asked when a decision depends on it."""

    def ask(self, key: Key, questions: Collection[Question]) -> None:
        """Ask this for an object from now on, and nothing else."""
        ...


class WarmUps(Protocol):
    """What asks cold pods to answer their warm-up request."""

    def follow(self, key: Key, requests: Collection[WarmUpRequest]) -> None:
        """Ask this of pods of an object from now on, and nothing else."""
        ...


class _Nobody:
    def ask(self, key: Key, questions: Collection[Question]) -> None:
        """Nobody is there to be asked."""

    def follow(self, key: Key, requests: Collection[WarmUpRequest]) -> None:
        """Nobody is there to ask them."""


O = TypeVar("O", bound=Observation)  # noqa: E741  (an observation)
Failures = Mapping[Ref, Failure]


class Reconciler(Generic[O]):
    """Brings the objects of one kind to what their specs say."""

    def __init__(
        self,
        kind: Kind,
        *,
        observe: Callable[[Key, Failures], O | None],
        decide: Callable[[O, datetime], Plan],
        applier: Applier,
        measurements: Measurements,
        metrics: Metrics,
        clock: Callable[[], datetime],
        sources: Sources | None = None,
        warm_ups: WarmUps | None = None,
        queue: WorkQueue[Key] | None = None,
        correlation: Callable[[Key], str] = lambda _key: "",
    ) -> None:
        self.queue: WorkQueue[Key] = WorkQueue() if queue is None else queue
        self._correlation = correlation
        self._kind = kind
        self._observe = observe
        self._decide = decide
        self._applier = applier
        self._measurements = measurements
        self._sources = sources or _Nobody()
        self._warm_ups = warm_ups or _Nobody()
        self._reconciles = {
            result: metrics.reconciles.labels(kind=kind.name, result=result) for result in RESULTS
        }
        self._reconcile_seconds = metrics.reconcile_seconds.labels(kind=kind.name)
        self._transition_seconds = metrics.transition_seconds.labels(kind=kind.name)
        self._clock = clock
        self._uids: dict[Key, str] = {}
        self._failures: dict[Key, dict[Ref, Failure]] = {}
        self._retries: dict[Key, int] = {}
        self._told: dict[Key, tuple[str, float]] = {}
        self._gathering: dict[Key, float] = {}

    async def run(self, *, workers: int) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(), name=f"{self._kind.plural}-{number}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key, asked_at = await self.queue.get()
            result = "done"
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                await self.reconcile(key, asked_at)
            except TransientError as error:
                result = "failed"
                self._retry(key, error)
            except Exception:  # a bug met on one object must not cost the others
                result = "bug"
                log.exception("cannot reconcile %s %s", self._kind.name, key)
                self._retry(key, None)
            finally:
                self.queue.done(key)
                self._reconciles[result].inc()
                self._reconcile_seconds.observe(loop.time() - started)

    async def reconcile(self, key: Key, asked_at: float) -> None:
        """One turn for one object; `asked_at` is the loop time of the event behind it."""
        ABOUT.set(About(self._kind.name, key, self._correlation))
        now = self._clock()
        seen = self._look(key)
        if seen is None:
            self._forget(key)
            return
        plan = self._patient(key, self._decide(seen, now))
        self._measurements.follow(key, plan.measure)
        self._sources.ask(key, plan.ask)
        self._warm_ups.follow(key, plan.warm)
        refusals = await self._applier.carry_out(key, seen.owner, plan)
        self._retries.pop(key, None)
        self._account(seen, plan, asked_at)
        if self._settle(key, seen, plan, refusals, now):
            self.queue.add(key)
        elif plan.wake_at is not None:
            wait = (plan.wake_at - now).total_seconds()
            self.queue.add_after(key, wait if plan.intents or wait > 0 else SAME_AGAIN)

    def _look(self, key: Key) -> O | None:
        """What is seen of an object, with nothing that is remembered of an earlier one of its name.

        The first spec of both has the same generation.
        """
        seen = self._observe(key, self._failures.get(key, {}))
        uid = seen.owner.identity.uid if seen is not None and seen.owner is not None else None
        if self._uids.get(key, uid) != uid:
            self._forget(key)
            seen = self._observe(key, {})
        if uid is not None:
            self._uids[key] = uid
        return seen

    def _patient(self, key: Key, plan: Plan) -> Plan:
        """Hold status writes that are not urgent until they have waited long enough."""
        writes = [i for i in plan.intents if isinstance(i, WriteStatus)]
        if not writes or any(write.urgent for write in writes):
            self._gathering.pop(key, None)
            return plan
        loop_time = asyncio.get_running_loop().time()
        due = self._gathering.setdefault(key, loop_time + GATHER_SECONDS)
        if loop_time >= due:
            del self._gathering[key]
            return plan
        self.queue.add_after(key, due - loop_time)
        return replace(plan, intents=tuple(i for i in plan.intents if i not in writes))

    def _account(self, seen: O, plan: Plan, asked_at: float) -> None:
        for intent in plan.intents:
            if not isinstance(intent, WriteStatus) or intent.target.kind is not self._kind:
                continue
            if intent.status.get("phase") == seen.phase:
                continue
            self._transition_seconds.observe(asyncio.get_running_loop().time() - asked_at)

    # Failures

    def _settle(
        self, key: Key, seen: O, plan: Plan, refusals: list[Refusal], now: datetime
    ) -> bool:
        """Remember what was refused, forget what went through; whether anything changed.

        What is due for another try and is not in the plan is not wanted any more, and forgotten.
        """
        known = self._failures.get(key, {})
        refused = {refusal.ref: refusal.error for refusal in refusals}
        writes = [intent for intent in plan.intents if isinstance(intent, Write)]
        left = {write.ref for write in writes if is_left_out(write, refusals)}
        tried = {write.ref for write in writes} - left
        kept = {
            ref: failure
            for ref, failure in known.items()
            if ref not in tried
            and failure.generation == seen.generation
            and (ref in left or failure.retry_at > now)
        }
        for ref, error in refused.items():
            retry = REFUSED_RETRY if isinstance(error, Invalid) else FORBIDDEN_RETRY
            kept[ref] = Failure(
                reason=_reason(ref, error),
                message=f"{ref}: {error}",
                generation=seen.generation,
                retry_at=now + retry,
                at=now,
            )
            log.info("%s %s: %s: %s", self._kind.name, key, ref, error)
        if kept:
            self._failures[key] = kept
        else:
            self._failures.pop(key, None)
        return bool(refused) or kept.keys() != known.keys()

    def _forget(self, key: Key) -> None:
        self._measurements.follow(key, ())
        self._sources.ask(key, ())
        self._warm_ups.follow(key, ())
        self._uids.pop(key, None)
        self._failures.pop(key, None)
        self._retries.pop(key, None)
        self._told.pop(key, None)
        self._gathering.pop(key, None)

    def _retry(self, key: Key, error: TransientError | None) -> None:
        """Ask for the key again: later each time, and not together with all others.

        Whatever is seen of the object meanwhile asks for it earlier: what is kept from being
        written may be a rollback. While its pods are measured that is once a second.
        """
        tries = self._retries.get(key, 0)
        self._retries[key] = tries + 1
        delay = min(LAST_RETRY, FIRST_RETRY * 2 ** min(tries, 10))
        delay *= random.uniform(0.5, 1.0)  # noqa: S311  (jitter)
        if error is not None:
            delay = max(delay, error.retry_after or 0)
            self._tell(key, str(error), delay)
        self.queue.add_after(key, delay)

    def _tell(self, key: Key, trouble: str, delay: float) -> None:
        """Say in the log why it is tried again; the same thing not at each try."""
        now = asyncio.get_running_loop().time()
        before, at = self._told.get(key, ("", now))
        if before == trouble and now < at + REPEATED:
            return
        self._told[key] = (trouble, now)
        log.info("%s %s: %s, again within %.1f s", self._kind.name, key, trouble, delay)


def _reason(ref: Ref, error: TerminalError) -> Reason:
    if isinstance(error, Invalid) and ref[0] == REPLICA_SET.name:
        return Reason.INVALID_TEMPLATE
    return error.reason
