"""While an upgrade runs, the health of its new version is looked at more often than kubelets do."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, POD, Key
from agentherd.domain.readings import Checks, Target

GREETER: Final = Key("default", "greeter")
HEALTH: Final = {"http": {"port": "web", "path": "/alive"}}
PORTS: Final = [{"name": "web", "containerPort": 8000}]


class Canary:
    """An Agent whose upgrade is at its first step, with one pod of its new version."""

    def __init__(self, **spec: Any) -> None:
        self.rig = Rig(twin := Twin(loop_clock), controllers=Controllers(twin))
        self._spec = {"replicas": 2, "health": HEALTH} | spec

    async def begin(self) -> None:
        twin = self.rig.twin
        twin.put(AGENT, _agent("agent:1", self._spec))
        await self.work(seconds=2)
        twin.edit(
            AGENT, "greeter", {"spec": _agent("agent:2", self._spec)["spec"]}, manager="kubectl"
        )
        await self.work(seconds=4)

    async def work(self, *, seconds: int) -> None:
        for _ in range(seconds):
            for _ in range(6):
                self.rig.feed()
                await self.rig.work()
                self.rig.controllers.settle()
            await asyncio.sleep(1)

    @property
    def asked(self) -> list[Target]:
        """The pods that are asked for their health."""
        return [target for target in self.rig.pods.followed.get(GREETER, ()) if target.health]

    @property
    def pod(self) -> dict[str, Any]:
        """The pod of the new version."""
        pods = self.rig.twin.all(POD)
        return next(p for p in pods if p["spec"]["containers"][0]["image"] == "agent:2")

    @property
    def upgrade(self) -> dict[str, Any]:
        """The status of the upgrade."""
        status: dict[str, Any] = self.rig.twin.live(AGENT_UPGRADE, "greeter-2")["status"]
        return status

    async def answer(self, **checks: Any) -> None:
        """Let the pod of the new version answer so."""
        self.rig.pods.checked[self.pod["metadata"]["uid"]] = Checks(**checks)
        self.rig.reconciler.queue.add(GREETER)
        await self.work(seconds=3)


def _agent(image: str, spec: dict[str, Any]) -> dict[str, Any]:
    agent = raw_agent(image=image, **spec)
    agent["spec"]["template"]["spec"]["containers"][0]["ports"] = PORTS
    return agent


async def test_only_ready_pods_of_the_new_version_are_asked() -> None:
    """At the address of their readiness probe, whose port has a name."""
    canary = Canary()
    await canary.begin()

    pod = canary.pod

    url = f"http://{pod['status']['podIP']}:8000/alive"
    assert canary.asked == [Target(uid=pod["metadata"]["uid"], health=url)]


async def test_nothing_is_asked_without_an_upgrade() -> None:
    canary = Canary(upgradePolicy={"type": "BlueGreen", "scaleDownDelaySeconds": 0})
    await canary.begin()
    await canary.work(seconds=5)

    assert canary.upgrade["phase"] == "Succeeded"
    assert canary.rig.pods.followed[GREETER] == ()


async def test_a_pod_that_starts_may_say_no_as_long_as_it_likes() -> None:
    """The kubelet asks it every second already, and the progress deadline judges it."""
    canary = Canary()
    canary.rig.controllers.sick_images["agent:2"] = ""

    await canary.begin()

    assert canary.pod["status"]["phase"] == "Pending"
    assert canary.asked == []


@pytest.mark.parametrize("health", [None, {"http": {"port": "other"}}])
async def test_a_version_without_a_probe_that_can_be_asked_is_not(
    health: dict[str, Any] | None,
) -> None:
    canary = Canary(health=health)
    await canary.begin()

    assert canary.asked == []


async def test_a_pod_that_fails_as_often_as_it_may_not_is_rolled_back() -> None:
    canary = Canary()
    await canary.begin()
    await canary.answer(failures=2, status=503)
    before = canary.upgrade["phase"]

    await canary.answer(failures=3, status=503)

    record = canary.upgrade["rollback"]
    assert before == "Progressing"
    assert (canary.upgrade["phase"], record["trigger"]) == ("RolledBack", "HealthProbe")
    assert "answers its readiness probe with status 503, 3 times in a row" in record["reason"]
    assert canary.asked == []


@pytest.mark.parametrize("end", ["unready", "deleted"])
async def test_what_a_pod_said_that_is_not_ready_or_goes_is_past(end: str) -> None:
    """The kubelet judges the one, and the other says no because it ends."""
    canary = Canary()
    await canary.begin()
    name = canary.pod["metadata"]["name"]
    if end == "unready":
        canary.rig.controllers.sick_images["agent:2"] = ""
        canary.rig.controllers.settle()
    else:
        gone = {"metadata": {"deletionTimestamp": "2026-11-21T12:00:09Z"}}
        canary.rig.twin.edit(POD, name, gone, manager="kubectl")
    canary.rig.feed()

    await canary.answer(failures=3, status=503)

    assert canary.upgrade["phase"] == "Progressing"
    assert canary.asked == []
