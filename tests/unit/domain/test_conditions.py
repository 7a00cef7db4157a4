"""The conditions as every Kubernetes tool reads them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON
from tests.unit.domain.samples import phase_facts as facts

from agentherd.api import Condition, OperatingMode, Phase
from agentherd.domain.conditions import conditions, not_understood, unmanaged
from agentherd.domain.faults import Fault
from agentherd.domain.phase import Facts, Verdict, judge
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason

LATER = NOON + timedelta(minutes=1)
CRASH = Fault(Reason.CRASHING, "it crashed")
REFUSED = Failure(reason=Reason.INVALID_TEMPLATE, message="no", generation=1, retry_at=NOON)
UP: dict[str, Any] = {"serving": 2, "available": 2, "complete": True, "pods": 2}


def told(
    seen: Facts, *, ready: int = 0, before: tuple[Condition, ...] = ()
) -> dict[str, Condition]:
    found = conditions(seen, judge(seen), ready=ready, generation=4, before=before)
    return {condition.type: condition for condition in found}


def statuses(seen: Facts, *, ready: int = 0) -> dict[str, str]:
    return {name: condition.status for name, condition in told(seen, ready=ready).items()}


@pytest.mark.parametrize(
    ("seen", "ready", "expected"),
    [
        (
            facts(),
            0,
            {"Ready": "False", "Available": "False", "Healthy": "Unknown", "Reconciling": "True"},
        ),
        (facts(**UP), 2, {"Ready": "True", "Available": "True", "Healthy": "True"}),
        (facts(wanted=0), 0, {"Ready": "True", "Available": "False", "Healthy": "Unknown"}),
        (
            facts(mode=OperatingMode.SUSPENDED, wanted=0),
            0,
            {"Ready": "True", "Available": "False", "Healthy": "Unknown"},
        ),
        (
            facts(**UP | {"mode": OperatingMode.MAINTENANCE}),
            2,
            {"Ready": "True", "Available": "False", "Healthy": "True"},
        ),
        (
            facts(fault=CRASH, serving=1),
            0,
            {"Ready": "False", "Available": "True", "Healthy": "False", "Reconciling": "True"},
        ),
        (
            facts(failure=REFUSED),
            0,
            {"Ready": "False", "Available": "False", "Healthy": "Unknown", "Stalled": "True"},
        ),
        (
            facts(now=NOON + timedelta(hours=1), pods=2),
            0,
            {"Ready": "False", "Available": "False", "Healthy": "False", "Stalled": "True"},
        ),
    ],
    ids=["starting", "up", "idle", "suspended", "maintenance", "faulty", "refused", "too slow"],
)
def test_the_conditions_of(seen: Facts, ready: int, expected: dict[str, str]) -> None:
    """Ready: as its spec wants it. Available: it serves. Healthy: its pods pass their checks."""
    assert statuses(seen, ready=ready) == expected


@pytest.mark.parametrize(
    ("since", "observed", "expected"),
    [
        (timedelta(minutes=9), True, "Reconciling"),
        (timedelta(minutes=10), True, "Stalled"),
        (timedelta(minutes=10), False, "Reconciling"),
    ],
    ids=["in time", "too long", "of another spec"],
)
def test_an_error_that_lasts_is_stalled(since: timedelta, observed: bool, expected: str) -> None:
    """As a Deployment past its deadline is; both go on trying."""
    seen = facts(fault=CRASH, phase=Phase.ERROR, observed=observed, now=NOON + since)

    found = statuses(seen)

    assert {"Reconciling", "Stalled"} & set(found) == {expected}


def test_an_error_after_a_late_deployment_stays_stalled() -> None:
    """It began just now, but who waits has been told that it failed."""
    late = Verdict(Phase.ERROR, Reason.PROGRESS_DEADLINE_EXCEEDED, "x")
    before = conditions(facts(), late, ready=0, generation=1, before=())
    crash = Verdict(Phase.ERROR, Reason.CRASHING, "x")

    found = conditions(facts(phase=Phase.ERROR), crash, ready=0, generation=1, before=before)

    assert "Stalled" in {condition.type for condition in found}


@pytest.mark.parametrize("reason", [Reason.DEPENDENCY_CYCLE, Reason.PROGRESS_DEADLINE_EXCEEDED])
def test_what_ends_only_by_a_change_of_the_spec_is_stalled(reason: Reason) -> None:
    """kstatus shows it as failed."""
    found = conditions(facts(), Verdict(Phase.ERROR, reason, "x"), ready=0, generation=1, before=())

    assert "Stalled" in {condition.type for condition in found}


@given(
    failure=st.sampled_from([None, REFUSED]),
    fault=st.sampled_from([None, CRASH]),
    mode=st.sampled_from(OperatingMode),
    wanted=st.integers(0, 2),
    serving=st.integers(0, 2),
    complete=st.booleans(),
    late=st.booleans(),
)
def test_in_progress_and_failed_exclude_each_other_and_done(late: bool, **given: Any) -> None:
    """kstatus: exactly one of current, in progress and failed."""
    now = NOON + timedelta(hours=1 if late else 0)

    found = statuses(facts(**given, now=now))

    assert sum([found["Ready"] == "True", "Reconciling" in found, "Stalled" in found]) == 1


def test_the_time_of_a_transition_is_kept_while_the_status_stays() -> None:
    """Another reason is no transition; another status is one."""
    before = tuple(told(facts()).values())

    after = told(facts(**UP | {"available": 1, "complete": False, "now": LATER}), before=before)

    assert after["Ready"].last_transition_time == NOON
    assert after["Ready"].reason != before[0].reason
    assert after["Available"].last_transition_time == LATER


def test_every_condition_says_which_generation_it_is_about() -> None:
    """Tools that wait compare it with the object's own."""
    assert {condition.observed_generation for condition in told(facts()).values()} == {4}


def test_a_condition_that_is_over_is_gone() -> None:
    """Reconciling and Stalled exist only while they are true."""
    before = tuple(told(facts(failure=REFUSED)).values())

    assert "Stalled" not in told(facts(**UP), ready=2, before=before)


def test_an_unmanaged_agent_keeps_its_conditions_and_says_why() -> None:
    """Managed is False with a date of its own."""
    before = tuple(told(facts(**UP), ready=2).values())

    once = unmanaged(before, generation=5, now=LATER)
    twice = unmanaged(once, generation=5, now=LATER + timedelta(hours=1))

    assert once[:-1] == before
    assert (once[-1].type, once[-1].status) == ("Managed", "False")
    assert twice == once


def test_an_agent_that_is_not_understood_is_stalled_with_a_way_out() -> None:
    """It is neither Ready nor in progress; the rest stays as it was seen."""
    before = tuple(told(facts()).values())

    found = {c.type: c for c in not_understood(before, "spec.x: bad", generation=5, now=LATER)}

    assert found["Ready"].status == "False"
    assert "spec.x: bad" in found["Stalled"].message
    assert "upgrade the operator" in found["Stalled"].message
    assert "Reconciling" not in found
    assert found["Available"] == before[1]
