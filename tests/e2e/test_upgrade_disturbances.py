"""What is done to pods, sizes and time in the middle: the upgrade goes its way all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from tests.e2e.cluster import Object, path
from tests.e2e.served import PARENT, hostname
from tests.e2e.test_upgrade_words import (
    blue_green,
    canary,
    change,
    instead,
    phases,
    quiet,
    sizes,
    slow,
    steer,
    step,
    wait_at_step,
    wait_for_sizes,
)
from tests.e2e.world import AGENT_LABEL, START, World, is_ready, observed, revision

GATED: Final = canary(step(50))


def _by_hand(world: World, agent: str, replicas: int) -> None:
    scaled = world.kubectl("scale", f"ag/{agent}", f"--replicas={replicas}")
    assert scaled.code == 0, scaled.err


def _by_an_autoscaler(world: World, agent: str, replicas: int) -> None:
    """Read the scale of whatever is scaled and write it back, knowing nothing else of it."""
    place = path("Agent", world.namespace, agent) + "/scale"
    scale = world.cluster.send("GET", place)
    world.cluster.send("PUT", place, body={**scale, "spec": {"replicas": replicas}})


@pytest.mark.parametrize("scale", [_by_hand, _by_an_autoscaler])
def test_an_agent_is_scaled_in_the_middle_of_a_canary(
    shared_world: World, scale: Callable[[World, str, int], None]
) -> None:
    """Both versions follow, up and down, at the step where they are, and the end is that size."""
    world, agent = shared_world, f"sized{scale.__name__.replace('_', '-')}"
    world.apply(quiet(agent, replicas=2, upgradePolicy=GATED))
    old = world.wait_until_ready(agent)["status"]["stableRevision"]
    name = change(world, agent, version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]

    scale(world, agent, 3)
    wait_for_sizes(world, agent, {old: 3, new: 3})
    more = wait_at_step(world, name, 1)
    scale(world, agent, 1)
    wait_for_sizes(world, agent, {old: 1, new: 1})
    fewer = wait_at_step(world, name, 1)
    steer(world, name, promote={"step": 1})
    world.wait_upgrade(name, "Succeeded")

    assert more["status"]["weight"] == fewer["status"]["weight"] == 50
    wait_for_sizes(world, agent, {new: 1})
    assert world.get("Agent", agent)["spec"]["replicas"] == 1


def test_an_autoscaler_sees_the_pods_of_both_versions(shared_world: World) -> None:
    """What it reads to count pods and to find their metrics covers all that serve."""
    world = shared_world
    world.apply(quiet("counted", replicas=2, upgradePolicy=GATED))
    world.wait_until_ready("counted")
    wait_at_step(world, change(world, "counted", version="2.0.0"), 1)

    scale = world.cluster.send("GET", path("Agent", world.namespace, "counted") + "/scale")

    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 4, "selector": f"{AGENT_LABEL}=counted"}


def _delete(world: World, pod: str) -> None:
    world.delete("Pod", pod)


def _evict(world: World, pod: str) -> None:
    """What draining a node does, which a disruption budget refuses until it has seen all pods."""
    agent = world.get("Pod", pod)["metadata"]["labels"][AGENT_LABEL]
    world.wait_until_children(agent, "PodDisruptionBudget", _allow_one, within=START)
    world.cluster.send(
        "POST",
        path("Pod", world.namespace, pod) + "/eviction",
        body={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}},
    )


@pytest.mark.parametrize("remove", [_delete, _evict])
def test_pods_of_the_new_version_go_in_the_middle(
    shared_world: World, remove: Callable[[World, str], None]
) -> None:
    """Others take their place, the upgrade stays at its step and then succeeds."""
    world, agent = shared_world, f"robbed{remove.__name__.replace('_', '-')}"
    world.apply(quiet(agent, replicas=2, upgradePolicy=GATED))
    old = world.wait_until_ready(agent)["status"]["stableRevision"]
    name = change(world, agent, version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    lost = next(pod for pod in world.pods(agent) if revision(pod) == new)

    remove(world, lost["metadata"]["name"])
    _wait_for_others(world, agent, new, lost=lost)
    back = wait_at_step(world, name, 1)
    steer(world, name, promote={"step": 1})
    found = world.wait_upgrade(name, "Succeeded")

    assert back["status"]["weight"] == 50
    assert "RollingBack" not in phases(found)
    assert sizes(world, agent).keys() <= {old, new}
    wait_for_sizes(world, agent, {new: 2})


def test_all_pods_of_the_new_version_may_go_at_once(shared_world: World) -> None:
    """With the last one its weight goes too, and comes back with those that take their place."""
    world = shared_world
    world.apply(slow("emptied", upgradePolicy=canary(step(50), step(50))))
    world.wait_until_ready("emptied")
    name = change(world, "emptied", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    (lost,) = [pod for pod in world.pods("emptied") if revision(pod) == new]

    _delete(world, lost["metadata"]["name"])
    world.wait_until("AgentUpgrade", name, _lost_its_weight, within=START)
    found = wait_at_step(world, name, 1)

    assert (found["status"]["weight"], found["status"]["step"]) == (50, 1)
    assert "RollingBack" not in phases(found)


def test_a_pause_may_be_longer_than_the_progress_deadline(shared_world: World) -> None:
    """A deadline is for what should get on, and a pause should not."""
    world = shared_world
    policy = canary(step(50, seconds=33), progressDeadlineSeconds=30)
    world.apply(quiet("patient", upgradePolicy=policy))
    world.wait_until_ready("patient")

    name = change(world, "patient", version="2.0.0")
    found = world.wait_upgrade(name, "Succeeded", within=2 * START)

    assert phases(found) == ["Progressing", "Promoting", "Succeeded"]


def test_a_stopped_agent_takes_its_steps_again(shared_world: World) -> None:
    """Without pods nothing is judged: the upgrade waits, and begins at its first step."""
    world = shared_world
    world.apply(quiet("stopped", upgradePolicy=canary(step(20), step(50))))
    world.wait_until_ready("stopped")
    name = change(world, "stopped", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    steer(world, name, promote={"step": 1})
    wait_at_step(world, name, 2)

    world.scale("stopped", 0)
    wait_for_sizes(world, "stopped", {})
    halted = wait_at_step(world, name, 1)
    world.scale("stopped", 1)
    wait_at_step(world, name, 2)
    steer(world, name, promote={"full": True})
    world.wait_upgrade(name, "Succeeded")

    assert (halted["status"]["step"], halted["status"]["weight"]) == (1, 0)
    wait_for_sizes(world, "stopped", {new: 1})


def test_an_agent_loses_its_route_in_the_middle_of_an_upgrade(shared_world: World) -> None:
    """Who splits changes with the spec: the route goes, and the number of pods is the weight."""
    world = shared_world
    traffic = {"parentRefs": [PARENT], "hostnames": [hostname(world, "offline")]}
    world.apply(quiet("offline", replicas=4, upgradePolicy=canary(step(40)), traffic=traffic))
    old = world.wait_until_ready("offline")["status"]["stableRevision"]
    name = change(world, "offline", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    by_gateway = sizes(world, "offline")

    world.change("offline", traffic=None)
    world.wait_until_gone("HTTPRoute", "offline", within=START)
    wait_for_sizes(world, "offline", {old: 4, new: 3})
    steer(world, name, promote={"full": True})
    found = world.wait_upgrade(name, "Succeeded")

    assert by_gateway == {old: 4, new: 2}
    assert "RollingBack" not in phases(found)
    wait_for_sizes(world, "offline", {new: 4})


def test_a_policy_that_changes_is_for_the_next_upgrade(shared_world: World) -> None:
    """What has begun is judged by what it began with."""
    world = shared_world
    world.apply(quiet("settled", upgradePolicy=canary(step(20), step(50))))
    world.wait_until_ready("settled")
    name = change(world, "settled", version="2.0.0")
    wait_at_step(world, name, 1)

    world.change("settled", upgradePolicy=instead(blue_green()))
    world.wait_until("Agent", "settled", observed)
    steer(world, name, promote={"step": 1})
    second = wait_at_step(world, name, 2)
    steer(world, name, promote={"full": True})
    world.wait_upgrade(name, "Succeeded")
    after = world.wait_upgrade(change(world, "settled", version="3.0.0"), "Succeeded")

    assert (second["status"]["strategy"]["type"], second["status"]["weight"]) == ("Canary", 50)
    assert after["status"]["strategy"]["type"] == "BlueGreen"


def test_an_agent_in_maintenance_is_upgraded_all_the_same(shared_world: World) -> None:
    """The upgrade keeps its steps, and the Agent stays in maintenance."""
    world = shared_world
    world.apply(quiet("tended", upgradePolicy=GATED))
    world.wait_until_ready("tended")
    name = change(world, "tended", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]

    world.change("tended", operatingMode="Maintenance", operatingModeReason="cleaning")
    world.wait_for_phase("tended", "Maintenance")
    steer(world, name, promote={"step": 1})
    world.wait_upgrade(name, "Succeeded")

    wait_for_sizes(world, "tended", {new: 1})
    found = world.wait_for_phase("tended", "Maintenance")
    assert found["status"]["stableRevision"] == new


def test_nothing_moves_while_an_agent_is_not_managed(shared_world: World) -> None:
    """Not even what a person asks of the upgrade; once it is managed again, that is done."""
    world = shared_world
    world.apply(quiet("alone", upgradePolicy=GATED))
    world.wait_until_ready("alone")
    name = change(world, "alone", version="2.0.0")
    before = wait_at_step(world, name, 1)["status"]

    world.annotate("Agent", "alone", "agentherd.dev/unmanaged", "true")
    world.wait_for_condition("alone", "Managed", "False")
    steer(world, name, rollback={"requested": True, "reason": "not now"})
    world.operator.runs_for(3)
    meanwhile = world.upgrade(name)["status"]
    world.annotate("Agent", "alone", "agentherd.dev/unmanaged", None)
    found = world.wait_upgrade(name, "RolledBack")

    assert meanwhile == before
    assert found["status"]["rollback"]["reason"] == "not now"


def _wait_for_others(world: World, agent: str, wanted: str, *, lost: Object) -> None:
    """Wait until a revision has two ready pods without the one that was lost."""

    def there(pods: list[Object]) -> bool:
        ready = {p["metadata"]["uid"] for p in pods if revision(p) == wanted and is_ready(p)}
        return len(ready) == 2 and lost["metadata"]["uid"] not in ready

    world.wait_until_children(agent, "Pod", there, within=START)


def _allow_one(budgets: list[Object]) -> bool:
    """Whether the budgets have seen pods enough to let one of them go."""
    statuses = [budget.get("status", {}) for budget in budgets]
    return all(status.get("disruptionsAllowed", 0) > 0 for status in statuses)


def _lost_its_weight(seen: Object) -> bool:
    """Whether the step was left for want of pods, whether or not it has been reached again."""
    weights = [entry["reason"] for entry in seen["status"].get("history", ())]
    return weights[-2:] == ["WaitingForPods", "StepReached"] or weights[-1:] == ["WaitingForPods"]
