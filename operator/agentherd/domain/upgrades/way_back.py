"""The rules of an upgrade that end it: back to the old version, or over because the new one serves.

A person's word to go back comes before everything else, and what goes wrong before what gets on. An
end is one: nothing happens by itself after it, but a success can be taken back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from agentherd.api import RollbackRecord, UpgradePhase
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import OPERATOR, Facts, Move, is_held_up, stay
from agentherd.domain.upgrades.phases import ENDED

PATIENCE: Final = timedelta(seconds=10)
"""How long one that is undone after it had taken over waits for all pods of the old version, before
those that are there take its place: one pod that never gets ready must not keep users away."""

TRIGGERS: Final = {
    Reason.PROBES_FAIL: Reason.HEALTH_PROBE,
    Reason.CRASHING: Reason.CRASH,
    Reason.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Reason.IMAGE_UNAVAILABLE: Reason.IMAGE_UNAVAILABLE,
    Reason.WARM_UP_FAILED: Reason.WARM_UP_FAILED,
    Reason.OBJECTIVE_MISSED: Reason.OBJECTIVE_MISSED,
}
"""Faults of a pod that end an upgrade at once; others may pass before the deadline does."""

CLOCKS: Final = timedelta(seconds=5)
"""By how much the clocks of a node and of the operator may differ."""


def rolling_back(facts: Facts) -> Move | None:
    """Back at the old version: ended when nothing is sent to the new one and the old one serves.

    Where the Agent is to have no pods nobody is served, and nobody is waited for.
    """
    status = facts.status
    if status.phase is not UpgradePhase.ROLLING_BACK or status.rollback is None:
        return None
    record = _explained(facts, status.rollback)
    what = f"{record.trigger}: {record.reason}"
    taken = facts.promoted and status.from_revision != status.to_revision
    if taken and not facts.returnable:
        return _not_back(facts)
    podless = bool(facts.wanted) and not facts.stable
    if taken or not facts.shifted or podless:
        waiting = "for pods of the old version" if taken or podless else "for routes"
        told = f"{what}; waits {waiting}"
        patient_until = record.at + PATIENCE
        again = patient_until if taken and facts.now < patient_until else None
        return stay(facts, Reason.ROLLING_BACK, told, wake_at=again, weight=0, rollback=record)
    seconds = int((facts.now - record.at).total_seconds())
    record = record.model_copy(
        update={"finished_at": facts.now, "duration_seconds": max(0, seconds)}
    )
    return Move(
        phase=UpgradePhase.ROLLED_BACK,
        reason=Reason.ROLLED_BACK,
        message=what,
        changes={"rollback": record, "finished_at": facts.now, "weight": 0},
    )


def _explained(facts: Facts, record: RollbackRecord) -> RollbackRecord:
    """The record with the cause of what was seen first, as far as that is told by now.

    Of a process that is killed the probe tells at once that it does not answer, and the kubelet a
    moment later why; the way back does not wait for that.
    """
    killed = facts.killed
    if record.trigger != Reason.HEALTH_PROBE or killed is None or killed.at is None:
        return record
    if killed.at > record.at + CLOCKS:
        return record
    trigger = TRIGGERS[killed.reason]
    return record.model_copy(update={"trigger": trigger, "reason": killed.message})


def asked_back(facts: Facts) -> Move | None:
    """A person wants the old version back, also after the upgrade has succeeded."""
    request = facts.spec.rollback
    if request is None or not request.requested:
        return None
    if facts.promoted and not facts.returnable:
        return _not_back(facts)
    reason = request.reason or "no reason was given"
    return go_back(facts, Reason.REQUESTED, reason, by=facts.writer or OPERATOR)


def _not_back(facts: Facts) -> Move | None:
    """Nobody knows what the old version was: the new one, which has taken over, goes on."""
    status = facts.status
    if status.phase not in {UpgradePhase.SUCCEEDED, UpgradePhase.ROLLING_BACK}:
        return None  # its success is told first
    begun = status.phase is UpgradePhase.ROLLING_BACK
    gone = f"revision {status.from_revision} is not kept any more"
    message = (
        f"revision {status.to_revision} serves; the rollback that was requested has no effect, "
        f"since {gone}. Set the Agent's spec to what it was"
    )
    return Move(
        phase=UpgradePhase.SUCCEEDED,
        reason=Reason.REVISION_NOT_FOUND,
        message=message,
        changes={"rollback": None, "finished_at": facts.now, "weight": 100} if begun else {},
        in_vain=gone,
    )


def ended(facts: Facts) -> Move | None:
    """Nothing happens after the end, but that its cause may become clearer."""
    phase = facts.status.phase
    if phase is None or phase not in ENDED:
        return None
    record = facts.status.rollback
    explained = _explained(facts, record) if record is not None else None
    if explained is None or explained == record:
        return Move(phase=phase, reason=ENDED[phase], message="", changes={})
    return Move(
        phase=phase,
        reason=ENDED[phase],
        message=f"{explained.trigger}: {explained.reason}",
        changes={"rollback": explained},
    )


def failing(facts: Facts) -> Move | None:
    """A pod of the new version does what no pod should; no score and no pause outweighs that."""
    if facts.fault is None or facts.fault.reason not in TRIGGERS:
        return None
    return go_back(facts, TRIGGERS[facts.fault.reason], facts.fault.message, by=OPERATOR)


def refused(facts: Facts) -> Move | None:
    """The API server does not want the new version as it is."""
    if facts.refusal is None:
        return None
    return go_back(facts, Reason.REFUSED, facts.refusal.message, by=OPERATOR)


def worse(facts: Facts) -> Move | None:
    """The analysis has found the new version worse than the stable one."""
    if facts.judgement.trigger is None:
        return None
    return go_back(facts, facts.judgement.trigger, facts.judgement.message, by=OPERATOR)


def taken_over(facts: Facts) -> Move | None:
    """The new version is the stable one: what is done can be neither late nor paused."""
    if not facts.promoted:
        return None
    return Move(
        phase=UpgradePhase.SUCCEEDED,
        reason=Reason.UPGRADE_SUCCEEDED,
        message=f"revision {facts.status.to_revision} serves",
        changes={"finished_at": facts.now, "weight": 100, "progress_since": facts.now},
    )


def late(facts: Facts) -> Move | None:
    """The pods of a step, or the routes, take longer than they may."""
    status = facts.status
    if status.progress_since is None or not is_held_up(facts) or facts.spec.paused:
        return None
    if (
        status.ready_since is not None
        or not facts.wanted
        or facts.now < status.progress_since + facts.course.progress_deadline
    ):
        return None
    cause = facts.obstacle or facts.fault
    why = f": {cause.message}" if cause else ""
    message = (
        f"{facts.canary} of {facts.needed} pods of the new version available after "
        f"{round(facts.course.progress_deadline.total_seconds())} s{why}"
    )
    return go_back(facts, Reason.PROGRESS_DEADLINE, message, by=OPERATOR)


def go_back(facts: Facts, trigger: Reason, reason: str, *, by: str) -> Move | None:
    """The first move back; None where it has led back already."""
    if facts.status.phase is UpgradePhase.ROLLED_BACK:
        return None
    record = RollbackRecord(trigger=trigger, reason=reason, requested_by=by, at=facts.now)
    return Move(
        phase=UpgradePhase.ROLLING_BACK,
        reason=trigger,
        message=reason,
        changes={"rollback": record, "weight": 0, "finished_at": None},
        wake_at=facts.now,
    )
