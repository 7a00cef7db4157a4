"""What one kind of workload has for itself: its store, its queue, and whom it asks.

Everything else, from the watches to the hand that writes, serves all kinds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from agentherd.cluster import Cluster
from agentherd.domain.judging.reach import Reach
from agentherd.domain.kinds import Key, Kind
from agentherd.domain.plan import Plan
from agentherd.engine.applier import Applier
from agentherd.engine.approvals import Approvals
from agentherd.engine.metrics import Metrics
from agentherd.engine.reconciler import Failures, O, Reconciler
from agentherd.engine.scraper import Scraper
from agentherd.engine.sources.inquiries import Inquiries
from agentherd.engine.sources.web import over_the_web
from agentherd.engine.store import Store
from agentherd.engine.warm_ups import WarmUps
from agentherd.engine.work_queue import WorkQueue


class Fleet:
    """The workloads of one kind; whatever is learnt of one puts its key into the queue."""

    def __init__(
        self,
        kind: Kind,
        *,
        cluster: Cluster,
        sources: Reach,
        clock: Callable[[], datetime],
    ) -> None:
        self.kind = kind
        self._clock = clock
        self.queue: WorkQueue[Key] = WorkQueue()
        wake = self.queue.add
        self.store = Store(kind, wake=wake)
        self.approvals = Approvals(cluster, wake=wake)
        self.inquiries = Inquiries(wake=wake, clock=clock, connect=lambda: over_the_web(sources))
        self.scraper = Scraper(wake=wake, clock=clock)
        self.warm_ups = WarmUps(wake=wake)

    def reconciler(
        self,
        observe: Callable[[Key, Failures], O | None],
        decide: Callable[[O, datetime], Plan],
        *,
        applier: Applier,
        metrics: Metrics,
    ) -> Reconciler[O]:
        """The loop that takes keys from the queue."""
        return Reconciler(
            self.kind,
            observe=observe,
            decide=decide,
            applier=applier,
            measurements=self.scraper,
            metrics=metrics,
            clock=self._clock,
            sources=self.inquiries,
            warm_ups=self.warm_ups,
            queue=self.queue,
            correlation=self.store.under_way,
        )

    def start(self, group: asyncio.TaskGroup) -> None:
        """Ask and look whenever a decision depends on it, for as long as the group lasts."""
        name = self.kind.plural
        group.create_task(self.inquiries.run(), name=f"inquiries of {name}")
        group.create_task(self.scraper.run(), name=f"scraper of {name}")
        group.create_task(self.warm_ups.run(), name=f"warm-ups of {name}")
        group.create_task(self.approvals.run(), name=f"approvals of {name}")
