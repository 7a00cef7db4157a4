"""kopf's frame: its settings, its login, and handlers that only turn events into keys.

kopf watches the resources that people write and tells every event; the store keeps what it says
and the queue does the rest. Two things kopf does not tell: that it has listed anew because its
watch was broken, and what was deleted in between. Its requests can be seen, though, on the session
it was given, so after every list of a kind the store is compared with what exists (`Sweeper`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import kopf

from agentherd.cluster import Cluster
from agentherd.domain.errors import AgentherdError
from agentherd.domain.kinds import GROUP, VERSION, Key, Kind
from agentherd.engine.fleets import Fleets
from agentherd.engine.store import SUBJECT_KINDS
from agentherd.runtime.connection import connect

log = logging.getLogger(__name__)


def settings() -> kopf.OperatorSettings:
    """How kopf is to behave: nothing kept on objects, no Events, its watches never silent."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.queueing.idle_timeout = 0.1
    chosen.watching.chunk_size = 500
    chosen.watching.connect_timeout = 5
    chosen.networking.request_timeout = 30
    chosen.process.ultimate_exiting_timeout = 20
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.diffbase_storage = _NoHistory()
    return chosen


class _NoHistory(kopf.DiffBaseStorage):
    """Keeps and compares nothing: no handler of ours asks kopf what has changed.

    kopf would copy every object of every event to be able to tell.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Find nothing worth comparing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Remember nothing."""
        return None

    def store(self, **_: Any) -> None:
        """Write nothing onto the object."""


class Sweeper:
    """Forgets what was deleted while nobody watched, of all `kinds` that kopf watches."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        fleets: Fleets,
        namespaces: tuple[str, ...],
        kinds: Collection[Kind] = SUBJECT_KINDS,
    ) -> None:
        self._cluster = cluster
        self._fleets = fleets
        self._scopes: tuple[str | None, ...] = namespaces or (None,)
        self._listed: set[Kind] = set()
        self._news = asyncio.Event()
        self._unswept = set(kinds)
        self.swept = asyncio.Event()

    def trace(self) -> aiohttp.TraceConfig:
        """A trace that notes of which kind kopf has listed the objects."""

        async def on_request_end(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            params: aiohttp.TraceRequestEndParams,
        ) -> None:
            kind = _BY_PLURAL.get(params.url.name)
            if kind is not None and "watch" not in params.url.query:
                self._note(kind)

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(on_request_end)
        return trace

    async def run(self) -> None:
        """Compare after every list, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            listed, self._listed = self._listed, set()
            for kind in listed:
                await self._sweep(kind)

    def _note(self, kind: Kind) -> None:
        self._listed.add(kind)
        self._news.set()

    async def _sweep(self, kind: Kind) -> None:
        try:
            known = [await self._compare(kind, namespace) for namespace in self._scopes]
        except AgentherdError as error:
            log.info("cannot list %s: %s", kind.plural, error)
            await asyncio.sleep(1)
            self._note(kind)
            return
        if not all(known):
            # kopf is still telling what it has listed, one object after the other.
            await asyncio.sleep(0.2)
            self._note(kind)
            return
        self._unswept.discard(kind)
        if not self._unswept:
            self.swept.set()

    async def _compare(self, kind: Kind, namespace: str | None) -> bool:
        """Forget what does not exist; whether all that exists is known."""
        alive: dict[Key, str] = {}
        version = 0
        async for page in self._cluster.list(kind, namespace=namespace, metadata_only=True):
            version = int(page.version)
            for item in page.items:
                metadata = item["metadata"]
                alive[Key(metadata["namespace"], metadata["name"])] = metadata["uid"]
        self._fleets.retain_subjects(kind, alive, version, namespace)
        return alive.keys() <= self._fleets.known(kind)


def handlers(
    fleets: Fleets,
    sweeper: Sweeper,
    chosen: kopf.OperatorSettings,
    kinds: Collection[Kind] = SUBJECT_KINDS,
) -> kopf.OperatorRegistry:
    """All that kopf is to call, for the `kinds` that the API server has."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        connection = connect(chosen)
        session = connection.session(traces=[sweeper.trace()])
        return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

    for kind in kinds:
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry)(_teller(fleets, kind))
    return registry


def _teller(fleets: Fleets, kind: Kind) -> Callable[..., Coroutine[None, None, None]]:
    async def tell(event: kopf.RawEvent, **_: Any) -> None:
        raw = event["object"]
        if event["type"] == "DELETED":
            metadata = raw["metadata"]
            key = Key(metadata["namespace"], metadata["name"])
            fleets.drop_subject(kind, key, int(metadata["resourceVersion"]))
        else:
            fleets.put_subject(kind, raw)

    tell.__name__ = kind.plural
    return tell


_BY_PLURAL: Final = {kind.plural: kind for kind in SUBJECT_KINDS}
