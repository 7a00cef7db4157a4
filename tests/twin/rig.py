"""`Rig`: an operator around a twin, driven by hand.

It is the operator's own store, reconciler and applier; what is missing is concurrency, so that a
run is the same every time. A rig that is dropped is a process that was killed: the next one knows
what it reads from the twin and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from tests.twin.cluster import Twin
from tests.twin.controllers import Controllers
from tests.twin.requests import Requests
from tests.twin.samples import NOON

from agentherd.cluster import WatchEvent
from agentherd.domain.decide import decide
from agentherd.domain.errors import TransientError
from agentherd.domain.judging.metrics import Measured, Question
from agentherd.domain.kinds import (
    AGENT,
    CHILD_KINDS,
    GATEWAY_KINDS,
    JOB,
    KUBELET_EVENT,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    POD,
    ROUTE_KINDS,
    Key,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Plan
from agentherd.domain.readings import Checks, Reading, Target
from agentherd.engine.applier import Applier
from agentherd.engine.audit import Audit
from agentherd.engine.metrics import Metrics
from agentherd.engine.mounts import MOUNT_EVENTS, MountFailures
from agentherd.engine.observe import Seen, agent_observer
from agentherd.engine.reconciler import GATHER_SECONDS, Reconciler
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import SUBJECT_KINDS, Store

OURS: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
ROUNDS: Final = 300
TURNS: Final = 5000
START: Final = 1000


def loop_clock() -> datetime:
    """The time of day by the loop's own time, in whole seconds; noon when a fake loop starts."""
    return NOON + timedelta(seconds=int(asyncio.get_running_loop().time()) - START)


@cache
def shared_metrics() -> Metrics:
    """Instruments that nobody reads."""
    return Metrics()


class Pods:
    """What is measured of pods: what a test has put here, by uid, or what `requests` make of it."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.requests: Requests | None = None
        self.known: dict[str, Reading] = {}
        self.checked: dict[str, Checks] = {}
        self.followed: dict[Key, tuple[Target, ...]] = {}

    def follow(self, key: Key, targets: Collection[Target]) -> None:
        """Note which pods are asked for."""
        self.followed[key] = tuple(targets)

    def readings(self, key: Key) -> Mapping[str, Reading]:
        """What is known of the pods that are asked for."""
        if self.requests is not None:
            return self._counted(key, self.requests)
        uids = {target.uid for target in self.followed.get(key, ())}
        return {uid: reading for uid, reading in self.known.items() if uid in uids}

    def checks(self, key: Key) -> Mapping[str, Checks]:
        """What is known of the health of the pods that are asked."""
        uids = {target.uid for target in self.followed.get(key, ()) if target.health}
        return {uid: checks for uid, checks in self.checked.items() if uid in uids}

    def telling(self) -> list[Key]:
        """The Agents that a round of looks at their pods wakes."""
        if self.requests is None:
            return []
        return [key for key, each in self.followed.items() if any(t.counters for t in each)]

    def _counted(self, key: Key, requests: Requests) -> Mapping[str, Reading]:
        pods = {raw["metadata"]["uid"]: raw for raw in self._twin.all(POD)}
        return {
            target.uid: Reading(
                recent=100,
                in_flight=0,
                at=loop_clock(),
                seconds=10,
                since_last=0,
                totals=requests.totals(pods[target.uid]),
            )
            for target in self.followed.get(key, ())
            if target.counters and target.uid in pods
        }


class Sources:
    """What sources of metrics answer: what a test has put here, by the names of metrics.

    A text says why there is no number; a source of which nothing is known has not answered yet.
    """

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self.known: dict[str, float | str] = {}
        self.asked: dict[Key, dict[Question, Measured | None]] = {}
        self._wake = wake

    def ask(self, key: Key, questions: Collection[Question]) -> None:
        """Note what is asked; who asks something new is told of the answer."""
        before = self.asked.get(key, {})
        self.asked[key] = {each: before.get(each) for each in questions}
        if self.asked[key].keys() - before.keys():
            asyncio.get_running_loop().call_soon(self._wake, key)

    def measurements(self, key: Key) -> Mapping[str, Measured]:
        """The answers to what is asked, each with the time at which it was first to be had."""
        asked = self.asked.get(key, {})
        for question, answer in asked.items():
            if answer is None and (known := self.known.get(question.metric)) is not None:
                value, why = (None, known) if isinstance(known, str) else (known, "")
                asked[question] = Measured(at=loop_clock(), value=value, message=why)
        return {question.metric: answer for question, answer in asked.items() if answer}


class Rig:
    """One process of the operator; needs a running loop, best one with fake time."""

    def __init__(
        self,
        twin: Twin,
        *,
        controllers: Controllers | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.twin = twin
        self.controllers = controllers or Controllers(twin)
        self.store = Store(AGENT, wake=lambda key: self.reconciler.queue.add(key))
        self.mounts = MountFailures(wake=lambda pod: self.store.wake_owner(POD, pod))
        self.pods = Pods(twin)
        self.sources = Sources(wake=lambda key: self.reconciler.queue.add(key))
        self.observe = agent_observer(
            self.store,
            self.mounts,
            self.pods,
            answers=self.sources,
            approvals_checked=lambda _: twin.forgery is not None,
        )
        counted = metrics or shared_metrics()
        self.reconciler: Reconciler[Seen] = Reconciler(
            AGENT,
            observe=self.observe,
            decide=decide,
            applier=Applier(
                cluster=twin,
                store=self.store,
                recorder=Recorder(twin, identity="rig", clock=loop_clock),
                witnesses=(Audit(counted, clock=loop_clock),),
            ),
            measurements=self.pods,
            metrics=counted,
            clock=loop_clock,
            sources=self.sources,
            correlation=self.store.under_way,
        )
        self._seen: int | None = None

    def feed(self) -> None:
        """Take in what has changed: at first by a list, then as a watch would tell it."""
        version = self.twin.version
        for kind in GATEWAY_KINDS:
            self.store.gateways.replace(kind, self.twin.all(kind), version, None)
        if self._seen is None:
            for kind in (*CHILD_KINDS, JOB):
                mine = [raw for raw in self.twin.all(kind) if _ours(raw["metadata"])]
                self.store.replace(kind, mine, version, None)
            for kind in ROUTE_KINDS:
                self.store.routes.replace(kind, self.twin.all(kind), version, None)
            for kind in SUBJECT_KINDS:
                for raw in self.twin.all(kind):
                    self.store.put_subject(kind, raw)
        else:
            self._follow(self._seen)
        self._seen = version

    async def work(self) -> None:
        """Reconcile until nobody waits; what fails for a while is asked for again later."""
        queue = self.reconciler.queue
        turns = 0
        while len(queue):
            turns += 1
            assert turns < TURNS, "the same is asked for again and again"
            key, asked_at = await queue.get()
            try:
                await self.reconciler.reconcile(key, asked_at)
            except TransientError:
                queue.add_after(key, 0.2)
            finally:
                queue.done(key)

    async def live(self, *, seconds: int) -> None:
        """Let operator and controllers work for so long, whatever changes."""
        for _ in range(seconds):
            for _ in range(6):
                self.feed()
                await self.work()
                self.controllers.settle()
            await asyncio.sleep(1)

    async def until_quiet(self, *, patience: float = GATHER_SECONDS + 1) -> None:
        """Let operator and controllers work until nothing changes for `patience` seconds."""
        for _ in range(ROUNDS):
            before = self.twin.version
            self.feed()
            await self.work()
            self.controllers.settle()
            if self.twin.version == before and not await self._is_asked_for(within=patience):
                return
        raise AssertionError(f"something changes after {ROUNDS} rounds still")

    async def _is_asked_for(self, *, within: float) -> bool:
        for _ in range(int(within)):
            await asyncio.sleep(1)
            for key in self.pods.telling():
                self.reconciler.queue.add(key)
            if len(self.reconciler.queue):
                return True
        return False

    def seen(self, name: str = "greeter") -> AgentObservation:
        """What is seen of an Agent now."""
        seen = self.observe(Key("default", name), {})
        assert isinstance(seen, AgentObservation)
        return seen

    def plan(self, name: str = "greeter") -> Plan:
        """What would be done now."""
        return decide(self.seen(name), loop_clock())

    def _follow(self, since: int) -> None:
        for kind in (*CHILD_KINDS, JOB):
            for event in self.twin.news(kind, since, selector=OURS):
                if event.type == "DELETED":
                    self.store.drop(kind, *_gone(event))
                else:
                    self.store.put(kind, event.object)
        for event in self.twin.news(KUBELET_EVENT, since, fields=MOUNT_EVENTS):
            self.mounts.put(KUBELET_EVENT, event.object)
        for kind in ROUTE_KINDS:
            for event in self.twin.news(kind, since):
                if event.type == "DELETED":
                    self.store.routes.drop(kind, *_gone(event))
                else:
                    self.store.routes.put(kind, event.object)
        for kind in SUBJECT_KINDS:
            for event in self.twin.news(kind, since):
                if event.type == "DELETED":
                    self.store.drop_subject(kind, *_gone(event))
                else:
                    self.store.put_subject(kind, event.object)


def _gone(event: WatchEvent) -> tuple[Key, int]:
    metadata = event.object["metadata"]
    return Key(metadata["namespace"], metadata["name"]), int(metadata["resourceVersion"])


def _ours(metadata: dict[str, dict[str, str]]) -> bool:
    return metadata.get("labels", {}).get(MANAGED_BY_LABEL) == MANAGED_BY
