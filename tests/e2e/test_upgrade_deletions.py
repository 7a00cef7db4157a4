"""Something is deleted in the middle of an upgrade: every time there is a defined end.

The ends are those of docs/how-to/what-happens-when.md.
"""

from __future__ import annotations

from typing import Any, Final

import yaml
from tests.e2e.cluster import Object
from tests.e2e.served import PARENT, hostname
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    names,
    phases,
    quiet,
    steer,
    step,
    upgrade,
    wait_at_step,
    wait_for_one_service,
    wait_for_sizes,
    walked,
)
from tests.e2e.world import CHILD_KINDS, START, World, condition, condition_status, identity

POLICY: Final = canary(step(20), step(60))
IMPATIENT: Final = canary(step(20), step(60), progressDeadlineSeconds=30)
"""With time enough for the pods of the first step on a busy machine."""


def test_the_agent_and_all_that_belongs_to_it_goes(shared_world: World) -> None:
    """Children of both versions, the route, and the upgrade that the operator made."""
    world = shared_world
    name = _at_the_first_step(world, "gone", traffic=_routed(world, "gone"))
    preview = world.upgrade(name)["status"]["preview"]

    world.delete("Agent", "gone")

    for kind in CHILD_KINDS:
        world.wait_until_children("gone", kind, lambda left: not left, within=START)
    world.wait_until_gone("AgentUpgrade", name, within=START)
    world.wait_until_gone("HTTPRoute", "gone", within=START)
    assert world.find("Service", preview) is None


def test_the_upgrade_of_a_person_outlives_its_agent(shared_world: World) -> None:
    """It ran for nobody any more, so it has ended, and a new Agent of that name is not its own."""
    world = shared_world
    world.apply(quiet("mortal", upgradePolicy=POLICY))
    world.wait_until_ready("mortal")
    world.apply(upgrade("immortal", "mortal", to={"version": "2.0.0"}))
    wait_at_step(world, "immortal", 1)

    world.delete("Agent", "mortal")
    found = world.wait_upgrade("immortal", "Superseded")
    world.wait_until_children("mortal", "Pod", lambda left: not left, within=START)
    world.apply(quiet("mortal", upgradePolicy=POLICY))
    again = world.wait_until_ready("mortal")

    assert "mortal was deleted" in walked(found)[-1][-1]
    assert again["status"].get("upgrade") is None
    assert world.upgrade("immortal")["status"]["phase"] == "Superseded"


def test_a_route_of_a_person_is_left_by_an_agent_that_goes(shared_world: World) -> None:
    """The backend of the new version is taken out, and the weights are as they were."""
    world = shared_world
    route = _write_route(world, "left")
    before = world.get("HTTPRoute", "left-route")["spec"]
    _at_the_first_step(world, "left", traffic=_referred("left-route"))
    during = world.wait_until("HTTPRoute", "left-route", lambda seen: _weights(seen) == [80, 20])

    world.delete("Agent", "left")
    after = world.wait_until("HTTPRoute", "left-route", lambda seen: len(_weights(seen)) == 1)

    assert during["spec"] != before
    assert after["spec"] == before
    assert "annotations" not in after["metadata"]
    assert names([route]) == {"left-route"}


def test_an_upgrade_that_is_deleted_is_rolled_back(shared_world: World) -> None:
    """What served goes on, the Agent says what to do, and what it says is enough."""
    world = shared_world
    name = _at_the_first_step(world, "reversed", traffic=_routed(world, "reversed"))
    preview = world.upgrade(name)["status"]["preview"]
    first = world.status("reversed")["stableRevision"]

    world.delete("AgentUpgrade", name)
    stalled = world.wait_until("Agent", "reversed", lambda seen: _reason(seen) == "UpgradeDeleted")
    wait_for_sizes(world, "reversed", {first: 1})
    world.wait_until_gone("Service", preview, within=START)
    world.wait_until("HTTPRoute", "reversed", lambda seen: _weights(seen) == [1])
    world.apply(upgrade("after-all", "reversed"))
    wait_at_step(world, "after-all", 1)
    steer(world, "after-all", promote={"full": True})
    found = world.wait_upgrade("after-all", "Succeeded")

    assert condition_status(stalled, "Stalled") == "True"
    assert "create an AgentUpgrade without spec.to" in _message(stalled)
    assert names(world.upgrades("reversed")) == {"after-all"}
    assert (
        world.wait_until_ready("reversed")["status"]["stableRevision"]
        == (found["status"]["toRevision"])
    )


def test_an_upgrade_that_was_rolled_back_is_not_tried_again_when_it_is_deleted(
    shared_world: World,
) -> None:
    """Tidying up is no wish; the next change of the spec is one."""
    world = shared_world
    name = _at_the_first_step(world, "tidied")
    steer(world, name, rollback={"requested": True})
    world.wait_upgrade(name, "RolledBack")
    first = world.status("tidied")["stableRevision"]
    wait_for_sizes(world, "tidied", {first: 1})
    before = [identity(pod) for pod in world.pods("tidied")]

    world.delete("AgentUpgrade", name)
    world.wait_until("Agent", "tidied", lambda seen: _reason(seen) == "UpgradeDeleted")
    after = [identity(pod) for pod in world.pods("tidied")]
    next_one = change(world, "tidied", version="3.0.0")
    wait_at_step(world, next_one, 1)

    assert after == before
    assert names(world.upgrades("tidied")) == {next_one}


def test_the_route_of_the_operator_is_made_again(shared_world: World) -> None:
    """At once and with the weights of the step, which goes on."""
    world = shared_world
    name = _at_the_first_step(world, "rerouted", traffic=_routed(world, "rerouted"))
    before = world.wait_until("HTTPRoute", "rerouted", lambda seen: _weights(seen) == [80, 20])

    world.delete("HTTPRoute", "rerouted")
    after = world.wait_until(
        "HTTPRoute",
        "rerouted",
        lambda seen: seen["metadata"]["uid"] != before["metadata"]["uid"],
    )
    steer(world, name, promote={"full": True})
    world.wait_upgrade(name, "Succeeded")

    assert after["spec"] == before["spec"]


def test_a_route_of_a_person_is_waited_for(shared_world: World) -> None:
    """The upgrade stays where it is, says so, and goes on when the route is there again."""
    world = shared_world
    route = _write_route(world, "missed")
    name = _at_the_first_step(world, "missed", traffic=_referred("missed-route"))

    world.delete("HTTPRoute", "missed-route")
    steer(world, name, promote={"step": 1})
    waiting = world.wait_until("AgentUpgrade", name, _waits_for_a_route)
    world.apply(route)
    found = wait_at_step(world, name, 2)
    world.wait_until("HTTPRoute", "missed-route", lambda seen: _weights(seen) == [40, 60])

    progressing = condition(waiting, "Progressing") or {}
    assert "HTTPRoute missed-route does not exist" in progressing["message"]
    assert "RollingBack" not in phases(found)


def test_a_route_that_stays_away_is_a_missed_deadline(shared_world: World) -> None:
    """Without its route nothing can be shown to anybody, so the old version stays."""
    world = shared_world
    _write_route(world, "lost")
    name = _at_the_first_step(world, "lost", policy=IMPATIENT, traffic=_referred("lost-route"))
    first = world.status("lost")["stableRevision"]

    world.delete("HTTPRoute", "lost-route")
    steer(world, name, promote={"step": 1})
    found = world.wait_upgrade(name, "RolledBack", within=2 * START)

    assert found["status"]["rollback"]["trigger"] == "ProgressDeadline"
    assert "lost-route does not exist" in found["status"]["rollback"]["reason"]
    wait_for_sizes(world, "lost", {first: 1})


def test_an_upgrade_ends_without_its_gateway(shared_world: World) -> None:
    """Who has nobody to speak for the route goes by pods and time."""
    world = shared_world
    parent = _write_gateway(world, "own")
    traffic = _routed(world, "unled", parents=[parent])
    name = _at_the_first_step(world, "unled", traffic=traffic)

    removed = world.kubectl("delete", "gateway", "own")
    steer(world, name, promote={"full": True})
    found = world.wait_upgrade(name, "Succeeded")

    assert removed.code == 0, removed.err
    wait_for_sizes(world, "unled", {found["status"]["toRevision"]: 1})
    wait_for_one_service(world, "unled")


def _at_the_first_step(world: World, agent: str, *, policy: Object = POLICY, **spec: Any) -> str:
    """An Agent with an upgrade that waits at its first step; returns the upgrade's name."""
    world.apply(quiet(agent, upgradePolicy=policy, **spec))
    world.wait_until_ready(agent)
    name = change(world, agent, version="2.0.0")
    wait_at_step(world, name, 1)
    return name


def _routed(world: World, agent: str, *, parents: list[Object] | None = None) -> Object:
    return {
        "parentRefs": parents or [PARENT],
        "hostnames": [hostname(world, agent)],
        "settleSeconds": 1,
    }


def _referred(route: str) -> Object:
    return {"routeRef": {"name": route}, "settleSeconds": 1}


def _write_route(world: World, agent: str) -> Object:
    """A route as a person writes it, whose only backend is the Agent; returns its manifest."""
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"{agent}-route"},
        "spec": {
            "parentRefs": [PARENT],
            "hostnames": [hostname(world, agent)],
            "rules": [{"backendRefs": [{"name": agent, "port": 8080}]}],
        },
    }
    world.apply(route)
    return route


def _write_gateway(world: World, name: str) -> Object:
    """A Gateway in this namespace, which the controller of the cluster takes; returns a ref."""
    manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": "agentherd-traefik",
            "listeners": [{"name": "web", "port": 8000, "protocol": "HTTP"}],
        },
    }
    made = world.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert made.code == 0, made.err
    accepted = world.kubectl("wait", "--for=condition=Accepted", f"gateway/{name}")
    assert accepted.code == 0, accepted.err
    return {"name": name}


def _weights(route: Object) -> list[int]:
    """The weights of the backends of a route's last rule."""
    return [ref.get("weight", 1) for ref in route["spec"]["rules"][-1]["backendRefs"]]


def _waits_for_a_route(seen: Object) -> bool:
    traffic, progressing = condition(seen, "TrafficApplied"), condition(seen, "Progressing")
    reasons = {(each or {}).get("reason") for each in (traffic, progressing)}
    return reasons == {"RouteNotFound", "WaitingForTraffic"}


def _reason(seen: Object) -> Any:
    return (condition(seen, "Ready") or {}).get("reason")


def _message(seen: Object) -> str:
    return str((condition(seen, "Ready") or {}).get("message", ""))
