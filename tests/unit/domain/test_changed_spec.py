"""The spec that a change makes of another one, and the change that leads from one to another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.twin.samples import agent
from tests.unit.domain.choices import BAD_TEMPLATE, asks

from agentherd.api import Agent, Change
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import (
    changed_spec,
    difference,
    merged,
    precedence_of,
    promoted,
)

# Versions


ORDER = [
    "0.9.0",
    "1.0.0-1",
    "1.0.0-2",
    "1.0.0-11",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1-0",
    "1.2.0",
    "1.10.0",
    "2.0.0",
]


@given(st.sampled_from(ORDER), st.sampled_from(ORDER))
def test_versions_are_ordered_as_semver_says(one: str, other: str) -> None:
    """Numbers as numbers, and a release after all that led to it."""
    expected = ORDER.index(one) < ORDER.index(other)

    assert (precedence_of(one) < precedence_of(other)) is expected


@given(st.sampled_from(ORDER), st.sampled_from(["+a", "+1.b-c", ""]))
def test_the_build_of_a_version_does_not_count(version: str, build: str) -> None:
    """It tells how it was made and not what it is."""
    assert precedence_of(version + build) == precedence_of(version)


# The content of a change


def test_a_change_names_only_what_is_to_be_different() -> None:
    """The rest is the spec's."""
    spec = asks(1, config={"a": "1"}, drain={"timeoutSeconds": 5}).spec
    change = Change.model_validate(
        {"version": "2.0.0", "image": "agent:2", "config": {"b": "2"}, "template": ANNOTATED}
    )

    after = changed_spec(spec, change)

    assert (after.version, after.config, after.drain) == ("2.0.0", {"b": "2"}, spec.drain)
    assert after.template["spec"]["containers"][0]["image"] == "agent:2"
    assert after.template["metadata"] == ANNOTATED["metadata"]


ANNOTATED: dict[str, Any] = {"metadata": {"annotations": {"why": "because"}}}


def test_an_image_is_that_of_the_first_container() -> None:
    """Others are helpers of it."""
    containers = [{"name": "agent", "image": "agent:1"}, {"name": "proxy", "image": "proxy:1"}]
    spec = agent(template={"spec": {"containers": containers}}).spec

    after = changed_spec(spec, Change.model_validate({"image": "agent:2"}))

    assert [c["image"] for c in after.template["spec"]["containers"]] == ["agent:2", "proxy:1"]


def test_an_image_for_a_template_that_is_broken_is_left_aside() -> None:
    """The template is told about, and nothing fails."""
    change = Change.model_validate({"image": "agent:2", "template": BAD_TEMPLATE})

    assert "containers" not in changed_spec(agent().spec, change).template["spec"]


MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [1]}, {"a": [2]}, {"a": [2]}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "b"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES)
def test_a_merge_patch_does_what_its_standard_says(target: Any, patch: Any, result: Any) -> None:
    """RFC 7386: objects are merged, all else is replaced, null removes."""
    assert merged(target, patch) == result


scalars = st.integers(2, 4) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(before=objects, after=objects)
def test_a_difference_leads_from_the_one_to_the_other(before: Any, after: Any) -> None:
    """And is empty for what is the same."""
    patch = difference(before, after)

    assert merged(before, patch) == after
    assert (patch == {}) is (before == after)


@given(target=values, patch=values)
def test_a_merge_patch_can_be_applied_again(target: Any, patch: Any) -> None:
    """A second time it changes nothing."""
    once = merged(target, patch)

    assert merged(once, patch) == once


@given(target=objects, patch=objects)
def test_a_merge_leaves_both_sides_as_they_were(target: Any, patch: Any) -> None:
    """The spec of the Agent is read many times."""
    was = (repr(target), repr(patch))

    merged(target, patch)

    assert (repr(target), repr(patch)) == was


# A success is written into the spec


specs = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["agent:1", "agent:2"]),
        "configUpdate": st.sampled_from(["Rollout", "InPlace"]),
    },
    optional={
        "version": st.sampled_from(["1.0.0", "2.0.0"]),
        "config": st.sampled_from([{"a": "1"}, {"a": "2", "b": ""}]),
        "health": st.sampled_from([{"http": {"port": 8080}}, {"http": {"port": "http"}}]),
        "drain": st.sampled_from([{"timeoutSeconds": 5}, {"delaySeconds": 1}]),
    },
)


@given(before=specs, after=specs)
def test_the_promoted_spec_asks_for_the_revision_that_serves(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Else a success would look like a change, and be undone."""
    revision = revision_of(agent(**after).spec)
    # The config that is shared is not kept in the revision, so it cannot be brought back.
    assume(not (revision.in_place and revision.mounts_config and "config" not in before))
    one = agent(**before)

    patch = promoted(one.spec, revision)

    spec = merged(one.spec.model_dump(mode="json", by_alias=True, exclude_none=True), patch)
    assert revision_of(Agent.model_validate(raw_with(spec)).spec).hash == revision.hash
    assert (patch == {}) is (revision_of(one.spec).hash == revision.hash)


def raw_with(spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "greeter", "namespace": "default", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata | {"generation": 1}, "spec": spec}
