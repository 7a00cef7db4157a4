"""The API server is away, or has forgotten what happened; the operator recovers by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.e2e.api_proxy import ApiProxy
from tests.e2e.cluster import Cluster
from tests.e2e.fleet import podless, wait_until_settled
from tests.e2e.operator_process import Operator
from tests.e2e.world import CHILD_KINDS, World

CUT: Final = 25.0
RECONNECTED: Final = 15.0
"""Seconds in which the operator, which asks less and less often, comes back and lists again."""


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    """The way from the operator to the API server."""
    found = ApiProxy(upstream=cluster.kubeconfig, kubeconfig=tmp_path / "kubeconfig")
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def world(cluster: Cluster, namespace: str, proxy: ApiProxy, tmp_path: Path) -> Iterator[World]:
    """A world whose operator reaches the API server through the proxy."""
    operator = Operator(
        namespace=namespace, kubeconfig=str(proxy.kubeconfig), log=tmp_path / "operator.log"
    )
    operator.start()
    try:
        yield World(cluster, namespace=namespace, operator=operator)
    finally:
        proxy.unblock()
        operator.stop()


@pytest.mark.row("K03")
def test_k03_a_lost_api_server_makes_it_unready_and_restarts_nothing(
    world: World, proxy: ApiProxy
) -> None:
    """25 s without an answer: alive, not ready, and afterwards it goes on by itself."""
    world.apply(podless("before"))
    wait_until_settled(world, ["before"], within=15)
    process = world.operator.pid

    proxy.block()
    start = time.monotonic()
    world.change("before", operatingMode="Suspended")
    world.apply(podless("meanwhile"))
    world.operator.wait_until(lambda: world.operator.get("/readyz")[0] == 503, within=CUT)
    unready = world.operator.get("/readyz")
    alive = world.operator.get("/healthz")
    world.operator.runs_for(CUT - (time.monotonic() - start))
    still = world.operator.get("/healthz")
    proxy.unblock()
    world.wait_for_phase("before", "Suspended", within=20)
    wait_until_settled(world, ["meanwhile"], within=20)
    world.operator.wait_until(lambda: world.operator.get("/readyz")[0] == 200, within=10)

    assert unready[0] == 503
    assert "the API server has not been reached for" in unready[1]
    assert alive == (200, "ok")
    assert still == (200, "ok")
    assert world.operator.pid == process


@pytest.mark.parametrize("others", [0, 2])
def test_an_agent_deleted_behind_a_broken_watch_is_forgotten(
    world: World, proxy: ApiProxy, others: int
) -> None:
    """The history was compacted meanwhile, so that no watch can tell: the next list does."""
    kept = [f"kept-{number}" for number in range(others)]
    for name in ["gone", *kept]:
        world.apply(podless(name))
    wait_until_settled(world, ["gone", *kept], within=15)
    _known(world, others + 1, within=5)

    proxy.cut()
    world.delete("Agent", "gone")
    for kind in CHILD_KINDS:
        world.wait_until_children("gone", kind, lambda left: not left)
    proxy.mend(forgotten_before=world.now("Agent").version)
    _known(world, others, within=RECONNECTED)
    world.apply(podless("after"))
    wait_until_settled(world, ["after"], within=RECONNECTED)

    assert world.operator.metric("agentherd_watch_restarts_total") > 0
    assert world.operator.log.read_text().count("leading as") == 1
    for kind in CHILD_KINDS:
        assert world.children("gone", kind) == []


def test_a_child_deleted_behind_a_broken_watch_is_made_anew(world: World, proxy: ApiProxy) -> None:
    """What is missing in the new list is missed."""
    world.apply(podless("a"))
    wait_until_settled(world, ["a"], within=15)
    lost = world.get("Service", "a")["metadata"]["uid"]

    proxy.cut()
    world.delete("Service", "a")
    proxy.mend(forgotten_before=world.now("Service").version)

    world.wait_until_children("a", "Service", lambda found: bool(found), within=RECONNECTED)
    assert world.get("Service", "a")["metadata"]["uid"] != lost


def test_a_stop_is_in_order_while_the_api_server_is_away(world: World, proxy: ApiProxy) -> None:
    """SIGTERM ends it within ten seconds, even though the Lease cannot be given back."""
    world.apply(podless("a"))
    wait_until_settled(world, ["a"], within=15)

    proxy.block()
    world.operator.stop()

    assert not world.operator.running


def _known(world: World, count: int, *, within: float) -> None:
    operator = world.operator
    operator.wait_until(
        lambda: operator.metric("agentherd_objects", kind="Agent") == count, within=within
    )
