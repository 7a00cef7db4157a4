"""The CEL rules. A cluster evaluates them; here their patterns are held against what they mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_every_rule_tells_what_to_do(schema: dict[str, Any]) -> None:
    """A message is a sentence, not the expression."""

    def walk(node: Any) -> list[dict[str, str]]:
        if isinstance(node, dict):
            return [*node.get(RULES, []), *(r for child in node.values() for r in walk(child))]
        return []

    rules = walk(schema)

    assert len(rules) == 7
    for rule in rules:
        assert len(rule["message"]) > 20
        assert "self" not in rule["message"].replace("itself", "")
