"""What the rules of an upgrade are given, what they answer, and what their answers have in common.

A rule gets the facts and says what the upgrade does next, or nothing. It is told all there is to
know and remembers nothing, so the same facts always have the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agentherd.api import AgentUpgradeSpec, AgentUpgradeStatus, StrategyType, UpgradePhase
from agentherd.domain.faults import Fault
from agentherd.domain.judging.verdict import NOTHING, Judgement
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.approval import Standing
from agentherd.domain.upgrades.strategy import Course, CourseStep, canary_size

OPERATOR: Final = "agentherd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the next move depends on.

    `canary` is the new version and counts pods that are available, as `stable` does for the old.
    `asked` is how many of the new version have been asked for.
    `promoted` says that the new version is the Agent's stable one, `restored` that the old one is.
    `shifted` says that routes and Services send nothing to the new version. `obstacle` is why they
    do not do as they are told. `returnable` says that the old version is still kept. `approval` is
    None where nothing needs any. `judgement` is what the analysis asks for. `killed` says that a
    container of the new version was killed for want of memory, also after the end.
    """

    spec: AgentUpgradeSpec
    status: AgentUpgradeStatus
    course: Course
    wanted: int
    canary: int
    asked: int
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
    approval: Standing | None = None
    judgement: Judgement = NOTHING
    killed: Fault | None = None

    @property
    def step(self) -> CourseStep | None:
        """The step the upgrade is at; None before the first and after the last."""
        number = self.status.step
        return self.course.steps[number - 1] if 0 < number <= len(self.course.steps) else None

    @property
    def needed(self) -> int:
        """Pods of the new version that the present step, or promotion, needs.

        Where pods are replaced one by one, those that have got a place so far.
        """
        if self.course.type is StrategyType.ROLLING_UPDATE:
            return min(self.wanted, max(1, self.asked))
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

    @property
    def awaited(self) -> str:
        """What has to be found out before a promotion, unless a person does without."""
        return "" if self._skips else self.judgement.awaited

    @property
    def doubted(self) -> str:
        """What speaks against a promotion that has begun, unless a person does without."""
        return "" if self._skips or self.judgement.proceeds else self.judgement.doubt

    @property
    def _skips(self) -> bool:
        """Whether a person has said not to wait after the last step either."""
        promote, steps = self.spec.promote, len(self.course.steps)
        return promote is not None and (promote.full or 0 < steps <= (promote.step or 0))


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


def stay(
    facts: Facts,
    reason: Reason,
    message: str,
    *,
    phase: UpgradePhase | None = None,
    wake_at: datetime | None = None,
    **changes: Any,
) -> Move:
    """No other step; no longer paused, unless `phase` says so."""
    kept = phase or facts.status.phase or UpgradePhase.PROGRESSING
    if kept is UpgradePhase.PAUSED and phase is None:
        kept = UpgradePhase.PROGRESSING
    return Move(phase=kept, reason=reason, message=message, changes=changes, wake_at=wake_at)


def waiting_for(
    facts: Facts, reason: Reason, message: str, *, phase: UpgradePhase = UpgradePhase.PROGRESSING
) -> Move:
    """Stay, until the progress deadline ends the wait; a tester may be waited for beyond it."""
    until = (facts.status.progress_since or facts.now) + facts.course.progress_deadline
    wake_at = until if facts.now < until else None
    return stay(facts, reason, message, phase=phase, wake_at=wake_at)


def working_phase(facts: Facts) -> UpgradePhase:
    """The phase of an upgrade that nobody holds."""
    promotes = facts.step is None or facts.status.phase is UpgradePhase.PROMOTING
    return UpgradePhase.PROMOTING if promotes else UpgradePhase.PROGRESSING


def is_held_up(facts: Facts) -> bool:
    """Whether pods or routes are not as the present step needs them."""
    return facts.canary < facts.needed or facts.obstacle is not None


def position(facts: Facts) -> str:
    """Where the upgrade is, in words."""
    status = facts.status
    if facts.step is None or status.phase is UpgradePhase.PROMOTING:
        return "promotion"
    return f"step {status.step} of {status.steps}, weight {status.weight}"
