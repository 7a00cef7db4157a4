"""From the start to the last line: listen, load, serve, watch the settings, drain, leave.

It listens before the model is loaded, so that a probe is told "loading" and not refused. While
requests are in flight it keeps listening: endpoints are updated a moment after a pod begins to
end, and a request that still arrives is better answered than refused. It closes once nothing is in
flight or the grace is over, whichever comes first.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from model_server.server import Identity, Server, write_event
from model_server.settings import SettingsRejectedError, Source
from model_server.web import Sleep, build_app

CONFIG_DIR = "/etc/agentherd/config"
POLL_SECONDS = 1.0
# For answers that are written but not yet sent when nothing is in flight any more.
CLOSING_SECONDS = 1.0


def run_from_environment() -> int:
    """Run with what the environment says; give the exit code."""
    directory = Path(os.environ.get("AGENTHERD_CONFIG_DIR", CONFIG_DIR))
    try:
        asyncio.run(
            _run(
                Source(os.environ, directory),
                port=int(os.environ.get("PORT", "8080")),
                drain_seconds=float(os.environ.get("DRAIN_SECONDS", "25")),
            )
        )
    except SettingsRejectedError as rejected:
        write_event("settings-rejected", error=str(rejected), key=rejected.key)
        return 1
    return 0


async def _run(source: Source, *, port: int, drain_seconds: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(identity=Identity.of(os.environ), source=source)
    await serve(server, stop=stop, host="0.0.0.0", port=port, drain_seconds=drain_seconds)


async def serve(
    server: Server,
    *,
    stop: asyncio.Event,
    host: str,
    port: int,
    drain_seconds: float,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Serve until `stop` is set, then drain; port 0 takes a free one and `start` names it."""
    app = build_app(server, sleep=sleep)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        server.log("start", **asdict(server.identity), port=runner.addresses[0][1])
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(server.load(), name="load"),
                tasks.create_task(_watch(server), name="watch"),
            ]
            await stop.wait()
            await _drain(server, within=drain_seconds)
            for task in background:
                task.cancel()
    finally:
        await runner.cleanup()
        server.close()
    server.log("cleanup", served=server.traffic.finished)


async def _watch(server: Server) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        server.tick()


async def _drain(server: Server, *, within: float) -> None:
    server.draining = True
    server.log("draining", inFlight=server.traffic.in_flight, seconds=within)
    if not await server.traffic.quiet(within=within):
        server.log("drain-timeout", inFlight=server.traffic.in_flight)
