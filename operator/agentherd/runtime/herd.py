"""All workloads for one term of leading: what is watched for them, and who decides on them.

Each kind has a fleet of its own, also one that the API server does not serve: upgrades of its
workloads can be read all the same, and belong somewhere. But nothing is done for such a kind. Its
workloads are not gone, they are only not seen, and to decide on them would mean to clean up after
every one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any

from agentherd.cluster import Cluster
from agentherd.domain.decide import decide
from agentherd.domain.kinds import AGENT, MODEL_DEPLOYMENT, POD, Kind
from agentherd.domain.models.decide import decide_model
from agentherd.domain.plan import Plan
from agentherd.engine.applier import Applier, Witness
from agentherd.engine.audit import Audit
from agentherd.engine.fleets import Fleets
from agentherd.engine.metrics import Metrics
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe import Observer, Seen, agent_observer
from agentherd.engine.observe_models import SeenModel, model_observer
from agentherd.engine.reconciler import O, Reconciler
from agentherd.engine.recorder import Recorder
from agentherd.runtime.fleet import Fleet
from agentherd.runtime.settings import Settings
from agentherd.runtime.watches import Watches


class Herd:
    """The fleets of all kinds, of which those of the `served` kinds work.

    Nothing is written any more once `may_write` says no. The `witnesses` are told of every status
    that was written.
    """

    def __init__(
        self,
        served: Collection[Kind],
        *,
        cluster: Cluster,
        settings: Settings,
        metrics: Metrics,
        may_write: Callable[[], bool],
        clock: Callable[[], datetime],
        witnesses: Collection[Witness] = (),
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        agents, models = every = [
            Fleet(kind, cluster=cluster, sources=settings.sources, clock=clock)
            for kind in (AGENT, MODEL_DEPLOYMENT)
        ]
        self._working = [fleet for fleet in every if fleet.kind in served]
        self.fleets = Fleets(fleet.store for fleet in every)
        self._mounts = MountFailures(wake=lambda pod: self.fleets.wake_owner(POD, pod))
        self.watches = Watches(
            cluster=cluster,
            fleets=self.fleets,
            mounts=self._mounts,
            metrics=metrics,
            namespaces=settings.namespaces,
        )
        self._applier = Applier(
            cluster=cluster,
            store=self.fleets,
            recorder=Recorder(cluster, identity=settings.identity, clock=clock),
            witnesses=(Audit(metrics, clock=clock), *witnesses),
            may_write=may_write,
        )
        observe_agents: Observer[Seen] = agent_observer
        observe_models: Observer[SeenModel] = partial(model_observer, warm_ups=models.warm_ups)
        reconcilers: tuple[Reconciler[Any], ...] = (
            self._reconciler(agents, observe_agents, decide),
            self._reconciler(models, observe_models, decide_model),
        )
        self._reconcilers = [
            each for fleet, each in zip(every, reconcilers, strict=True) if fleet in self._working
        ]

    @property
    def waiting(self) -> int:
        """How many workloads are to be decided on."""
        return sum(len(fleet.queue) for fleet in self._working)

    @property
    def oldest_wait(self) -> float:
        """Seconds for which the first of them has waited; 0 when nobody waits."""
        asked = [fleet.queue.oldest for fleet in self._working]
        now = asyncio.get_running_loop().time()
        return max((now - at for at in asked if at is not None), default=0.0)

    def look(self, group: asyncio.TaskGroup) -> None:
        """Watch, measure and ask for as long as the group lasts."""
        self.watches.start(group)
        for fleet in self._working:
            fleet.start(group)

    def work(self, group: asyncio.TaskGroup) -> None:
        """Decide and write for as long as the group lasts; all that exists has to be known."""
        for each in self._reconcilers:
            group.create_task(each.run(workers=self._settings.workers), name="workers")

    def _reconciler(
        self, fleet: Fleet, observer: Observer[O], rules: Callable[[O, datetime], Plan]
    ) -> Reconciler[O]:
        observe = observer(
            fleet.store,
            self._mounts,
            fleet.scraper,
            answers=fleet.inquiries,
            routes_known=self.watches.routes_known,
            jobs_known=self.watches.jobs_known,
            approvals_checked=fleet.approvals.checked,
            find_upgrade=self.fleets.upgrade,
            find_model=self.fleets.model,
            defaults=self._settings.upgrades,
        )
        return fleet.reconciler(observe, rules, applier=self._applier, metrics=self._metrics)
