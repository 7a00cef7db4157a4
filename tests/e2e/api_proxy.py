"""The way from the operator to the API server, which a test can block, cut and make forgetful.

It speaks plain HTTP to the operator and uses the test's own credentials towards the API server,
so that it can answer a watch itself: a server whose history was compacted is one that answers
410. Everything else passes through as it is, and what is written is kept in its order. It listens
where the operator runs.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiohttp
from aiohttp import web
from kubernetes import client, config
from tests.e2e.network import LOOPBACK, cluster_network
from yarl import URL

T = TypeVar("T")

WITHIN: Final = 10.0
_HOP: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A request that changes something, at a time in seconds since the epoch."""

    at: float
    method: str
    path: str
    body: bytes


class ApiProxy:
    """A proxy in a thread of its own, while it is entered; `kubeconfig` leads through it.

    `writes` are those of the operator so far, its Lease's left aside.
    """

    def __init__(self, *, upstream: str | None, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.writes: list[Write] = []
        self._upstream = client.Configuration()
        config.load_kube_config(config_file=upstream, client_configuration=self._upstream)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api-proxy")
        self._passable = asyncio.Event()
        self._passable.set()
        self._forgotten = 0
        self._requests: set[web.Request] = set()
        self._port = 0

    def __enter__(self) -> Self:
        """Serve, and write the kubeconfig."""
        self._thread.start()
        self._do(self._start())
        cluster = {"server": f"http://{LOOPBACK}:{self._port}"}
        written = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": "the-proxy-has-its-own"}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "test"}}],
            "current-context": "proxy",
        }
        self.kubeconfig.write_text(json.dumps(written))
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections and the thread."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def block(self) -> None:
        """Swallow everything, as a network does that loses all packets."""
        self._loop.call_soon_threadsafe(self._passable.clear)

    def unblock(self) -> None:
        """Let through what was held back, and what comes."""
        self._loop.call_soon_threadsafe(self._passable.set)

    def cut(self) -> None:
        """Break all connections and accept no more, as a server that was stopped."""
        self._do(self._cut())

    def mend(self, *, forgotten_before: str = "0") -> None:
        """Accept connections again; watches from before a resource version are answered 410."""
        self._forgotten = int(forgotten_before)
        self._do(self._listen())

    async def _start(self) -> None:
        chosen = self._upstream
        if chosen.host.startswith("https"):
            context = ssl.create_default_context(cafile=chosen.ssl_ca_cert)
            if chosen.cert_file:
                context.load_cert_chain(chosen.cert_file, chosen.key_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=context if chosen.host.startswith("https") else True
            ),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await self._listen()

    async def _stop(self) -> None:
        await self._cut()
        await self._runner.cleanup()
        if (connector := self._session.connector) is not None:
            # The loop ends now, and nobody would see a handshake of goodbye through.
            await connector.close(abort_ssl=True)
        await self._session.close()
        # Connections that are just being made belong to nobody but their tasks.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        # A watch that was cut waits for the server's goodbye, for up to half a minute, and only the
        # loop still knows its connection.
        for transport in list(vars(self._loop)["_transports"].values()):
            transport.abort()
        await asyncio.sleep(0)

    async def _listen(self) -> None:
        listening = cluster_network().listen(self._port)
        self._port = listening.getsockname()[1]
        self._site = web.SockSite(self._runner, listening)
        await self._site.start()

    async def _cut(self) -> None:
        if self._site in self._runner.sites:
            await self._site.stop()
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await self._passable.wait()
        watched = request.query.get("watch") in {"1", "true"}
        if watched and int(request.query.get("resourceVersion") or 0) < self._forgotten:
            return web.Response(text=json.dumps(_GONE) + "\n", content_type="application/json")
        authorization = self._upstream.auth_settings().get("BearerToken")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        headers.pop("Authorization", None)
        if authorization and authorization["value"]:
            headers["Authorization"] = authorization["value"]
        body = await request.read()
        if request.method not in {"GET", "HEAD"} and "/leases" not in request.path:
            self.writes.append(
                Write(at=time.time(), method=request.method, path=request.path, body=body)
            )
        async with self._session.request(
            request.method,
            URL(self._upstream.host + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
        ) as upstream:
            kept = {k: v for k, v in upstream.headers.items() if k.lower() not in _HOP}
            response = web.StreamResponse(status=upstream.status, headers=kept)
            await self._passable.wait()
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await self._passable.wait()
                await response.write(chunk)
            await response.write_eof()
            return response

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN)


_GONE: Final = {
    "type": "ERROR",
    "object": {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
        "message": "too old resource version",
    },
}
