"""An AgentUpgrade is read as it was written, and its status is written as it was read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentherd.api import (
    AgentUpgrade,
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    Change,
    Control,
    EffectiveStrategy,
    Pause,
    PhaseChange,
    Promote,
    RollbackRecord,
    Step,
    StrategyType,
    UpgradePhase,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)
counts = st.integers(0, 2**31 - 1)
words = st.from_regex(r"[A-Z][A-Za-z]{0,20}", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{10}", fullmatch=True)
texts = st.text(max_size=1100)
steps = st.integers(0, 20)
percentages = st.integers(0, 100)
strategies = st.builds(
    EffectiveStrategy,
    type=st.sampled_from(StrategyType),
    steps=st.lists(st.builds(Step, weight=percentages), max_size=20).map(tuple),
    pause=st.none() | st.builds(Pause, seconds=st.none() | st.integers(1, 604800)),
    max_surge=st.integers(1, 10000) | st.integers(1, 100).map("{}%".format),
    progress_deadline_seconds=counts,
    scale_down_delay_seconds=counts,
    abort_scale_down_delay_seconds=counts,
    rollback_window=counts,
)
statuses = st.builds(
    AgentUpgradeStatus,
    observed_generation=st.none() | counts,
    phase=st.none() | st.sampled_from(UpgradePhase),
    attempt=st.none() | st.integers(1, 100),
    from_revision=st.none() | hashes,
    to_revision=st.none() | hashes,
    to_version=st.none() | texts,
    strategy=st.none() | strategies,
    steps=steps,
    step=steps,
    ready_since=st.none() | times,
    weight_since=st.none() | times,
    progress_since=st.none() | times,
    weight=percentages,
    weight_seen=st.none() | percentages,
    started_at=st.none() | times,
    finished_at=st.none() | times,
    rollback=st.none()
    | st.builds(
        RollbackRecord,
        trigger=words,
        reason=texts,
        requestedBy=texts,
        at=times,
        finished_at=st.none() | times,
        duration_seconds=st.none() | counts,
    ),
    history=st.lists(
        st.builds(
            PhaseChange,
            phase=st.sampled_from(UpgradePhase),
            reason=words,
            message=texts,
            at=times,
        ),
        max_size=3,
    ).map(tuple),
    controls=st.lists(
        st.builds(Control, verb=words, by=texts, at=times, detail=texts), max_size=3
    ).map(tuple),
)


def spec(**fields: Any) -> AgentUpgradeSpec:
    return AgentUpgradeSpec.model_validate({"targetRef": {"name": "greeter"}, **fields})


def dump(status: AgentUpgradeStatus) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True)


def test_everything_the_server_sends_is_understood(raw_upgrade: dict[str, Any]) -> None:
    """Names are snake_case, words are enumerations, times are aware."""
    upgrade = AgentUpgrade.model_validate(raw_upgrade)

    assert upgrade.spec.target_ref.name == "greeter"
    assert upgrade.spec.depends_on == ("model-2",)
    assert upgrade.spec.promote == Promote(step=2)
    assert upgrade.spec.rollback is not None
    assert upgrade.spec.rollback.requested
    assert upgrade.status.phase is UpgradePhase.ROLLING_BACK
    assert upgrade.status.started_at == datetime(2026, 11, 21, 9, 59, tzinfo=UTC)


def test_an_upgrade_needs_only_a_target() -> None:
    """It then brings what the Agent asks for, in the way the Agent says."""
    found = spec()

    assert found.to is None
    assert found.strategy is None
    assert found.priority == 5
    assert found.attempt == 1
    assert not found.paused
    assert not found.allow_downgrade
    assert found.promote is None
    assert found.rollback is None


def test_python_and_the_server_have_the_same_defaults(upgrade_schema: dict[str, Any]) -> None:
    """An upgrade stored before a default existed behaves like one stored after."""
    parsed = spec().model_dump(by_alias=True)

    for name, field in upgrade_schema["properties"]["spec"]["properties"].items():
        if "default" in field:
            assert parsed[name] == field["default"], name


def test_a_patch_of_the_template_keeps_its_nulls(raw_upgrade: dict[str, Any]) -> None:
    """In a merge patch, null is a word: it removes."""
    change = AgentUpgrade.model_validate(raw_upgrade).spec.to

    assert change is not None
    assert change.template == {"metadata": {"annotations": {"old": None}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"targetRef": {}},
        {"targetRef": {"name": "Greeter"}},
        {"priority": -1},
        {"priority": 11},
        {"attempt": 0},
        {"attempt": 101},
        {"dependsOn": ["Upper"]},
        {"dependsOn": [f"a{n}" for n in range(17)]},
        {"promote": {"step": 0}},
        {"promote": {"step": 21}},
        {"rollback": {"reason": "x" * 257}},
        {"to": {"image": ""}},
        {"to": {"version": "1" * 64}},
        {"to": {"config": {f"k{n}": "" for n in range(65)}}},
        {"to": {"template": []}},
        {"to": {"revision": ""}},
        {"strategy": {"type": "Recreate"}},
    ],
)
def test_values_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    """Where the schema has a bound, so has the model."""
    with pytest.raises(ValidationError):
        spec(**fields)


def test_the_same_config_is_allowed_in_an_upgrade_as_in_an_agent(
    schema: dict[str, Any], upgrade_schema: dict[str, Any]
) -> None:
    """What was accepted in the one cannot be refused when it is written into the other."""
    agent = schema["properties"]["spec"]["properties"]
    change = upgrade_schema["properties"]["spec"]["properties"]["to"]["properties"]

    for field in ("version", "config"):
        assert {**agent[field], "description": ""} == {**change[field], "description": ""}
    assert Change.model_fields.keys() == change.keys()


def test_what_the_server_sent_is_what_would_be_sent(raw_upgrade: dict[str, Any]) -> None:
    """A status that was read and not changed needs no write."""
    status = AgentUpgrade.model_validate(raw_upgrade).status

    assert dump(status) == raw_upgrade["status"]


@given(statuses)
def test_a_status_survives_the_wire(status: AgentUpgradeStatus) -> None:
    """Dumped, sent as JSON and parsed again, it is equal to itself."""
    sent = json.loads(json.dumps(dump(status)))

    assert sent == dump(status)
    assert AgentUpgradeStatus.model_validate(sent) == status


def test_a_new_status_says_only_the_numbers() -> None:
    """What is not known is absent, not null and not an empty list."""
    assert dump(AgentUpgradeStatus()) == {"steps": 0, "step": 0, "weight": 0}


def test_a_long_reason_is_shortened() -> None:
    """A message from a container runtime cannot make the status unwritable."""
    record = RollbackRecord(trigger="Crash", reason="ü" * 5000, requested_by="agentherd", at=NOON)

    assert len(record.reason) == 1024
    assert record.reason.endswith("…")
