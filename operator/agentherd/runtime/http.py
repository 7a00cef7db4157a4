"""The operator's own HTTP endpoints: `/healthz`, `/readyz`, `/metrics`.

Alive means that the loop which looks at the Lease still turns, whatever it finds there; so an
API server that is away restarts nobody. Ready means that the API server was reached lately and
that what the process needs to know has been read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agentherd.engine import census
from agentherd.engine.fleets import Fleets
from agentherd.engine.leadership import DURATION, Elector
from agentherd.engine.metrics import Metrics

STUCK_AFTER: Final = 60.0
"""Seconds without a turn of the leadership loop after which the process counts as stuck."""


@dataclass(slots=True)
class Health:
    """What the endpoints tell; `synced` is None while another process leads."""

    elector: Elector
    fleets: Fleets | None = None
    synced: bool | None = None

    def alive(self) -> str | None:
        """None when the process works, else what is wrong."""
        turn = self.elector.turn
        if turn is not None and _age(turn) > STUCK_AFTER:
            return f"the leadership loop has not turned for {_age(turn):.0f} s"
        return None

    def ready(self) -> str | None:
        """None when the process can do its work, else what is missing."""
        contact = self.elector.contact
        if contact is None:
            return "the API server has not been reached yet"
        if _age(contact) > DURATION:
            return f"the API server has not been reached for {_age(contact):.0f} s"
        if self.synced is False:
            return "the objects of the cluster have not been read yet"
        return None


@asynccontextmanager
async def serve(
    health: Health, metrics: Metrics, *, host: str, port: int
) -> AsyncIterator[web.AppRunner]:
    """Serve the endpoints while the context lasts; raises OSError when the port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(health.alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(health.ready())

    async def exposition(_: web.Request) -> web.Response:
        _measure(health, metrics)
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", exposition),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner
    finally:
        await runner.cleanup()


def _measure(health: Health, metrics: Metrics) -> None:
    metrics.leader.set(0 if health.synced is None else 1)
    census.take(health.fleets, metrics)


def _answer(problem: str | None) -> web.Response:
    return web.Response(text=problem or "ok", status=503 if problem else 200)


def _age(loop_time: float) -> float:
    return asyncio.get_running_loop().time() - loop_time
