"""The operator as a process: wait for the Lease, lead for as long as it is held, give it back.

Whatever was known while leading belongs to that term and is dropped with it. The order of the
end is fixed: first no more writes, then the Lease, then kopf and the endpoints.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import kopf

from agentherd.cluster import ApiServer, Cluster
from agentherd.domain.kinds import Kind
from agentherd.engine.applier import Witness
from agentherd.engine.fleets import Fleets
from agentherd.engine.leadership import Elector
from agentherd.engine.metrics import Metrics
from agentherd.runtime import frame
from agentherd.runtime.connection import connect
from agentherd.runtime.herd import Herd
from agentherd.runtime.http import Health, serve
from agentherd.runtime.served import served, until_served
from agentherd.runtime.settings import Settings
from agentherd.runtime.tracing import traces

log = logging.getLogger(__name__)


def clock() -> datetime:
    """The time, in the whole seconds in which the API keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: the port of the endpoints is taken.
        NotInstalled: traces are asked for without the extra that sends them.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    metrics = Metrics()
    kopf_settings = frame.settings()
    server = partial(ApiServer, lambda: connect(kopf_settings), observe=metrics.observe_request)
    # The Lease is written by those who do not hold it too; all else only by who does.
    async with server() as leases:
        elector = Elector(leases, key=settings.lease, identity=settings.identity, clock=clock)
        health = Health(elector)
        endpoints = serve(health, metrics, host=settings.http_host, port=settings.http_port)
        tracing = traces(settings.traces_to, identity=settings.identity)
        led = server(may_write=elector.holds)
        async with endpoints, tracing as witnesses, led as cluster:
            while not stop.is_set():
                if await _first(elector.acquire(), stop.wait()):
                    await _lead(settings, cluster, elector, health, metrics, witnesses, stop)


async def _lead(
    settings: Settings,
    cluster: Cluster,
    elector: Elector,
    health: Health,
    metrics: Metrics,
    witnesses: Collection[Witness],
    stop: asyncio.Event,
) -> None:
    """Lead for one term: until the Lease is lost, a missing kind is there, or `stop` is set."""
    kinds: list[Kind] = []

    async def look() -> None:
        kinds.extend(await served(cluster, settings.namespaces))

    if not await _first(look(), elector.hold(), stop.wait()):
        await elector.release()
        return
    herd = Herd(
        kinds,
        cluster=cluster,
        settings=settings,
        metrics=metrics,
        may_write=elector.holds,
        clock=clock,
        witnesses=witnesses,
    )
    fleets = herd.fleets
    _follow_queue(metrics, herd)
    sweeper = frame.Sweeper(
        cluster=cluster, fleets=fleets, namespaces=settings.namespaces, kinds=kinds
    )
    health.fleets, health.synced = fleets, False

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            herd.look(group)
            group.create_task(sweeper.run(), name="sweeper")
            await herd.watches.synced()
            await sweeper.swept.wait()
            await herd.watches.routed()
            herd.work(group)
            health.synced = True
            found = (f"{fleets.count(kind)} {kind.plural}" for kind in kinds)
            log.info("all objects are known: %s", ", ".join(found))

    async with _kopf(settings, fleets, sweeper, kinds, stop):
        try:
            appears = until_served(cluster, settings.namespaces, kinds)
            await _first(work(), elector.hold(), stop.wait(), appears)
        finally:
            health.fleets, health.synced = None, None
            _follow_queue(metrics, None)
            await elector.release()


def _follow_queue(metrics: Metrics, herd: Herd | None) -> None:
    """Let the metrics tell of the queues of this term; nobody waits for one who does not lead."""
    metrics.queue_depth.set_function(lambda: herd.waiting if herd else 0)
    metrics.queue_wait.set_function(lambda: herd.oldest_wait if herd else 0)


@asynccontextmanager
async def _kopf(
    settings: Settings,
    fleets: Fleets,
    sweeper: frame.Sweeper,
    kinds: Collection[Kind],
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """Run kopf while the context lasts. An end of kopf that nobody asked for ends the term."""
    ended = asyncio.Event()
    ready = asyncio.Event()
    kopf_settings = frame.settings()
    registry = frame.handlers(fleets, sweeper, kopf_settings, kinds)

    # kopf takes the signals for itself when it starts. One that comes before they are ours again
    # ends kopf, which would wait for us for five seconds and then cancel us.
    @kopf.on.cleanup(registry=registry)
    async def ends(**_: object) -> None:
        if not ended.is_set():
            stop.set()

    task = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=kopf_settings,
            # kopf would ask for the name of the user, which a container need not have.
            identity=settings.identity,  # type: ignore[arg-type]  # its type is not exported
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=ended,
            ready_flag=ready,
        ),
        name="kopf",
    )
    task.add_done_callback(lambda _: stop.set() if not ended.is_set() else None)
    try:
        await _first(ready.wait(), asyncio.shield(task), stop.wait())
        _stop_on_signals(stop)
        yield
    finally:
        ended.set()
        await task


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _first(main: Awaitable[object], *others: Awaitable[object]) -> bool:
    """Run all until the first ends; cancels the rest. Whether `main` was (also) done.

    Raises whatever the first to end has raised.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in (main, *others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
