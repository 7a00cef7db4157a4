"""The number of pods: who may say it, and what follows from it."""

from __future__ import annotations

from typing import Final

from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    names,
    quiet,
    step,
    wait_at_step,
    wait_for_sizes,
)
from tests.e2e.world import World

AUTOSCALED: Final = 60.0
"""Seconds in which the autoscaler's controller, which looks every 15 s, has looked."""


def test_an_autoscaler_scales_and_an_apply_leaves_its_number_alone(world: World) -> None:
    """Replicas that the manifest does not name belong to whoever set them."""
    world.apply(agent("a", version="1.0.0"))
    world.wait_until_ready("a")

    world.scale("a", 3)
    scaled = world.wait_until_ready("a")
    world.apply(agent("a", version="1.0.0", historyLimit=7))
    applied = world.wait_until_ready("a")

    assert scaled["status"]["availableReplicas"] == 3
    assert applied["spec"]["replicas"] == 3
    assert len(world.pods("a")) == 3


def test_the_scale_subresource_tells_replicas_and_selector(world: World) -> None:
    """What an autoscaler asks for is there."""
    world.apply(agent("a", replicas=2))
    world.wait_until_ready("a")
    url = f"/apis/agentherd.dev/v1alpha1/namespaces/{world.namespace}/agents/a/scale"

    scale = world.cluster.send("GET", url)

    assert scale["spec"]["replicas"] == 2
    assert scale["status"]["replicas"] == 2
    selected = world.cluster.moment(
        "Pod", namespace=world.namespace, labels=scale["status"]["selector"]
    )
    assert len(selected.items) == 2


def test_scaled_to_zero_is_idle_and_comes_back(world: World) -> None:
    """No pods are wanted, none are there, and that is no error."""
    world.apply(agent("a"))
    world.wait_until_ready("a")

    world.scale("a", 0)
    idle = world.wait_for_phase("a", "Idle")
    world.wait_until_children("a", "Pod", lambda pods: not pods, within=60)
    world.scale("a", 1)
    world.wait_for_phase("a", "Online")

    assert idle["status"]["errorCount"] == 0
    assert len(world.pods("a")) == 1


def test_two_pods_are_protected_by_a_budget_and_one_is_not(world: World) -> None:
    """A budget for a single pod would only keep nodes from being drained."""
    world.apply(agent("a"))
    world.wait_until_ready("a")
    alone = world.find("PodDisruptionBudget", "agentherd-a")

    world.scale("a", 2)
    budget = world.wait_until(
        "PodDisruptionBudget",
        "agentherd-a",
        lambda seen: seen.get("status", {}).get("currentHealthy") == 2,
        within=60,
    )
    world.scale("a", 1)
    world.wait_until_gone("PodDisruptionBudget", "agentherd-a")

    assert alone is None
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["status"]["disruptionsAllowed"] == 1


def test_an_autoscaler_scales_in_the_middle_of_a_canary(world: World) -> None:
    """A HorizontalPodAutoscaler sets the size, and both versions follow at the step they are at.

    Without metrics an autoscaler still keeps a size within its bounds, so it is moved by these.
    """
    world.apply(quiet("a", replicas=2, upgradePolicy=canary(step(50))))
    old = world.wait_until_ready("a")["status"]["stableRevision"]
    name = change(world, "a", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]

    world.apply(_autoscaler("a", pods=3))
    world.wait_until("Agent", "a", lambda seen: seen["spec"]["replicas"] == 3, within=AUTOSCALED)
    wait_for_sizes(world, "a", {old: 3, new: 3})
    world.apply(_autoscaler("a", pods=1))
    world.wait_until("Agent", "a", lambda seen: seen["spec"]["replicas"] == 1, within=AUTOSCALED)
    wait_for_sizes(world, "a", {old: 1, new: 1})

    found = wait_at_step(world, name, 1)
    assert found["status"]["weight"] == 50
    assert names(world.upgrades("a")) == {name}


def _autoscaler(agent: str, *, pods: int) -> Object:
    """An autoscaler that holds an Agent at so many pods, whatever they have to do."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": agent},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "agentherd.dev/v1alpha1",
                "kind": "Agent",
                "name": agent,
            },
            "minReplicas": pods,
            "maxReplicas": pods,
        },
    }
