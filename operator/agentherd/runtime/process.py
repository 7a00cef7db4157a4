"""The operator as a process: wait for the Lease, lead for as long as it is held, give it back.

Whatever was known while leading belongs to that term and is dropped with it. The order of the
end is fixed: first no more writes, then the Lease, then kopf and the endpoints.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import kopf

from agentherd.cluster import ApiServer, Cluster
from agentherd.domain.decide import decide
from agentherd.domain.kinds import (
    AGENT,
    CHILD_KINDS,
    GATEWAY_KINDS,
    JOB,
    KUBELET_EVENT,
    POD,
    ROUTE_KINDS,
)
from agentherd.engine.applier import Applier
from agentherd.engine.approvals import Approvals
from agentherd.engine.leadership import Elector
from agentherd.engine.metrics import Metrics
from agentherd.engine.mounts import MOUNT_EVENTS, MountFailures
from agentherd.engine.observe import Seen, agent_observer
from agentherd.engine.reconciler import Reconciler
from agentherd.engine.recorder import Recorder
from agentherd.engine.reflector import Reflector
from agentherd.engine.scraper import Scraper
from agentherd.engine.sources.inquiries import Inquiries
from agentherd.engine.sources.web import over_the_web
from agentherd.engine.store import Store
from agentherd.runtime import frame
from agentherd.runtime.connection import connect
from agentherd.runtime.http import Health, serve
from agentherd.runtime.settings import Settings

log = logging.getLogger(__name__)


def clock() -> datetime:
    """The time, in the whole seconds in which the API keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: the port of the endpoints is taken.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    metrics = Metrics()
    kopf_settings = frame.settings()
    cluster = ApiServer(lambda: connect(kopf_settings), observe=metrics.observe_request)
    async with cluster:
        elector = Elector(cluster, key=settings.lease, identity=settings.identity, clock=clock)
        health = Health(elector)
        endpoints = serve(health, metrics, host=settings.http_host, port=settings.http_port)
        async with endpoints:
            while not stop.is_set():
                if await _first(elector.acquire(), stop.wait()):
                    await _lead(settings, cluster, elector, health, metrics, stop)


async def _lead(
    settings: Settings,
    cluster: Cluster,
    elector: Elector,
    health: Health,
    metrics: Metrics,
    stop: asyncio.Event,
) -> None:
    """Lead for one term: until the Lease is lost or `stop` is set."""
    store = Store(wake=lambda key: reconciler.queue.add(key))
    mounts = MountFailures(wake=lambda pod: store.wake_owner(POD, pod))
    approvals = Approvals(cluster, wake=lambda key: reconciler.queue.add(key))
    inquiries = Inquiries(
        wake=lambda key: reconciler.queue.add(key),
        clock=clock,
        connect=lambda: over_the_web(settings.sources),
    )
    scraper = Scraper(wake=lambda key: reconciler.queue.add(key), clock=clock)
    routes = [
        reflector
        for namespace in settings.namespaces or (None,)
        for reflector in _route_reflectors(cluster, store, metrics, namespace)
    ]
    jobs = [
        Reflector(JOB, cluster=cluster, sink=store, metrics=metrics, namespace=namespace)
        for namespace in settings.namespaces or (None,)
    ]
    reconciler: Reconciler[Seen] = Reconciler(
        AGENT,
        observe=agent_observer(
            store,
            mounts,
            scraper,
            answers=inquiries,
            routes_known=lambda: all(r.synced.is_set() for r in routes),
            jobs_known=lambda: all(r.synced.is_set() for r in jobs),
            approvals_checked=approvals.checked,
            defaults=settings.upgrades,
        ),
        decide=decide,
        applier=Applier(
            cluster=cluster,
            store=store,
            recorder=Recorder(cluster, identity=settings.identity, clock=clock),
            may_write=elector.holds,
        ),
        measurements=scraper,
        metrics=metrics,
        clock=clock,
        sources=inquiries,
    )
    metrics.queue_depth.set_function(lambda: len(reconciler.queue))
    sweeper = frame.Sweeper(cluster=cluster, store=store, namespaces=settings.namespaces)
    reflectors = [
        reflector
        for namespace in settings.namespaces or (None,)
        for reflector in _reflectors(cluster, store, mounts, metrics, namespace)
    ]
    health.store, health.synced = store, False

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in reflectors:
                group.create_task(reflector.run(), name=f"watch {reflector.kind.plural}")
            for reflector in routes:
                group.create_task(_when(store.routes.wanted, reflector), name="watch routes")
            for reflector in _gateway_reflectors(cluster, store, metrics):
                group.create_task(_when(store.gateways.wanted, reflector), name="watch gateways")
            for reflector in jobs:
                group.create_task(_when(store.jobs_wanted, reflector), name="watch jobs")
            group.create_task(sweeper.run(), name="sweeper")
            group.create_task(inquiries.run(), name="inquiries")
            group.create_task(scraper.run(), name="scraper")
            group.create_task(approvals.run(), name="approvals")
            for reflector in reflectors:
                await reflector.synced.wait()
            await sweeper.swept.wait()
            group.create_task(reconciler.run(workers=settings.workers), name="workers")
            health.synced = True
            log.info("all objects are known, %d Agents", store.count(AGENT))

    async with _kopf(settings, store, sweeper, stop):
        try:
            await _first(work(), elector.hold(), stop.wait())
        finally:
            health.store, health.synced = None, None
            await elector.release()


def _reflectors(
    cluster: Cluster,
    store: Store,
    mounts: MountFailures,
    metrics: Metrics,
    namespace: str | None,
) -> Iterator[Reflector]:
    """The watches of everything but the Agents, which kopf watches."""
    for kind in CHILD_KINDS:
        yield Reflector(kind, cluster=cluster, sink=store, metrics=metrics, namespace=namespace)
    yield Reflector(
        KUBELET_EVENT,
        cluster=cluster,
        sink=mounts,
        metrics=metrics,
        namespace=namespace,
        selector="",
        fields=MOUNT_EVENTS,
    )


def _route_reflectors(
    cluster: Cluster, store: Store, metrics: Metrics, namespace: str | None
) -> Iterator[Reflector]:
    """The watches of routes, of which people write some: no label tells ours from theirs."""
    for kind in ROUTE_KINDS:
        yield Reflector(
            kind,
            cluster=cluster,
            sink=store.routes,
            metrics=metrics,
            namespace=namespace,
            selector="",
            optional=True,
        )


def _gateway_reflectors(cluster: Cluster, store: Store, metrics: Metrics) -> Iterator[Reflector]:
    """The watches of Gateways, which are anywhere, and of their classes, which are nowhere."""
    for kind in GATEWAY_KINDS:
        yield Reflector(
            kind,
            cluster=cluster,
            sink=store.gateways,
            metrics=metrics,
            selector="",
            refused=store.gateways.refuse,
        )


async def _when(wanted: asyncio.Event, reflector: Reflector) -> None:
    await wanted.wait()
    await reflector.run()


@asynccontextmanager
async def _kopf(
    settings: Settings, store: Store, sweeper: frame.Sweeper, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Run kopf while the context lasts. An end of kopf that nobody asked for ends the term."""
    ended = asyncio.Event()
    ready = asyncio.Event()
    kopf_settings = frame.settings()
    task = asyncio.create_task(
        kopf.operator(
            registry=frame.handlers(store, sweeper, kopf_settings),
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
        await _first(ready.wait(), asyncio.shield(task))
        # kopf takes the signals for itself when it starts; the order of our end needs them back.
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
