"""Parsing: the operator's one look at an Agent is cheap, forgiving, and exact where it counts."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import agentherd.api
from agentherd.api import Agent, AgentSpec, ConfigUpdate, Drain, OperatingMode, Phase

MINIMAL: dict[str, Any] = {
    "metadata": {"name": "a"},
    "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}},
}


def spec(**fields: Any) -> AgentSpec:
    return AgentSpec.model_validate({**MINIMAL["spec"], **fields})


def test_everything_the_server_sends_is_understood(raw_agent: dict[str, Any]) -> None:
    """Names are snake_case, words are enumerations, times are aware."""
    agent = Agent.model_validate(raw_agent)

    assert agent.metadata.resource_version == "4711"
    assert agent.metadata.creation_timestamp == datetime(2026, 11, 21, 9, 59, tzinfo=UTC)
    assert agent.spec.operating_mode is OperatingMode.RUNNING
    assert agent.spec.drain == Drain(timeout_seconds=60, delay_seconds=5)
    assert agent.spec.depends_on == ("model",)
    assert agent.status.phase is Phase.ONLINE
    assert agent.status.history[1].from_ is Phase.DEPLOYING
    assert agent.status.conditions[0].status == "True"


def test_an_agent_needs_only_a_template() -> None:
    """Everything else has a default or means something when it is absent."""
    agent = Agent.model_validate(MINIMAL)

    assert agent.spec.replicas == 1
    assert agent.spec.health is None
    assert agent.spec.config == {}
    assert agent.spec.config_update is ConfigUpdate.ROLLOUT
    assert agent.spec.progress_deadline_seconds == 600
    assert agent.status.phase is None
    assert agent.status.conditions == ()


def test_python_and_the_server_have_the_same_defaults(schema: dict[str, Any]) -> None:
    """An Agent stored before a default existed behaves like one stored after."""
    parsed = Agent.model_validate(MINIMAL).spec.model_dump(by_alias=True)

    for name, field in schema["properties"]["spec"]["properties"].items():
        if "default" in field:
            assert parsed[name] == field["default"], name


def test_a_client_ignores_unknown_fields_at_every_depth(raw_agent: dict[str, Any]) -> None:
    """One that is older than the CRD can still show what it knows."""
    extended = deepcopy(raw_agent)
    for part in (
        extended,
        extended["metadata"],
        extended["spec"],
        extended["spec"]["health"],
        extended["status"],
        extended["status"]["conditions"][0],
    ):
        part["fromTheFuture"] = {"a": [1]}

    assert Agent.model_validate(extended) == Agent.model_validate(raw_agent)


def test_the_template_is_not_touched(raw_agent: dict[str, Any]) -> None:
    """What the operator hashes is what the person wrote, unknown fields included."""
    template = {"spec": {"containers": [{"name": "a", "image": "b", "x": None}], "y": [1.5]}}
    raw_agent["spec"]["template"] = template

    assert Agent.model_validate(raw_agent).spec.template == template


def test_what_was_parsed_cannot_be_changed(raw_agent: dict[str, Any]) -> None:
    """An Agent in the store is what was seen, for everyone who looks at it."""
    agent = Agent.model_validate(raw_agent)

    with pytest.raises(ValidationError):
        agent.spec.replicas = 5  # type: ignore[misc]


@pytest.mark.parametrize("port", [8080, "http"])
def test_a_port_is_a_number_or_a_name(port: int | str) -> None:
    """Neither is turned into the other."""
    found = spec(health={"http": {"port": port}}).health

    assert found is not None
    assert found.http.port == port
    assert type(found.http.port) is type(port)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("replicas", 0, 2147483647),
        ("revisionHistoryLimit", 0, 20),
        ("historyLimit", 1, 50),
        ("progressDeadlineSeconds", 10, 86400),
    ],
)
def test_numbers_have_bounds(field: str, least: int, most: int) -> None:
    """Both ends belong to what is allowed, their neighbours do not."""
    for allowed in (least, most):
        spec(**{field: allowed})
    for refused in (least - 1, most + 1):
        with pytest.raises(ValidationError, match=field):
            spec(**{field: refused})


@pytest.mark.parametrize(
    "fields",
    [
        {"health": {}},
        {"health": {"http": {"port": 1}, "intervalSeconds": 0}},
        {"health": {"http": {"port": 1}, "intervalSeconds": 3601}},
        {"health": {"http": {"port": 1, "path": "healthz"}}},
        {"drain": {"timeoutSeconds": 0}},
        {"drain": {"timeoutSeconds": 3601}},
        {"drain": {"delaySeconds": 301}},
        {"dependsOn": ["Upper"]},
        {"dependsOn": [f"a{n}" for n in range(33)]},
        {"operatingMode": "Paused"},
        {"operatingModeReason": "x" * 257},
        {"configUpdate": "Later"},
        {"config": {f"k{n}": "" for n in range(65)}},
        {"config": {"k": "x" * 524289}},
        {"version": "1" * 64},
    ],
)
def test_values_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    """Where the schema has a bound, so has the model."""
    with pytest.raises(ValidationError):
        spec(**fields)


@given(st.text(max_size=256), st.dictionaries(st.from_regex(r"[a-z]{1,9}"), st.text(), max_size=9))
def test_any_unicode_passes(reason: str, config: dict[str, str]) -> None:
    """Texts for people and agents are not restricted to any script."""
    found = spec(operatingModeReason=reason, config=config)

    assert found.operating_mode_reason == reason
    assert found.config == config


def test_the_models_bring_nothing_else_with_them() -> None:
    """The lowest layer knows neither the cluster nor the event loop nor how files are written."""
    unwanted = "{'aiohttp', 'kopf', 'kubernetes', 'yaml'}"
    program = f"import sys, agentherd.api; print(sorted({unwanted} & sys.modules.keys()))"

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_exist() -> None:
    """`__all__` is the surface; it changes on purpose."""
    names = agentherd.api.__all__

    assert names == sorted(names)
    assert all(hasattr(agentherd.api, name) for name in names)
