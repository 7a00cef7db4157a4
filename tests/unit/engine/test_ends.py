"""A promotion ends by itself: nobody has to bring the operator to look once more."""

from __future__ import annotations

import asyncio

from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE


async def let_work(rig: Rig, *, seconds: int) -> None:
    for _ in range(seconds):
        for _ in range(6):
            rig.feed()
            await rig.work()
            rig.controllers.settle()
        await asyncio.sleep(1)


def test_an_upgrade_succeeds_though_nothing_else_happens_in_the_cluster() -> None:
    """After the switch every pod is as it was before, so no event tells of anything."""

    async def phase() -> str:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        policy = {"type": "BlueGreen", "scaleDownDelaySeconds": 600}
        twin.put(AGENT, raw_agent(replicas=1, upgradePolicy=policy))
        await let_work(rig, seconds=2)
        changed = raw_agent(replicas=1, upgradePolicy=policy, image="agent:2")
        twin.edit(AGENT, "greeter", {"spec": changed["spec"]}, manager="kubectl")
        await let_work(rig, seconds=10)
        told: str = twin.live(AGENT_UPGRADE, "greeter-2")["status"]["phase"]
        return told

    assert in_fake_time(phase) == "Succeeded"
