"""What is remembered of an Agent's past."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.e2e.sample import agent
from tests.e2e.world import World

CHANGES = [
    ("alice", "Suspended"),
    ("bob", "Offline"),
    ("alice", "Suspended"),
    ("bob", "Offline"),
    ("carol", "Suspended"),
    ("alice", "Offline"),
    ("carol", "Suspended"),
    ("bob", "Offline"),
]


@pytest.mark.row("A09")
def test_a09_the_newest_changes_are_kept_with_who_and_why(world: World) -> None:
    """History has as many entries as asked for, and each tells from, to, who and why."""
    world.apply(agent("a", historyLimit=5, operatingMode="Offline"))
    world.wait_for_phase("a", "Offline")

    for number, (person, mode) in enumerate(CHANGES):
        world.change(
            "a", manager=person, operatingMode=mode, operatingModeReason=f"change {number}"
        )
        world.wait_for_phase("a", mode)

    history = world.status("a")["history"]
    assert [entry["reason"] for entry in history] == [f"change {n}" for n in (3, 4, 5, 6, 7)]
    assert [(entry["triggeredBy"], entry["to"]) for entry in history] == CHANGES[-5:]
    assert all(earlier["to"] == later["from"] for earlier, later in pairwise(history))
    assert all(earlier["at"] <= later["at"] for earlier, later in pairwise(history))


@pytest.mark.row("A09")
def test_a09_what_nobody_did_is_told_as_the_operators_own(world: World) -> None:
    """A change that pods made by themselves is not put down to the last person who wrote."""
    world.apply(agent("a"), manager="alice")

    history = world.wait_for_phase("a", "Online")["status"]["history"]

    assert [(entry["to"], entry["triggeredBy"]) for entry in history] == [
        ("Deploying", "alice"),
        ("Online", "agentherd"),
    ]
