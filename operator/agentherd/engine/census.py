"""What there is now, counted when somebody asks for the metrics.

Nothing has to be kept up to date in between, and what has gone has no series any more: an upgrade
that has ended, or everything once another process leads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Gauge

from agentherd.api import AgentUpgrade, AgentUpgradeStatus, UpgradePhase
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    JOB,
    MODEL_DEPLOYMENT,
    ROUTE_KINDS,
    Kind,
)
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.upgrades.strategy import course
from agentherd.engine.fleets import Fleets
from agentherd.engine.metrics import MAX_TOLD, Metrics
from agentherd.engine.store import SUBJECT_KINDS

_RUNNING: Final = MOVING | {UpgradePhase.ROLLING_BACK}
_GETS_ON: Final = frozenset({UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING})
"""Phases that nobody has to end."""


def take(fleets: Fleets | None, metrics: Metrics) -> None:
    """Set all gauges of what there is; nothing is known without fleets."""
    by_phase = {AGENT: metrics.agents, MODEL_DEPLOYMENT: metrics.models}
    by_phase[AGENT_UPGRADE] = metrics.upgrades
    by_upgrade = (metrics.weight, metrics.weight_seen, metrics.changed, metrics.due)
    for gauge in (metrics.objects, *by_phase.values(), *by_upgrade):
        gauge.clear()
    if fleets is None:
        return
    for kind in (*SUBJECT_KINDS, *CHILD_KINDS, JOB, *ROUTE_KINDS):
        metrics.objects.labels(kind=kind.name).set(fleets.count(kind))
    for kind, gauge in by_phase.items():
        _count(fleets, kind, gauge)
    for upgrade in _running(fleets):
        _tell(upgrade, metrics)


def _count(fleets: Fleets, kind: Kind, gauge: Gauge) -> None:
    phases = (record.subject.status.phase for _, record in fleets.subjects(kind))
    for phase, count in Counter(str(phase or "Unknown") for phase in phases).items():
        gauge.labels(phase=phase).set(count)


def _running(fleets: Fleets) -> Iterable[AgentUpgrade]:
    """The upgrades that run, those first that began first, and not too many."""
    subjects = (record.subject for _, record in fleets.subjects(AGENT_UPGRADE))
    running = (
        (each.status.started_at, each.metadata.uid, each)
        for each in subjects
        if isinstance(each, AgentUpgrade) and each.status.phase in _RUNNING
    )
    begun = sorted((at, uid, each) for at, uid, each in running if at is not None)
    return [each for _, _, each in begun[:MAX_TOLD]]


def _tell(upgrade: AgentUpgrade, metrics: Metrics) -> None:
    status, target = upgrade.status, upgrade.spec.target_ref
    place = {
        "namespace": upgrade.metadata.namespace,
        "name": upgrade.metadata.name,
        "kind": target.kind.value,
        "target": target.name,
    }
    metrics.weight.labels(**place).set(status.weight / 100)
    if status.weight_seen is not None:
        metrics.weight_seen.labels(**place).set(status.weight_seen / 100)
    since = status.history[-1].at if status.history else status.started_at
    if since is not None:
        phase = str(status.phase)
        metrics.changed.labels(**place, phase=phase).set(since.timestamp())
        metrics.due.labels(**place, phase=phase).set(_due(status, since).timestamp())


def _due(status: AgentUpgradeStatus, since: datetime) -> datetime:
    """Until when it may well stay where it has been `since` a time.

    A pause of a step ends by itself, and so does the wait for pods and routes, by a rollback.
    """
    if status.strategy is None or status.phase not in _GETS_ON:
        return since
    way = course(status.strategy, direct=not status.steps)
    step = way.steps[status.step - 1] if 0 < status.step <= len(way.steps) else None
    pause = step.pause if step is not None else None
    waits = (
        (since, timedelta(0)),
        (status.progress_since, way.progress_deadline),
        (status.weight_since, pause or timedelta(0)),
    )
    return max(begun + length for begun, length in waits if begun is not None)
