"""An upgrade goes by rules of which the first that speaks decides; one test per rule, in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.twin.samples import NOON
from tests.unit.domain.samples import begun, canary, course_of, upgrade_facts, upgrade_spec

from agentherd.api import RollbackRecord, UpgradePhase
from agentherd.domain.faults import Fault
from agentherd.domain.judging.verdict import Judgement
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades import rules
from agentherd.domain.upgrades.approval import Standing
from agentherd.domain.upgrades.moves import Facts, Move, Rule
from agentherd.domain.upgrades.rules import RULES, advance
from agentherd.domain.upgrades.way_back import TRIGGERS

CRASH = Fault(Reason.CRASHING, "it crashed")
NO_NODE = Fault(Reason.UNSCHEDULABLE, "fits no node")
NO_ROUTE = Fault(Reason.ROUTE_NOT_FOUND, "HTTPRoute greeter does not exist")
NO = Failure(reason=Reason.INVALID_TEMPLATE, message="no", generation=1, retry_at=NOON)
DEADLINE = NOON + timedelta(minutes=10)
RECORD = RollbackRecord(trigger="Crash", reason="it crashed", requested_by="agentherd", at=NOON)
SECOND = timedelta(seconds=1)


def at(**fields: Any) -> Facts:
    """Facts of an upgrade that began at noon; `status` says what differs of its status."""
    known = {"status": {}, "now": NOON} | fields
    status, now = known.pop("status"), known.pop("now")
    facts = begun(upgrade_facts(**known))
    return replace(facts, status=facts.status.model_copy(update=status), now=now)


def waiting(**status: Any) -> dict[str, Any]:
    """The status at step 1 with its weight in force."""
    known = {"weight": 5, "weight_since": NOON, "ready_since": NOON}
    return {"status": known | status, "canary": 1}


def says(move: Move) -> tuple[UpgradePhase, Reason]:
    return move.phase, move.reason


def test_the_order_of_the_rules_is_the_specification() -> None:
    """The way back, then what goes wrong, then what people want, then the way on."""
    assert [rule.__name__ for rule in RULES] == [
        "rolling_back",
        "asked_back",
        "ended",
        "failing",
        "refused",
        "worse",
        "taken_over",
        "late",
        "stopped",
        "paused",
        "resumed",
        "set_back",
        "promoting",
        "gathering",
        "obstructed",
        "settling",
        "weighing",
        "holding",
        "inconclusive",
        "unapproved",
        "next_step",
    ]


def test_the_first_move_records_where_it_starts() -> None:
    """From then on the status alone says how far it is."""
    status = begun(upgrade_facts(spec=upgrade_spec(attempt=2))).status

    assert (status.phase, status.step, status.steps) == (UpgradePhase.PROGRESSING, 1, 3)
    assert (status.attempt, status.started_at, status.progress_since) == (2, NOON, NOON)


def test_a_course_without_steps_begins_with_promotion() -> None:
    """As one that leads back to what has proved itself."""
    status = begun(upgrade_facts(course=course_of({"type": "BlueGreen"}, direct=True))).status

    assert (status.phase, status.step, status.steps) == (UpgradePhase.PROMOTING, 0, 0)


def test_a_new_attempt_forgets_the_one_before() -> None:
    """Its rollback, its weight and its end."""
    before = at(status={"rollback": RECORD, "finished_at": NOON, "weight": 5, "weight_since": NOON})

    status = begun(before).status

    assert (status.rollback, status.finished_at, status.weight) == (None, None, 0)
    assert status.weight_since is None


# Going back

BACK = {"phase": UpgradePhase.ROLLING_BACK, "rollback": RECORD}


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"shifted": True}, UpgradePhase.ROLLED_BACK),
        ({"shifted": False}, UpgradePhase.ROLLING_BACK),
        ({"shifted": True, "stable": 0}, UpgradePhase.ROLLING_BACK),
        ({"shifted": True, "stable": 0, "wanted": 0}, UpgradePhase.ROLLED_BACK),
        ({"shifted": False, "stable": 0, "wanted": 0}, UpgradePhase.ROLLING_BACK),
        ({"shifted": True, "stable": 1, "wanted": 9}, UpgradePhase.ROLLED_BACK),
        ({"shifted": True, "promoted": True}, UpgradePhase.ROLLING_BACK),
    ],
    ids=[
        "all sent back",
        "routes",
        "no pod",
        "no pod is wanted",
        "no pod is wanted, and routes",
        "some pods are enough",
        "still the stable one",
    ],
)
def test_rolling_back_ends_when_the_old_version_serves(
    fields: dict[str, Any], phase: UpgradePhase
) -> None:
    """It never waits for the whole of it."""
    move = advance(at(status=BACK, now=NOON + 3 * SECOND, **fields))

    assert move.phase is phase
    assert move.changes["weight"] == 0
    if phase is UpgradePhase.ROLLED_BACK:
        assert move.changes["rollback"].duration_seconds == 3


def test_rolling_back_from_a_version_to_itself_ends() -> None:
    """There is no other one to become stable again."""
    same = {"to_revision": "0" * 10, **BACK}

    assert advance(at(status=same, promoted=True, shifted=True)).phase is UpgradePhase.ROLLED_BACK


def test_rolling_back_nothing_else_counts() -> None:
    """No fault, no pause, no second wish makes it anything else."""
    facts = at(
        status=BACK,
        fault=CRASH,
        refusal=NO,
        spec=upgrade_spec(paused=True, rollback={"requested": True}),
    )

    assert says(advance(facts)) == (UpgradePhase.ROLLING_BACK, Reason.ROLLING_BACK)


ASKED = upgrade_spec(rollback={"requested": True, "reason": "complaints"})


@pytest.mark.parametrize(
    "phase",
    [
        UpgradePhase.PROGRESSING,
        UpgradePhase.PAUSED,
        UpgradePhase.PROMOTING,
        UpgradePhase.SUCCEEDED,
    ],
)
def test_asked_back_is_possible_from_everywhere(phase: UpgradePhase) -> None:
    """Also after it has succeeded, while the old version is still kept."""
    move = advance(at(spec=ASKED, status={"phase": phase, "finished_at": NOON}))

    record = move.changes["rollback"]
    assert says(move) == (UpgradePhase.ROLLING_BACK, Reason.REQUESTED)
    assert (record.reason, record.requested_by) == ("complaints", "kubectl")
    assert move.changes["finished_at"] is None


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"status": {"phase": UpgradePhase.ROLLED_BACK}}, UpgradePhase.ROLLED_BACK),
        (
            {
                "status": {"phase": UpgradePhase.SUCCEEDED},
                "promoted": True,
                "returnable": False,
            },
            UpgradePhase.SUCCEEDED,
        ),
    ],
    ids=["is back", "nothing is left to go back to"],
)
def test_asked_back_in_vain(fields: dict[str, Any], phase: UpgradePhase) -> None:
    """What cannot be done is not begun."""
    assert advance(at(spec=ASKED, **fields)).phase is phase


def test_asked_back_to_what_is_not_kept_it_is_told_why_nothing_happens() -> None:
    move = advance(
        at(spec=ASKED, status={"phase": UpgradePhase.SUCCEEDED}, promoted=True, returnable=False)
    )

    assert says(move) == (UpgradePhase.SUCCEEDED, Reason.REVISION_NOT_FOUND)
    assert "has no effect" in move.message
    assert move.changes == {}


def test_asked_back_from_a_canary_nothing_need_be_known_of_the_old_version() -> None:
    """It serves still, so there is nothing to make anew."""
    move = advance(at(spec=ASKED, returnable=False))

    assert says(move) == (UpgradePhase.ROLLING_BACK, Reason.REQUESTED)


@pytest.mark.parametrize("phase", [UpgradePhase.SUCCEEDED, UpgradePhase.ROLLED_BACK])
def test_ended_nothing_changes_any_more(phase: UpgradePhase) -> None:
    """Whatever becomes of the pods is the Agent's."""
    move = advance(at(status={"phase": phase}, fault=CRASH, refusal=NO, now=DEADLINE))

    assert (move.phase, move.changes, move.wake_at) == (phase, {}, None)


@pytest.mark.parametrize(("reason", "trigger"), TRIGGERS.items())
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"spec": upgrade_spec(paused=True)},
        {"wanted": 0},
        {"status": {"phase": UpgradePhase.PROMOTING}},
        {"refusal": NO},
    ],
    ids=["progressing", "paused", "stopped", "promoting", "refused as well"],
)
def test_failing_goes_back_at_once(fields: dict[str, Any], reason: Reason, trigger: Reason) -> None:
    """No score and no pause outweighs it."""
    move = advance(at(fault=Fault(reason, "x"), **fields))

    assert says(move) == (UpgradePhase.ROLLING_BACK, trigger)
    assert move.changes["rollback"].requested_by == "agentherd"


def test_a_fault_that_may_pass_is_given_its_time() -> None:
    """Another node may come."""
    assert advance(at(fault=NO_NODE)).phase is UpgradePhase.PROGRESSING


def test_refused_by_the_server_it_goes_back() -> None:
    """Nothing would ever become of it."""
    move = advance(at(refusal=NO))

    assert says(move) == (UpgradePhase.ROLLING_BACK, Reason.REFUSED)
    assert move.changes["rollback"].reason == "no"


@pytest.mark.parametrize(
    "fields",
    [{}, {"spec": upgrade_spec(paused=True)}, {"wanted": 0}, {"now": DEADLINE}],
    ids=["promoting", "paused meanwhile", "stopped meanwhile", "late"],
)
def test_taken_over_it_has_succeeded(fields: dict[str, Any]) -> None:
    """What is done cannot be paused any more."""
    move = advance(at(promoted=True, status={"phase": UpgradePhase.PROMOTING}, **fields))

    assert says(move) == (UpgradePhase.SUCCEEDED, Reason.UPGRADE_SUCCEEDED)
    assert move.changes["weight"] == 100


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "0 of 1 pods"),
        ({"fault": NO_NODE}, "fits no node"),
        ({"canary": 1, "obstacle": NO_ROUTE}, "does not exist"),
        ({"status": {"phase": UpgradePhase.PROMOTING}, "canary": 1}, "1 of 2 pods"),
    ],
    ids=["no pods", "a cause is known", "the route", "promotion"],
)
def test_late_it_goes_back_and_says_why(fields: dict[str, Any], told: str) -> None:
    """At its deadline and not before."""
    early = advance(at(now=DEADLINE - SECOND, **fields))
    due = advance(at(now=DEADLINE, **fields))

    assert early.phase is not UpgradePhase.ROLLING_BACK
    assert early.wake_at == DEADLINE
    assert says(due) == (UpgradePhase.ROLLING_BACK, Reason.PROGRESS_DEADLINE)
    assert told in due.message


@pytest.mark.parametrize(
    "fields",
    [
        {"spec": upgrade_spec(paused=True)},
        {"wanted": 0},
        {"canary": 1},
        waiting(),
    ],
    ids=["paused", "stopped", "all there", "in its pause"],
)
def test_what_is_not_held_up_is_never_late(fields: dict[str, Any]) -> None:
    """Time that people take counts for nothing."""
    move = advance(at(**fields | {"now": NOON + timedelta(days=30)}))

    assert move.phase is not UpgradePhase.ROLLING_BACK


WORSE = Judgement(trigger=Reason.ERROR_RATE, message="the new version fails more often")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"spec": upgrade_spec(paused=True)},
        {"spec": upgrade_spec(promote={"full": True})},
        {"status": {"phase": UpgradePhase.PROMOTING, "step": 3}},
    ],
    ids=["at a step", "paused", "promoted by a person", "in its promotion"],
)
def test_a_version_that_is_worse_is_given_up(fields: dict[str, Any]) -> None:
    """Whatever else is wanted; the sentence of the verdict is the reason."""
    move = advance(at(judgement=WORSE, **fields))

    assert says(move) == (UpgradePhase.ROLLING_BACK, Reason.ERROR_RATE)
    assert move.changes["rollback"].reason == "the new version fails more often"
    assert move.changes["weight"] == 0


# Staying


def test_stopped_it_begins_its_steps_again_afterwards() -> None:
    """Nothing of what was ready has stayed."""
    move = advance(at(wanted=0, **waiting(step=3) | {"canary": 0}))

    assert says(move) == (UpgradePhase.PAUSED, Reason.AGENT_STOPPED)
    assert (move.changes["step"], move.changes["weight"]) == (1, 0)
    assert move.changes["weight_since"] is None


def test_paused_it_stays_where_it_is() -> None:
    """Its step and its weight are kept."""
    move = advance(at(spec=upgrade_spec(paused=True), **waiting()))

    assert says(move) == (UpgradePhase.PAUSED, Reason.PAUSED)
    assert move.changes == {"progress_since": None}
    assert move.wake_at is None


def test_paused_in_its_promotion_it_keeps_all_its_pods() -> None:
    """There is no step to go back to, so it stays at the promotion."""
    spec = upgrade_spec(paused=True)
    promoting = {"phase": UpgradePhase.PROMOTING, "step": 3, "weight": 50}

    held = at(spec=spec, status=promoting, canary=2)
    move = advance(held)
    status = held.status.model_copy(update={"phase": move.phase, **move.changes})
    resumed = advance(replace(held, spec=upgrade_spec(), status=status))

    assert says(move) == (UpgradePhase.PROMOTING, Reason.PAUSED)
    assert resumed.phase is UpgradePhase.PROMOTING


def test_resumed_it_has_a_new_deadline() -> None:
    """However long it was paused."""
    later = NOON + timedelta(days=3)

    move = advance(at(status={"progress_since": None, "phase": UpgradePhase.PAUSED}, now=later))

    assert says(move) == (UpgradePhase.PROGRESSING, Reason.STEP_REACHED)
    assert move.changes == {"progress_since": later}


# Getting on


@pytest.mark.parametrize(("canary_pods", "wanted", "weight"), [(1, 40, 5), (0, 2, 0)])
def test_set_back_it_keeps_its_weight_while_a_pod_is_left(
    canary_pods: int, wanted: int, weight: int
) -> None:
    """With the last pod the weight goes, and comes back as carefully as the first time."""
    facts = at(**waiting() | {"canary": canary_pods, "wanted": wanted, "now": DEADLINE})

    move = advance(facts)

    assert says(move) == (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)
    assert (move.changes["weight"], move.changes["ready_since"]) == (weight, None)
    assert move.changes["progress_since"] == DEADLINE


def test_set_back_before_its_step_was_reached_it_gets_no_new_deadline() -> None:
    """Pods that come and go have got nowhere."""
    move = advance(at(status={"ready_since": NOON}, now=NOON + SECOND))

    assert move.reason is Reason.WAITING_FOR_PODS
    assert "progress_since" not in move.changes


def test_promoting_waits_for_all_pods() -> None:
    """And for the Agent, which says which revision is stable."""
    move = advance(at(status={"phase": UpgradePhase.PROMOTING, "step": 3}, canary=2))

    assert says(move) == (UpgradePhase.PROMOTING, Reason.PROMOTING)


def test_promoting_with_all_that_was_asked_for_it_cannot_be_late() -> None:
    """It waits for testers or for old pods, and there is nothing to look at again and again."""
    rolling = course_of({"type": "RollingUpdate"})
    status = {"phase": UpgradePhase.PROMOTING, "ready_since": NOON}

    untested = advance(at(judgement=UNTESTED, status=PROMOTING, canary=2, now=DEADLINE))
    halfway = advance(at(course=rolling, status=status, canary=1, asked=1, now=DEADLINE))

    for move in (untested, halfway):
        assert (move.phase, move.wake_at) == (UpgradePhase.PROMOTING, None)


def test_promoting_it_has_a_new_deadline_for_the_next_pod_and_for_one_that_is_lost() -> None:
    """Replacing many pods may take long as long as it gets on."""
    status = {"phase": UpgradePhase.PROMOTING, "ready_since": NOON}
    rolling = course_of({"type": "RollingUpdate"})

    grown = advance(at(course=rolling, status=status, canary=1, asked=2, now=DEADLINE))
    lost = advance(at(judgement=UNTESTED, status=status, canary=1, now=DEADLINE))

    for move in (grown, lost):
        assert says(move) == (UpgradePhase.PROMOTING, Reason.PROMOTING)
        assert (move.changes["ready_since"], move.changes["progress_since"]) == (None, DEADLINE)


def test_gathering_the_pods_of_a_step() -> None:
    """As many as the step needs."""
    move = advance(at(course=canary(50), wanted=4, canary=1))

    assert says(move) == (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)
    assert "1 of 2 pods" in move.message


def test_obstructed_nothing_is_given_to_the_new_version() -> None:
    """Its pods may be as ready as they like; and it does not move for nothing."""
    facts = at(canary=1, obstacle=NO_ROUTE)

    move = advance(facts)

    assert says(move) == (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_TRAFFIC)
    assert move.changes == {}


@pytest.mark.parametrize(
    ("status", "now", "reason"),
    [
        ({}, NOON, Reason.SETTLING),
        ({"ready_since": NOON}, NOON + SECOND, Reason.SETTLING),
        ({"ready_since": NOON}, NOON + 2 * SECOND, Reason.STEP_REACHED),
        ({"weight": 5}, NOON, Reason.STEP_REACHED),
    ],
    ids=["just ready", "too early", "settled", "has weight already"],
)
def test_settling_before_the_first_weight(status: dict[str, Any], now: Any, reason: Reason) -> None:
    """Whoever passes requests on has to know the pods first."""
    assert advance(at(canary=1, status=status, now=now)).reason is reason


def test_a_step_without_weight_needs_no_settling() -> None:
    """Nothing is sent to it."""
    assert advance(at(course=canary(0), canary=1)).reason is Reason.STEP_REACHED


def test_weighing_gives_the_weight_of_the_step() -> None:
    """From then on its pause counts."""
    move = advance(at(canary=1, status={"ready_since": NOON}, now=NOON + 2 * SECOND))

    assert move.changes["weight"] == 5
    assert move.changes["weight_since"] == NOON + 2 * SECOND


def test_weighing_again_does_not_begin_the_pause_again() -> None:
    """A pod that was lost for a moment costs no second pause."""
    status = waiting(ready_since=None)
    move = advance(at(**status | {"now": NOON + 9 * SECOND}))

    assert (move.reason, move.changes["weight_since"]) == (Reason.STEP_REACHED, NOON)


THIRTY = canary({"weight": 5, "pause": {"seconds": 30}}, 50)
FOREVER = canary({"weight": 5, "pause": {}}, 50)


@pytest.mark.parametrize(
    ("course", "promote", "seconds", "expected"),
    [
        (THIRTY, None, 29, (UpgradePhase.PROGRESSING, Reason.STEP_REACHED)),
        (THIRTY, None, 30, (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)),
        (THIRTY, {"step": 1}, 1, (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)),
        (FOREVER, None, 10**6, (UpgradePhase.PAUSED, Reason.WAITING_FOR_PROMOTION)),
        (FOREVER, {"step": 1}, 0, (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)),
        (FOREVER, {"full": True}, 0, (UpgradePhase.PROMOTING, Reason.PROMOTING)),
        (canary(5, 50), None, 0, (UpgradePhase.PROGRESSING, Reason.WAITING_FOR_PODS)),
    ],
    ids=["too early", "over", "released", "person", "promoted", "all of it", "no pause"],
)
def test_holding_at_a_step(
    course: Any, promote: Any, seconds: int, expected: tuple[UpgradePhase, Reason]
) -> None:
    """For its time, or until a person says to go on."""
    spec = upgrade_spec() if promote is None else upgrade_spec(promote=promote)
    now = NOON + timedelta(seconds=seconds)

    assert says(advance(at(course=course, spec=spec, **waiting() | {"now": now}))) == expected


def test_leave_for_an_earlier_step_is_none_for_a_later_one() -> None:
    """Each pause for a person is one."""
    course = canary(5, {"weight": 50, "pause": {}})
    spec = upgrade_spec(promote={"step": 1})

    move = advance(at(course=course, spec=spec, **waiting(step=2, weight=50) | {"canary": 2}))

    assert move.reason is Reason.WAITING_FOR_PROMOTION


@pytest.mark.parametrize(("step", "phase", "number"), [(1, "Progressing", 2), (3, "Promoting", 3)])
def test_next_step_comes_after_this_one(step: int, phase: str, number: int) -> None:
    """Promotion after the last."""
    weight = (5, 25, 50)[step - 1]

    move = advance(at(**waiting(step=step, weight=weight) | {"canary": 2}))

    assert (move.phase, move.changes["step"]) == (UpgradePhase(phase), number)
    assert move.changes["ready_since"] is None


UNSEEN = Judgement(missing="the new version has answered 3 of the 20 requests")
UNTESTED = Judgement(awaited="smoke: not measured yet")


@pytest.mark.parametrize(
    ("judgement", "step", "promote", "waits"),
    [
        (UNSEEN, 1, {}, True),
        (UNSEEN, 3, {}, True),
        (UNSEEN, 1, {"step": 1}, False),
        (UNSEEN, 2, {"step": 1}, True),
        (UNSEEN, 1, {"full": True}, False),
        (replace(UNSEEN, proceeds=True), 1, {}, False),
        (replace(UNSEEN, blind="nothing is read"), 1, {}, True),
        (UNTESTED, 2, {}, False),
        (UNTESTED, 3, {}, True),
        (replace(UNTESTED, proceeds=True), 3, {}, True),
        (UNTESTED, 3, {"step": 3}, False),
    ],
)
def test_inconclusive_it_stays_and_says_what_is_missing(
    judgement: Judgement, step: int, promote: dict[str, Any], waits: bool
) -> None:
    """Until a person lets it go on, or the analysis is content with that; testers are not."""
    held = waiting(step=step, weight=(5, 25, 50)[step - 1]) | {"canary": 2}

    move = advance(at(judgement=judgement, spec=upgrade_spec(promote=promote), **held))

    assert (says(move) == (UpgradePhase.PAUSED, Reason.INCONCLUSIVE)) == waits
    assert not waits or judgement.missing + judgement.awaited in move.message


@pytest.mark.parametrize("phase", [UpgradePhase.PROGRESSING, UpgradePhase.PAUSED])
def test_blind_it_stays_as_it_is(phase: UpgradePhase) -> None:
    """As for a second after each start of the operator."""
    blind = Judgement(blind="the metrics of 1 of 1 pods cannot be read")

    move = advance(at(judgement=blind, **waiting(phase=phase) | {"canary": 2}))

    assert says(move) == (phase, Reason.INCONCLUSIVE)
    assert blind.blind in move.message


def test_what_goes_on_although_too_little_was_seen_says_so() -> None:
    """The history has it."""
    judgement = replace(UNSEEN, proceeds=True)

    move = advance(at(judgement=judgement, **waiting() | {"canary": 2}))

    assert move.message == f"step 2 of 3, though {UNSEEN.missing}"


def test_promoting_says_which_tester_is_waited_for() -> None:
    """Though all pods are there."""
    move = advance(at(judgement=UNTESTED, status=PROMOTING, canary=2))

    assert move.message.endswith("; smoke: not measured yet")


def approval(*, free: int | None, given: bool = False) -> Standing:
    """How it stands with an approval that has to be there after `free` steps."""
    reason = Reason.APPROVED if given else Reason.APPROVAL_REQUIRED
    return Standing(free=free, reason=reason, message="says who")


@pytest.mark.parametrize(
    ("step", "free", "given", "promote", "waits"),
    [
        (1, 3, False, {}, False),
        (2, 3, False, {}, False),
        (3, 3, False, {}, True),
        (3, 3, True, {}, False),
        (1, 1, False, {}, True),
        (1, 1, True, {}, False),
        (3, None, False, {}, False),
        (1, 3, False, {"step": 3}, False),
        (3, 3, False, {"step": 3}, True),
        (1, 3, False, {"full": True}, True),
        (3, 3, False, {"full": True}, True),
        (1, 3, True, {"full": True}, False),
    ],
)
def test_unapproved_it_goes_no_further_than_it_may(
    step: int, free: int | None, given: bool, promote: dict[str, Any], waits: bool
) -> None:
    """Leave to promote is none to do without the approval."""
    weight = (5, 25, 50)[step - 1]
    facts = at(
        **waiting(step=step, weight=weight) | {"canary": 2},
        approval=approval(free=free, given=given),
        spec=upgrade_spec(promote=promote),
    )

    move = advance(facts)

    held = (UpgradePhase.PAUSED, Reason.APPROVAL_REQUIRED)
    assert (says(move) == held) == waits
    assert ("says who" in move.message) == waits
    if waits:
        assert move.changes == {}


# The order


def step_one(**fields: Any) -> Facts:
    return at(**waiting(**fields.pop("status", {})) | fields)


PROMOTING = {"phase": UpgradePhase.PROMOTING, "step": 3}
UNAPPROVED = approval(free=1)

NEIGHBOURS: dict[tuple[Rule, Rule], Facts] = {
    (rules.rolling_back, rules.asked_back): at(status=BACK, spec=ASKED),
    (rules.asked_back, rules.ended): at(status={"phase": UpgradePhase.SUCCEEDED}, spec=ASKED),
    (rules.ended, rules.failing): at(status={"phase": UpgradePhase.SUCCEEDED}, fault=CRASH),
    (rules.failing, rules.refused): at(fault=CRASH, refusal=NO),
    (rules.refused, rules.worse): at(refusal=NO, judgement=WORSE),
    (rules.worse, rules.taken_over): at(judgement=WORSE, promoted=True),
    (rules.taken_over, rules.late): at(promoted=True, now=DEADLINE),
    (rules.late, rules.promoting): at(status=PROMOTING, now=DEADLINE),
    (rules.late, rules.gathering): at(now=DEADLINE),
    (rules.late, rules.obstructed): at(canary=1, obstacle=NO_ROUTE, now=DEADLINE),
    (rules.stopped, rules.paused): at(wanted=0, spec=upgrade_spec(paused=True)),
    (rules.paused, rules.resumed): at(
        spec=upgrade_spec(paused=True), status={"progress_since": None}
    ),
    (rules.resumed, rules.set_back): at(status={"progress_since": None, "ready_since": NOON}),
    (rules.set_back, rules.promoting): at(status=PROMOTING | {"ready_since": NOON}),
    (rules.promoting, rules.gathering): at(status=PROMOTING),
    (rules.gathering, rules.obstructed): at(obstacle=NO_ROUTE),
    (rules.obstructed, rules.settling): at(canary=1, obstacle=NO_ROUTE),
    (rules.settling, rules.weighing): at(canary=1),
    (rules.weighing, rules.holding): step_one(status={"ready_since": None}, course=THIRTY),
    (rules.holding, rules.inconclusive): step_one(course=THIRTY, judgement=UNSEEN),
    (rules.inconclusive, rules.unapproved): step_one(judgement=UNSEEN, approval=UNAPPROVED),
    (rules.unapproved, rules.next_step): step_one(approval=UNAPPROVED),
}
"""Facts to which two rules have something to say, the one that decides first."""

NEVER_TOGETHER = {(rules.late, rules.stopped)}


@pytest.mark.parametrize("pair", NEIGHBOURS, ids=lambda pair: f"{pair[0].__name__}")
def test_of_two_rules_that_speak_the_first_decides(pair: tuple[Rule, Rule]) -> None:
    """So their order can be changed only on purpose."""
    facts = NEIGHBOURS[pair]
    first, second = (rule(facts) for rule in pair)

    assert first is not None
    assert second is not None
    assert first != second
    assert advance(facts) == first


def test_every_rule_has_been_compared_with_the_next_one() -> None:
    """Where both can speak at once."""
    assert set(pairwise(RULES)) <= NEIGHBOURS.keys() | NEVER_TOGETHER


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule is not rules.next_step], ids=lambda r: r.__name__
)
def test_a_rule_that_is_not_concerned_says_nothing(rule: Rule) -> None:
    """At a step with all its pods, its weight in force and no pause, all is well."""
    assert rule(step_one()) is None


@pytest.mark.parametrize("rule", [rules.settling, rules.weighing, rules.holding])
def test_without_a_step_there_is_no_weight_to_give(rule: Rule) -> None:
    """As in a course that goes straight to its promotion."""
    assert rule(at(course=course_of({"type": "BlueGreen"}, direct=True), canary=2)) is None


def test_going_on_after_a_pause_it_is_paused_no_more() -> None:
    """Whichever rule lets it go on."""
    move = advance(at(canary=1, status={"phase": UpgradePhase.PAUSED}))

    assert says(move) == (UpgradePhase.PROGRESSING, Reason.SETTLING)
