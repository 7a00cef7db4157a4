"""A child is brought to its manifest with one write, or with none when it is as it should be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent

from agentherd.domain.kinds import CONFIG_MAP, SERVICE, companion_name
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Stage, digest
from agentherd.domain.upkeep import keep
from agentherd.domain.views import Child

MANIFEST = {"metadata": {"name": "greeter-x"}, "data": {"a": "1"}}
SEEN = AgentObservation(agent=agent())


def child(**fields: Any) -> Child:
    known = {
        "namespace": "default",
        "name": "greeter-x",
        "uid": "u",
        "version": 1,
        "workload": "greeter",
        "owner": "uid-of-greeter",
        "applied": digest(MANIFEST),
        "touched": False,
        "deleting": False,
    }
    return Child(**known | fields)


def writes(
    live: Child | None, manifest: Any = MANIFEST, name: str = "greeter-x", **options: Any
) -> list[Apply | Delete]:
    children = {name: live} if live else {}
    return list(keep(SEEN, CONFIG_MAP, name, manifest, children, **options))


def test_a_child_that_is_as_it_was_applied_costs_nothing() -> None:
    """A settled Agent makes no requests."""
    assert writes(child()) == []


def test_a_child_that_is_missing_is_created() -> None:
    """Without a uid, so nothing that was made meanwhile is taken over."""
    (write,) = writes(None)

    assert isinstance(write, Apply)
    assert (write.uid, write.digest, write.stage) == (None, digest(MANIFEST), Stage.CHILDREN)


@pytest.mark.parametrize(
    "change",
    [{"touched": True}, {"applied": "other"}, {"owner": None}],
    ids=["somebody was at it", "applied by another version", "owner taken away"],
)
def test_a_child_that_was_changed_is_put_right(change: dict[str, Any]) -> None:
    """By an apply that holds only for this very object."""
    (write,) = writes(child(**change))

    assert isinstance(write, Apply)
    assert write.uid == "u"


@pytest.mark.parametrize("manifest", [MANIFEST, None], ids=["wanted", "unwanted"])
@pytest.mark.parametrize(
    "change",
    [{"deleting": True}, {"owner": "uid-of-somebody-else"}],
    ids=["on its way out", "of somebody else"],
)
def test_a_child_that_is_not_ours_to_write_is_left_alone(
    change: dict[str, Any], manifest: Any
) -> None:
    """Its end wakes us."""
    assert writes(child(touched=True, **change), manifest) == []


def test_a_child_that_is_not_wanted_any_more_is_deleted() -> None:
    """Exactly the one that was seen, at the stage of the others."""
    (write,) = writes(child(), None, stage=Stage.TRAFFIC)

    assert write == Delete(kind=CONFIG_MAP, name="greeter-x", uid="u", stage=Stage.TRAFFIC)


def test_what_an_earlier_agent_has_left_behind_is_deleted_if_it_is_not_wanted() -> None:
    """Nobody else would, and it would outlive this one too."""
    (write,) = writes(child(owner=None), None)

    assert isinstance(write, Delete)


@pytest.mark.parametrize(
    "live", [None, child(owner=None, applied="")], ids=["missing", "of nobody"]
)
def test_what_is_not_ours_is_not_deleted(live: Child | None) -> None:
    """What we have never applied may be somebody's."""
    assert writes(live, None) == []


@pytest.mark.parametrize(
    ("name", "options", "claimed"),
    [
        ("greeter-x", {}, False),
        ("greeter-x", {"claimed": True}, True),
        ("greeter", {}, True),
        (companion_name("greeter"), {}, True),
    ],
)
def test_names_that_people_use_as_well_are_claimed(
    name: str, options: dict[str, Any], claimed: bool
) -> None:
    """Somebody may have an object of that name; a hash nobody meets by chance."""
    (write,) = writes(None, name=name, **options)

    assert isinstance(write, Apply)
    assert write.claimed is claimed


def test_what_others_change_later_is_no_part_of_the_digest() -> None:
    """Else every change of it would look like damage."""
    size = {"spec": {"replicas": 3}}

    (made,) = writes(None, unhashed=size)

    assert isinstance(made, Apply)
    assert (made.unhashed, made.digest) == (size, digest(MANIFEST))
    assert writes(child(), unhashed=size) == []


def test_kinds_are_kept_apart() -> None:
    """The write is of the kind that was asked for."""
    (write,) = keep(SEEN, SERVICE, "greeter", MANIFEST, {})

    assert write.kind is SERVICE
