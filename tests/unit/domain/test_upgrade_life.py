"""Whatever pods, people and time do to an upgrade, it keeps to what it promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.unit.domain.samples import (
    NOON,
    begun,
    canary,
    course_of,
    upgrade_facts,
    upgrade_spec,
)

from agentherd.api import StrategyType, UpgradePhase
from agentherd.domain.faults import Fault
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import Facts, Move, is_held_up
from agentherd.domain.upgrades.rules import advance
from agentherd.domain.upgrades.strategy import canary_size
from agentherd.domain.upgrades.way_back import TRIGGERS

SETTLE: Final = timedelta(seconds=2)
DEADLINE: Final = timedelta(seconds=60)
WAY: Final = {
    (UpgradePhase.PROGRESSING, UpgradePhase.PAUSED),
    (UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING),
    (UpgradePhase.PAUSED, UpgradePhase.PROGRESSING),
    (UpgradePhase.PAUSED, UpgradePhase.PROMOTING),
    (UpgradePhase.PROMOTING, UpgradePhase.PAUSED),
    (UpgradePhase.PROMOTING, UpgradePhase.SUCCEEDED),
    (UpgradePhase.PROGRESSING, UpgradePhase.ROLLING_BACK),
    (UpgradePhase.PAUSED, UpgradePhase.ROLLING_BACK),
    (UpgradePhase.PROMOTING, UpgradePhase.ROLLING_BACK),
    (UpgradePhase.SUCCEEDED, UpgradePhase.ROLLING_BACK),
    (UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK),
}
"""Every change of the phase that there is."""

COURSES: Final = [
    canary(5, 25, 50),
    canary({"weight": 10, "pause": {"seconds": 30}}, {"weight": 50, "pause": {}}),
    canary({"weight": 0, "pause": {"seconds": 300}}, {"weight": 100, "replicas": 1}),
    course_of({"type": "BlueGreen", "blueGreen": {"pause": {}}}),
    course_of({"type": "RollingUpdate"}),
]
ENDS: Final = {UpgradePhase.SUCCEEDED, UpgradePhase.ROLLED_BACK}


class Life(RuleBasedStateMachine):
    """One upgrade of four pods, with everything around it."""

    facts: Facts
    moves: list[tuple[Facts, Move]]

    @initialize(course=st.sampled_from(COURSES), by_gateway=st.booleans())
    def start(self, course: Any, by_gateway: bool) -> None:
        self.facts = begun(
            upgrade_facts(
                course=replace(course, progress_deadline=DEADLINE),
                wanted=4,
                stable=4,
                by_gateway=by_gateway,
                settle=SETTLE,
            )
        )
        self.moves = []
        self.weights: list[int] = []

    def turn(self, **changes: Any) -> Move:
        """Let one turn happen: what has changed is seen, and the move is recorded."""
        seen = replace(self.facts, **changes)
        move = advance(seen)
        self.moves.append((seen, move))
        status = seen.status.model_copy(update={"phase": move.phase, **move.changes})
        self.facts = replace(seen, status=status)
        self.follow()
        return move

    def follow(self) -> None:
        """The Agent makes the new version stable, and the old one again, as `run` does."""
        facts, status = self.facts, self.facts.status
        ready = facts.canary >= facts.wanted > 0
        sound = facts.fault is None and facts.obstacle is None and not facts.spec.paused
        asked = facts.spec.rollback is not None and facts.spec.rollback.requested
        if status.phase is UpgradePhase.PROMOTING and ready and sound and not asked:
            self.facts = replace(facts, promoted=True)
        if status.phase is UpgradePhase.ROLLING_BACK:
            self.facts = replace(facts, promoted=False, shifted=not facts.promoted)

    @rule(pods=st.integers(0, 4))
    def pods_come_and_go(self, pods: int) -> None:
        self.turn(canary=pods, asked=pods)

    @rule()
    def all_pods_are_ready(self) -> None:
        self.turn(canary=4, asked=4)

    @rule(seconds=st.sampled_from([1, 2, 10, 31, 61, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.turn(now=self.facts.now + timedelta(seconds=seconds))

    @rule(paused=st.booleans())
    def somebody_pauses_or_resumes(self, paused: bool) -> None:
        self.turn(spec=self.facts.spec.model_copy(update={"paused": paused}))

    @rule(promote=st.sampled_from([{"step": 1}, {"step": 2}, {"full": True}]))
    def somebody_promotes(self, promote: dict[str, Any]) -> None:
        said = upgrade_spec(promote=promote).promote
        self.turn(spec=self.facts.spec.model_copy(update={"promote": said}))

    @precondition(lambda self: len(self.moves) > 8)
    @rule()
    def somebody_wants_the_old_version_back(self) -> None:
        said = upgrade_spec(rollback={"requested": True}).rollback
        self.turn(spec=self.facts.spec.model_copy(update={"rollback": said}))

    @rule(wanted=st.sampled_from([0, 4, 6]))
    def somebody_scales_the_agent(self, wanted: int) -> None:
        pods = 0 if not wanted else self.facts.canary
        self.turn(wanted=wanted, canary=pods)

    @precondition(lambda self: len(self.moves) > 8)
    @rule(reason=st.sampled_from([*TRIGGERS, Reason.UNSCHEDULABLE]))
    def a_pod_fails(self, reason: Reason) -> None:
        self.turn(fault=Fault(reason, "x"))

    @rule()
    def faults_are_over(self) -> None:
        self.turn(fault=None, obstacle=None)

    @rule()
    def the_route_is_gone(self) -> None:
        self.turn(obstacle=Fault(Reason.ROUTE_NOT_FOUND, "x"))

    @rule(turns=st.integers(1, 6))
    def turns_go_by(self, turns: int) -> None:
        for _ in range(turns):
            self.turn()

    # What holds of every move

    @invariant()
    def phases_follow_the_picture(self) -> None:
        for seen, move in self.moves[-6:]:
            if move.phase is not seen.status.phase:
                assert (seen.status.phase, move.phase) in WAY

    @invariant()
    def weight_is_raised_only_onto_pods_that_are_there(self) -> None:
        for seen, move in self.moves[-6:]:
            raised = move.changes.get("weight", 0) > seen.status.weight
            if not raised or move.phase is UpgradePhase.SUCCEEDED:
                continue
            step = seen.course.steps[seen.status.step - 1]
            needed = canary_size(step, wanted=seen.wanted, by_gateway=seen.by_gateway)
            assert seen.canary >= needed
            assert seen.obstacle is None
            assert move.changes["weight"] == step.weight
            if not seen.status.weight:
                since = seen.status.ready_since
                assert since is not None
                assert seen.now >= since + SETTLE

    @invariant()
    def steps_are_taken_one_by_one(self) -> None:
        for seen, move in self.moves[-6:]:
            number = move.changes.get("step", seen.status.step)
            back = number == min(1, len(seen.course.steps)) and not seen.wanted
            assert back or number - seen.status.step in {0, 1}

    @invariant()
    def what_fails_goes_back_at_once(self) -> None:
        for seen, move in self.moves[-6:]:
            fails = seen.fault is not None and seen.fault.reason in TRIGGERS
            if fails and seen.status.phase not in ENDS | {UpgradePhase.ROLLING_BACK}:
                assert move.phase is UpgradePhase.ROLLING_BACK

    @invariant()
    def paused_it_gets_no_further(self) -> None:
        for seen, move in self.moves[-6:]:
            if seen.spec.paused and not seen.promoted:
                assert move.changes.get("weight", 0) <= seen.status.weight
                assert move.changes.get("step", 0) <= seen.status.step

    @invariant()
    def an_end_is_an_end(self) -> None:
        for seen, move in self.moves[-6:]:
            request = seen.spec.rollback
            asked = request is not None and request.requested
            if seen.status.phase in ENDS and not asked:
                assert (move.phase, move.changes) == (seen.status.phase, {})

    @invariant()
    def going_back_nothing_is_given(self) -> None:
        if self.facts.status.phase in {UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK}:
            assert self.facts.status.weight == 0

    @invariant()
    def waiting_ends_at_a_known_time_or_with_somebody(self) -> None:
        """Nothing that only time can change is left without a time to look again."""
        if not self.moves:
            return
        seen, move = self.moves[-1]
        held = seen.spec.paused or not seen.wanted or move.phase is UpgradePhase.PAUSED
        going = move.phase in {UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING}
        promoted = move.phase is UpgradePhase.PROMOTING and not is_held_up(seen)
        assert held or not going or promoted or move.wake_at is not None

    @invariant()
    def no_time_to_look_again_is_over(self) -> None:
        """Or the operator would do nothing but look."""
        if self.moves:
            found = self.facts
            for _ in range(6):
                move = advance(found)
                changes = {"phase": move.phase, **move.changes}
                found = replace(found, status=found.status.model_copy(update=changes))
            assert move.wake_at is None or move.wake_at > found.now

    @invariant()
    def it_comes_to_rest(self) -> None:
        """When nothing changes any more, neither does the status: no write begets a write."""
        if not self.moves:
            return
        facts, quiet = self.facts, False
        for _ in range(40):
            move = advance(facts)
            after = facts.status.model_copy(update={"phase": move.phase, **move.changes})
            quiet = after == facts.status
            facts = replace(facts, status=after)
            if quiet:
                break
        assert quiet

    @invariant()
    def no_pods_is_late_at_the_deadline(self) -> None:
        """However often they came and went before the step was reached.

        Where pods are replaced one by one, each of them that comes is a step.
        """
        facts, status = self.facts, self.facts.status
        if status.phase not in {UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING}:
            return
        if not facts.wanted or facts.spec.paused or facts.promoted:
            return
        now = facts.now
        phase = status.phase
        ready = True
        while now <= facts.now + 3 * DEADLINE and phase is status.phase:
            ready = not ready
            found = replace(facts, canary=facts.needed - 1 + ready, now=now, promoted=False)
            by_pod = facts.course.type is StrategyType.ROLLING_UPDATE
            if by_pod or found.needed == facts.wanted:
                found = replace(found, canary=facts.needed - 1)
            for _ in range(3):
                move = advance(found)
                after = found.status.model_copy(update={"phase": move.phase, **move.changes})
                found = replace(found, status=after)
            facts = replace(facts, status=found.status)
            if facts.status.weight_since is not None:
                return  # it got on
            phase = move.phase
            now += timedelta(seconds=1)
        assert phase is not status.phase


Life.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_everything_going_well_it_takes_its_steps_in_order() -> None:
    """And succeeds; the weights are those of the steps, one after the other."""
    life = Life()
    life.start(canary(5, 25, 50), by_gateway=True)
    life.turn(canary=4)
    while life.facts.status.phase not in ENDS and len(life.moves) < 50:
        life.turn(now=life.facts.now + timedelta(seconds=1))

    weights = [facts.status.weight for facts, _ in life.moves] + [life.facts.status.weight]
    distinct = [weights[0], *(b for a, b in pairwise(weights) if a != b)]

    assert life.facts.status.phase is UpgradePhase.SUCCEEDED
    assert distinct == [0, 5, 25, 50, 100]
    assert life.facts.now < NOON + timedelta(seconds=50)
