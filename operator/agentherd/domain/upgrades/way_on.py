"""The rules of an upgrade that bring it on: pods, their settling, the weight, the next step.

One turn makes one move, so that every weight that is asked for has been in force before the next
one is.
"""

from __future__ import annotations

from agentherd.api import UpgradePhase
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import (
    Facts,
    Move,
    is_held_up,
    position,
    stay,
    waiting_for,
    working_phase,
)


def set_back(facts: Facts) -> Move | None:
    """What the step had is lost again, such as pods of an evicted node: a new deadline begins.

    Before the step was reached none does, or pods that come and go would never be late.
    """
    if facts.status.ready_since is None or not is_held_up(facts):
        return None
    phase = working_phase(facts)
    promotes = phase is UpgradePhase.PROMOTING
    reached = facts.status.weight_since is not None or promotes
    # With the last pod the weight goes too, and comes back as carefully as the first time.
    weight = facts.status.weight if facts.canary else 0
    return stay(
        facts,
        Reason.PROMOTING if promotes else Reason.WAITING_FOR_PODS,
        f"{position(facts)}: {facts.canary} of {facts.needed} pods of the new version available",
        phase=phase,
        ready_since=None,
        weight=weight,
        **({"progress_since": facts.now} if reached else {}),
        wake_at=facts.now,
    )


def promoting(facts: Facts) -> Move | None:
    """The new version takes over as soon as all its pods are there.

    While those that have been asked for are, it cannot be late: it waits for old pods to go, or for
    testers.
    """
    if facts.step is not None and facts.status.phase is not UpgradePhase.PROMOTING:
        return None
    phase = UpgradePhase.PROMOTING
    share = f"{facts.canary} of {facts.wanted} pods of the new version available"
    if facts.canary >= facts.wanted:
        share = "; ".join(filter(None, (share, facts.doubted, facts.awaited)))
    if is_held_up(facts):
        return waiting_for(facts, Reason.PROMOTING, share, phase=phase)
    since = facts.status.ready_since or facts.now
    return stay(facts, Reason.PROMOTING, share, phase=phase, ready_since=since)


def gathering(facts: Facts) -> Move | None:
    """The pods of the present step are not there yet."""
    if facts.canary >= facts.needed:
        return None
    share = f"{facts.canary} of {facts.needed} pods of the new version available"
    return waiting_for(facts, Reason.WAITING_FOR_PODS, f"{position(facts)}: {share}")


def settling(facts: Facts) -> Move | None:
    """Whoever passes requests on has to know the new pods before the first request is for them."""
    status, step = facts.status, facts.step
    if step is None or not step.weight or status.weight:
        return None
    if status.ready_since is None:
        return stay(
            facts,
            Reason.SETTLING,
            f"{position(facts)}: the pods are ready",
            ready_since=facts.now,
            wake_at=facts.now + facts.settle,
        )
    if facts.now < status.ready_since + facts.settle:
        return stay(
            facts,
            Reason.SETTLING,
            f"{position(facts)}: the pods are ready",
            wake_at=status.ready_since + facts.settle,
        )
    return None


def obstructed(facts: Facts) -> Move | None:
    """Nothing is given to the new version by routes that do not do as they are told."""
    if facts.obstacle is None:
        return None
    return waiting_for(facts, Reason.WAITING_FOR_TRAFFIC, facts.obstacle.message)


def weighing(facts: Facts) -> Move | None:
    """The weight of the step."""
    status, step = facts.status, facts.step
    if step is None:
        return None
    reached = status.weight == step.weight and status.weight_since is not None
    if reached and status.ready_since is not None:
        return None
    message = f"step {status.step} of {status.steps}: weight {step.weight}"
    return Move(
        phase=UpgradePhase.PROGRESSING,
        reason=Reason.STEP_REACHED,
        message=message,
        changes={
            "weight": step.weight,
            "weight_since": status.weight_since or facts.now,
            "progress_since": facts.now,
            "ready_since": status.ready_since or facts.now,
        },
        wake_at=facts.now,
    )


def next_step(facts: Facts) -> Move:
    """The step after this one, or promotion after the last."""
    status = facts.status
    skips = facts.spec.promote is not None and facts.spec.promote.full
    last = skips or status.step >= len(facts.course.steps)
    missing = facts.judgement.missing
    though = f", though {missing}" if missing and facts.step is not None else ""
    number = status.step if last else status.step + 1
    return Move(
        phase=UpgradePhase.PROMOTING if last else UpgradePhase.PROGRESSING,
        reason=Reason.PROMOTING if last else Reason.WAITING_FOR_PODS,
        message=("all steps are done" if last else f"step {number} of {status.steps}") + though,
        changes={
            "step": number,
            "ready_since": None,
            "weight_since": status.weight_since if last else None,
            "progress_since": facts.now,
        },
        wake_at=facts.now,
    )
