"""How an upgrade goes: an ordered list of rules, of which the first that speaks decides.

    Pending ─▶ Progressing ⇄ Paused ─▶ Promoting ─▶ Succeeded
                   └──────────┴────────────┴──▶ RollingBack ─▶ RolledBack ◀── (Succeeded)

A rule gets the facts and says what the upgrade does next, or nothing. One turn makes one move, so
that every weight that is asked for has been in force before the next one is. What goes wrong comes
before what gets on, and a person's word to go back before everything else. Nothing here writes:
what follows from a move is worked out from the phase, the step and the weight alone, so a process
that is killed between two writes comes to the same conclusion again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agentherd.api import (
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    EffectiveStrategy,
    RollbackRecord,
    UpgradePhase,
)
from agentherd.domain.faults import Fault
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason
from agentherd.domain.strategy import Course, CourseStep, canary_size
from agentherd.domain.upgrade_phases import ENDED

OPERATOR: Final = "agentherd"

PATIENCE: Final = timedelta(seconds=10)
"""How long one that is undone after it had taken over waits for all pods of the old version, before
those that are there take its place: one pod that never gets ready must not keep users away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the next move depends on.

    `canary` is the new version and counts pods that are available, as `stable` does for the old.
    `promoted` says that the new version is the Agent's stable one, `restored` that the old one is.
    `shifted` says that routes and Services send nothing to the new version. `obstacle` is why they
    do not do as they are told. `returnable` says that the old version is still kept.
    """

    spec: AgentUpgradeSpec
    status: AgentUpgradeStatus
    course: Course
    wanted: int
    canary: int
    stable: int
    by_gateway: bool
    settle: timedelta
    fault: Fault | None
    refusal: Failure | None
    promoted: bool
    shifted: bool
    returnable: bool
    obstacle: Fault | None
    writer: str
    now: datetime

    @property
    def step(self) -> CourseStep | None:
        """The step the upgrade is at; None before the first and after the last."""
        number = self.status.step
        return self.course.steps[number - 1] if 0 < number <= len(self.course.steps) else None

    @property
    def needed(self) -> int:
        """Pods of the new version that the present step, or promotion, needs."""
        if self.step is None or self.status.phase is UpgradePhase.PROMOTING:
            return self.wanted
        return canary_size(self.step, wanted=self.wanted, by_gateway=self.by_gateway)

    @property
    def released(self) -> int:
        """Number of the last step at which a person has said not to wait."""
        promote = self.spec.promote
        if promote is None:
            return 0
        return len(self.course.steps) if promote.full else promote.step or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What an upgrade does next: its phase and why, and the fields of its status that change.

    `wake_at` is when time alone would bring another move, `in_vain` why a rollback that a person
    asks for is not to be had.
    """

    phase: UpgradePhase
    reason: Reason
    message: str
    changes: dict[str, Any]
    wake_at: datetime | None = None
    in_vain: str = ""


Rule = Callable[[Facts], Move | None]


def advance(facts: Facts) -> Move:
    """The move of the first rule that has one."""
    for rule in RULES:
        if move := rule(facts):
            return move
    raise AssertionError("the last rule always speaks")


def begin(
    facts: Facts,
    strategy: EffectiveStrategy,
    *,
    from_revision: str,
    to_revision: str,
    versions: tuple[str | None, str | None],
) -> Move:
    """The first move of an attempt, which settles the strategy of it."""
    spec, course = facts.spec, facts.course
    first = 1 if course.steps else 0
    phase = UpgradePhase.PROGRESSING if course.steps else UpgradePhase.PROMOTING
    return Move(
        phase=phase,
        reason=Reason.UPGRADE_STARTED,
        message=f"from revision {from_revision} to {to_revision}",
        changes={
            "attempt": spec.attempt,
            "from_revision": from_revision,
            "to_revision": to_revision,
            "from_version": versions[0],
            "to_version": versions[1],
            "strategy": strategy,
            "steps": len(course.steps),
            "step": first,
            "ready_since": None,
            "weight": 0,
            "weight_seen": None,
            "weight_since": None,
            "progress_since": facts.now,
            "started_at": facts.now,
            "finished_at": None,
            "rollback": None,
        },
        wake_at=facts.now,
    )


# Going back


def rolling_back(facts: Facts) -> Move | None:
    """Back at the old version: ended when nothing is sent to the new one and the old one serves."""
    status = facts.status
    if status.phase is not UpgradePhase.ROLLING_BACK or status.rollback is None:
        return None
    what = f"{status.rollback.trigger}: {status.rollback.reason}"
    taken = facts.promoted and status.from_revision != status.to_revision
    if taken and not facts.returnable:
        return _not_back(facts)
    if taken or not facts.shifted or not facts.stable:
        waiting = "for pods of the old version" if taken or not facts.stable else "for routes"
        told = f"{what}; waits {waiting}"
        patient_until = status.rollback.at + PATIENCE
        again = patient_until if taken and facts.now < patient_until else None
        return _stay(facts, Reason.ROLLING_BACK, told, wake_at=again, weight=0)
    seconds = int((facts.now - status.rollback.at).total_seconds())
    record = status.rollback.model_copy(
        update={"finished_at": facts.now, "duration_seconds": max(0, seconds)}
    )
    return Move(
        phase=UpgradePhase.ROLLED_BACK,
        reason=Reason.ROLLED_BACK,
        message=what,
        changes={"rollback": record, "finished_at": facts.now, "weight": 0},
    )


def asked_back(facts: Facts) -> Move | None:
    """A person wants the old version back, also after the upgrade has succeeded."""
    request = facts.spec.rollback
    if request is None or not request.requested:
        return None
    if facts.promoted and not facts.returnable:
        return _not_back(facts)
    reason = request.reason or "no reason was given"
    return _go_back(facts, Reason.REQUESTED, reason, by=facts.writer or OPERATOR)


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
    """Nothing happens after the end."""
    phase = facts.status.phase
    if phase is None or phase not in ENDED:
        return None
    return Move(phase=phase, reason=ENDED[phase], message="", changes={})


def failing(facts: Facts) -> Move | None:
    """A pod of the new version does what no pod should; no score and no pause outweighs that."""
    if facts.fault is None or facts.fault.reason not in TRIGGERS:
        return None
    return _go_back(facts, TRIGGERS[facts.fault.reason], facts.fault.message, by=OPERATOR)


def refused(facts: Facts) -> Move | None:
    """The API server does not want the new version as it is."""
    if facts.refusal is None:
        return None
    return _go_back(facts, Reason.REFUSED, facts.refusal.message, by=OPERATOR)


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
    if status.progress_since is None or not _is_held_up(facts) or facts.spec.paused:
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
    return _go_back(facts, Reason.PROGRESS_DEADLINE, message, by=OPERATOR)


# Staying


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
        message=f"spec.paused is true; {_position(facts)}",
        changes={"progress_since": None},
    )


def resumed(facts: Facts) -> Move | None:
    """On from where it was, with a new deadline."""
    status = facts.status
    if status.progress_since is not None:
        return None
    phase = _working(facts)
    return Move(
        phase=phase,
        reason=Reason.PROMOTING if phase is UpgradePhase.PROMOTING else Reason.STEP_REACHED,
        message=_position(facts),
        changes={"progress_since": facts.now},
        wake_at=facts.now,
    )


# Getting on


def set_back(facts: Facts) -> Move | None:
    """What the step had is lost again, such as pods of an evicted node: a new deadline begins.

    Before the step was reached none does, or pods that come and go would never be late.
    """
    if facts.status.ready_since is None or not _is_held_up(facts):
        return None
    reached = facts.status.weight_since is not None
    # With the last pod the weight goes too, and comes back as carefully as the first time.
    weight = facts.status.weight if facts.canary else 0
    return _stay(
        facts,
        Reason.WAITING_FOR_PODS,
        f"{_position(facts)}: {facts.canary} of {facts.needed} pods of the new version available",
        phase=_working(facts),
        ready_since=None,
        weight=weight,
        **({"progress_since": facts.now} if reached else {}),
        wake_at=facts.now,
    )


def promoting(facts: Facts) -> Move | None:
    """The new version takes over as soon as all its pods are there."""
    if facts.step is not None and facts.status.phase is not UpgradePhase.PROMOTING:
        return None
    share = f"{facts.canary} of {facts.wanted} pods of the new version available"
    return _waiting_for(facts, Reason.PROMOTING, share, phase=UpgradePhase.PROMOTING)


def gathering(facts: Facts) -> Move | None:
    """The pods of the present step are not there yet."""
    if facts.canary >= facts.needed:
        return None
    share = f"{facts.canary} of {facts.needed} pods of the new version available"
    return _waiting_for(facts, Reason.WAITING_FOR_PODS, f"{_position(facts)}: {share}")


def settling(facts: Facts) -> Move | None:
    """Whoever passes requests on has to know the new pods before the first request is for them."""
    status, step = facts.status, facts.step
    if step is None or not step.weight or status.weight:
        return None
    if status.ready_since is None:
        return _stay(
            facts,
            Reason.SETTLING,
            f"{_position(facts)}: the pods are ready",
            ready_since=facts.now,
            wake_at=facts.now + facts.settle,
        )
    if facts.now < status.ready_since + facts.settle:
        return _stay(
            facts,
            Reason.SETTLING,
            f"{_position(facts)}: the pods are ready",
            wake_at=status.ready_since + facts.settle,
        )
    return None


def obstructed(facts: Facts) -> Move | None:
    """Nothing is given to the new version by routes that do not do as they are told."""
    if facts.obstacle is None:
        return None
    return _waiting_for(facts, Reason.WAITING_FOR_TRAFFIC, facts.obstacle.message)


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


def holding(facts: Facts) -> Move | None:
    """The pause of the step."""
    status, step = facts.status, facts.step
    if step is None or status.weight_since is None or status.step <= facts.released:
        return None
    if step.waits:
        return _stay(
            facts,
            Reason.WAITING_FOR_PROMOTION,
            f"{_position(facts)}: waits for spec.promote",
            phase=UpgradePhase.PAUSED,
        )
    if step.pause is None or facts.now >= status.weight_since + step.pause:
        return None
    until = status.weight_since + step.pause
    return _stay(
        facts,
        Reason.STEP_REACHED,
        f"{_position(facts)} until {until:%H:%M:%S} UTC",
        wake_at=until,
    )


def next_step(facts: Facts) -> Move:
    """The step after this one, or promotion after the last."""
    status = facts.status
    skips = facts.spec.promote is not None and facts.spec.promote.full
    last = skips or status.step >= len(facts.course.steps)
    number = status.step if last else status.step + 1
    return Move(
        phase=UpgradePhase.PROMOTING if last else UpgradePhase.PROGRESSING,
        reason=Reason.PROMOTING if last else Reason.WAITING_FOR_PODS,
        message="all steps are done" if last else f"step {number} of {status.steps}",
        changes={
            "step": number,
            "ready_since": None,
            "weight_since": status.weight_since if last else None,
            "progress_since": facts.now,
        },
        wake_at=facts.now,
    )


RULES: Final[tuple[Rule, ...]] = (
    rolling_back,
    asked_back,
    ended,
    failing,
    refused,
    taken_over,
    late,
    stopped,
    paused,
    resumed,
    set_back,
    promoting,
    gathering,
    obstructed,
    settling,
    weighing,
    holding,
    next_step,
)

TRIGGERS: Final = {
    Reason.PROBES_FAIL: Reason.HEALTH_PROBE,
    Reason.CRASHING: Reason.CRASH,
    Reason.OUT_OF_MEMORY: Reason.CRASH,
    Reason.IMAGE_UNAVAILABLE: Reason.IMAGE_UNAVAILABLE,
}
"""Faults of a pod that end an upgrade at once; others may pass before the deadline does."""


def _go_back(facts: Facts, trigger: Reason, reason: str, *, by: str) -> Move | None:
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


def _working(facts: Facts) -> UpgradePhase:
    promotes = facts.step is None or facts.status.phase is UpgradePhase.PROMOTING
    return UpgradePhase.PROMOTING if promotes else UpgradePhase.PROGRESSING


def _is_held_up(facts: Facts) -> bool:
    return facts.canary < facts.needed or facts.obstacle is not None


def _waiting_for(
    facts: Facts, reason: Reason, message: str, *, phase: UpgradePhase = UpgradePhase.PROGRESSING
) -> Move:
    since = facts.status.progress_since or facts.now
    return _stay(
        facts, reason, message, phase=phase, wake_at=since + facts.course.progress_deadline
    )


def _stay(
    facts: Facts,
    reason: Reason,
    message: str,
    *,
    phase: UpgradePhase | None = None,
    wake_at: datetime | None = None,
    **changes: Any,
) -> Move:
    kept = phase or facts.status.phase or UpgradePhase.PROGRESSING
    if kept is UpgradePhase.PAUSED and phase is None:
        kept = UpgradePhase.PROGRESSING
    return Move(phase=kept, reason=reason, message=message, changes=changes, wake_at=wake_at)


def _position(facts: Facts) -> str:
    status = facts.status
    if facts.step is None or status.phase is UpgradePhase.PROMOTING:
        return "promotion"
    return f"step {status.step} of {status.steps}, weight {status.weight}"
