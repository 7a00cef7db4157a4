"""Events for people: few, and gathered.

The same thing told again within ten minutes raises the count of the Event that is there. Every
object has a budget of Events, as in client-go: a burst of 25, then one in five minutes. An Event
that cannot be written is dropped: it is news, and the status holds the truth.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agentherd.cluster import Cluster
from agentherd.domain.errors import AgentherdError
from agentherd.domain.kinds import EVENT, Key
from agentherd.domain.plan import Emit, digest
from agentherd.domain.reasons import Reason

log = logging.getLogger(__name__)

CONTROLLER: Final = "agentherd.dev/operator"
GATHERED_FOR: Final = timedelta(minutes=10)
BURST: Final = 25
REFILL: Final = timedelta(minutes=5)
REMEMBERED: Final = 4096

NAME_SIZE: Final = 253
NOTE_BYTES: Final = 1024
INSTANCE_BYTES: Final = 128
"""What the API server takes of an Event; it counts bytes, and refuses what is longer."""


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: datetime


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: datetime

    def take(self, now: datetime) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.at) / REFILL)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Recorder:
    """Writes Events about objects; `identity` is the name of this process."""

    def __init__(self, cluster: Cluster, *, identity: str, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._identity = identity
        self._clock = clock
        self._series: OrderedDict[tuple[str, Reason], _Series] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    async def record(self, namespace: str, emit: Emit) -> None:
        """Write the Event, or count it with the one that is there."""
        now = self._clock()
        target = emit.target
        series = self._series.get((target.uid, emit.reason))
        try:
            if series is not None and now - series.last < GATHERED_FOR:
                series.count += 1
                series.last = now
                await self._count(namespace, series)
                return
            budget = self._budgets.setdefault(target.uid, _Budget(BURST, now))
            _trim(self._budgets)
            if not budget.take(now):
                return
            name = _name(emit)
            self._series[target.uid, emit.reason] = _Series(name, 1, now)
            _trim(self._series)
            await self._cluster.create(EVENT, self._event(namespace, emit, name))
        except AgentherdError as error:
            self._series.pop((target.uid, emit.reason), None)
            log.info("no Event %s for %s: %s", emit.reason, target.name, error)

    async def _count(self, namespace: str, series: _Series) -> None:
        await self._cluster.merge(
            EVENT,
            Key(namespace, series.name),
            {"series": {"count": series.count, "lastObservedTime": _micro(series.last)}},
        )

    def _event(self, namespace: str, emit: Emit, name: str) -> dict[str, Any]:
        target = emit.target
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro(emit.at),
            "type": "Warning" if emit.warning else "Normal",
            "reason": emit.reason.value,
            "action": "Reconcile",
            "note": _cut(emit.message, NOTE_BYTES),
            "reportingController": CONTROLLER,
            "reportingInstance": _cut(self._identity, INSTANCE_BYTES),
            "regarding": {
                "apiVersion": target.kind.api_version,
                "kind": target.kind.name,
                "name": target.name,
                "namespace": namespace,
                "uid": target.uid,
            },
        }


def _name(emit: Emit) -> str:
    """A name for each thing told; the end of a long one of the object has no room in it."""
    target = emit.target
    unique = digest([target.uid, emit.reason, emit.at.isoformat()])
    return f"{target.name[: NAME_SIZE - 1 - len(unique)].rstrip('.-')}.{unique}"


def _cut(text: str, size: int) -> str:
    """The beginning of a text that has no more than `size` bytes, without half a character."""
    return text.encode()[:size].decode(errors="ignore")


def _trim(memory: OrderedDict[Any, Any]) -> None:
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _micro(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
