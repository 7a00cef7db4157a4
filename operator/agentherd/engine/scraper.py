"""Looks at the metrics of the pods of Agents that are being upgraded, every second.

What comes from a pod is made by somebody else's program: it may be late, endless, garbage or
hostile. A look that yields no number is no reading, never an error, and costs a bounded amount of
time and memory. Only the lines of the two metrics are read and their labels skipped, which takes
a fraction of what parsing a whole exposition does, hundreds of times a second.

Nothing is remembered but the looks of the last seconds; a process that starts makes them again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Final

import aiohttp

from agentherd import __version__
from agentherd.domain.kinds import Key
from agentherd.domain.readings import WINDOW, Reading, Sample, Target, reading

log = logging.getLogger(__name__)

TIMEOUT: Final = 0.9
"""Less than a second, so that a pod that hangs costs the others of its Agent no look."""

BODY_LIMIT: Final = 4 * 2**20

SERIES_LIMIT: Final = 10_000
"""Combinations of labels of one metric, which are all in a body and all added up."""

AT_ONCE: Final = 50
AT_ONCE_PER_AGENT: Final = 10
"""Fewer than in all, so that the pods of one Agent that hang leave room for the others."""

COUNTABLE: Final = 2.0**53
"""From here on a float does not count by one any more."""

Fetch = Callable[[str], Awaitable[str | None]]
"""Reads the text at a URL; None, and a line in the log, when there is none."""

Connect = Callable[[], AbstractAsyncContextManager[Fetch]]


@asynccontextmanager
async def over_http() -> AsyncIterator[Fetch]:
    """A session with pods: it follows no redirect and knows no proxy and no cookies."""
    async with aiohttp.ClientSession(
        # A kept connection would make a server wait that ends once its clients have gone.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "Accept": "text/plain;version=0.0.4",
            # What is not unpacked cannot turn out to be larger than it was.
            "Accept-Encoding": "identity",
            "User-Agent": f"agentherd/{__version__}",
        },
        auto_decompress=False,
        trust_env=False,
    ) as session:

        async def fetch(url: str) -> str | None:
            try:
                return await _text(session, url)
            except (aiohttp.ClientError, OSError) as error:
                log.debug("no answer from %s: %s", url, error)
                return None

        yield fetch


async def _text(session: aiohttp.ClientSession, url: str) -> str | None:
    body = bytearray()
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            log.debug("%s answers with status %d", url, response.status)
            return None
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > BODY_LIMIT:
                log.debug("%s answers with more than %d bytes", url, BODY_LIMIT)
                return None
    return body.decode(errors="replace")


@dataclass(slots=True)
class _Pod:
    target: Target
    samples: deque[Sample]
    seen: datetime | None = None
    reading: Reading | None = None


@dataclass(slots=True)
class _Followed:
    pods: Mapping[str, _Pod]
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_PER_AGENT))


class Scraper:
    """Keeps readings of the pods it follows; calls `wake(key)` after every round of an Agent.

    A round ends when each pod has answered or had `TIMEOUT` seconds to; the next one of the same
    Agent begins at the next multiple of `interval`.
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
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._kept = math.ceil(WINDOW / interval) + 2
        self._followed: dict[Key, _Followed] = {}

    def follow(self, key: Key, targets: Collection[Target]) -> None:
        """Look at these pods of an Agent and at no others; what is known of them stays known."""
        if not targets:
            self._followed.pop(key, None)
            return
        followed = self._followed.setdefault(key, _Followed({}))
        followed.pods = {
            target.uid: pod
            if (pod := followed.pods.get(target.uid)) and pod.target == target
            else _Pod(target, deque(maxlen=self._kept))
            for target in targets
        }

    def readings(self, key: Key) -> Mapping[str, Reading]:
        """What is known of the pods of an Agent, by uid; a pod that is not known is not there."""
        followed = self._followed.get(key)
        pods = followed.pods if followed else {}
        return {uid: pod.reading for uid, pod in pods.items() if pod.reading}

    async def run(self) -> None:
        """Look at all pods every `interval` seconds until cancelled."""
        rounds: dict[Key, asyncio.Task[None]] = {}
        async with self._connect() as fetch, asyncio.TaskGroup() as group:
            while True:
                rounds = {key: task for key, task in rounds.items() if not task.done()}
                for key in self._followed.keys() - rounds.keys():
                    rounds[key] = group.create_task(self._round(key, fetch), name=f"scrape {key}")
                await asyncio.sleep(self._interval)

    async def _round(self, key: Key, fetch: Fetch) -> None:
        followed = self._followed.get(key)
        if followed is None:
            return
        async with asyncio.TaskGroup() as group:
            for pod in followed.pods.values():
                group.create_task(self._look(pod, followed.slots, fetch))
        if key in self._followed:
            self._wake(key)

    async def _look(self, pod: _Pod, slots: asyncio.Semaphore, fetch: Fetch) -> None:
        loop = asyncio.get_running_loop()
        text = None
        async with slots, self._slots:
            try:
                async with asyncio.timeout(TIMEOUT):
                    text = await fetch(pod.target.url)
            except TimeoutError:
                log.debug("no answer from %s within %s s", pod.target.url, TIMEOUT)
        requests = total(text, pod.target.requests) if text is not None else None
        if text is not None and requests is not None:
            in_flight = total(text, pod.target.in_flight)
            pod.samples.append(Sample(requests=requests, in_flight=in_flight, at=loop.time()))
            pod.seen = self._clock()
        if pod.seen is not None:
            pod.reading = reading(pod.samples, now=loop.time(), at=pod.seen)


def total(text: str, name: str) -> float | None:
    """The sum of all samples of a metric in the Prometheus text format.

    None when there is no such metric or it is not a count. One that is declared and has no sample
    yet, as a counter with labels before the first request, is 0.
    """
    text = "\n" + text
    samples, declaration = _patterns(name)
    found = [match[1] for match in islice(samples.finditer(text), SERIES_LIMIT + 1)]
    if not found:
        return 0.0 if declaration.search(text) else None
    try:
        values = [float(value) for value in found]
    except ValueError:
        values = []
    if len(found) > SERIES_LIMIT or not values or not all(0 <= v < COUNTABLE for v in values):
        log.debug("%s is not a count", name)
        return None
    return math.fsum(values)


@lru_cache(maxsize=256)
def _patterns(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of a metric's samples, with the value as group 1, and of its declaration."""
    label_set = r'\{(?:[^"\n}]++|"(?:[^"\\\n]++|\\.)*+")*+\}'
    # OpenMetrics declares a counter without its suffix.
    declared = "|".join(map(re.escape, {name, name.removesuffix("_total")}))
    return (
        re.compile(rf"\n{re.escape(name)}(?=[{{ \t])[ \t]*(?:{label_set})?[ \t]*(\S*)"),
        re.compile(rf"\n# TYPE (?:{declared})[ \t]"),
    )
