"""Writing: a dumped status is exactly the JSON to apply, and reads back as itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentherd.api import (
    Agent,
    AgentStatus,
    Condition,
    ConfigRecord,
    LastError,
    Phase,
    Transition,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)
counts = st.integers(0, 2**31 - 1)
words = st.from_regex(r"[A-Z][A-Za-z]{0,20}", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{10}", fullmatch=True)
phases = st.sampled_from(Phase)
transitions = st.builds(
    Transition,
    from_=st.none() | phases,
    to=phases,
    reason=words,
    triggeredBy=st.text(max_size=300),
    at=times,
)
conditions = st.builds(
    Condition,
    type=words,
    status=st.sampled_from(["True", "False", "Unknown"]),
    observed_generation=st.none() | counts,
    lastTransitionTime=times,
    reason=words,
    message=st.text(max_size=300),
)
statuses = st.builds(
    AgentStatus,
    observed_generation=st.none() | counts,
    phase=st.none() | phases,
    phase_since=st.none() | times,
    replicas=counts,
    ready_replicas=counts,
    available_replicas=counts,
    updated_replicas=counts,
    selector=st.none() | st.text(max_size=100),
    stable_revision=st.none() | hashes,
    target_revision=st.none() | hashes,
    config_version=st.none() | st.integers(1, 1000),
    config_hash=st.none() | hashes,
    config_history=st.lists(
        st.builds(ConfigRecord, version=st.integers(1, 9), hash=hashes, at=times), max_size=3
    ).map(tuple),
    history=st.lists(transitions, max_size=3).map(tuple),
    last_error=st.none()
    | st.builds(LastError, reason=words, message=st.text(max_size=100), at=times),
    error_count=counts,
    conditions=st.lists(conditions, max_size=3).map(tuple),
)


def dump(status: AgentStatus) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True)


def test_what_the_server_sent_is_what_would_be_sent(raw_agent: dict[str, Any]) -> None:
    """A status that was read and not changed needs no write."""
    status = Agent.model_validate(raw_agent).status

    assert dump(status) == raw_agent["status"]


@given(statuses)
def test_a_status_survives_the_wire(status: AgentStatus) -> None:
    """Dumped, sent as JSON and parsed again, it is equal to itself."""
    sent = json.loads(json.dumps(dump(status)))

    assert sent == dump(status)
    assert AgentStatus.model_validate(sent) == status


def test_a_new_status_says_only_the_numbers() -> None:
    """What is not known is absent, not null and not an empty list."""
    assert dump(AgentStatus()) == {
        "replicas": 0,
        "readyReplicas": 0,
        "availableReplicas": 0,
        "updatedReplicas": 0,
        "errorCount": 0,
    }


def test_a_transition_says_from_and_to() -> None:
    """`from` is a word of Python, but not of the API."""
    change = Transition(
        from_=Phase.IDLE, to=Phase.ONLINE, reason="AllAvailable", triggered_by="pods", at=NOON
    )

    assert change.model_dump(by_alias=True) == {
        "from": "Idle",
        "to": "Online",
        "reason": "AllAvailable",
        "triggeredBy": "pods",
        "at": "2026-11-21T12:00:00Z",
    }


@pytest.mark.parametrize(
    "time",
    [
        NOON,
        NOON + timedelta(microseconds=999_999),
        NOON.astimezone(timezone(timedelta(hours=2))),
    ],
)
def test_times_are_whole_seconds_in_utc(time: datetime) -> None:
    """What the clock says finer than that would be lost on the wire and look like a change."""
    status = AgentStatus(phase_since=time)

    assert status.phase_since == NOON
    assert dump(status)["phaseSince"] == "2026-11-21T12:00:00Z"


def test_a_time_without_a_zone_is_refused() -> None:
    """Nobody has to guess."""
    with pytest.raises(ValidationError):
        AgentStatus(phase_since=datetime(2026, 11, 21))


@pytest.mark.parametrize("size", [4095, 4096, 4097, 100_000])
def test_a_long_message_is_shortened(size: int) -> None:
    """A message from a container runtime cannot make the status unwritable."""
    message = LastError(reason="Crashing", message="ü" * size, at=NOON).message

    assert len(message) == min(size, 4096)
    assert message.endswith("…") == (size > 4096)


def test_python_types_are_there_for_those_who_ask() -> None:
    """`mode="python"` keeps enumerations and times."""
    status = AgentStatus(phase=Phase.IDLE, phase_since=NOON).model_dump(mode="python")

    assert status["phase"] is Phase.IDLE
    assert status["phase_since"] == NOON


def test_what_nobody_has_looked_at_has_no_observed_generation() -> None:
    """The API server says -1, for those who wait; here it is not a number."""
    assert AgentStatus.model_validate({"observedGeneration": -1}).observed_generation is None
    assert AgentStatus.model_validate({"observedGeneration": 0}).observed_generation == 0
