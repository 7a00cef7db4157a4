"""What becomes of a verb when somebody else changes the upgrade in the same moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.plugin.samples import judged, pending, upgrade
from tests.unit.plugin.servers import Answer, kubeconfig, server, told

from agentherd.api import AgentUpgrade
from agentherd.plugin import steering
from agentherd.plugin.connection import Connection, Place
from agentherd.plugin.patching import TRIES, carry_out
from agentherd.plugin.problems import Changed


@contextmanager
def changing(directory: Path, *versions: AgentUpgrade) -> Iterator[tuple[Connection, list[str]]]:
    """An upgrade that is each of the versions in turn; only the last one can be patched.

    Yields a connection, and a list that fills with what came of each patch.
    """
    left, patches = [*versions], list[str]()

    def answer(method: str, path: str) -> Answer:
        name = path.partition("?")[0].rpartition("/")[2]
        if "agents" in path or name != "hello-3":
            return told("NotFound", 404, "not found", name=name)
        if method == "GET":
            return 200, as_json(left[0])
        if len(left) > 1:
            del left[0]
            patches.append("refused")
            return told("Conflict", 409, "the object has been modified", name=name)
        patches.append("taken")
        return 200, as_json(left[0])

    with server(answer) as port:
        place = kubeconfig(directory, port)
        yield Connection(Place(kubeconfig=place.kubeconfig, namespace="shop")), patches


def as_json(found: AgentUpgrade) -> str:
    return json.dumps(found.model_dump(by_alias=True))


def at_generation(found: AgentUpgrade, generation: int, **metadata: Any) -> AgentUpgrade:
    changed = {"generation": generation, **metadata}
    return found.model_copy(update={"metadata": found.metadata.model_copy(update=changed)})


def test_a_verb_is_decided_anew_on_what_has_changed(tmp_path: Path) -> None:
    """Nothing that somebody wrote meanwhile is overwritten."""
    theirs = upgrade(spec={"feedback": [{"from": "bob", "rating": 5}]})
    seen: list[list[str]] = []

    def rate(found: AgentUpgrade) -> steering.Steer:
        steer = steering.feedback(found, giver="ada", rating=2, comment=None)
        assert steer.patch is not None
        seen.append([each["from"] for each in steer.patch["feedback"]])
        return steer

    with changing(tmp_path, judged(), theirs) as (connection, patches):
        done = carry_out(connection, "hello-3", rate)

    assert patches == ["refused", "taken"]
    assert seen == [["ada"], ["bob", "ada"]]
    assert done.said == "ada gives hello-3 2 of 5."


def test_an_approval_is_not_given_for_what_was_changed_meanwhile(tmp_path: Path) -> None:
    """Who approves has looked at something, and that is what counts."""
    with (
        changing(tmp_path, pending(), at_generation(pending(), 2)) as (connection, patches),
        pytest.raises(Changed, match="look at it again"),
    ):
        carry_out(connection, "hello-3", lambda found: steering.approve(found, user="ada"))

    assert patches == ["refused"]


def test_an_approval_is_given_though_its_status_has_changed(tmp_path: Path) -> None:
    """The operator writes the status all the time."""
    with changing(tmp_path, pending(), pending()) as (connection, patches):
        carry_out(connection, "hello-3", lambda found: steering.approve(found, user="ada"))

    assert patches == ["refused", "taken"]


def test_a_verb_is_not_carried_over_to_another_upgrade_of_the_same_name(tmp_path: Path) -> None:
    """One that was deleted and made anew is not what was meant."""
    another = at_generation(judged(), 1, uid="another")
    with (
        changing(tmp_path, judged(), another) as (connection, _),
        pytest.raises(Changed, match="look at it again"),
    ):
        carry_out(
            connection,
            "hello-3",
            lambda found: steering.feedback(found, giver="ada", rating=2, comment=None),
        )


def test_a_verb_gives_up_on_an_upgrade_that_changes_all_the_time(tmp_path: Path) -> None:
    """It says so, and does not try for ever."""
    with (
        changing(tmp_path, *[judged()] * (TRIES + 1)) as (connection, patches),
        pytest.raises(Changed, match="run the command again"),
    ):
        carry_out(
            connection,
            "hello-3",
            lambda found: steering.feedback(found, giver="ada", rating=2, comment=None),
        )

    assert patches == ["refused"] * TRIES
