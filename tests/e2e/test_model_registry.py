"""The versions of a model: registered, kept as they are, and refused where they have to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object, Refused
from tests.e2e.models import (
    IMAGE,
    KIND,
    MODEL_LABEL,
    QUICKLY,
    change,
    change_field,
    message,
    model,
    pods,
    state,
    status,
    version,
    version_in,
    wait_for_pods,
    wait_until,
    wait_until_ready,
)
from tests.e2e.sample import agent
from tests.e2e.served import canary, step
from tests.e2e.world import START, World, condition, condition_status, is_ready, observed

SMALL: Final = {"embeddingDimension": 384}
LARGE: Final = {"embeddingDimension": 768}


@pytest.fixture(scope="module")
def world(shared_world: World) -> World:
    """One world for all of them: each has a ModelDeployment of its own name."""
    return shared_world


@pytest.mark.row("H01")
def test_h01_two_versions_are_registered_and_one_of_them_serves(world: World) -> None:
    """The phase says Ready only once its pods are, and the columns tell which version it is."""
    moment = world.now(KIND)
    world.apply(model(version("v1", start_seconds=4), version("v2"), name="two"))

    phases = []
    for seen in world.follow(KIND, since=moment, within=START):
        if seen.object["metadata"]["name"] != "two":
            continue
        phases.append((seen.object.get("status", {}).get("phase"), _ready(world, "two")))
        if phases[-1][0] == "Ready":
            break
    columns = world.kubectl("get", "mdep", "two").out.splitlines()
    row = dict(zip(columns[0].split(), columns[1].split(), strict=False))

    assert [ready for phase, ready in phases if phase == "Ready"] == [1]
    assert {phase for phase, _ in phases[:-1]} <= {None, "Loading"}
    assert (row["MODEL"], row["ACTIVE"], row["PHASE"]) == ("dummy", "v1", "Ready")
    found = world.get(KIND, "two")
    assert (state(found, "v1"), state(found, "v2")) == ("Active", "Pending")
    assert pods(world, "two", of="v2") == []


def test_an_image_alone_makes_pods(world: World) -> None:
    """They fulfil the restricted standard, and hear where their weights are."""
    versions = {"name": "v1", "image": IMAGE, "modelUri": "s3://weights/1"}
    world.apply(model(versions, name="plain"))

    wait_until_ready(world, "plain")

    (pod,) = pods(world, "plain")
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables["MODEL_URI"] == "s3://weights/1"
    assert variables["AGENTHERD_MODEL"] == "plain"
    assert variables["AGENTHERD_VERSION"] == "v1"


# What is refused


def _wanted(**spec: Any) -> Object:
    return model(name="refused", **spec)


REFUSED: Final[dict[str, tuple[Object, str]]] = {
    "canary that is not registered": (
        _wanted(canary={"version": "v9", "weight": 10}),
        "must have one of spec.versions as its version: register it first",
    ),
    "active version that is not registered": (
        _wanted(activeVersion="v9"),
        "must be one of spec.versions: register the version first",
    ),
    "weight above 20": (
        _wanted(canary={"version": "v2", "weight": 21}),
        "spec.canary.weight",
    ),
    "weight above the cap": (
        _wanted(canary={"version": "v2", "weight": 11, "cap": 10}),
        "must not be greater than cap: a version gets more only by its promotion",
    ),
    "cap above 20": (_wanted(canary={"version": "v2", "weight": 5, "cap": 21}), "spec.canary.cap"),
    "step above the cap": (
        _wanted(canary={"version": "v2", "steps": [step(5), step(21)]}),
        "must not have a weight greater than cap",
    ),
    "step of the policy above 20": (
        _wanted(upgradePolicy=canary(step(25))),
        "must not have a weight greater than 20",
    ),
    "steps and a weight": (
        _wanted(canary={"version": "v2", "weight": 5, "steps": [step(5)]}),
        "must be left out with steps",
    ),
    "negative weight": (_wanted(canary={"version": "v2", "weight": -1}), "spec.canary.weight"),
    "two canaries at once": (
        _wanted(canary=[{"version": "v2", "weight": 5}, {"version": "v1", "weight": 5}]),
        "spec.canary",
    ),
    "unknown field": (_wanted(canry={"version": "v2"}), "canry"),
    "two versions of one name": (
        model(version("v1"), version("v1", latency_seconds=1), name="refused"),
        "v1",
    ),
    "no version": (_wanted(versions=[]), "spec.versions"),
    "neither image nor template": (
        _wanted(versions=[{"name": "v1"}]),
        "must have either image, for pods that the operator makes up, or template",
    ),
    "image and template": (
        _wanted(versions=[{**version("v1"), "image": IMAGE}]),
        "must have either image",
    ),
    "name that no Service can have": (model(name="Model"), "DNS-1035"),
    "performance without metrics": (
        _wanted(routing="Performance", metrics=None),
        "must be set with routing Performance",
    ),
}


@pytest.mark.row("H02")
@pytest.mark.row("H04")
@pytest.mark.parametrize("case", REFUSED)
def test_h02_h04_what_could_not_be_done_is_refused_when_it_is_applied(
    world: World, case: str
) -> None:
    """What the server says names the field, or what is wrong with it."""
    manifest, said = REFUSED[case]

    with pytest.raises(Refused) as refused:
        world.apply(manifest)

    assert said in str(refused.value)
    assert world.find(KIND, manifest["metadata"]["name"]) is None


@pytest.mark.row("H04")
def test_h04_a_weight_of_twenty_is_accepted(world: World) -> None:
    world.apply(model(name="cap", replicas=0, canary={"version": "v2", "weight": 20}))

    assert world.get(KIND, "cap")["spec"]["canary"] == {
        "version": "v2",
        "weight": 20,
        "cap": 20,
        "minimumWeight": 1,
    }


@pytest.fixture(scope="module")
def kept(world: World) -> str:
    """A model that serves its first version of three."""
    fields = {"modelUri": "s3://a", "compatibility": SMALL}
    world.apply(
        model(
            version("v1", registered=fields),
            version("v2", registered=fields),
            version("v3", registered={"compatibility": SMALL}),
            name="kept",
        )
    )
    wait_until_ready(world, "kept")
    return "kept"


CHANGES: Final[dict[str, Callable[[Object], object]]] = {
    "template": lambda one: one["template"]["spec"].update(priority=1),
    "template removed": lambda one: (one.pop("template"), one.update(image=IMAGE)),
    "modelUri": lambda one: one.update(modelUri="s3://b"),
    "modelUri removed": lambda one: one.pop("modelUri"),
    "compatibility": lambda one: one.update(compatibility=LARGE),
    "resources added": lambda one: one.update(resources={"limits": {"memory": "1Gi"}}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_registered_version_stays_what_it_is(world: World, kept: str, what: str) -> None:
    """Whether it runs or not, and the server says what to do instead."""
    before = world.get(KIND, kept)["spec"]["versions"]

    for index in (0, 1):
        versions = json.loads(json.dumps(before))
        CHANGES[what](versions[index])
        with pytest.raises(Refused, match="register another version and set activeVersion"):
            change(world, kept, versions=versions)

    assert world.get(KIND, kept)["spec"]["versions"] == before


def test_what_people_want_to_know_of_a_version_may_change(world: World, kept: str) -> None:
    """It is no part of what runs, so no pod is made anew."""
    versions = world.get(KIND, kept)["spec"]["versions"]
    before = [pod["metadata"]["uid"] for pod in pods(world, kept)]
    versions[0]["metadata"] = {"trained-by": "somebody"}

    change(world, kept, versions=versions)
    wait_until_ready(world, kept)

    assert [pod["metadata"]["uid"] for pod in pods(world, kept)] == before
    assert world.upgrades(kept) == []


def test_the_active_version_cannot_be_removed_and_an_unused_one_can(
    world: World, kept: str
) -> None:
    versions = world.get(KIND, kept)["spec"]["versions"]

    with pytest.raises(Refused, match="register the version first"):
        change(world, kept, versions=versions[1:])
    change(world, kept, versions=versions[:2])

    found = wait_until_ready(world, kept)
    assert [each["name"] for each in found["status"]["versions"]] == ["v1", "v2"]


def test_the_version_that_serves_cannot_be_removed_in_a_swap(world: World) -> None:
    """It serves on while the other one loads, whatever the spec says of the active version."""
    world.apply(model(version("v1"), version("v2", start_seconds=3600), name="swapped"))
    wait_until_ready(world, "swapped")
    change(world, "swapped", activeVersion="v2")
    wait_until(world, lambda seen: state(seen, "v2") == "Loading", name="swapped")

    versions = world.get(KIND, "swapped")["spec"]["versions"]
    with pytest.raises(Refused, match="must keep the version that serves: let another one take"):
        change(world, "swapped", versions=versions[1:])

    assert status(world, "swapped")["activeVersion"] == "v1"
    change(world, "swapped", activeVersion="v1")


# Compatibility


@pytest.mark.row("H10")
@pytest.mark.parametrize("by", ["activeVersion", "canary"])
@pytest.mark.parametrize("required", [True, False], ids=["required", "declared"])
def test_h10_an_incompatible_version_gets_no_pod(world: World, by: str, *, required: bool) -> None:
    """What serves goes on, and the condition tells the difference and what to do."""
    name = f"fits-{by.lower()}-{required}".lower()
    v1, v2 = (
        version("v1", registered={"compatibility": SMALL}),
        version("v2", registered={"compatibility": LARGE}),
    )
    world.apply(model(v1, v2, name=name, requires=SMALL if required else None))
    wait_until_ready(world, name)
    before = [pod["metadata"]["uid"] for pod in pods(world, name)]

    asked = {"version": "v2", "weight": 10} if by == "canary" else "v2"
    change_field(world, by, asked, name=name)
    found = wait_until(
        world, lambda seen: condition_status(seen, "Compatible") == "False", name=name
    )

    assert "embeddingDimension is 768, not 384" in message(found, "Compatible")
    assert "Register a version that does" in message(found, "Compatible")
    assert condition_status(found, "Ready") == "False"
    assert condition_status(found, "Available") == "True"
    assert version_in(found, "v2")["compatible"] is False
    assert [pod["metadata"]["uid"] for pod in pods(world, name)] == before
    assert world.upgrades(name) == []


def test_a_first_version_that_is_incompatible_gets_no_pod(world: World) -> None:
    v1 = version("v1", registered={"compatibility": LARGE})
    world.apply(model(v1, version("v2"), name="unfit", requires=SMALL))

    found = wait_until(
        world, lambda seen: condition_status(seen, "Compatible") == "False", name="unfit"
    )

    assert found["status"]["phase"] == "Failed"
    assert pods(world, "unfit") == []


# Size, and neighbours


def test_the_active_version_is_scaled_through_the_scale_subresource(world: World) -> None:
    """An autoscaler finds its pods by the selector; the version of before does not count."""
    world.apply(model(name="scaled", upgradePolicy=QUICKLY))
    wait_until_ready(world, "scaled")

    done = world.kubectl("scale", "mdep", "scaled", "--replicas=2")
    assert done.code == 0, done.err
    wait_for_pods(world, 2, of="v1", name="scaled")
    scale = json.loads(
        world.kubectl(
            "get",
            "--raw",
            f"/apis/agentherd.dev/v1alpha1/namespaces/{world.namespace}"
            "/modeldeployments/scaled/scale",
        ).out
    )
    selected = world.cluster.moment(
        "Pod", namespace=world.namespace, labels=scale["status"]["selector"]
    )

    assert scale["spec"]["replicas"] == 2
    assert {pod["metadata"]["name"] for pod in selected.items} == {
        pod["metadata"]["name"] for pod in pods(world, "scaled", of="v1")
    }


def test_no_canary_is_promoted_by_scaling_to_nothing(world: World) -> None:
    world.apply(model(name="idle"))
    wait_until_ready(world, "idle")
    world.kubectl("scale", "mdep", "idle", "--replicas=0")
    wait_until(world, lambda seen: seen["status"].get("phase") == "Idle", name="idle")

    change(world, "idle", canary={"version": "v2", "weight": 10})
    world.operator.runs_for(5)

    found = world.get(KIND, "idle")
    assert found["spec"]["activeVersion"] == found["status"]["activeVersion"] == "v1"


def test_an_agent_keeps_what_is_its_own_beside_a_model_of_its_name(world: World) -> None:
    """The second one is told what is in its way, and takes nothing."""
    world.apply(agent("twin", version="1.0.0"))
    world.wait_until_ready("twin")
    before = {
        kind: world.get(kind, name)["metadata"]["uid"]
        for kind, name in (("Service", "twin"), ("ServiceAccount", "agentherd-twin"))
    }
    pod = world.pod("twin")["metadata"]["uid"]

    world.apply(model(name="twin"))
    found = wait_until(
        world,
        lambda seen: (
            (condition(seen, "Ready") or {}).get("reason") == "NotOurs"
            or condition_status(seen, "Stalled") == "True"
        ),
        name="twin",
    )
    world.operator.runs_for(5)

    assert "twin" in message(found, "Ready")
    for kind, name in (("Service", "twin"), ("ServiceAccount", "agentherd-twin")):
        assert world.get(kind, name)["metadata"]["uid"] == before[kind]
    service = world.get("Service", "twin")
    assert service["spec"]["selector"]["agentherd.dev/agent"] == "twin"
    assert MODEL_LABEL not in service["metadata"]["labels"]
    assert world.pod("twin")["metadata"]["uid"] == pod
    assert observed(world.get("Agent", "twin"))
    world.delete(KIND, "twin")
    world.wait_until_gone(KIND, "twin")
    world.operator.runs_for(3)
    assert world.pod("twin")["metadata"]["uid"] == pod


def _ready(world: World, name: str) -> int:
    return sum(map(is_ready, pods(world, name)))


def test_a_deleted_model_leaves_nothing(world: World) -> None:
    world.apply(model(name="gone"))
    wait_until_ready(world, "gone")
    change(world, "gone", activeVersion="v2")
    wait_until(world, lambda seen: state(seen, "v2") == "Active", name="gone")

    world.delete(KIND, "gone")
    world.wait_until_gone(KIND, "gone", within=START)

    for kind in ("Pod", "ReplicaSet", "Service", "ServiceAccount", "ControllerRevision"):
        world.cluster.wait_until_all(
            kind,
            lambda left: not left,
            within=START,
            namespace=world.namespace,
            labels=f"{MODEL_LABEL}=gone",
        )
    world.cluster.wait_until_all(
        "AgentUpgrade",
        lambda left: not [each for each in left if each["spec"]["targetRef"]["name"] == "gone"],
        within=START,
        namespace=world.namespace,
    )
