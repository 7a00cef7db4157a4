"""What Gateways differ in: it is used where they say that they can, and told where they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.cluster import Object
from tests.e2e.served import (
    OLD,
    backends,
    canary,
    change,
    load,
    promote,
    routed,
    step,
    wait_for_weight,
    wait_until_sent,
    weights,
)
from tests.e2e.world import START, USER, World, condition

GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
MIRROR: Final = "HTTPRouteRequestMirror"
PERCENTAGE: Final = "HTTPRouteRequestPercentageMirror"


def test_copies_that_the_gateway_cannot_make_are_told_and_disturb_nobody(
    world: World, tmp_path: Path
) -> None:
    """The upgrade names the Gateway, its class and the feature, and begins when it asks less."""
    world.apply(routed(world, "a", upgradePolicy=canary(copies(50))))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        told = wait_for_condition(world, upgrade, "Validated", "False", "NotSupported")
        wait_until_sent(world, running, 200)
        waiting = running.stop()
    route, status = world.get("HTTPRoute", "a"), world.upgrade(upgrade)["status"]

    assert "GatewayClass agentherd-traefik of Gateway agentherd-gateway/agentherd" in told
    assert PERCENTAGE in told
    assert (status["phase"], weights(route), filters(route)) == ("Pending", {"a": 1}, [])
    assert waiting.failed == ()
    assert waiting.share(OLD) == 1
    world.wait_until(
        "Agent", "a", lambda seen: told in (condition(seen, "Ready") or {}).get("message", "")
    )

    world.patch("AgentUpgrade", upgrade, {"spec": {"strategy": canary(step(50))}})
    world.wait_upgrade(upgrade, "Succeeded")


def test_copies_are_made_at_their_step_by_a_gateway_that_can(world: World) -> None:
    """With the right part, and not any more once the class has lost the feature, or at the end.

    Nobody is behind the Gateway; what it would do is for others to test.
    """
    with gateway_with(world, MIRROR, PERCENTAGE) as parent:
        traffic = {"parentRefs": [parent]}
        world.apply(routed(world, "a", traffic=traffic, upgradePolicy=canary(copies(20))))
        world.wait_until_ready("a")
        upgrade = change(world, "a")

        (mirror,) = filters(wait_for_filters(world, 1))
        wait_for_condition(world, upgrade, "TrafficApplied", "True", "WeightApplied")
        preview = world.upgrade(upgrade)["status"]["preview"]
        backend = mirror["requestMirror"]["backendRef"]
        assert (mirror["requestMirror"]["percent"], backend["name"]) == (20, preview)
        assert weights(world.get("HTTPRoute", "a")) == {"a": 100, preview: 0}

        list_features(world, MIRROR)
        wait_for_filters(world, 0)
        wait_for_condition(world, upgrade, "TrafficApplied", "False", "NotSupported")

        list_features(world, MIRROR, PERCENTAGE)
        wait_for_filters(world, 1)
        promote(world, upgrade, full=True)
        world.wait_upgrade(upgrade, "Succeeded")
        assert filters(wait_for_filters(world, 0)) == []


def test_a_grpc_route_is_taken_by_the_gateway_before_and_during_an_upgrade(world: World) -> None:
    """It has the weights of the step, and the Gateway finds both Services."""
    steps = canary(step(25, waits=True))
    world.apply(routed(world, "a", traffic={"protocol": "GRPC"}, upgradePolicy=steps))
    world.wait_until_ready("a")
    before = wait_until_accepted(world)

    upgrade = change(world, "a")
    wait_for_weight(world, upgrade, 25)
    during = wait_until_accepted(world, services=2)
    preview = world.upgrade(upgrade)["status"]["preview"]
    promote(world, upgrade, full=True)
    world.wait_upgrade(upgrade, "Succeeded")
    after = wait_until_accepted(world)

    assert weights(before) == weights(after) == {"a": 1}
    assert weights(during) == {"a": 75, preview: 25}
    assert world.find("HTTPRoute", "a") is None


def copies(percent: int) -> Object:
    """A step at which the new version gets copies until somebody promotes."""
    return {"weight": 0, "mirror": percent, "pause": {}}


def filters(route: Object) -> list[Object]:
    """All filters of the rules of a route."""
    return [found for rule in route["spec"]["rules"] for found in rule.get("filters") or ()]


def wait_for_filters(world: World, number: int) -> Object:
    """Wait until the route of the Agent has so many filters."""
    return world.wait_until(
        "HTTPRoute",
        "a",
        lambda seen: len(filters(seen)) == number,
        within=START,
    )


def wait_for_condition(world: World, upgrade: str, kind: str, status: str, reason: str) -> str:
    """Wait until a condition of an upgrade is so for that reason; returns its message."""

    def holds(seen: Object) -> bool:
        found = condition(seen, kind) or {}
        return (found.get("status"), found.get("reason")) == (status, reason)

    found = world.wait_until("AgentUpgrade", upgrade, holds, within=60)
    message: str = (condition(found, kind) or {})["message"]
    return message


def wait_until_accepted(world: World, *, services: int = 1) -> Object:
    """Wait until the Gateway has taken the GRPCRoute, as it is now, with so many backends."""
    return world.wait_until(
        "GRPCRoute",
        "a",
        lambda seen: _is_taken(seen) and len(backends(seen)) == services,
        within=START,
    )


def _is_taken(route: Object) -> bool:
    said = {
        (found["type"], found["status"])
        for parent in route.get("status", {}).get("parents") or ()
        for found in parent["conditions"]
        if found["observedGeneration"] == route["metadata"]["generation"]
    }
    return {("Accepted", "True"), ("ResolvedRefs", "True")} <= said


@contextmanager
def gateway_with(world: World, *features: str) -> Iterator[Object]:
    """A Gateway in the test's namespace, of a class that lists these features."""
    metadata = {"name": world.namespace}
    spec = {"controllerName": "example.com/nobody"}
    world.cluster.create(
        "GatewayClass",
        {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": metadata, "spec": spec},
    )
    try:
        list_features(world, *features)
        listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
        world.apply(
            {
                "apiVersion": GATEWAY_API,
                "kind": "Gateway",
                "metadata": {"name": "gate"},
                "spec": {"gatewayClassName": world.namespace, "listeners": listeners},
            }
        )
        yield {"name": "gate"}
    finally:
        world.cluster.delete("GatewayClass", world.namespace)


def list_features(world: World, *features: str) -> None:
    """Let the class of the test's Gateway say what it can do."""
    listed = [{"name": name} for name in sorted(features)]
    world.cluster.patch(
        "GatewayClass",
        world.namespace,
        {"status": {"supportedFeatures": listed}},
        manager=USER,
        subresource="/status",
    )
