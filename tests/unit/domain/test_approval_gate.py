"""Whatever pods, people and time do, nothing goes forward unapproved, and everything goes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from tests.unit.domain.samples import begun, canary, upgrade_facts, upgrade_spec
from tests.unit.domain.test_upgrade_life import COURSES, Life

from agentherd.api import UpgradePhase
from agentherd.domain.faults import Fault
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.approval import Standing
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.upgrades.rules import advance
from agentherd.domain.upgrades.way_back import TRIGGERS

UNAPPROVED = (
    Reason.APPROVAL_REQUIRED,
    Reason.APPROVAL_OUTDATED,
    Reason.APPROVAL_UNCHECKED,
    Reason.POLICY_MISSING,
)


class Gated(Life):
    """The life of an upgrade that has begun and needs an approval to get to its end."""

    @initialize(
        course=st.sampled_from([each for each in COURSES if each.steps]),
        by_gateway=st.booleans(),
        free=st.integers(1, 3),
    )
    def start(self, course: Any, by_gateway: bool, free: int = 3) -> None:
        super().start(course, by_gateway)
        self.free = min(free, len(course.steps))
        self.stands(Reason.APPROVAL_REQUIRED)

    def stands(self, reason: Reason) -> None:
        standing = Standing(free=self.free, reason=reason, message="x")
        self.facts = replace(self.facts, approval=standing)

    @rule(reason=st.sampled_from([Reason.APPROVED, *UNAPPROVED]))
    def somebody_approves_or_takes_it_back(self, reason: Reason) -> None:
        self.stands(reason)
        self.turn()

    @invariant()
    def without_approval_it_is_not_promoted(self) -> None:
        for seen, move in self.moves[-6:]:
            approved = seen.approval is None or seen.approval.given
            if not approved and seen.status.phase is not UpgradePhase.PROMOTING:
                assert seen.promoted or move.phase is not UpgradePhase.PROMOTING

    @invariant()
    def without_approval_it_takes_only_the_steps_that_are_free(self) -> None:
        for seen, move in self.moves[-6:]:
            approved = seen.approval is None or seen.approval.given
            if not approved and move.changes.get("step", 0) > seen.status.step:
                assert seen.status.step < self.free

    @invariant()
    def who_wants_it_back_gets_it_back_at_once(self) -> None:
        for seen, move in self.moves[-6:]:
            request = seen.spec.rollback
            asked = request is not None and request.requested
            if asked and seen.status.phase in MOVING and not seen.promoted:
                assert move.phase is UpgradePhase.ROLLING_BACK


Gated.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestGated = Gated.TestCase


@pytest.mark.parametrize("phase", sorted(MOVING))
@pytest.mark.parametrize("reason", UNAPPROVED)
@pytest.mark.parametrize("why", ["asked", "fault"])
def test_every_way_back_is_free(phase: UpgradePhase, reason: Reason, why: str) -> None:
    """From every phase, whatever is the matter with its approval."""
    facts = begun(upgrade_facts(course=canary(5, 50)))
    standing = Standing(free=1, reason=reason, message="x")
    gated = replace(
        facts, approval=standing, status=facts.status.model_copy(update={"phase": phase})
    )
    asked = replace(gated, spec=upgrade_spec(rollback={"requested": True}))
    failed = replace(gated, fault=Fault(next(iter(TRIGGERS)), "x"))

    move = advance(asked if why == "asked" else failed)

    assert move.phase is UpgradePhase.ROLLING_BACK
