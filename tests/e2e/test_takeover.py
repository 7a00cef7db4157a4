"""When the operator acts and when it keeps its hands off: unmanaged Agents, and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.e2e.cluster import Object
from tests.e2e.operator_process import Operator
from tests.e2e.sample import agent
from tests.e2e.served import HEALTH
from tests.e2e.world import START, World, condition_status, is_ready

UNMANAGED = "agentherd.dev/unmanaged"
BYSTANDER = agent("bystander", operatingMode="Offline")


@pytest.mark.row("A12")
def test_a12_an_unmanaged_agent_is_left_alone_and_put_right_afterwards(world: World) -> None:
    """With the annotation the operator writes nothing; without it, it does its work again."""
    world.apply(BYSTANDER)
    world.apply(agent("a"))
    world.wait_until("Agent", "a", _settled, within=60)
    pod = world.pod("a")
    (replica_set,) = world.children("a", "ReplicaSet")
    name = replica_set["metadata"]["name"]
    world.annotate("Agent", "a", UNMANAGED, "true")
    world.wait_for_condition("a", "Managed", "False")
    _wait_until_all_is_seen(world)  # by then it has counted what was written before
    writes = world.operator.writes(but="services")

    world.delete("Pod", pod["metadata"]["name"])
    world.delete("Service", "a")
    world.patch("ReplicaSet", name, {"spec": {"replicas": 2}}, manager="kubectl-edit")
    world.wait_until_children("a", "Pod", lambda pods: sum(map(is_ready, pods)) == 2, within=60)
    _wait_until_all_is_seen(world)

    edited = world.get("ReplicaSet", name)
    assert world.operator.writes(but="services") == writes, "the bystander's Service left aside"
    assert edited["spec"]["replicas"] == 2
    assert _own_writes(edited) == _own_writes(replica_set)
    assert world.find("Service", "a") is None

    world.annotate("Agent", "a", UNMANAGED, None)
    world.wait_until("ReplicaSet", name, lambda seen: seen["spec"]["replicas"] == 1)
    world.wait_until("Service", "a", lambda _: True)
    world.wait_until("Agent", "a", lambda seen: condition_status(seen, "Managed") is None)


@pytest.mark.parametrize("end", [Operator.stop, Operator.kill])
def test_a_restarted_operator_adopts_what_is_there_without_a_write(
    world: World, end: Callable[[Operator], None]
) -> None:
    """Agents, children and pods stay as they are to the last byte."""
    world.apply(BYSTANDER)
    config = {"greeting": "Hello"}
    world.apply(agent("a", replicas=2, version="1.0.0", config=config, health=HEALTH))
    world.apply(agent("b", config=config, configUpdate="InPlace", health=HEALTH))
    for name in ("a", "b"):
        world.wait_until("Agent", name, _settled, within=60)
    wait_until_protected(world, "a", pods=2)
    before = _fingerprints(world.everything("a") + world.everything("b"))

    end(world.operator)
    world.operator.start()
    _wait_until_all_is_seen(world)

    assert _fingerprints(world.everything("a") + world.everything("b")) == before


def _wait_until_all_is_seen(world: World) -> None:
    """Wait until the operator has put something right that happened after all else.

    A killed operator still holds its Lease for a while, so this may take as long as that.
    """
    uid = world.get("Service", "bystander")["metadata"]["uid"]
    world.delete("Service", "bystander")
    world.wait_until("Service", "bystander", lambda seen: seen["metadata"]["uid"] != uid, within=45)


def wait_until_protected(world: World, name: str, *, pods: int) -> None:
    """Wait until Kubernetes has counted the pods for the budget of an Agent, its last write."""
    world.wait_until(
        "PodDisruptionBudget",
        f"agentherd-{name}",
        lambda seen: seen.get("status", {}).get("currentHealthy") == pods,
        within=START,
    )


def _settled(found: Object) -> bool:
    """Whether an Agent is complete and its status has nothing left to tell."""
    wanted = found["spec"].get("replicas", 1)
    status = found.get("status", {})
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    return (
        status.get("phase") == "Online"
        and all(status.get(count) == wanted for count in counts)
        and all(condition_status(found, kind) == "True" for kind in ("Ready", "Healthy"))
        and not any(condition_status(found, kind) for kind in ("Reconciling", "Stalled"))
    )


def _own_writes(found: Object) -> list[tuple[str, str]]:
    """When the operator wrote the object, by its field managers."""
    return [
        (entry["manager"], entry["time"])
        for entry in found["metadata"]["managedFields"]
        if entry["manager"].startswith("agentherd")
    ]


def _fingerprints(found: Iterable[Object]) -> dict[str, Any]:
    """What changes with every write, whoever makes it."""
    return {
        f"{item.get('kind', '')} {item['metadata']['name']} {item['metadata']['uid']}": (
            item["metadata"]["resourceVersion"],
            item["metadata"]["managedFields"],
        )
        for item in found
    }
