"""The phase is the verdict of the first rule that speaks; one test per rule, in their order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON
from tests.unit.domain.samples import phase_facts as facts

from agentherd.api import OperatingMode, Phase
from agentherd.domain import phase
from agentherd.domain.faults import Fault
from agentherd.domain.phase import RULES, judge
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason

CRASH = Fault(Reason.CRASHING, "it crashed")
REFUSED = Failure(reason=Reason.FORBIDDEN, message="no", generation=1, retry_at=NOON)
UP: dict[str, Any] = {
    "pods": 2,
    "serving": 2,
    "available": 2,
    "complete": True,
    "settled": True,
    "phase": Phase.ONLINE,
}
LATE = NOON + timedelta(minutes=10)


def test_the_order_of_the_rules_is_the_specification() -> None:
    """Refused writes, then what was asked for, then what the pods do."""
    assert [rule.__name__ for rule in RULES] == [
        "refused",
        "stopped",
        "in_maintenance",
        "waiting",
        "scaled_to_zero",
        "upgrading",
        "complete",
        "faulty",
        "failed_before",
        "too_slow",
        "under_way",
    ]


def test_refused_a_write_that_the_server_refuses_is_an_error() -> None:
    """Told before anything else, also while everything serves."""
    verdict = judge(facts(**UP | {"failure": REFUSED}))

    assert (verdict.phase, verdict.reason, verdict.message) == (Phase.ERROR, Reason.FORBIDDEN, "no")


@pytest.mark.parametrize(
    ("mode", "reached"),
    [(OperatingMode.SUSPENDED, Phase.SUSPENDED), (OperatingMode.OFFLINE, Phase.OFFLINE)],
)
def test_stopped_begins_when_the_last_pod_is_gone(mode: OperatingMode, reached: Phase) -> None:
    """Until then the phase stays what it was, and says what is still to finish."""
    draining = judge(facts(**UP | {"mode": mode, "wanted": 0, "pods": 1}))
    gone = judge(facts(mode=mode, wanted=0, pods=0, phase=Phase.ONLINE))

    assert (draining.phase, draining.reason) == (Phase.ONLINE, Reason.DRAINING)
    assert draining.message == "1 pod still to finish"
    assert (gone.phase, gone.done) == (reached, True)


def test_stopped_says_the_persons_own_reason() -> None:
    """Their words are better than ours."""
    verdict = judge(facts(mode=OperatingMode.OFFLINE, mode_reason="retired"))

    assert verdict.message == "retired"


def test_in_maintenance_at_once() -> None:
    """Pods run on, nothing is sent to them."""
    verdict = judge(facts(**UP | {"mode": OperatingMode.MAINTENANCE}))

    assert (verdict.phase, verdict.message) == (Phase.MAINTENANCE, "Scheduled maintenance")


def test_waiting_names_what_is_waited_for() -> None:
    """An Agent that never ran waits for those it depends on."""
    verdict = judge(facts(waiting_for=("model", "store")))

    assert (verdict.phase, verdict.reason) == (Phase.DEPLOYING, Reason.WAITING_FOR_DEPENDENCIES)
    assert verdict.message == "waits until available: model, store"


def test_scaled_to_zero_is_idle() -> None:
    """Nothing is wanted and nothing is missing."""
    verdict = judge(facts(wanted=0))

    assert (verdict.phase, verdict.done) == (Phase.IDLE, True)


ROLLING = Fault(Reason.ROLLING_OUT, "upgrade greeter-2 Progressing")
HELD = Fault(Reason.ROLLED_BACK, "upgrade greeter-2 was rolled back")


@pytest.mark.parametrize(
    ("upgrade", "serving", "complete", "expected"),
    [
        (ROLLING, 1, True, (Phase.DEPLOYING, Reason.ROLLING_OUT)),
        (ROLLING, 0, False, (Phase.DEPLOYING, Reason.STARTING)),
        (HELD, 2, True, (Phase.ONLINE, Reason.ROLLED_BACK)),
        (HELD, 1, False, (Phase.DEPLOYING, Reason.ROLLING_OUT)),
    ],
    ids=["runs", "runs, nobody serves", "rolled back", "rolled back, a pod is missing"],
)
def test_upgrading_is_told_while_the_old_version_serves(
    upgrade: Fault, serving: int, complete: bool, expected: tuple[Phase, Reason]
) -> None:
    """An Agent left behind its spec is Online and says why; it is never as its spec wants it."""
    verdict = judge(facts(upgrade=upgrade, serving=serving, complete=complete))

    assert (verdict.phase, verdict.reason) == expected
    assert not verdict.done


def test_an_upgrade_has_a_deadline_of_its_own() -> None:
    """That of the Agent is for its first version."""
    assert facts(upgrade=ROLLING).deadline_at is None
    assert facts().deadline_at is not None


def test_complete_is_online() -> None:
    """Every pod of the wanted revision is available."""
    verdict = judge(facts(**UP))

    assert (verdict.phase, verdict.message, verdict.done) == (
        Phase.ONLINE,
        "2 pods available",
        True,
    )


def test_faulty_while_others_of_the_same_revision_serve_stays_online() -> None:
    """One broken pod is no broken Agent, but it is told."""
    verdict = judge(facts(**UP | {"complete": False, "serving": 1, "fault": CRASH}))

    assert (verdict.phase, verdict.reason, verdict.done) == (Phase.ONLINE, Reason.CRASHING, False)
    assert verdict.message == "1 of 2 pods available: it crashed"


def test_faulty_new_revision_is_an_error_although_the_old_one_serves() -> None:
    """What was asked for does not work; the message says that people are served."""
    verdict = judge(facts(fault=CRASH, serving=2))

    assert verdict.phase is Phase.ERROR
    assert verdict.message == "it crashed; 2 pods of the previous revision still available"


def test_faulty_without_anybody_serving_is_an_error() -> None:
    """Nothing works."""
    assert judge(facts(fault=CRASH)).phase is Phase.ERROR


def test_failed_before_lasts_through_the_moments_between_two_crashes() -> None:
    """A container that was just restarted is no recovery."""
    verdict = judge(facts(phase=Phase.ERROR, error=CRASH))

    assert (verdict.phase, verdict.reason) == (Phase.ERROR, Reason.CRASHING)


@pytest.mark.parametrize(
    "over",
    [{"observed": False}, {"error": None}, {"settled": True, "serving": 1}],
    ids=["the spec changed", "no error is known", "pods serve again"],
)
def test_failed_before_is_over_when(over: dict[str, Any]) -> None:
    """An error does not outlive its cause."""
    assert judge(facts(**{"phase": Phase.ERROR, "error": CRASH} | over)).phase is not Phase.ERROR


def test_too_slow_past_the_deadline_is_an_error() -> None:
    """It goes on trying, and says how far it came."""
    verdict = judge(facts(now=LATE, available=1))

    assert verdict.reason is Reason.PROGRESS_DEADLINE_EXCEEDED
    assert verdict.message == "1 of 2 pods available after 600 s"


@pytest.mark.parametrize(
    "given",
    [
        {"now": LATE - timedelta(seconds=1)},
        {"now": LATE, "phase": Phase.ONLINE},
        {"now": LATE, "phase": Phase.ERROR},
        {"now": LATE, "since": None},
    ],
    ids=["in time", "not deploying", "failed already", "never began"],
)
def test_too_slow_is_only_a_deployment_past_its_deadline(given: dict[str, Any]) -> None:
    """Nothing else is judged by the clock."""
    assert phase.too_slow(facts(**given)) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (Phase.DEPLOYING, Reason.STARTING)),
        ({"serving": 2}, (Phase.DEPLOYING, Reason.ROLLING_OUT)),
        ({"settled": True}, (Phase.DEPLOYING, Reason.REPLACING_PODS)),
        ({"settled": True, "serving": 1}, (Phase.ONLINE, Reason.SCALING)),
    ],
    ids=["first start", "roll-out", "all pods lost", "scaling"],
)
def test_under_way_says_what_is_going_on(
    given: dict[str, Any], expected: tuple[Phase, Reason]
) -> None:
    """Whoever serves stays Online; whoever does not is Deploying."""
    verdict = judge(facts(**given))

    assert (verdict.phase, verdict.reason) == expected
    assert not verdict.done


@pytest.mark.parametrize(
    ("before", "happens", "after"),
    [
        (None, {}, Phase.DEPLOYING),
        (Phase.DEPLOYING, UP, Phase.ONLINE),
        (Phase.DEPLOYING, {"fault": CRASH}, Phase.ERROR),
        (Phase.DEPLOYING, {"now": LATE}, Phase.ERROR),
        (Phase.ERROR, UP, Phase.ONLINE),
        (Phase.ERROR, {"observed": False}, Phase.DEPLOYING),
        (Phase.ONLINE, {"settled": True}, Phase.DEPLOYING),
        (Phase.ONLINE, {"serving": 2, "observed": False}, Phase.DEPLOYING),
        (Phase.ONLINE, {"wanted": 0}, Phase.IDLE),
        (Phase.ONLINE, {"mode": OperatingMode.SUSPENDED}, Phase.SUSPENDED),
        (Phase.ONLINE, {"mode": OperatingMode.MAINTENANCE}, Phase.MAINTENANCE),
        (Phase.ONLINE, {"mode": OperatingMode.OFFLINE}, Phase.OFFLINE),
        (Phase.IDLE, {}, Phase.DEPLOYING),
        (Phase.SUSPENDED, {}, Phase.DEPLOYING),
        (Phase.OFFLINE, {}, Phase.DEPLOYING),
        (Phase.MAINTENANCE, UP, Phase.ONLINE),
        (Phase.ONLINE, {"failure": REFUSED}, Phase.ERROR),
    ],
)
def test_the_transitions(before: Phase | None, happens: dict[str, Any], after: Phase) -> None:
    """From each phase to the next, by what happens."""
    assert judge(facts(**happens | {"phase": before})).phase is after


some_facts = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(OperatingMode),
        "mode_reason": st.none() | st.just("because"),
        "wanted": st.integers(0, 3),
        "pods": st.integers(0, 4),
        "serving": st.integers(0, 4),
        "available": st.integers(0, 4),
        "complete": st.booleans(),
        "settled": st.booleans(),
        "observed": st.booleans(),
        "waiting_for": st.sampled_from([(), ("model",)]),
        "fault": st.sampled_from([None, CRASH]),
        "failure": st.sampled_from([None, REFUSED]),
        "error": st.sampled_from([None, CRASH]),
        "phase": st.none() | st.sampled_from(Phase),
        "since": st.sampled_from([None, NOON]),
        "now": st.sampled_from([NOON, LATE]),
    }
)


@given(some_facts)
def test_every_situation_has_a_verdict_that_explains_itself(given: dict[str, Any]) -> None:
    """No combination of facts is without an answer, and no answer without a sentence."""
    assert judge(facts(**given)).message


@given(some_facts)
def test_an_agent_that_is_as_wanted_is_not_in_error(given: dict[str, Any]) -> None:
    """Done and Error exclude each other."""
    verdict = judge(facts(**given))

    assert not (verdict.done and verdict.phase is Phase.ERROR)


@given(some_facts)
def test_online_is_only_promised_when_somebody_serves_or_did_before(given: dict[str, Any]) -> None:
    """A phase never promises more than was seen: only draining keeps an earlier one."""
    verdict = judge(facts(**given))

    if verdict.phase is Phase.ONLINE and verdict.reason is not Reason.DRAINING:
        assert given["complete"] or given["serving"]
