"""A revision is everything that goes forward and comes back together, and is named by it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin.samples import agent, revision_view

from agentherd.domain.revision import obsolete_revisions, revision_number, revision_of

HEALTH = {"http": {"port": 8080}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.from_regex(r"[0-9a-f]{4}", fullmatch=True)


def name_of(**spec: Any) -> str:
    return revision_of(agent(**spec).spec).hash


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_the_order_of_keys_does_not_make_another_revision(extra: dict[str, Any]) -> None:
    """Two manifests that say the same are the same revision."""
    template = {"spec": {"containers": [{"name": "a", "image": "a"}]} | extra}

    assert name_of(template=template) == name_of(template=reversed_keys(template))


def test_a_spec_set_back_is_the_earlier_revision() -> None:
    """Going back needs no new name."""
    first = name_of(image="agent:1")

    assert name_of(image="agent:2") != first
    assert name_of(image="agent:1") == first


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "agent:2"},
        {"version": "1.0.0"},
        {"health": HEALTH},
        {"drain": {"timeoutSeconds": 5}},
        {"config": {"prompt": "be kind"}},
        {"configUpdate": "InPlace"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_what_changes_the_pods_is_another_revision(spec: dict[str, Any]) -> None:
    """Everything that a pod is made from counts."""
    assert name_of(**spec) != name_of()


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 5},
        {"operatingMode": "Suspended"},
        {"operatingModeReason": "because"},
        {"historyLimit": 3},
        {"dependsOn": ["model"]},
        {"progressDeadlineSeconds": 60},
        {"revisionHistoryLimit": 1},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_what_leaves_the_pods_alone_is_no_new_revision(spec: dict[str, Any]) -> None:
    """Scaling or suspending an Agent rolls nothing out."""
    assert name_of(**spec) == name_of()


def test_config_that_is_rolled_out_is_part_of_the_revision() -> None:
    """Another prompt is another revision, so that it can be rolled back."""
    assert name_of(config={"a": "1"}) != name_of(config={"a": "2"})


def test_config_that_is_reloaded_in_place_is_not_part_of_the_revision() -> None:
    """A hot reload replaces no pod."""
    before = name_of(config={"a": "1"}, configUpdate="InPlace")

    assert name_of(config={"a": "2"}, configUpdate="InPlace") == before


def test_the_first_config_in_place_is_a_new_revision() -> None:
    """Pods without the mount have nothing to reload."""
    assert name_of(configUpdate="InPlace") != name_of(configUpdate="InPlace", config={"a": "1"})


def test_a_revision_knows_its_version() -> None:
    """The version is read back from what the ControllerRevision keeps."""
    assert revision_of(agent(version="1.2.3").spec).version == "1.2.3"
    assert revision_of(agent().spec).version is None


def test_the_first_revision_has_number_one() -> None:
    """ControllerRevisions are counted from 1."""
    assert revision_number("a", []) == 1


def test_a_revision_keeps_its_number_while_it_is_the_newest() -> None:
    """Deciding again changes nothing."""
    assert revision_number("b", [revision_view("a", 1), revision_view("b", 2)]) == 2


def test_an_earlier_revision_that_is_asked_for_again_becomes_the_newest() -> None:
    """As with a Deployment, going back is a step forward in time."""
    assert revision_number("a", [revision_view("a", 1), revision_view("b", 2)]) == 3


@given(
    kept=st.lists(names, unique=True, max_size=12),
    used=st.sets(names, max_size=4),
    limit=st.integers(0, 5),
)
def test_obsolete_revisions_are_the_oldest_that_nobody_uses(
    kept: list[str], used: set[str], limit: int
) -> None:
    """What is in use is never among them, and no more than the limit is kept besides."""
    views = [revision_view(name, number) for number, name in enumerate(kept, start=1)]
    in_use = used | set(kept[:2])

    gone = obsolete_revisions(views, in_use=in_use, limit=limit)

    spare = [name for name in kept if name not in in_use]
    assert list(gone) == spare[: max(0, len(spare) - limit)]
