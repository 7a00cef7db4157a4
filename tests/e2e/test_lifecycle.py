"""From the first apply to the last line of a pod's log."""

from __future__ import annotations

import json

import pytest
from tests.e2e.sample import agent
from tests.e2e.world import CHILD_KINDS, World, condition, condition_status, is_ready


@pytest.mark.row("A02")
def test_a02_a_new_agent_has_one_phase_and_one_entry_of_history(world: World) -> None:
    """An Agent that is registered but not started says so, once."""
    world.apply(agent("a", operatingMode="Offline"))

    found = world.wait_for_phase("a", "Offline")

    assert [entry["to"] for entry in found["status"]["history"]] == ["Offline"]
    assert world.pods("a") == []


@pytest.mark.row("A03")
def test_a03_online_when_the_pod_is_ready(world: World) -> None:
    """An Agent is Deploying until its pod is Ready, and Online from then on."""
    start = world.now("Agent")
    world.apply(agent("a"))

    phases: list[str] = []
    for change in world.follow("Agent", since=start, within=60):
        phase = change.object.get("status", {}).get("phase")
        if phase and phases[-1:] != [phase]:
            phases.append(phase)
        if phase == "Online":
            break

    assert phases == ["Deploying", "Online"]
    assert is_ready(world.pod("a"))


@pytest.mark.row("A03")
def test_a03_the_pod_was_ready_before_the_agent_was_online(world: World) -> None:
    """Online is never said too early."""
    world.apply(agent("a"))

    found = world.wait_for_phase("a", "Online")

    ready = condition(world.pod("a"), "Ready")
    assert ready is not None
    assert ready["lastTransitionTime"] <= found["status"]["phaseSince"]


@pytest.mark.row("A03")
def test_a03_a_chain_of_owners_leads_from_the_pod_to_the_agent(world: World) -> None:
    """What belongs to an Agent can be found, and is collected, by its ownerReferences."""
    world.apply(agent("a"))
    found = world.wait_for_phase("a", "Online")

    (to_set,) = world.pod("a")["metadata"]["ownerReferences"]
    replica_set = world.get("ReplicaSet", to_set["name"])
    (to_agent,) = replica_set["metadata"]["ownerReferences"]

    assert to_set["uid"] == replica_set["metadata"]["uid"]
    assert (to_agent["kind"], to_agent["uid"]) == ("Agent", found["metadata"]["uid"])
    assert to_agent["controller"] is True


@pytest.mark.row("A10")
def test_a10_deletion_lets_the_pod_clean_up_and_leaves_nothing(world: World) -> None:
    """The agent's last line is its own, and within a minute nothing of it is left."""
    world.apply(agent("a", replicas=2, config={"greeting": "Hello"}))
    found = world.wait_until_ready("a")
    kinds = {kind for kind in CHILD_KINDS if world.children("a", kind)}

    with world.log(world.pods("a")[0]["metadata"]["name"]) as lines:
        world.delete("Agent", "a")
        said = [json.loads(line)["event"] for line in lines]

    assert kinds == set(CHILD_KINDS), "the Agent had a child of every kind"
    assert said[-2:] == ["draining", "cleanup"]
    assert "finalizers" not in found["metadata"]
    world.wait_until_gone("Agent", "a", within=60)
    for kind in CHILD_KINDS:
        world.wait_until_children("a", kind, lambda left: not left, within=60)


def test_an_agent_waits_for_those_it_depends_on(world: World) -> None:
    """Agents start in the order of dependsOn, whatever the order in which they are applied."""
    world.apply(agent("writer", dependsOn=["researcher"]))
    waiting = world.wait_for_phase("writer", "Deploying")
    start = world.now("Pod", "writer")

    world.apply(agent("researcher"))
    first = next(iter(world.follow("Pod", since=start, within=60, agent="writer")))
    needed = world.get("Agent", "researcher")

    because = condition(waiting, "Ready")
    assert because is not None
    assert because["reason"] == "WaitingForDependencies"
    assert start.items == ()
    assert first.type == "ADDED"
    assert condition_status(needed, "Available") == "True"
    world.wait_for_phase("writer", "Online")
