"""What has become of objects: who did what, when and why, told once it is written.

The truth is in the status of each object, bounded, where it outlives every Event. What is told here
is the difference between a status before and after a write, so nothing is told that the API server
has not taken; it leaves the cluster as a line of the log and as counters. A process that is killed
between the write and the line tells nothing of it: then the status alone does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product, takewhile
from typing import Final, TypeVar

from agentherd.api import (
    AgentStatus,
    AgentUpgrade,
    AgentUpgradeStatus,
    Condition,
    ModelDeploymentStatus,
    PhaseChange,
    RollbackRecord,
    TargetKind,
    UpgradePhase,
    Verdict,
)
from agentherd.domain.kinds import AGENT_UPGRADE, REQUESTED_BY_ANNOTATION, Key, Kind
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import OPERATOR
from agentherd.domain.upgrades.phases import ENDED
from agentherd.domain.upgrades.way_back import TRIGGERS
from agentherd.engine.about import ABOUT, About
from agentherd.engine.metrics import Metrics
from agentherd.engine.store import Record

AUDIT: Final = "agentherd.audit"
"""The logger of all that is told here."""

OTHER: Final = "Other"
"""The trigger, as a label, of rollbacks whose word is none of ours."""

CAUSES: Final = frozenset(
    reason.value
    for reason in (
        *TRIGGERS.values(),
        Reason.ERROR_RATE,
        Reason.FEEDBACK,
        Reason.METRIC_FAILED,
        Reason.PERFORMANCE_IMPACT,
        Reason.PROGRESS_DEADLINE,
        Reason.REFUSED,
        Reason.REQUESTED,
        Reason.TEST_FAILED,
    )
)
"""What a rollback is counted by."""

T = TypeVar("T")

log = logging.getLogger(AUDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that was done, in one of the words of docs/how-to/read-the-log.md.

    The `actor` is a field manager or a user name, or `agentherd`; `at` is the time in the status.
    """

    action: str
    actor: str
    reason: str = ""
    message: str = ""
    at: datetime


class Audit:
    """Tells the log and the metrics of every status that was written."""

    def __init__(self, metrics: Metrics, *, clock: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._clock = clock
        # A counter that begins with 1 has not risen in the eyes of Prometheus.
        for cause in (*CAUSES, OTHER):
            metrics.rollbacks.labels(trigger=cause)
        for kind, phase in product(TargetKind, ENDED):
            metrics.upgrades_finished.labels(kind=kind.value, outcome=phase.value)

    def wrote(self, kind: Kind, key: Key, before: Record, after: Record) -> None:
        """A status was written: `before` was known of the object, and `after` is now."""
        was, now = before.subject.status, after.subject.status
        if was.phase != now.phase:
            self._metrics.transitions.labels(kind=kind.name, phase=str(now.phase)).inc()
        if isinstance(after.subject, AgentUpgrade) and isinstance(was, AgentUpgradeStatus):
            _count(self._metrics, after.subject, was)
        for deed in deeds(before, after, self._clock()):
            _tell(_about(kind, key, after), deed)


def _about(kind: Kind, key: Key, record: Record) -> About:
    """The object; lines about an upgrade have its own uid in common, others what the turn has."""
    if kind is AGENT_UPGRADE:
        return About(kind.name, key, lambda _: record.subject.metadata.uid)
    turn = ABOUT.get()
    return About(kind.name, key, lambda _: turn.correlation_id if turn else "")


def _tell(about: About, deed: Deed) -> None:
    why = f" ({deed.reason})" if deed.reason else ""
    line = _sentence(f"{about.kind} {about.key}: {deed.action} by {deed.actor}{why}", deed.message)
    log.info("%s", line, extra={"about": about, "deed": deed})


def _count(metrics: Metrics, upgrade: AgentUpgrade, was: AgentUpgradeStatus) -> None:
    now = upgrade.status
    if now.phase != was.phase and now.phase in ENDED:
        outcome = str(now.phase)
        metrics.upgrades_finished.labels(
            kind=upgrade.spec.target_ref.kind.value, outcome=outcome
        ).inc()
        if now.started_at is not None and now.finished_at is not None:
            seconds = (now.finished_at - now.started_at).total_seconds()
            metrics.upgrade_seconds.labels(outcome=outcome).observe(max(0, seconds))
    if now.rollback is not None:
        _count_rollback(metrics, was.rollback, now.rollback)
    verdict = _verdict(now)
    if verdict not in {None, _verdict(was)}:
        metrics.verdicts.labels(verdict=str(verdict)).inc()


def _count_rollback(metrics: Metrics, was: RollbackRecord | None, now: RollbackRecord) -> None:
    trigger = now.trigger if now.trigger in CAUSES else OTHER
    if was is None or was.at != now.at:
        metrics.rollbacks.labels(trigger=trigger).inc()
        was = None
    if now.duration_seconds is not None and (was is None or was.duration_seconds is None):
        metrics.rollback_seconds.labels(trigger=trigger).observe(now.duration_seconds)


def _verdict(status: AgentUpgradeStatus) -> Verdict | None:
    return status.analysis.verdict if status.analysis else None


def deeds(before: Record, after: Record, at: datetime) -> Iterator[Deed]:
    """What has happened between two statuses of an object, in the order of its records.

    What the status keeps no time of has happened `at` the time of the write.
    """
    was, now = before.subject.status, after.subject.status
    match was, now:
        case AgentUpgradeStatus(), AgentUpgradeStatus():
            yield from _of_upgrade(after, was, now, at)
        case AgentStatus(), AgentStatus():
            yield from _of_agent(after, was, now)
        case ModelDeploymentStatus(), ModelDeploymentStatus():
            yield from _of_model(was, now, at)


def _of_upgrade(
    record: Record, was: AgentUpgradeStatus, now: AgentUpgradeStatus, at: datetime
) -> Iterator[Deed]:
    if was.phase is None:
        # In an upgrade of its own the operator has noted for whom; anybody may write such a note.
        annotations = record.subject.metadata.annotations if record.author in {"", OPERATOR} else {}
        asked = annotations.get(REQUESTED_BY_ANNOTATION) or record.author or OPERATOR
        yield Deed(action="Requested", actor=asked, at=at)
    for done in _new(was.controls, now.controls):
        yield Deed(action=done.verb, actor=done.by, message=done.detail, at=done.at)
    phase = was.phase
    for entry in _new(was.history, now.history):
        yield _moved(phase, entry, now)
        phase = entry.phase
    if now.analysis and (verdict := _verdict(now)) != _verdict(was):
        reason, _ = _said(now.conditions, "Analyzed")
        message = f"{verdict}: {now.analysis.message}"
        yield Deed(action="Judged", actor=OPERATOR, reason=reason, message=message, at=at)


def _moved(phase: UpgradePhase | None, entry: PhaseChange, now: AgentUpgradeStatus) -> Deed:
    """A change of the phase or of the step; the way back is begun by who asked for it."""
    by = OPERATOR
    if entry.phase is UpgradePhase.ROLLING_BACK and now.rollback is not None:
        by = now.rollback.requested_by
    if entry.phase == phase:
        place = f"step {now.step} of {now.steps}, weight {now.weight}"
        action, message = "StepTaken", entry.message or place
    else:
        action, message = "PhaseChanged", _sentence(_from_to(phase, entry.phase), entry.message)
    return Deed(action=action, actor=by, reason=entry.reason, message=message, at=entry.at)


def _of_agent(record: Record, was: AgentStatus, now: AgentStatus) -> Iterator[Deed]:
    _, why = _said(now.conditions, "Ready")
    for change in _new(was.history, now.history):
        yield Deed(
            action="PhaseChanged",
            actor=change.triggered_by,
            reason=change.reason,
            message=_sentence(_from_to(change.from_, change.to), why),
            at=change.at,
        )
    for config in _new(was.config_history, now.config_history):
        message = f"version {config.version}"
        by = record.author or OPERATOR
        yield Deed(action="ConfigChanged", actor=by, message=message, at=config.at)


def _of_model(
    was: ModelDeploymentStatus, now: ModelDeploymentStatus, at: datetime
) -> Iterator[Deed]:
    reason, why = _said(now.conditions, "Ready")
    if was.phase != now.phase:
        message = _sentence(_from_to(was.phase, now.phase), why)
        yield Deed(action="PhaseChanged", actor=OPERATOR, reason=reason, message=message, at=at)
    if now.active_version not in {None, was.active_version}:
        message = _from_to(was.active_version, now.active_version)
        yield Deed(action="VersionActivated", actor=OPERATOR, message=message, at=at)


def _said(conditions: Sequence[Condition], name: str) -> tuple[str, str]:
    """Reason and message of a condition, "" where there is none."""
    found = next((each for each in conditions if each.type == name), None)
    return (found.reason, found.message) if found else ("", "")


def _from_to(old: str | None, new: str | None) -> str:
    return f"{old} to {new}" if old is not None else f"{new}"


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _new(before: Sequence[T], after: Sequence[T]) -> list[T]:
    """The entries at the end of a bounded list that were not in it before, oldest first."""
    return list(takewhile(lambda entry: entry not in before, reversed(after)))[::-1]
