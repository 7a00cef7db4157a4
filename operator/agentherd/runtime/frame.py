"""kopf's frame: its settings, its login, and handlers that only turn events into keys.

kopf watches the Agents and tells every event; the store keeps what it says and
the queue does the rest. Two things kopf does not tell: that it has listed anew because its watch
was broken, and what was deleted in between. Its requests can be seen, though, on the session it
was given, so after every list of Agents the store is compared with what exists (`Sweeper`).
"""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf

from agentherd.cluster import Gateway
from agentherd.domain.errors import AgentherdError
from agentherd.domain.kinds import AGENT, GROUP, VERSION, Key
from agentherd.engine.store import Store
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
    """Forgets Agents that were deleted while nobody watched."""

    def __init__(self, *, gateway: Gateway, store: Store, namespaces: tuple[str, ...]) -> None:
        self._gateway = gateway
        self._store = store
        self._scopes: tuple[str | None, ...] = namespaces or (None,)
        self._listed = asyncio.Event()
        self.swept = asyncio.Event()

    def trace(self) -> aiohttp.TraceConfig:
        """A trace that notes when kopf has listed the Agents."""

        async def on_request_end(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            params: aiohttp.TraceRequestEndParams,
        ) -> None:
            url = params.url
            if url.path.endswith(f"/{AGENT.plural}") and "watch" not in url.query:
                self._listed.set()

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(on_request_end)
        return trace

    async def run(self) -> None:
        """Compare after every list, until cancelled."""
        while True:
            await self._listed.wait()
            self._listed.clear()
            try:
                known = [await self._compare(namespace) for namespace in self._scopes]
                if all(known):
                    self.swept.set()
                else:
                    # kopf is still telling what it has listed, one Agent after the other.
                    await asyncio.sleep(0.2)
                    self._listed.set()
            except AgentherdError as error:
                log.info("cannot list the Agents: %s", error)
                await asyncio.sleep(1)
                self._listed.set()

    async def _compare(self, namespace: str | None) -> bool:
        """Forget what does not exist; whether all that exists is known."""
        alive: dict[Key, str] = {}
        version = 0
        async for page in self._gateway.list(AGENT, namespace=namespace, metadata_only=True):
            version = int(page.version)
            for item in page.items:
                metadata = item["metadata"]
                alive[Key(metadata["namespace"], metadata["name"])] = metadata["uid"]
        self._store.retain_agents(alive, version, namespace)
        return alive.keys() <= self._store.agents.keys()


def handlers(
    store: Store, sweeper: Sweeper, chosen: kopf.OperatorSettings
) -> kopf.OperatorRegistry:
    """All that kopf is to call."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        connection = connect(chosen)
        session = connection.session(traces=[sweeper.trace()])
        return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

    @kopf.on.event(GROUP, VERSION, AGENT.plural, registry=registry)
    async def agent_event(event: kopf.RawEvent, **_: Any) -> None:
        raw = event["object"]
        if event["type"] == "DELETED":
            metadata = raw["metadata"]
            key = Key(metadata["namespace"], metadata["name"])
            store.drop_agent(key, int(metadata["resourceVersion"]))
        else:
            store.put_agent(raw)

    return registry
