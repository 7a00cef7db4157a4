"""An operator that dies at a write, before it is made or right after: the end is the same.

The writes are chosen by chance, but by the same chance each time. The next operator knows nothing
of the last one's write; it reads everything anew.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from tests.e2e.api_proxy import ApiProxy
from tests.e2e.cluster import Cluster
from tests.e2e.served import PARENT, hostname
from tests.e2e.test_upgrade_words import (
    ENDED,
    canary,
    change,
    names,
    quiet,
    steer,
    step,
    wait_at_step,
    wait_for_end,
    wait_for_one_service,
    wait_for_sizes,
    walked,
)
from tests.e2e.world import START, World, governed

QUIET: Final = 6.0
"""Seconds without a write after which there is nothing left to do; longer than any pause here."""

FARTHEST: Final = 4
"""From one death to the next there are at most so many writes."""


class Trap(ApiProxy):
    """A way to the API server that holds one write, so that its operator can be killed in it."""

    def __init__(self, *, upstream: str | None, kubeconfig: Path) -> None:
        super().__init__(upstream=upstream, kubeconfig=kubeconfig)
        self._left = 0
        self._made = False
        self._held = threading.Event()

    def set(self, *, writes: int, made: bool) -> None:
        """Hold the write after so many others: before it is made, or as soon as it has been."""
        self._held.clear()
        self._made, self._left = made, writes + 1

    def wait(self) -> bool:
        """Wait until a write is held; False if there has been none for a while."""
        return self._held.wait(QUIET)

    def open(self) -> None:
        """Hold none from now on."""
        self._left = 0

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET" and "/leases" not in request.path and self._left:
            self._left -= 1
            if not self._left:
                if self._made:
                    await super()._answer(request)
                self._held.set()
                await asyncio.Event().wait()  # its end is that of the operator
        return await super()._answer(request)


@pytest.fixture
def trap(cluster: Cluster, tmp_path: Path) -> Iterator[Trap]:
    """The way from the operator to the API server."""
    kubeconfig = tmp_path / "kubeconfig"
    with Trap(upstream=cluster.operator_kubeconfig, kubeconfig=kubeconfig) as found:
        yield found


@pytest.fixture
def world(cluster: Cluster, namespace: str, trap: Trap, tmp_path: Path) -> Iterator[World]:
    """A world whose operator reaches the API server through the trap."""
    kubeconfig, log = str(trap.kubeconfig), tmp_path / "operator.log"
    with governed(cluster, namespace=namespace, kubeconfig=kubeconfig, log=log) as found:
        yield found


@pytest.mark.row("E01")
@pytest.mark.parametrize("chance", [1, 2])
def test_e01_an_operator_killed_at_random_writes_promotes_all_the_same(
    world: World, trap: Trap, chance: int
) -> None:
    """Each step once, one version, one Service, one route, and nothing else."""
    policy = canary(step(25, seconds=1), step(50, seconds=1))
    _given(world, policy)
    drawn = random.Random(chance)
    _set(trap, drawn)
    name = change(world, "a", version="2.0.0")

    kills = _killed(world, trap, name, drawn, most=8)

    found = world.wait_upgrade(name, "Succeeded")
    assert kills == 8
    assert len(set(walked(found))) == len(walked(found))
    _only(world, name, found["status"]["toRevision"])


@pytest.mark.row("G07")
def test_g07_an_operator_killed_at_random_writes_rolls_back_all_the_same(
    world: World, trap: Trap
) -> None:
    """One record, one way back, and all as it was before."""
    _given(world, canary(step(50)))
    name = change(world, "a", version="2.0.0")
    wait_at_step(world, name, 1)
    drawn = random.Random(3)
    _set(trap, drawn)
    steer(world, name, rollback={"requested": True, "reason": "no"})

    kills = _killed(world, trap, name, drawn, most=4)

    found = wait_for_end(world, name)
    assert kills >= 2  # a rollback has few writes, and fewer where several go into one
    assert found["status"]["phase"] == "RolledBack"
    assert len(set(walked(found))) == len(walked(found))
    assert len(found["status"]["controls"]) == 1
    _only(world, name, found["status"]["fromRevision"])


def _given(world: World, policy: dict[str, object]) -> None:
    """An Agent behind a Gateway that is as it is to be."""
    traffic = {"parentRefs": [PARENT], "hostnames": [hostname(world, "a")], "settleSeconds": 1}
    world.apply(quiet("a", replicas=2, traffic=traffic, upgradePolicy=policy))
    world.wait_until_ready("a")


def _set(trap: Trap, chance: random.Random) -> None:
    """Choose the next write; before whoever makes it begins, or he may be done by then."""
    trap.set(writes=chance.randrange(FARTHEST), made=chance.random() < 0.5)


def _killed(world: World, trap: Trap, upgrade: str, chance: random.Random, *, most: int) -> int:
    """Kill the operator at so many writes; returns at how many, fewer when it made no more.

    The trap is set for the first of them.
    """
    for kills in range(1, most + 1):
        if not _is_held(world, trap, upgrade):
            trap.open()
            return kills - 1
        # As `restart` does, but the next operator makes no write before the trap is set.
        world.operator.kill()
        world.delete("Lease", "agentherd")
        if kills < most:
            _set(trap, chance)
        world.operator.start()
    return most


def _is_held(world: World, trap: Trap, upgrade: str) -> bool:
    """Wait until a write is held; False when there has been none since the end of the upgrade.

    Before its end it may be pods that are waited for, which takes as long as it does.
    """
    end = time.monotonic() + START
    while True:
        found = world.find("AgentUpgrade", upgrade) or {}
        over = found.get("status", {}).get("phase") in ENDED
        if trap.wait():
            return True
        if over:
            return False
        assert time.monotonic() < end, f"neither a write nor an end within {START} s"


def _only(world: World, upgrade: str, revision: str) -> None:
    """Nothing is left but one revision with its pods, and what leads to them."""
    wait_for_sizes(world, "a", {revision: 2})
    wait_for_one_service(world, "a")
    world.wait_until(
        "HTTPRoute", "a", lambda seen: len(seen["spec"]["rules"][-1]["backendRefs"]) == 1
    )
    assert names(world.upgrades("a")) == {upgrade}
    assert world.status("a")["stableRevision"] == revision
    assert {pod["metadata"]["labels"]["agentherd.dev/traffic"] for pod in world.pods("a")} == {"on"}
