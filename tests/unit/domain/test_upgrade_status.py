"""What an AgentUpgrade says of itself: phase, conditions and history, each thing once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON
from tests.unit.domain.samples import seen_upgrade

from agentherd.api import (
    AgentUpgradeStatus,
    Analysis,
    AnalysisStatus,
    Score,
    UpgradePhase,
    Verdict,
)
from agentherd.domain.faults import Fault
from agentherd.domain.observation import SeenUpgrade
from agentherd.domain.plan import WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.change import Objection, is_asked_again
from agentherd.domain.upgrades.moves import Move
from agentherd.domain.upgrades.status import (
    identity_of,
    overtaken_status,
    running_status,
    superseded_status,
    waiting_status,
    write_upgrade_status,
)
from agentherd.domain.upgrades.strategy import DEFAULTS, settled

ROUTED = Fault(Reason.WEIGHT_APPLIED, "the route gives the new version 5 %")
LATER = NOON + timedelta(minutes=1)


def told(status: AgentUpgradeStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}


def moved(
    phase: UpgradePhase,
    reason: Reason = Reason.STEP_REACHED,
    *,
    seen: SeenUpgrade | None = None,
    message: str = "on it",
    applied: bool = True,
    now: Any = NOON,
    **fields: Any,
) -> AgentUpgradeStatus:
    """The status after a move into that phase."""
    seen = seen or seen_upgrade("one")
    move = Move(phase=phase, reason=reason, message=message, changes={})
    status = seen.upgrade.status.model_copy(update={"phase": phase, **fields})
    return running_status(seen, move, status, traffic=ROUTED, applied=applied, now=now)


def again(status: AgentUpgradeStatus, **fields: Any) -> SeenUpgrade:
    """The upgrade once that status was written."""
    return seen_upgrade("one", status=status, **fields)


# Conditions


@pytest.mark.parametrize(
    ("phase", "reason", "said"),
    [
        ("Progressing", "StepReached", ["True", "Unknown", "False", "Reconciling"]),
        ("Paused", "Paused", ["False", "Unknown", "False", "Reconciling"]),
        ("Promoting", "Promoting", ["True", "Unknown", "False", "Reconciling"]),
        ("RollingBack", "Crash", ["True", "False", "False", "Reconciling"]),
        ("RolledBack", "RolledBack", ["False", "False", "False", "Stalled"]),
        ("Succeeded", "UpgradeSucceeded", ["False", "True", "True", None]),
        ("Superseded", "Superseded", ["False", "False", "False", "Stalled"]),
    ],
)
def test_the_conditions_of_a_phase(phase: str, reason: str, said: list[str | None]) -> None:
    """Tools wait for Succeeded or Ready; what never will be either is Stalled."""
    found = told(moved(UpgradePhase(phase), Reason(reason)))

    names = ("Progressing", "Succeeded", "Ready")
    assert [found[name][0] for name in names] == said[:3]
    assert {name for name in ("Reconciling", "Stalled") if name in found} == {said[3]} - {None}
    assert {found[name][1] for name in names} == {reason}


@pytest.mark.parametrize("applied", [True, False])
def test_whether_the_traffic_is_as_it_is_asked_for(applied: bool) -> None:
    """And what is said of it."""
    status = moved(UpgradePhase.PROGRESSING, applied=applied)

    assert told(status)["TrafficApplied"] == (str(applied), "WeightApplied")
    assert told(status)["Validated"] == ("True", "Valid")


STRATEGY = settled(None, DEFAULTS, progress_deadline_seconds=600)


def judged(verdict: str, **fields: Any) -> dict[str, Any]:
    """What a status has of an analysis that counts."""
    return {
        "strategy": STRATEGY.model_copy(update={"analysis": Analysis()}),
        "analysis": AnalysisStatus(verdict=Verdict(verdict), message="says why", **fields),
    }


@pytest.mark.parametrize(
    ("verdict", "feedback", "said"),
    [
        ("Pass", 0, ("True", "NoWorse")),
        ("Inconclusive", 0, ("Unknown", "Inconclusive")),
        ("Fail", 500, ("False", "Feedback")),
    ],
)
def test_the_verdict_is_a_condition(verdict: str, feedback: int, said: tuple[str, str]) -> None:
    """With the sentence as its message, also after the end."""
    known = judged(verdict, score=Score(feedback=feedback))
    first = moved(UpgradePhase.PAUSED, **known)
    ended = superseded_status(again(first), "a newer change has taken its place", now=LATER)

    for status in (first, ended):
        assert told(status)["Analyzed"] == said
        assert {c.type: c.message for c in status.conditions}["Analyzed"] == "says why"


def test_where_nothing_is_judged_nothing_is_said_about_it() -> None:
    assert "Analyzed" not in told(moved(UpgradePhase.PROGRESSING))


@pytest.mark.parametrize(
    ("fields", "urgent"),
    [
        ({}, False),
        ({"looked_at": LATER}, True),
        ({"since": LATER}, True),
        ({"message": "in other words"}, False),
    ],
    ids=["the same", "a look", "the first request", "other words"],
)
def test_what_was_taken_into_account_is_written_at_once(
    fields: dict[str, Any], urgent: bool
) -> None:
    """The next look counts from there."""
    first = moved(UpgradePhase.PAUSED, **judged("Pass", since=NOON, looked_at=NOON))
    seen = again(first)
    assert first.analysis is not None
    second = moved(
        UpgradePhase.PAUSED, seen=seen, analysis=first.analysis.model_copy(update=fields)
    )

    write = write_upgrade_status(seen.upgrade, second)

    assert (write is not None) == bool(fields)
    assert write is None or write.urgent is urgent


def test_an_end_keeps_its_words() -> None:
    """Looked at later there is nothing new to say about it."""
    first = moved(UpgradePhase.ROLLED_BACK, Reason.ROLLED_BACK, message="Crash: it crashed")

    later = moved(
        UpgradePhase.ROLLED_BACK, Reason.ROLLED_BACK, seen=again(first), message="", now=LATER
    )

    assert later == first


@pytest.mark.parametrize(
    ("reason", "stalled"),
    [
        (Reason.DOWNGRADE, True),
        (Reason.DEPENDENCY_CYCLE, True),
        (Reason.INVALID_TEMPLATE, True),
        (Reason.NOT_UNDERSTOOD, True),
        (Reason.REVISION_NOT_FOUND, True),
        (Reason.TARGET_NOT_FOUND, True),
        (Reason.TEMPLATE_CONFLICT, True),
        (Reason.WAITING_FOR_DEPENDENCIES, False),
        (Reason.NEVER_AVAILABLE, False),
    ],
)
def test_what_cannot_begin_says_whether_a_person_is_needed(reason: Reason, stalled: bool) -> None:
    """Some things pass by themselves."""
    found = told(waiting_status(seen_upgrade("one"), Objection(reason, "because"), now=NOON))

    assert found["Validated"] == ("False", reason)
    assert ("Stalled" in found, "Reconciling" in found) == (stalled, not stalled)


@pytest.mark.parametrize(
    ("objection", "reason"),
    [(None, "Queued"), (Objection(Reason.PAUSED, "paused", waits=True), "Paused")],
)
def test_what_only_waits_is_valid(objection: Objection | None, reason: str) -> None:
    """For its turn, or for a person."""
    status = waiting_status(seen_upgrade("one"), objection, now=NOON)

    assert (status.phase, told(status)["Validated"]) == (UpgradePhase.PENDING, ("True", "Valid"))
    assert told(status)["Progressing"] == ("False", reason)


def test_an_upgrade_that_is_asked_for_again_tells_how_it_ended_until_it_begins() -> None:
    """Its end is still the last that happened."""
    ended = moved(UpgradePhase.ROLLED_BACK, Reason.ROLLED_BACK, attempt=1)

    status = waiting_status(again(ended, attempt=2), None, now=LATER)

    assert status.phase is UpgradePhase.ROLLED_BACK
    assert "Stalled" in told(status)


def test_a_superseded_upgrade_is_over() -> None:
    """Its weight is gone; what was validated stays validated."""
    before = moved(UpgradePhase.PROGRESSING, weight=5)

    status = superseded_status(again(before), "a newer change has taken its place", now=LATER)

    assert (status.phase, status.weight, status.finished_at) == (
        UpgradePhase.SUPERSEDED,
        0,
        LATER,
    )
    assert told(status)["Validated"] == ("True", "Valid")
    assert status.history[-1].message == "a newer change has taken its place"


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    """A new message alone does not count."""
    first = moved(UpgradePhase.PROGRESSING)

    second = moved(UpgradePhase.PROGRESSING, seen=again(first), message="still on it", now=LATER)

    assert {c.last_transition_time for c in second.conditions} == {NOON}
    assert second.conditions != first.conditions


# History


@pytest.mark.parametrize(
    ("fields", "entries"),
    [
        ({}, 1),
        ({"phase": UpgradePhase.PAUSED}, 2),
        ({"step": 2}, 2),
        ({"weight": 25}, 2),
        ({"ready_since": LATER}, 1),
    ],
)
def test_the_history_has_every_change_of_phase_step_and_weight(
    fields: dict[str, Any], entries: int
) -> None:
    """And nothing else."""
    first = moved(UpgradePhase.PROGRESSING, step=1, weight=5)
    phase = fields.pop("phase", UpgradePhase.PROGRESSING)

    second = moved(phase, seen=again(first), now=LATER, **fields)

    assert len(second.history) == entries


def test_the_history_is_bounded() -> None:
    """The latest entries stay."""
    status = AgentUpgradeStatus()
    for number in range(60):
        status = moved(
            UpgradePhase.PROGRESSING, seen=again(status), message=str(number), weight=number + 1
        )

    assert len(status.history) == 50
    assert status.history[-1].message == "59"


# What people did


def steered(status: AgentUpgradeStatus, **spec: Any) -> AgentUpgradeStatus:
    """The status after the operator has seen a spec."""
    return moved(UpgradePhase.PROGRESSING, seen=again(status, **spec), step=1)


def verbs(status: AgentUpgradeStatus) -> list[tuple[str, str]]:
    return [(control.verb, control.detail) for control in status.controls]


def test_what_an_upgrade_is_created_with_is_nobodys_control() -> None:
    """It is what it was asked for from the beginning."""
    assert verbs(steered(AgentUpgradeStatus(), paused=True)) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"paused": True}, [("Paused", "")]),
        ({"promote": {"full": True}}, [("Promoted", "full")]),
        ({"promote": {"step": 2}}, [("Promoted", "through step 2")]),
        ({"promote": {}}, []),
        ({"rollback": {"requested": True}}, [("RollbackRequested", "attempt 1")]),
        ({"rollback": {"requested": False}}, []),
        (
            {"rollback": {"requested": True, "reason": "complaints"}},
            [("RollbackRequested", "attempt 1: complaints")],
        ),
        (
            {"rollback": {"requested": True, "reason": "x" * 256}},
            [("RollbackRequested", "attempt 1: " + "x" * 244 + "…")],
        ),
    ],
    ids=str,
)
def test_what_a_person_does_is_recorded_once(
    spec: dict[str, Any], said: list[tuple[str, str]]
) -> None:
    """However often it is looked at."""
    begun = steered(AgentUpgradeStatus())

    once = steered(begun, **spec)

    assert verbs(once) == said
    assert verbs(steered(once, **spec)) == said


def test_another_attempt_is_recorded_as_it_begins() -> None:
    """The status counts it from then on."""
    ended = moved(UpgradePhase.ROLLED_BACK, attempt=1)

    begins = moved(UpgradePhase.PROGRESSING, seen=again(ended, attempt=2), step=1, attempt=2)
    later = moved(UpgradePhase.PROGRESSING, seen=again(begins, attempt=2), step=1)

    assert (begins.attempt, verbs(begins)) == (2, [("Retried", "attempt 2")])
    assert verbs(later) == verbs(begins)


IN_VAIN = ("Retried", "attempt 2: no effect, it was not rolled back")


@pytest.mark.parametrize(
    "phase", [UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING, UpgradePhase.SUCCEEDED]
)
def test_an_attempt_that_nobody_could_make_is_counted_and_told(phase: UpgradePhase) -> None:
    """So it does not begin by itself when the upgrade is rolled back one day."""
    begun = moved(phase, attempt=1)

    raised = moved(phase, seen=again(begun, attempt=2))
    later = moved(phase, seen=again(raised, attempt=2))
    back = again(moved(UpgradePhase.ROLLED_BACK, seen=again(later, attempt=2)), attempt=2)

    assert (raised.attempt, verbs(raised)) == (2, [IN_VAIN])
    assert verbs(later) == [IN_VAIN]
    assert not is_asked_again(back.upgrade)


def test_who_asks_for_an_attempt_of_what_others_have_followed_is_told_so_too() -> None:
    """It is over, whatever its number."""
    ended = moved(UpgradePhase.SUPERSEDED, attempt=1)

    told = overtaken_status(again(ended, attempt=2), now=LATER)

    assert (told.attempt, verbs(told)) == (2, [IN_VAIN])


def test_what_was_promoted_stays_so_when_an_attempt_is_asked_for_in_vain() -> None:
    """It is the same attempt, in which that is recorded already."""
    promoted = steered(moved(UpgradePhase.PROGRESSING, attempt=1), promote={"full": True})

    raised = steered(promoted, attempt=2, promote={"full": True})
    later = steered(raised, attempt=2, promote={"full": True})

    assert verbs(later) == [("Promoted", "full"), IN_VAIN]


def test_what_is_done_to_steer_is_bounded() -> None:
    """The latest stays."""
    status = steered(AgentUpgradeStatus())
    for number in range(30):
        status = steered(status, paused=number % 2 == 0)

    assert len(status.controls) == 20
    assert verbs(status)[-1] == ("Resumed", "")


# Writing


def test_what_is_as_it_was_is_not_written() -> None:
    """Conditions that others have added stay theirs."""
    foreign = {
        "type": "Reviewed",
        "status": "True",
        "reason": "Yes",
        "message": "",
        "lastTransitionTime": NOON,
    }
    status = moved(UpgradePhase.PROGRESSING)
    raw = status.model_dump(by_alias=True, exclude_none=True)
    seen = seen_upgrade("one", status=raw | {"conditions": [*raw["conditions"], foreign]})

    assert write_upgrade_status(seen.upgrade, moved(UpgradePhase.PROGRESSING, seen=seen)) is None


@pytest.mark.parametrize(
    ("fields", "urgent"),
    [
        ({"weight": 25}, True),
        ({"step": 2}, True),
        ({"ready_since": NOON}, True),
        ({"weight_seen": 4}, False),
        ({"message": "1 of 2 pods"}, False),
    ],
)
def test_what_only_counts_may_be_written_later(fields: dict[str, Any], urgent: bool) -> None:
    """What the next move depends on may not."""
    before = moved(UpgradePhase.PROGRESSING, step=1, weight=5)
    seen = again(before)

    write = write_upgrade_status(seen.upgrade, moved(UpgradePhase.PROGRESSING, seen=seen, **fields))

    assert isinstance(write, WriteStatus)
    assert (write.urgent, write.target) == (urgent, identity_of(seen.upgrade))
