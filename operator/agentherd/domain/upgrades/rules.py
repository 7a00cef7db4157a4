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

from typing import Final

from agentherd.api import EffectiveStrategy, UpgradePhase
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import Facts, Move, Rule
from agentherd.domain.upgrades.waiting import (
    holding,
    inconclusive,
    paused,
    resumed,
    stopped,
    unapproved,
)
from agentherd.domain.upgrades.way_back import (
    asked_back,
    ended,
    failing,
    late,
    refused,
    rolling_back,
    taken_over,
    worse,
)
from agentherd.domain.upgrades.way_on import (
    gathering,
    next_step,
    obstructed,
    promoting,
    set_back,
    settling,
    weighing,
)


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
            "analysis": None,
        },
        wake_at=facts.now,
    )


RULES: Final[tuple[Rule, ...]] = (
    rolling_back,
    asked_back,
    ended,
    failing,
    refused,
    worse,
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
    inconclusive,
    unapproved,
    next_step,
)
