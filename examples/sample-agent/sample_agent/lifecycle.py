"""From the start to the last line: serve, watch the configuration, drain, leave.

While requests are in flight the agent keeps listening, unready: endpoints are updated a moment
after a pod begins to end, and a request that still arrives is better answered than refused. It
closes once nothing is in flight or the grace is over, whichever comes first.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from sample_agent.agent import Agent, Identity, write_event
from sample_agent.config import ConfigDirectory, ConfigRejectedError
from sample_agent.web import Sleep, build_app

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
                directory,
                port=int(os.environ.get("PORT", "8080")),
                drain_seconds=float(os.environ.get("DRAIN_SECONDS", "25")),
            )
        )
    except ConfigRejectedError as rejected:
        write_event("config-rejected", error=str(rejected), key=rejected.key)
        return 1
    return 0


async def _run(directory: Path, *, port: int, drain_seconds: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    agent = Agent(Identity.of(os.environ), ConfigDirectory(directory))
    await serve(agent, stop=stop, host="0.0.0.0", port=port, drain_seconds=drain_seconds)


async def serve(
    agent: Agent,
    *,
    stop: asyncio.Event,
    host: str,
    port: int,
    drain_seconds: float,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Serve until `stop` is set, then drain; port 0 takes a free one and `start` names it."""
    app = build_app(agent, sleep=sleep)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        agent.log("start", **asdict(agent.identity), port=runner.addresses[0][1])
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_watch(agent), name="watch")
            await stop.wait()
            await _drain(agent, within=drain_seconds)
            watch.cancel()
    finally:
        await runner.cleanup()
    agent.log("cleanup", served=agent.traffic.finished)


async def _watch(agent: Agent) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        agent.tick()


async def _drain(agent: Agent, *, within: float) -> None:
    agent.draining = True
    agent.log("draining", inFlight=agent.traffic.in_flight, seconds=within)
    if not await agent.traffic.quiet(within=within):
        agent.log("drain-timeout", inFlight=agent.traffic.in_flight)
