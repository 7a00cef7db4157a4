"""A plan is in the order of its stages, whatever the order in which it was made."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin.samples import NOON

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    HTTP_ROUTE,
    POD,
    SERVICE,
    Key,
    companion_name,
    is_revision_service,
    revision_name,
    revision_service_name,
)
from agentherd.domain.plan import (
    Apply,
    Create,
    Delete,
    Emit,
    Identity,
    Merge,
    Plan,
    Ref,
    Scale,
    Stage,
    WriteStatus,
    digest,
)
from agentherd.domain.reasons import Reason

GREETER = Identity(kind=AGENT, name="greeter", uid="u")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def test_traffic_comes_first_and_events_last() -> None:
    """Nobody is sent to pods that are about to change; news come after what they tell."""
    manifest = {"metadata": {"name": "greeter"}}
    intents = [
        Emit(target=GREETER, reason=Reason.STARTING, message="", warning=False, at=NOON),
        Scale(kind=POD, name="x", uid="u", replicas=1),
        WriteStatus(target=GREETER, status={}, urgent=True),
        Create(kind=AGENT_UPGRADE, manifest=manifest),
        Merge(kind=HTTP_ROUTE, name="x", uid="u", patch={}, stage=Stage.TRAFFIC),
        Apply(stage=Stage.TRAFFIC, kind=SERVICE, manifest=manifest, digest=""),
    ]

    ordered = [type(i) for i in Plan.of(intents).intents]

    assert ordered == [Merge, Apply, Create, WriteStatus, Scale, Emit]


def test_intents_of_one_stage_keep_their_order() -> None:
    """What is built on comes before what is built on it."""
    intents = [Delete(kind=POD, name=name, uid="u") for name in "bac"]

    assert Plan.of(intents).intents == tuple(intents)


@given(json_values)
def test_a_digest_is_short_and_the_same_for_the_same(value: object) -> None:
    """It becomes a part of names."""
    assert digest(value) == digest(value)
    assert len(digest(value)) == 10


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), json_values, max_size=5))
def test_the_order_of_keys_does_not_matter_to_a_digest(value: dict[str, object]) -> None:
    """JSON objects have no order."""
    assert digest(dict(reversed(value.items()))) == digest(value)


@given(json_values, json_values)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    """As far as forty bits go. 1 and true are equal in Python only."""
    if repr(one) != repr(other) and one != other:
        assert digest(one) != digest(other)


def test_references_read_as_people_write_them() -> None:
    """They stand in messages."""
    assert str(Ref("Service", "greeter")) == "Service greeter"
    assert str(Key("default", "greeter")) == "default/greeter"


def test_paths_are_those_of_the_api_server() -> None:
    """Core kinds are served under another root than the rest."""
    assert POD.path() == "/api/v1/pods"
    assert POD.path("default", "x") == "/api/v1/namespaces/default/pods/x"
    assert AGENT.path("default") == "/apis/agentherd.dev/v1alpha1/namespaces/default/agents"


def test_names_of_children_say_whose_they_are() -> None:
    """The prefix keeps clear of the names that people give."""
    assert revision_name("greeter", "abc") == "greeter-abc"
    assert companion_name("greeter") == "agentherd-greeter"


long_names = st.text("ab-", min_size=40, max_size=63)


@given(st.sets(long_names, min_size=2, max_size=4))
def test_the_service_of_a_revision_has_a_name_that_a_service_can_have(agents: set[str]) -> None:
    """And one that no other Agent's has, however long their names are."""
    names = {agent: revision_service_name(agent, "0123456789") for agent in agents}

    assert len(set(names.values())) == len(agents)
    assert all(len(name) <= 63 for name in names.values())
    assert all(is_revision_service(agent, name) for agent, name in names.items())


@pytest.mark.parametrize(
    "name", ["greeter", "greeter-web", "other-0123456789", "greeter-012345678"]
)
def test_other_services_are_no_revisions(name: str) -> None:
    """They may be people's."""
    assert not is_revision_service("greeter", name)
