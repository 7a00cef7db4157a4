"""A version that listens at another port: it is reached by a name, or it is not begun."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import template
from tests.e2e.served import (
    NEW,
    OLD,
    backends,
    canary,
    change,
    load,
    load_on_service,
    roll_back,
    routed,
    served,
    step,
    wait_for_weight,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.world import SOON, World, condition

WAITING: Final = canary(step(50, waits=True))

BEGINS: Final = canary(step(20, seconds=3), step(50, seconds=3))


def listening(number: int, *, name: str = "http") -> Object:
    """A template whose agent listens at this port."""
    port = {"name": name, "containerPort": number}
    return template(ports=[port], env=[{"name": "PORT", "value": str(number)}])


def is_refused(seen: Object) -> bool:
    """Whether an upgrade says that its ports would interrupt requests."""
    found = condition(seen, "Stalled") or {}
    return (found.get("status"), found.get("reason")) == ("True", "PortNotFound")


@pytest.mark.parametrize(
    "traffic", [{"port": 9090}, {}], ids=["with the port of the route", "without it"]
)
def test_a_port_that_only_one_version_has_begins_nothing(
    world: World, tmp_path: Path, traffic: Object
) -> None:
    """The route stays as it is and nobody notices; once the spec is right it goes on.

    Nobody notices that either, though the Service, its endpoints and the route change.
    """
    world.apply(routed(world, "a", traffic={"port": 8080}, upgradePolicy=BEGINS))
    world.wait_until_ready("a")
    before = backends(world.get("HTTPRoute", "a"))

    with load(world, "a", tmp_path) as running:
        reached = world.get("Agent", "a")["spec"]["traffic"] | traffic
        upgrade = change(world, "a", template=listening(9090), traffic=reached)
        world.wait_until("AgentUpgrade", upgrade, is_refused, within=SOON)
        wait_until_sent(world, running, 100)
        during = backends(world.get("HTTPRoute", "a"))
        world.change("a", traffic=reached | {"port": "http"})
        world.wait_upgrade(upgrade, "Succeeded")
        wait_until_only(world, running, NEW)
        world.wait_until("HTTPRoute", "a", lambda route: len(backends(route)) == 1)
        world.wait_until_children("a", "Service", lambda found: len(found) == 1)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert during == before
    assert report.failed == ()
    assert [ref["port"] for ref in backends(world.get("HTTPRoute", "a"))] == [9090]


def test_a_change_of_port_is_undone_without_a_lost_request(world: World, tmp_path: Path) -> None:
    """The way back is as careful as the way there, and ends where it began."""
    policy = {"scaleDownDelaySeconds": 60}
    world.apply(routed(world, "a", traffic={"port": "http"}, upgradePolicy=BEGINS | policy))
    world.wait_until_ready("a")
    before = backends(world.get("HTTPRoute", "a"))

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a", template=listening(9090))
        world.wait_upgrade(upgrade, "Succeeded")
        wait_until_only(world, running, NEW)
        roll_back(world, upgrade)
        world.wait_upgrade(upgrade, "RolledBack")
        wait_until_only(world, running, OLD)
        world.wait_until("HTTPRoute", "a", lambda route: backends(route) == before)
        wait_until_sent(world, running, 300)
        report = running.stop()

    assert report.failed == ()


def test_behind_one_service_each_pod_is_asked_at_its_own_port(world: World, tmp_path: Path) -> None:
    """Half of the requests are for pods that listen elsewhere under the same name."""
    world.apply(served("a", traffic=None, upgradePolicy=WAITING))
    world.wait_until_ready("a")

    with load_on_service(world, "a", tmp_path) as running:
        upgrade = change(world, "a", template=listening(9090))
        wait_for_weight(world, upgrade, 50)
        wait_until_sent(world, running, 300)
        roll_back(world, upgrade)
        world.wait_upgrade(upgrade, "RolledBack", within=30)
        wait_until_only(world, running, OLD)
        report = running.stop()

    assert report.failed == ()
    assert report.share(NEW) > 0
