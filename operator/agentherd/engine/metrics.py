"""Every metric of the operator, in one registry that belongs to nobody else.

Names and units follow the Prometheus conventions; labels are bounded (kinds, verbs, reasons),
never the name of an object.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from agentherd import __version__

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The instruments; the engine moves them, the runtime serves them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build = Info("agentherd_build", "Version of the operator", registry=self.registry)
        build.info({"version": __version__})
        self.transition_seconds = Histogram(
            "agentherd_transition_seconds",
            "From the event that changed an object's phase until its new status was written",
            ("kind",),
            buckets=FAST,
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "agentherd_reconcile_seconds",
            "Duration of one reconciliation, writes included",
            ("kind",),
            buckets=FAST,
            registry=self.registry,
        )
        self.reconciles = Counter(
            "agentherd_reconciles_total",
            "Reconciliations by result (done, failed, bug)",
            ("kind", "result"),
            registry=self.registry,
        )
        self.transitions = Counter(
            "agentherd_transitions_total",
            "Changes of phase, by the phase that was entered",
            ("kind", "phase"),
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "agentherd_queue_depth", "Objects waiting to be reconciled", registry=self.registry
        )
        self.objects = Gauge(
            "agentherd_objects",
            "Objects the operator knows, by kind",
            ("kind",),
            registry=self.registry,
        )
        self.agents = Gauge(
            "agentherd_agents", "Agents by phase", ("phase",), registry=self.registry
        )
        self.watch_restarts = Counter(
            "agentherd_watch_restarts_total",
            "Watches that had to start from a new list",
            ("kind",),
            registry=self.registry,
        )
        self.api_requests = Counter(
            "agentherd_api_requests_total",
            "Requests sent to the API server, by verb, resource and status (0: no answer)",
            ("verb", "resource", "status"),
            registry=self.registry,
        )
        self.leader = Gauge(
            "agentherd_leader", "1 while this process holds the Lease", registry=self.registry
        )

    def observe_request(self, verb: str, resource: str, status: int) -> None:
        """Count one request."""
        self.api_requests.labels(verb=verb, resource=resource, status=str(status)).inc()
