"""The CEL rules. A cluster evaluates them; here their patterns are held against what they mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api.crd import object_schema
from agentherd.api.resources import RESOURCES

RULES = "x-kubernetes-validations"


def pattern_of(rules: list[dict[str, str]], index: int = 0) -> re.Pattern[str]:
    """The regular expression in the `matches` of a rule; RE2 and Python agree on all in use."""
    found = re.search(r"matches\(r?'(.*?)'\)", rules[index]["rule"])
    assert found is not None
    return re.compile(found.group(1).replace("$", r"\Z"))


@pytest.fixture(scope="session")
def version(schema: dict[str, Any]) -> re.Pattern[str]:
    return pattern_of(schema["properties"]["spec"]["properties"]["version"][RULES])


@pytest.fixture(scope="session")
def config_key(schema: dict[str, Any]) -> re.Pattern[str]:
    return pattern_of(schema["properties"]["spec"]["properties"]["config"][RULES])


@pytest.fixture(scope="session")
def name(schema: dict[str, Any]) -> re.Pattern[str]:
    return pattern_of(schema[RULES])


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0",
        "1.4.2",
        "10.20.30",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-0.3.7",
        "1.0.0-x-y-z.0a",
        "1.0.0+20130313144700",
        "1.0.0-beta+exp.sha.5114f85",
    ],
)
def test_semantic_versions_are_accepted(version: re.Pattern[str], text: str) -> None:
    """The forms that semver.org shows."""
    assert version.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3-ü"],
)
def test_other_versions_are_refused(version: re.Pattern[str], text: str) -> None:
    """Nearly a version is not a version."""
    assert not version.fullmatch(text)


@given(st.tuples(*[st.integers(0, 10**6)] * 3))
def test_three_numbers_are_a_version(
    version: re.Pattern[str], numbers: tuple[int, int, int]
) -> None:
    """Whatever the numbers are."""
    assert version.fullmatch(".".join(map(str, numbers)))


@pytest.mark.parametrize("text", ["prompt.md", ".env", "A_b-c.9", "x" * 253])
def test_file_names_are_config_keys(config_key: re.Pattern[str], text: str) -> None:
    """Anything a ConfigMap takes as a key."""
    assert config_key.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a/b", "a b", "ü", "x" * 254])
def test_other_keys_are_refused(config_key: re.Pattern[str], text: str) -> None:
    """A key that cannot be a file is found before the ConfigMap is written."""
    assert not config_key.fullmatch(text)


@pytest.mark.parametrize("text", ["a", "a-1", "greeter-blue"])
def test_service_names_are_agent_names(name: re.Pattern[str], text: str) -> None:
    """An Agent is called like its Service."""
    assert name.fullmatch(text)


@pytest.mark.parametrize("text", ["1a", "a.b", "-a", "a-", "A", ""])
def test_other_names_are_refused(name: re.Pattern[str], text: str) -> None:
    """The API server takes more names for custom resources than for Services."""
    assert not name.fullmatch(text)


@pytest.mark.parametrize(
    ("kind", "count"), [("agent", 21), ("agentupgrade", 31), ("modeldeployment", 35)]
)
def test_every_rule_tells_what_to_do(kind: str, count: int) -> None:
    """A message is a sentence, not the expression."""

    def walk(node: Any) -> list[dict[str, str]]:
        if isinstance(node, dict):
            return [*node.get(RULES, []), *(r for child in node.values() for r in walk(child))]
        return []

    rules = walk(object_schema(next(one for one in RESOURCES if one.singular == kind)))

    assert len(rules) == count
    for rule in rules:
        assert len(rule["message"]) > 20
        assert "self" not in rule["message"].replace("itself", "")


@pytest.fixture(scope="session")
def header(schema: dict[str, Any]) -> re.Pattern[str]:
    testers = schema["properties"]["spec"]["properties"]["traffic"]["properties"]["testers"]
    return pattern_of(testers["properties"]["headers"][RULES])


@pytest.mark.parametrize("text", ["x-tester", "X_Tester.1", "x" * 256])
def test_names_of_headers_are_accepted(header: re.Pattern[str], text: str) -> None:
    """In any case, as HTTP does not tell them apart."""
    assert header.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a b", "a:b", "ü", "x" * 257])
def test_other_names_of_headers_are_refused(header: re.Pattern[str], text: str) -> None:
    """The Gateway would refuse the whole route."""
    assert not header.fullmatch(text)


@pytest.mark.parametrize(
    "field", ["targetRef", "to", "strategy", "priority", "dependsOn", "allowDowngrade"]
)
def test_what_an_upgrade_was_judged_by_is_compared_with_what_it_was(
    upgrade_schema: dict[str, Any], field: str
) -> None:
    """A field that is frozen is frozen by a rule about that very field."""
    (rule,) = (
        rule["rule"]
        for rule in upgrade_schema[RULES]
        if rule["fieldPath"] == f".spec.{field}" and "oldSelf" in rule["rule"]
    )

    assert f"self.spec.{field} == oldSelf.spec.{field}" in rule
    assert ("oldSelf.status.phase != 'Pending'" in rule) == (field != "targetRef")


@pytest.mark.parametrize("field", ["paused", "promote", "rollback"])
def test_what_steers_an_upgrade_is_never_frozen(upgrade_schema: dict[str, Any], field: str) -> None:
    """A person can stop it, let it go on and take it back at any time."""
    assert f".spec.{field}" not in {rule["fieldPath"] for rule in upgrade_schema[RULES]}


def test_an_attempt_is_raised_only_after_a_rollback(upgrade_schema: dict[str, Any]) -> None:
    """One rule keeps it from being lowered, another says when it may be raised."""
    lowered, raised = (
        rule for rule in upgrade_schema[RULES] if rule.get("fieldPath") == ".spec.attempt"
    )

    assert ">=" in lowered["rule"]
    assert "oldSelf.status.phase == 'RolledBack'" in raised["rule"]
    assert "create another AgentUpgrade" in raised["message"]
