"""Looks at the metrics and the health of pods that are of interest, up to once a second.

What comes from a pod is made by somebody else's program: it may be late, endless, garbage or
hostile. A look that yields no number is no reading, never an error, and costs a bounded amount of
time and memory.

A pod that is slow to answer is looked at apart from then on, so that it delays only its like.

Nothing is remembered but the looks of the last seconds; a process that starts makes them again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import product
from typing import Final, Protocol, TypeVar
from zlib import crc32

import aiohttp

from agentherd.domain.kinds import Key
from agentherd.domain.readings import (
    UNCHECKED,
    WINDOW,
    Checks,
    Counters,
    Reading,
    Sample,
    Target,
    reading,
)
from agentherd.engine.exposition import mean, total, totals
from agentherd.engine.guest import body_of, guest

log = logging.getLogger(__name__)

TIMEOUT: Final = 0.9
"""Less than a second, so that a pod that hangs costs the others of its Agent no look."""

SLOW: Final = 0.3
"""Seconds after which a pod is looked at together with others like it the next time."""

BODY_LIMIT: Final = 4 * 2**20

AT_ONCE: Final = 50
"""Pods that are looked at together; as many slow ones besides."""

AT_ONCE_PER_AGENT: Final = 10
"""Fewer than in all, so that the pods of one Agent that hang leave room for the others."""


class Client(Protocol):
    """Asks pods; an answer that cannot be had is None, and a line in the log."""

    async def text(self, url: str) -> str | None:
        """The text at a URL, if the answer is 200."""
        ...

    async def status(self, url: str) -> int | None:
        """The status of an answer, whose body is not read."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[Client]]

T = TypeVar("T")


@asynccontextmanager
async def over_http() -> AsyncIterator[Client]:
    """A session with pods, in which no redirect is followed."""
    async with guest() as session:
        yield _OverHTTP(session)


class _OverHTTP:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def text(self, url: str) -> str | None:
        try:
            return await self._text(url)
        except (aiohttp.ClientError, OSError) as error:
            log.debug("no answer from %s: %s", url, error)
            return None

    async def status(self, url: str) -> int | None:
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, OSError) as error:
            log.debug("no answer from %s: %s", url, error)
            return None

    async def _text(self, url: str) -> str | None:
        accept = {"Accept": "text/plain;version=0.0.4"}
        async with self._session.get(url, allow_redirects=False, headers=accept) as response:
            if response.status != 200:
                log.debug("%s answers with status %d", url, response.status)
                return None
            body = await body_of(response, limit=BODY_LIMIT)
        if body is None:
            log.debug("%s answers with more than %d bytes", url, BODY_LIMIT)
            return None
        return body.decode(errors="replace")


@dataclass(slots=True)
class _Pod:
    target: Target
    samples: deque[Sample]
    seen: datetime | None = None
    reading: Reading | None = None
    checks: Checks = UNCHECKED
    slow: bool = False
    turn: float | None = None

    @property
    def tells(self) -> bool:
        """Whether there may be something new to decide on."""
        return self.target.counters is not None or self.checks.failures > 0


def _slots(number: int) -> Mapping[bool, asyncio.Semaphore]:
    """Room for looks at pods that answer quickly, and as much for those that are slow."""
    return {slow: asyncio.Semaphore(number) for slow in (False, True)}


@dataclass(slots=True)
class _Followed:
    pods: Mapping[str, _Pod]
    slots: Mapping[bool, asyncio.Semaphore] = field(
        default_factory=lambda: _slots(AT_ONCE_PER_AGENT)
    )


class Scraper:
    """Keeps what it sees of the pods it follows; calls `wake(key)` after every round that tells.

    A round ends when each pod has answered or had `TIMEOUT` seconds to; the next one of the same
    Agent begins at the next multiple of `interval`. Its slow pods have rounds of their own. A pod
    that is looked at more seldom takes part when it is its turn, together with those like it.
    """

    def __init__(
        self,
        *,
        wake: Callable[[Key], None],
        clock: Callable[[], datetime],
        interval: float = 1.0,
        connect: Connect = over_http,
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._interval = interval
        self._connect = connect
        self._slots = _slots(AT_ONCE)
        self._kept = math.ceil(WINDOW / interval) + 2
        self._followed: dict[Key, _Followed] = {}

    def follow(self, key: Key, targets: Collection[Target]) -> None:
        """Look at these pods of an Agent and at no others; what is known of them stays known."""
        if not targets:
            self._followed.pop(key, None)
            return
        followed = self._followed.setdefault(key, _Followed({}))
        known = followed.pods
        followed.pods = {each.uid: self._pod(known.get(each.uid), each) for each in targets}

    def _pod(self, known: _Pod | None, target: Target) -> _Pod:
        if known is None or known.target.counters != target.counters:
            return _Pod(target, deque(maxlen=self._kept))
        if known.target.health != target.health:
            return replace(known, target=target, checks=UNCHECKED)
        known.target = target
        return known

    def readings(self, key: Key) -> Mapping[str, Reading]:
        """What is known of the pods of an Agent, by uid; a pod that is not known is not there."""
        return {uid: pod.reading for uid, pod in self._pods(key).items() if pod.reading}

    def checks(self, key: Key) -> Mapping[str, Checks]:
        """How the pods of an Agent that are asked for their health have answered, by uid."""
        return {uid: pod.checks for uid, pod in self._pods(key).items() if pod.target.health}

    def _pods(self, key: Key) -> Mapping[str, _Pod]:
        followed = self._followed.get(key)
        return followed.pods if followed else {}

    async def run(self) -> None:
        """Look at all pods every `interval` seconds until cancelled."""
        rounds: dict[tuple[Key, bool], asyncio.Task[None]] = {}
        async with self._connect() as client, asyncio.TaskGroup() as group:
            while True:
                rounds = {each: task for each, task in rounds.items() if not task.done()}
                for key, slow in set(product(self._followed, (False, True))) - rounds.keys():
                    if pods := self._due(key, slow=slow):
                        task = self._round(key, pods, client, slow=slow)
                        rounds[key, slow] = group.create_task(task, name=f"scrape {key}")
                await asyncio.sleep(self._interval)

    def _due(self, key: Key, *, slow: bool) -> Sequence[_Pod]:
        """The pods to look at now; of those that are looked at seldom, the ones whose turn it is.

        The clock tells it, so that the pods of an Agent have it together; not all Agents do, or
        there would be one busy second in ten.
        """
        now = asyncio.get_running_loop().time()
        due = []
        for pod in self._pods(key).values():
            every = pod.target.every
            turn = (now + crc32(str(key).encode()) % every) // every
            if pod.slow is slow and (every == 1 or pod.turn != turn):
                pod.turn = turn
                due.append(pod)
        return due

    async def _round(self, key: Key, pods: Sequence[_Pod], client: Client, *, slow: bool) -> None:
        followed = self._followed.get(key)
        if followed is None:
            return
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(self._look(pod, followed.slots[slow], client))
        if any(pod.tells for pod in self._pods(key).values()):
            self._wake(key)

    async def _look(self, pod: _Pod, slots: asyncio.Semaphore, client: Client) -> None:
        loop = asyncio.get_running_loop()
        counters, health = pod.target.counters, pod.target.health
        async with slots, self._slots[pod.slow]:
            started = loop.time()
            async with asyncio.TaskGroup() as group:
                if counters is not None:
                    group.create_task(self._count(pod, counters, client))
                if health is not None:
                    group.create_task(self._check(pod, health, client))
        pod.slow = loop.time() - started > SLOW

    async def _count(self, pod: _Pod, counters: Counters, client: Client) -> None:
        now = asyncio.get_running_loop().time
        text = await _in_time(client.text, counters.url)
        found = totals(text, counters) if text is not None else None
        if text is not None and found is not None:
            in_flight = total(text, counters.in_flight)
            accuracy = mean(text, counters.accuracy) if counters.accuracy else None
            pod.samples.append(
                Sample(totals=found, in_flight=in_flight, at=now(), accuracy=accuracy)
            )
            pod.seen = self._clock()
        if pod.seen is not None:
            pod.reading = reading(
                pod.samples,
                now=now(),
                at=pod.seen,
                every=pod.target.every,
                figures=counters.figures,
            )

    async def _check(self, pod: _Pod, url: str, client: Client) -> None:
        status = await _in_time(client.status, url)
        if status is not None:
            pod.checks = pod.checks.after(status, at=asyncio.get_running_loop().time())


async def _in_time(ask: Callable[[str], Awaitable[T]], url: str) -> T | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await ask(url)
    except TimeoutError:
        log.debug("no answer from %s within %s s", url, TIMEOUT)
        return None
