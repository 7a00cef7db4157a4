"""The rules of an upgrade that keep it where it is, and let it go on from there.

An upgrade waits for people, for time, and for an Agent that is stopped. It never waits for pods or
routes here: those are on their way, and late after a while.
"""

from __future__ import annotations

from agentherd.api import UpgradePhase
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import Facts, Move, position, stay, working_phase


def stopped(facts: Facts) -> Move | None:
    """The Agent is to have no pods: the upgrade waits, and begins its steps again afterwards."""
    if facts.wanted:
        return None
    return Move(
        phase=UpgradePhase.PAUSED,
        reason=Reason.AGENT_STOPPED,
        message="the Agent is to have no pods; goes on from the first step when it has",
        changes={
            "step": min(1, len(facts.course.steps)),
            "ready_since": None,
            "weight": 0,
            "weight_since": None,
            "progress_since": None,
        },
    )


def paused(facts: Facts) -> Move | None:
    """A person wants it to stay where it is."""
    if not facts.spec.paused:
        return None
    # Paused at a step it would go back to the pods of that step, so a promotion stays one.
    promotes = facts.step is not None and facts.status.phase is UpgradePhase.PROMOTING
    return Move(
        phase=UpgradePhase.PROMOTING if promotes else UpgradePhase.PAUSED,
        reason=Reason.PAUSED,
        message=f"spec.paused is true; {position(facts)}",
        changes={"progress_since": None},
    )


def resumed(facts: Facts) -> Move | None:
    """On from where it was, with a new deadline."""
    status = facts.status
    if status.progress_since is not None:
        return None
    phase = working_phase(facts)
    return Move(
        phase=phase,
        reason=Reason.PROMOTING if phase is UpgradePhase.PROMOTING else Reason.STEP_REACHED,
        message=position(facts),
        changes={"progress_since": facts.now},
        wake_at=facts.now,
    )


def holding(facts: Facts) -> Move | None:
    """The pause of the step."""
    status, step = facts.status, facts.step
    if step is None or status.weight_since is None or status.step <= facts.released:
        return None
    if step.waits:
        return stay(
            facts,
            Reason.WAITING_FOR_PROMOTION,
            f"{position(facts)}: waits for spec.promote",
            phase=UpgradePhase.PAUSED,
        )
    if step.pause is None or facts.now >= status.weight_since + step.pause:
        return None
    until = status.weight_since + step.pause
    return stay(
        facts,
        Reason.STEP_REACHED,
        f"{position(facts)} until {until:%H:%M:%S} UTC",
        wake_at=until,
    )


def inconclusive(facts: Facts) -> Move | None:
    """Too little was seen to leave the step, or to promote after the last one."""
    status, judgement = facts.status, facts.judgement
    if facts.step is None or status.step <= facts.released:
        return None
    missing, blind = ("", "") if judgement.proceeds else (judgement.missing, judgement.blind)
    awaited = facts.awaited if status.step >= len(facts.course.steps) else ""
    # A process that was just started is blind for a second; that is no change of the phase.
    phase = UpgradePhase.PAUSED if missing or awaited else status.phase
    if not missing and not awaited and not blind:
        return None
    message = f"{position(facts)}: {'; '.join(filter(None, (missing or blind, awaited)))}"
    return stay(facts, Reason.INCONCLUSIVE, message, phase=phase)


def unapproved(facts: Facts) -> Move | None:
    """What comes next is for a person to approve; leave to go on does not take the place of that.

    It stays at its step, and is rolled back from there like any other.
    """
    promote = facts.spec.promote
    skips = promote is not None and promote.full
    taken = len(facts.course.steps) if skips else facts.status.step
    if facts.approval is None or not facts.approval.bars(taken):
        return None
    message = f"{position(facts)}: {facts.approval.message}"
    return stay(facts, facts.approval.reason, message, phase=UpgradePhase.PAUSED)
