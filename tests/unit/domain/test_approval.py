"""What needs approval, and what counts as one; only a checked name for the very revision does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON
from tests.unit.domain.samples import seen_upgrade

from agentherd.api import (
    AgentUpgrade,
    Approval,
    ApprovalRecord,
    Automation,
    EffectiveStrategy,
    UpgradePolicy,
)
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.approval import (
    Standing,
    approval_ahead,
    automation_of,
    free_steps,
    is_unchecked,
    standing,
)
from agentherd.domain.upgrades.strategy import DEFAULTS, settled

ADA = "ada@example.com"
GOAL, OTHER = "1" * 10, "2" * 10
SEMI_AUTO = {
    "strategy": {
        "type": "Canary",
        "maxSurge": 1,
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 0,
        "abortScaleDownDelaySeconds": 0,
        "rollbackWindow": 3,
        "automation": "SemiAuto",
    }
}
RECORD = {"by": ADA, "at": "2026-11-21T11:00:00Z", "revision": GOAL}


def strategy(automation: Automation | str, **policy: Any) -> EffectiveStrategy:
    written = UpgradePolicy.model_validate(policy)
    found = settled(written, DEFAULTS, progress_deadline_seconds=600)
    return found.model_copy(update={"automation": Automation(automation)})


def upgrade(approval: dict[str, Any] | None, status: dict[str, Any]) -> AgentUpgrade:
    spec = {} if approval is None else {"approval": approval}
    return seen_upgrade("greeter-2", status=status, **spec).upgrade


def how(
    approval: dict[str, Any] | None,
    *,
    record: dict[str, Any] | None = None,
    checked: bool | None = True,
    goal: str = GOAL,
    automation: str = "Manual",
) -> Standing:
    status = {} if record is None else {"approval": record}
    found = upgrade(approval, status)
    return standing(found, strategy(automation), steps=3, goal=goal, checked=checked)


@pytest.mark.parametrize(
    ("policy", "required", "level"),
    [
        (None, False, "Auto"),
        ("Auto", False, "Auto"),
        ("SemiAuto", False, "SemiAuto"),
        ("Manual", False, "Manual"),
        (None, True, "Manual"),
        ("Auto", True, "Manual"),
        ("SemiAuto", True, "Manual"),
        ("Manual", True, "Manual"),
    ],
)
def test_an_upgrade_can_only_ask_for_more_care(
    policy: str | None, required: bool, level: str
) -> None:
    """What the Agent demands nobody takes away in an upgrade of their own."""
    of_agent = UpgradePolicy(automation=Automation(policy)) if policy else None

    assert automation_of(of_agent, Approval(required=required)) == level


def weights(*steps: int) -> dict[str, Any]:
    return {"canary": {"steps": [{"weight": weight} for weight in steps]}}


@pytest.mark.parametrize(
    ("automation", "policy", "steps", "free"),
    [
        ("Auto", {}, 3, None),
        ("Manual", {}, 3, 0),
        ("SemiAuto", {}, 3, 3),
        ("SemiAuto", weights(5, 99), 2, 2),
        ("SemiAuto", weights(5, 100), 2, 1),
        ("SemiAuto", weights(100, 100), 2, 0),
        ("SemiAuto", {}, 0, 0),
        ("SemiAuto", {"type": "BlueGreen"}, 1, 1),
        ("SemiAuto", {"type": "RollingUpdate"}, 0, 0),
        ("Manual", {"type": "BlueGreen"}, 1, 0),
    ],
)
def test_steps_are_free_until_the_new_version_would_get_everything(
    automation: str, policy: dict[str, Any], steps: int, free: int | None
) -> None:
    """A last step of 100 percent is a promotion by another name."""
    assert free_steps(strategy(automation, **policy), steps=steps) == free


@pytest.mark.parametrize(
    ("approval", "seen", "reason"),
    [
        (None, {}, Reason.APPROVAL_REQUIRED),
        ({}, {}, Reason.APPROVAL_REQUIRED),
        ({"required": True}, {}, Reason.APPROVAL_REQUIRED),
        ({"revision": GOAL}, {}, Reason.APPROVAL_REQUIRED),
        (None, {"record": RECORD}, Reason.APPROVAL_REQUIRED),
        ({"approvedBy": ADA}, {}, Reason.APPROVED),
        ({"approvedBy": ADA, "revision": GOAL}, {}, Reason.APPROVED),
        ({"approvedBy": ADA}, {"record": RECORD, "checked": False}, Reason.APPROVED),
        ({"approvedBy": ADA}, {"checked": None}, Reason.APPROVAL_UNCHECKED),
        ({"approvedBy": ADA}, {"checked": False}, Reason.POLICY_MISSING),
        ({"approvedBy": "eve"}, {"record": RECORD, "checked": False}, Reason.POLICY_MISSING),
        ({"approvedBy": ADA, "revision": OTHER}, {}, Reason.APPROVAL_OUTDATED),
        ({"approvedBy": ADA}, {"record": RECORD, "goal": OTHER}, Reason.APPROVAL_OUTDATED),
        (
            {"approvedBy": ADA, "revision": OTHER},
            {"record": RECORD, "goal": OTHER},
            Reason.APPROVED,
        ),
        (
            {"approvedBy": ADA, "revision": OTHER},
            {"record": RECORD, "goal": OTHER, "checked": False},
            Reason.POLICY_MISSING,
        ),
    ],
)
def test_an_approval_is_a_checked_name_for_the_very_revision(
    approval: dict[str, Any] | None, seen: dict[str, Any], reason: Reason
) -> None:
    """What was checked once is remembered with its revision, and nothing else is."""
    found = how(approval, **seen)

    assert found.reason is reason
    assert found.given == (reason is Reason.APPROVED)
    assert found.bars(0) == (reason is not Reason.APPROVED)


def test_a_name_that_nobody_checked_is_not_recorded() -> None:
    """Or it would be believed from then on."""
    for checked in (None, False):
        assert how({"approvedBy": ADA}, checked=checked).record(None, NOON) is None


def test_an_approval_is_recorded_once() -> None:
    """Its time is that at which it was seen first."""
    found = how({"approvedBy": ADA})

    record = found.record(None, NOON)

    assert record == ApprovalRecord(by=ADA, at=NOON, revision=GOAL)
    assert how({"approvedBy": ADA}).record(record, NOON.replace(hour=13)) == record


def test_an_approval_that_is_taken_back_is_forgotten() -> None:
    """The record tells of what holds."""
    assert how(None, record=RECORD).record(ApprovalRecord.model_validate(RECORD), NOON) is None


def test_who_looks_is_told_what_to_do() -> None:
    """The message holds a command that approves just what was looked at."""
    message = how(None).message

    assert f"revision {GOAL} needs approval before the upgrade begins" in message
    assert "kubectl agentherd approve greeter-2 -n default" in message
    assert (
        "kubectl patch agup greeter-2 -n default --type merge -p "
        f'\'{{"spec":{{"approval":{{"approvedBy":"YOU","revision":"{GOAL}"}}}}}}\''
    ) in message


@pytest.mark.parametrize(
    ("approval", "status", "unchecked"),
    [
        (None, {}, False),
        ({"required": True}, {}, False),
        ({"approvedBy": ADA}, {}, True),
        ({"approvedBy": ADA}, {"approval": RECORD}, False),
        ({"approvedBy": "eve"}, {"approval": RECORD}, True),
        ({"approvedBy": ADA, "revision": OTHER}, {"approval": RECORD}, True),
        ({"approvedBy": ADA}, {"phase": "Superseded"}, False),
        ({"approvedBy": ADA}, {"phase": "Succeeded", "attempt": 1}, False),
        ({"approvedBy": ADA}, {"phase": "Pending"}, True),
        ({"approvedBy": ADA}, {"phase": "Paused"}, False),
        ({"approvedBy": ADA}, {"phase": "Paused", "steps": 3} | SEMI_AUTO, True),
        ({"approvedBy": ADA}, {"phase": "Promoting", "steps": 3} | SEMI_AUTO, False),
    ],
)
def test_the_server_is_asked_about_new_approvals_only(
    approval: dict[str, Any] | None, status: dict[str, Any], unchecked: bool
) -> None:
    """Once for each; what has been passed or has ended needs none."""
    assert is_unchecked(upgrade(approval, status)) == unchecked


@pytest.mark.parametrize(
    ("automation", "status", "ahead"),
    [
        ("SemiAuto", {"phase": "Progressing", "steps": 3}, True),
        ("SemiAuto", {"phase": "Paused", "steps": 3}, True),
        ("SemiAuto", {"phase": "Promoting", "steps": 3}, False),
        ("SemiAuto", {"phase": "Paused", "steps": 0}, False),
        ("SemiAuto", {"phase": "RollingBack", "steps": 3}, False),
        ("Manual", {"phase": "Paused", "steps": 3}, False),
        ("Auto", {"phase": "Paused", "steps": 3}, False),
    ],
)
def test_what_has_been_passed_is_not_asked_again(
    automation: str, status: dict[str, Any], ahead: bool
) -> None:
    """An approval gates one move; what is to stop afterwards is paused or rolled back."""
    settled_one = strategy(automation).model_dump(by_alias=True, exclude_none=True)
    known = status | {"strategy": settled_one, "toRevision": GOAL}
    found = approval_ahead(seen_upgrade("greeter-2", status=known))

    assert (found is not None) == ahead


approvals = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "required": st.booleans(),
        "approvedBy": st.sampled_from([ADA, "eve"]),
        "revision": st.sampled_from([GOAL, OTHER]),
    },
)
records = st.none() | st.fixed_dictionaries(
    {
        "by": st.sampled_from([ADA, "eve"]),
        "at": st.just("2026-11-21T11:00:00Z"),
        "revision": st.sampled_from([GOAL, OTHER]),
    }
)


@given(
    approval=approvals,
    record=records,
    checked=st.sampled_from([None, False, True]),
    automation=st.sampled_from([*Automation]),
)
def test_nothing_is_approved_without_a_name_that_was_checked(
    approval: dict[str, Any] | None,
    record: dict[str, Any] | None,
    checked: bool | None,
    automation: Automation,
) -> None:
    """Now or when it was recorded; and never for another revision than it was given for."""
    found = how(approval, record=record, checked=checked, automation=automation)

    if found.given:
        assert approval is not None
        assert approval["approvedBy"] == found.by
        assert found.revision == GOAL
        assert checked or (record is not None and record["by"] == found.by)
        assert approval.get("revision", GOAL) == GOAL


@given(
    record=records,
    first=approvals,
    goals=st.lists(st.sampled_from([GOAL, OTHER]), min_size=1, max_size=5),
)
def test_an_approval_does_not_follow_the_goal(
    record: dict[str, Any] | None, first: dict[str, Any] | None, goals: list[str]
) -> None:
    """However often the goal changes under it, the record stays with the first revision."""
    kept = None if record is None else ApprovalRecord.model_validate(record)
    records = []
    for goal in goals:
        raw = None if kept is None else kept.model_dump(by_alias=True)
        kept = how(first, record=raw, goal=goal).record(kept, NOON)
        records.append(kept)

    assert all(each == records[0] for each in records)
