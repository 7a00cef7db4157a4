"""A watch that misses nothing: list, follow, and list again when the thread is lost.

One reflector keeps true what a sink, such as the store, knows of the objects of one kind.
Deletions that happened while no watch was running are found by comparing the new list with what
was known.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from agentherd.cluster import Cluster
from agentherd.domain.errors import (
    AgentherdError,
    Expired,
    Forbidden,
    NotFound,
    TransientError,
)
from agentherd.domain.kinds import MANAGED_BY, MANAGED_BY_LABEL, Key, Kind
from agentherd.engine.metrics import Metrics

log = logging.getLogger(__name__)

OURS: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
FIRST_DELAY: Final = 0.2
LAST_DELAY: Final = 10.0

ABSENT_DELAY: Final = 60.0
"""Seconds after which it is looked again for a kind that the API server does not have."""


class Sink(Protocol):
    """Where a reflector puts what it sees."""

    def put(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """An object was made or has changed."""
        ...

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """An object has gone, as of `version`."""
        ...

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """These are all objects (of a namespace) as of `version`."""
        ...


class Reflector:
    """Keeps a sink up to date with one kind, in one namespace or everywhere.

    `selector` and `fields` choose among the objects: by default those with our label. An
    `optional` kind need not be there: it is then known that there are no such objects. `refused`
    is told why, where that is to be known, also of a kind that may not be read.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        cluster: Cluster,
        sink: Sink,
        metrics: Metrics,
        namespace: str | None = None,
        selector: str = OURS,
        fields: str = "",
        optional: bool = False,
        refused: Callable[[Kind, str], None] | None = None,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._cluster = cluster
        self._sink = sink
        self._metrics = metrics
        self._namespace = namespace
        self._selector = selector
        self._fields = fields
        self._optional = optional
        self._refused = refused

    async def run(self) -> None:
        """List and follow until cancelled."""
        delay = FIRST_DELAY
        while True:
            try:
                version = await self._list()
                self.synced.set()
                delay = FIRST_DELAY
                await self._follow(version)
            except Expired:
                # As it should be where no bookmarks tell how far a silent watch has come.
                log.debug("watch of %s has expired, listing again", self.kind.plural)
            except AgentherdError as error:
                if self._optional and isinstance(error, NotFound):
                    self.synced.set()
                    delay = ABSENT_DELAY
                if self._refused is not None and isinstance(error, NotFound | Forbidden):
                    self._refused(self.kind, str(error))
                    delay = ABSENT_DELAY
                log.warning("cannot list %s: %s", self.kind.plural, error)
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  (jitter)
                delay = min(LAST_DELAY, delay * 2)
            self._metrics.watch_restarts.labels(kind=self.kind.name).inc()

    async def _list(self) -> str:
        items = []
        version = "0"
        pages = self._cluster.list(
            self.kind, namespace=self._namespace, selector=self._selector, fields=self._fields
        )
        async for page in pages:
            items.extend(page.items)
            version = page.version
        self._sink.replace(self.kind, items, int(version), self._namespace)
        return version

    async def _follow(self, version: str) -> None:
        """Follow the watch, and take it up again where it ended for as long as that works."""
        delay = FIRST_DELAY
        while True:
            try:
                stream = self._cluster.watch(
                    self.kind,
                    version=version,
                    namespace=self._namespace,
                    selector=self._selector,
                    fields=self._fields,
                )
                async for event in stream:
                    version = event.object["metadata"]["resourceVersion"]
                    delay = FIRST_DELAY
                    if event.type == "DELETED":
                        metadata = event.object["metadata"]
                        key = Key(metadata.get("namespace", ""), metadata["name"])
                        self._sink.drop(self.kind, key, int(version))
                    elif event.type != "BOOKMARK":
                        self._sink.put(self.kind, event.object)
            except Expired:
                raise
            except TransientError as error:
                log.info("watch of %s ended: %s", self.kind.plural, error)
            # Also after an end in order, which a proxy may bring about at once and every time.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  (jitter)
            delay = min(LAST_DELAY, delay * 2)
