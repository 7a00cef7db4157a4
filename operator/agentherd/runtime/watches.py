"""The watches of everything but what people write of ours, which kopf watches.

Those of children begin at once and have to be read before anything is decided. What few need, such
as routes and Jobs, is not watched before somebody has to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

from agentherd.cluster import Cluster
from agentherd.domain.kinds import (
    CHILD_KINDS,
    GATEWAY_KINDS,
    JOB,
    KUBELET_EVENT,
    ROUTE_KINDS,
)
from agentherd.engine.fleets import Fleets
from agentherd.engine.metrics import Metrics
from agentherd.engine.mounts import MOUNT_EVENTS, MountFailures
from agentherd.engine.reflector import Reflector

ROUTES_WITHIN: Final = 5.0
"""Seconds for which the beginning waits for routes."""


class Watches:
    """Feeds all stores, and what is known of mounts, in some namespaces or everywhere."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        fleets: Fleets,
        mounts: MountFailures,
        metrics: Metrics,
        namespaces: tuple[str, ...],
    ) -> None:
        self._cluster = cluster
        self._fleets = fleets
        self._mounts = mounts
        self._metrics = metrics
        scopes: tuple[str | None, ...] = namespaces or (None,)
        self._children = [each for scope in scopes for each in self._of_children(scope)]
        self._routes = [each for scope in scopes for each in self._of_routes(scope)]
        self._gateways = list(self._of_gateways())
        self._jobs = [
            Reflector(JOB, cluster=cluster, sink=fleets, metrics=metrics, namespace=scope)
            for scope in scopes
        ]

    def start(self, group: asyncio.TaskGroup) -> None:
        """Watch for as long as the group lasts."""
        for each in self._children:
            group.create_task(each.run(), name=f"watch {each.kind.plural}")
        for each in self._routes:
            group.create_task(_when(self._fleets.routes.wanted, each), name="watch routes")
        group.create_task(self._tell_of_routes(), name="routes known")
        for each in self._gateways:
            group.create_task(_when(self._fleets.gateways.wanted, each), name="watch gateways")
        for each in self._jobs:
            group.create_task(_when(self._fleets.jobs_wanted, each), name="watch jobs")

    async def synced(self) -> None:
        """Wait until all children have been read."""
        for each in self._children:
            await each.synced.wait()

    async def routed(self) -> None:
        """Wait until routes have been read where somebody has one.

        Whoever begins to lead without them would set back each upgrade that is at a step. Where
        they may not be read, each upgrade tells of that, and nobody else waits for long.
        """
        if not self._fleets.routes.is_wanted:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ROUTES_WITHIN):
                for each in self._routes:
                    await each.synced.wait()

    def routes_known(self) -> bool:
        """Whether the API server has been asked for routes."""
        return all(each.synced.is_set() for each in self._routes)

    async def _tell_of_routes(self) -> None:
        """The last kind to be read may hold, or be, nothing, and so wake nobody itself."""
        for each in self._routes:
            await each.synced.wait()
        self._fleets.wake_routed()

    def jobs_known(self) -> bool:
        """Whether the API server has been asked for Jobs."""
        return all(each.synced.is_set() for each in self._jobs)

    def _of_children(self, namespace: str | None) -> Iterator[Reflector]:
        for kind in CHILD_KINDS:
            yield Reflector(
                kind,
                cluster=self._cluster,
                sink=self._fleets,
                metrics=self._metrics,
                namespace=namespace,
            )
        yield Reflector(
            KUBELET_EVENT,
            cluster=self._cluster,
            sink=self._mounts,
            metrics=self._metrics,
            namespace=namespace,
            selector="",
            fields=MOUNT_EVENTS,
        )

    def _of_routes(self, namespace: str | None) -> Iterator[Reflector]:
        """People write some of the routes: no label tells ours from theirs."""
        for kind in ROUTE_KINDS:
            yield Reflector(
                kind,
                cluster=self._cluster,
                sink=self._fleets.routes,
                metrics=self._metrics,
                namespace=namespace,
                selector="",
                optional=True,
            )

    def _of_gateways(self) -> Iterator[Reflector]:
        """Gateways are anywhere, and their classes are nowhere."""
        for kind in GATEWAY_KINDS:
            yield Reflector(
                kind,
                cluster=self._cluster,
                sink=self._fleets.gateways,
                metrics=self._metrics,
                selector="",
                refused=self._fleets.refuse_gateways,
            )


async def _when(wanted: Callable[[], Awaitable[None]], reflector: Reflector) -> None:
    await wanted()
    await reflector.run()
