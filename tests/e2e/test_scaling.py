"""The number of pods: who may say it, and what follows from it."""

from __future__ import annotations

from tests.e2e.sample import agent
from tests.e2e.world import World


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
