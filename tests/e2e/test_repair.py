"""What is ours is put right at once; what is not ours stays."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.world import World, condition, identity, is_ready, observed

PUT_RIGHT_WITHIN: Final = 2.0

KINDS: Final = (
    "ConfigMap",
    "ControllerRevision",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Service",
    "ServiceAccount",
)

NOT_COMPARED: Final = frozenset({"clusterIP", "clusterIPs"})
"""Given by the API server, another one to a Service that is made anew."""

Change = Callable[[Object], Object]
"""From a child as it is to a merge patch that spoils it."""


def _container(child: Object) -> Object:
    container: Object = child["spec"]["template"]["spec"]["containers"][0]
    return container


DAMAGES: Final[dict[str, tuple[str, Change]]] = {
    "service-selector": ("Service", lambda _: {"spec": {"selector": {"app": "other"}}}),
    "service-target-port": (
        "Service",
        lambda child: {"spec": {"ports": [{**child["spec"]["ports"][0], "targetPort": 1}]}},
    ),
    "service-port": (
        "Service",
        lambda child: {"spec": {"ports": [{**child["spec"]["ports"][0], "port": 9090}]}},
    ),
    "config-value": ("ConfigMap", lambda _: {"data": {"greeting": "changed"}}),
    "config-key": ("ConfigMap", lambda _: {"data": {"greeting": None}}),
    "replicas": ("ReplicaSet", lambda _: {"spec": {"replicas": 1}}),
    "template-image": (
        "ReplicaSet",
        lambda child: {
            "spec": {
                "template": {"spec": {"containers": [{**_container(child), "image": "other"}]}}
            }
        },
    ),
    "template-environment": (
        "ReplicaSet",
        lambda child: {
            "spec": {"template": {"spec": {"containers": [{**_container(child), "env": []}]}}}
        },
    ),
    "budget": ("PodDisruptionBudget", lambda _: {"spec": {"maxUnavailable": 2}}),
    "budget-turned-round": (
        "PodDisruptionBudget",
        lambda _: {"spec": {"maxUnavailable": None, "minAvailable": 1}},
    ),
    "budget-selector": (
        "PodDisruptionBudget",
        lambda _: {"spec": {"selector": {"matchLabels": {"app": "other"}}}},
    ),
    "account-token": ("ServiceAccount", lambda _: {"automountServiceAccountToken": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_child_is_made_anew(shared_world: World, kind: str) -> None:
    """Whoever deletes a child of an Agent has it back within two seconds."""
    child = _settled(shared_world, kind)

    seconds = _seconds_until_right(
        shared_world, kind, child, lambda: shared_world.delete(kind, child["metadata"]["name"])
    )

    assert seconds < PUT_RIGHT_WITHIN


@pytest.mark.parametrize(("kind", "spoil"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_changed_field_is_set_back(shared_world: World, kind: str, spoil: Change) -> None:
    """A field that is ours has its value again within two seconds."""
    child = _settled(shared_world, kind)

    seconds = _seconds_until_right(
        shared_world,
        kind,
        child,
        lambda: shared_world.patch(kind, child["metadata"]["name"], spoil(child)),
    )

    assert seconds < PUT_RIGHT_WITHIN


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_mark_is_set_again(shared_world: World, kind: str) -> None:
    """Each of our labels, the owner and all of them together come back within two seconds."""
    child = _settled(shared_world, kind)
    labels = dict.fromkeys(child["metadata"]["labels"])
    damages: list[Object] = [
        {"ownerReferences": None},
        *({"labels": {label: None}} for label in labels),
        {"labels": labels, "ownerReferences": None},
    ]

    for damage in damages:
        seconds = _seconds_until_right(
            shared_world,
            kind,
            child,
            partial(shared_world.patch, kind, child["metadata"]["name"], {"metadata": damage}),
        )

        assert seconds < PUT_RIGHT_WITHIN, damage


def test_pods_outlive_a_replica_set_that_is_deleted_without_them(world: World) -> None:
    """The ReplicaSet that is made anew takes the orphaned pods over instead of starting others."""
    world.apply(agent("a", replicas=2))
    world.wait_until_ready("a")
    before = {identity(pod) for pod in world.pods("a")}
    (child,) = world.children("a", "ReplicaSet")

    world.kubectl("delete", "replicaset", child["metadata"]["name"], "--cascade=orphan")
    made_anew = world.wait_until_children(
        "a",
        "ReplicaSet",
        lambda found: (
            bool(found)
            and found[0]["metadata"]["uid"] != child["metadata"]["uid"]
            and found[0].get("status", {}).get("availableReplicas") == 2
        ),
    )

    assert len(made_anew) == 1
    assert {identity(pod) for pod in world.pods("a")} == before
    world.wait_for_phase("a", "Online")


def test_what_others_add_to_a_child_stays(world: World) -> None:
    """A label and an annotation of somebody else survive a repair and a change of the Agent."""
    name = _settled(world, "Service")["metadata"]["name"]
    theirs = {"labels": {"team": "blue"}, "annotations": {"example.com/scrape": "true"}}
    labelled = world.patch("Service", name, {"metadata": theirs})

    other = {"spec": {"selector": {"app": "other"}}}
    spoil = partial(world.patch, "Service", name, other)
    assert _seconds_until_right(world, "Service", labelled, spoil) < PUT_RIGHT_WITHIN
    world.change(name, operatingMode="Maintenance", replicas=0)

    found = world.wait_until(
        "Service", name, lambda seen: "agentherd.dev/in-maintenance" in seen["spec"]["selector"]
    )
    assert found["metadata"]["labels"].items() >= theirs["labels"].items()
    assert found["metadata"]["annotations"].items() >= theirs["annotations"].items()


def test_replicas_of_an_autoscaler_stay(world: World) -> None:
    """A manifest without replicas, applied again, leaves them to whoever scales the Agent."""
    world.apply(agent("a"))
    world.wait_until_ready("a")
    (before,) = world.pods("a")
    world.scale("a", 2)
    world.wait_until_children("a", "Pod", _ready(2), within=60)

    world.apply(agent("a", operatingModeReason="applied again"))

    found = world.wait_until_ready("a")
    assert found["spec"]["replicas"] == 2
    (child,) = world.children("a", "ReplicaSet")
    assert child["spec"]["replicas"] == 2
    assert identity(before) in {identity(pod) for pod in world.pods("a")}


def test_a_service_of_somebody_else_is_not_touched(world: World) -> None:
    """An Agent called like somebody's Service says so, and goes on once the name is free."""
    theirs = _foreign("Service", "a", spec={"ports": [{"port": 80}], "selector": {"app": "x"}})
    made = world.cluster.create("Service", _in(world, theirs))

    world.apply(agent("a", operatingMode="Offline"))

    found = world.wait_for_condition("a", "Stalled", "True", within=5)
    ready = condition(found, "Ready")
    assert ready is not None
    assert ready["reason"] == "NameTaken"
    assert "Service a exists and does not belong to this Agent; rename" in ready["message"]
    assert world.get("Service", "a") == made
    world.delete("Agent", "a")
    world.wait_until_children("a", "ReplicaSet", lambda found: not found)
    assert world.get("Service", "a") == made


@pytest.mark.parametrize("name", ["a", "agentherd-a"])
@pytest.mark.parametrize("kind", ["ServiceAccount", "ConfigMap"])
def test_other_objects_of_somebody_else_are_not_touched(world: World, kind: str, name: str) -> None:
    """Whatever people have called their objects before, an Agent takes none of them over."""
    made = world.cluster.create(kind, _in(world, _foreign(kind, name)))

    world.apply(
        agent("a", operatingMode="Offline", config={"greeting": "Hi"}, configUpdate="InPlace")
    )
    world.wait_until("Agent", "a", observed)
    if name == "agentherd-a":
        found = world.wait_for_condition("a", "Stalled", "True", within=5)
        ready = condition(found, "Ready")
        assert ready is not None
        assert ready["reason"] == "NameTaken"
        assert f"{kind} {name} exists" in ready["message"]

    world.delete("Agent", "a")
    world.wait_until_children("a", "ReplicaSet", lambda seen: not seen)
    assert world.get(kind, name) == made


def _settled(world: World, kind: str) -> Object:
    """The child of one kind of a new Agent that has all kinds of children and needs no pod."""
    name = f"a-{secrets.token_hex(3)}"
    world.apply(
        agent(
            name,
            operatingMode="Offline",
            replicas=2,
            version="1.0.0",
            config={"greeting": "Hi", "prompt": "Think."},
            configUpdate="InPlace",
        )
    )
    world.wait_until_ready(name)
    for expected in KINDS:
        found = world.wait_until_children(name, expected, lambda found: len(found) == 1)
        if expected == kind:
            (child,) = found
    return child


def _seconds_until_right(
    world: World, kind: str, child: Object, damage: Callable[[], Any]
) -> float:
    """Seconds from the damage until the child is what it was, by a watch begun before."""
    before = _shape(child)
    moment = world.now(kind)
    start = time.monotonic()
    damage()
    spoilt = False
    for change in world.follow(kind, since=moment, within=10):
        if change.object["metadata"]["name"] != child["metadata"]["name"]:
            continue
        shape = _shape(change.object)
        spoilt = spoilt or change.type == "DELETED" or shape != before
        if spoilt and change.type != "DELETED" and shape == before:
            return time.monotonic() - start
    raise AssertionError(f"not put right in 10 s: {world.find(kind, child['metadata']['name'])}")


def _shape(child: Object) -> Object:
    """All of a child that is ours to keep."""
    metadata = child["metadata"]
    contents = {
        key: value
        for key, value in child.items()
        if key not in {"apiVersion", "kind", "metadata", "status"}
    }
    if "spec" in contents:
        contents["spec"] = {k: v for k, v in contents["spec"].items() if k not in NOT_COMPARED}
    return {
        **contents,
        "labels": metadata.get("labels"),
        "owners": metadata.get("ownerReferences"),
        "applied": metadata.get("annotations", {}).get("agentherd.dev/applied"),
    }


def _ready(count: int) -> Callable[[list[Object]], bool]:
    return lambda pods: sum(map(is_ready, pods)) == count


def _foreign(kind: str, name: str, **body: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **body}


def _in(world: World, manifest: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": world.namespace}}
