"""Every metric of the operator, in one registry that belongs to nobody else.

Names and units follow the Prometheus conventions; labels are bounded (kinds, verbs, reasons). Only
the upgrades that run have series with the name of an object: they are what a dashboard of one
upgrade and the alert about a stuck one need, at most `MAX_TOLD` of them, and they go with its end.
docs/reference/metrics.md is made from what is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from agentherd import __version__

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROLLBACK: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300)
UPGRADE: Final = (10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)

MAX_TOLD: Final = 500
"""Upgrades that have series of their own at a time: those that have run the longest."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric as it is documented; `name` as it is queried, a histogram without its endings."""

    name: str
    type: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The instruments; the engine moves them, the runtime serves them."""

    def __init__(self) -> None:
        # When each counter began is of no use to anybody, and doubles their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.instruments: list[Instrument] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._about_the_process()
        self._about_the_work()
        self._about_what_there_is()
        self._about_upgrades()

    def _about_the_process(self) -> None:
        build = self._gauge("agentherd_build_info", "Version of the operator, always 1", "version")
        build.labels(version=__version__).set(1)
        self.leader = self._gauge("agentherd_leader", "1 while this process holds the Lease")
        self.api_requests = self._counter(
            "agentherd_api_requests_total",
            "Requests to the API server by verb (TRY: not kept), resource, status (0: no answer)",
            "verb",
            "resource",
            "status",
        )
        self.watch_restarts = self._counter(
            "agentherd_watch_restarts_total",
            "Watches that had to start from a new list",
            "kind",
        )

    def _about_the_work(self) -> None:
        self.queue_depth = self._gauge("agentherd_queue_depth", "Objects waiting to be reconciled")
        self.queue_wait = self._gauge(
            "agentherd_queue_oldest_seconds", "How long the first in the queue has waited"
        )
        self.reconciles = self._counter(
            "agentherd_reconciles_total",
            "Reconciliations by result (done, failed, bug)",
            "kind",
            "result",
        )
        self.reconcile_seconds = self._histogram(
            "agentherd_reconcile_seconds",
            "Duration of one reconciliation, writes included",
            FAST,
            "kind",
        )
        self.transitions = self._counter(
            "agentherd_transitions_total",
            "Changes of phase, by the phase that was entered",
            "kind",
            "phase",
        )
        self.transition_seconds = self._histogram(
            "agentherd_transition_seconds",
            "From the event that changed an object's phase until its new status was written",
            FAST,
            "kind",
        )

    def _about_what_there_is(self) -> None:
        self.objects = self._gauge(
            "agentherd_objects", "Objects the operator knows, by kind", "kind"
        )
        self.agents = self._gauge("agentherd_agents", "Agents by phase", "phase")
        self.models = self._gauge("agentherd_models", "ModelDeployments by phase", "phase")
        self.upgrades = self._gauge("agentherd_upgrades", "AgentUpgrades by phase", "phase")

    def _about_upgrades(self) -> None:
        self.upgrades_finished = self._counter(
            "agentherd_upgrades_finished_total",
            "Upgrades that have ended, by the kind of what they change and how they ended",
            "kind",
            "outcome",
        )
        self.upgrade_seconds = self._histogram(
            "agentherd_upgrade_seconds",
            "From the beginning of an upgrade to its end, by how it ended",
            UPGRADE,
            "outcome",
        )
        self.verdicts = self._counter(
            "agentherd_verdicts_total",
            "Verdicts that the analysis of a new version has come to",
            "verdict",
        )
        self.rollbacks = self._counter(
            "agentherd_rollbacks_total", "Rollbacks that have begun, by their cause", "trigger"
        )
        self.rollback_seconds = self._histogram(
            "agentherd_rollback_seconds",
            "From the cause of a rollback until all requests were at the old version again",
            ROLLBACK,
            "trigger",
        )
        one = ("namespace", "name", "kind", "target")
        self.weight = self._gauge(
            "agentherd_upgrade_weight_ratio",
            "Part of the requests that the new version was given, of upgrades that run",
            *one,
        )
        self.weight_seen = self._gauge(
            "agentherd_upgrade_weight_seen_ratio",
            "Part of the requests that the new version was seen to get, of upgrades that run",
            *one,
        )
        self.changed = self._gauge(
            "agentherd_upgrade_changed_timestamp_seconds",
            "When an upgrade that runs came to its present step and phase",
            *one,
            "phase",
        )

        self.due = self._gauge(
            "agentherd_upgrade_due_timestamp_seconds",
            "When the pause and the deadline of an upgrade that runs are over: it gets on or back",
            *one,
            "phase",
        )

    def observe_request(self, verb: str, resource: str, status: int) -> None:
        """Count one request."""
        self.api_requests.labels(verb=verb, resource=resource, status=str(status)).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.instruments.append(Instrument(name, "counter", labels, text))
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.instruments.append(Instrument(name, "gauge", labels, text))
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        self.instruments.append(Instrument(name, "histogram", labels, text))
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
