"""What a rollback writes first is what takes people off the new version; all else can wait.

Seen by a proxy between the operator and the API server, through which every write goes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.api_proxy import ApiProxy, Write
from tests.e2e.cluster import Cluster, Object
from tests.e2e.served import (
    OLD,
    PARENT,
    canary,
    canary_weight,
    change,
    hostname,
    roll_back,
    routed,
    served,
    step,
    wait_for_weight,
)
from tests.e2e.world import START, World, governed, revision

QUIET: Final = 6.0
"""Seconds without a write after which none is under way; what is not urgent waits for five."""

FAILS_AFTER: Final = 40
"""Seconds after the start of a process at which it fails: all is quiet by then."""

WAITING: Final = canary(step(50, waits=True))


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    """The way from the operator to the API server."""
    kubeconfig = tmp_path / "kubeconfig"
    with ApiProxy(upstream=cluster.operator_kubeconfig, kubeconfig=kubeconfig) as found:
        yield found


@pytest.fixture
def world(cluster: Cluster, namespace: str, proxy: ApiProxy, tmp_path: Path) -> Iterator[World]:
    """A world whose operator reaches the API server through the proxy."""
    kubeconfig, log = str(proxy.kubeconfig), tmp_path / "operator.log"
    with governed(cluster, namespace=namespace, kubeconfig=kubeconfig, log=log) as found:
        yield found


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A way to reach an Agent, and whether a write takes the new version out of it."""

    spec: Callable[[World], Object]
    object: str
    takes_off: Callable[[Object, str], bool]


def _own(world: World) -> Object:
    return routed(world, "a", upgradePolicy=WAITING)


def _shared(world: World) -> Object:
    rule = {"backendRefs": [{"name": "a", "port": 8080}]}
    spec = {"parentRefs": [PARENT], "hostnames": [hostname(world, "a")], "rules": [rule]}
    world.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "shop"},
            "spec": spec,
        }
    )
    traffic = {"routeRef": {"name": "shop"}, "settleSeconds": 1}
    return served("a", traffic=traffic, upgradePolicy=WAITING)


def _counted(_: World) -> Object:
    return served("a", traffic=None, upgradePolicy=WAITING)


def _has_no_weight(route: Object, _: str) -> bool:
    return canary_weight(route, "a") == 0


def _selects(service: Object, stable: str) -> bool:
    selector: dict[str, Any] = service["spec"]["selector"]
    return selector["agentherd.dev/revision"] == stable


WAYS: Final = {
    "own route": Reached(spec=_own, object="httproutes/a", takes_off=_has_no_weight),
    "shared route": Reached(spec=_shared, object="httproutes/shop", takes_off=_has_no_weight),
    "replicas": Reached(spec=_counted, object="services/a", takes_off=_selects),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_person_who_wants_back_has_the_weight_written_first(
    world: World, proxy: ApiProxy, way: Reached
) -> None:
    """Before any status, size or Event, however the Agent is reached."""
    world.apply(way.spec(world))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    wait_for_weight(world, upgrade, 50)
    world.wait_upgrade(upgrade, "Paused")
    _wait_until_quiet(world, proxy)
    before = len(proxy.writes)

    roll_back(world, upgrade)
    world.wait_upgrade(upgrade, "RolledBack")

    _assert_takes_off(world, proxy.writes[before], way)


def test_a_probe_that_fails_has_the_weight_written_first(world: World, proxy: ApiProxy) -> None:
    """So too when nobody has asked for anything."""
    way = WAYS["own route"]
    world.apply(way.spec(world))
    world.wait_until_ready("a")
    upgrade = change(world, "a", config={"probeFailAfterSeconds": str(FAILS_AFTER)})
    wait_for_weight(world, upgrade, 50)
    world.wait_upgrade(upgrade, "Paused")
    _wait_until_quiet(world, proxy)
    before = len(proxy.writes)

    found = world.wait_upgrade(upgrade, "RolledBack")

    assert found["status"]["rollback"]["trigger"] == "HealthProbe"
    first = next(write for write in proxy.writes[before:] if not _is_unaware(write))
    _assert_takes_off(world, first, way)


def _is_unaware(write: Write) -> bool:
    """Whether a write says of an upgrade that it waits, as it was decided before the trigger."""
    if not write.path.endswith("/status") or "/agentupgrades/" not in write.path:
        return False
    return bool(json.loads(write.body)["status"]["phase"] == "Paused")


def _wait_until_quiet(world: World, proxy: ApiProxy) -> None:
    world.operator.wait_until(lambda: time.time() - proxy.writes[-1].at > QUIET, within=START)


def _assert_takes_off(world: World, write: Write, way: Reached) -> None:
    stable = world.status("a")["stableRevision"]
    olds = {
        revision(pod)
        for pod in world.pods("a")
        if pod["metadata"]["labels"]["app.kubernetes.io/version"] == OLD
    }
    assert olds == {stable}
    assert write.path.endswith(f"/{way.object}")
    assert way.takes_off(json.loads(write.body), stable)
