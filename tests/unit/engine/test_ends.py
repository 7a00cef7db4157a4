"""An upgrade comes to its end by itself, whether or not anything happens in the cluster."""

from __future__ import annotations

from typing import Any

from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE


def outcome(*, seconds: int, **spec: Any) -> dict[str, Any]:
    """The status of the upgrade to another image so long after it was asked for."""

    async def live() -> dict[str, Any]:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(AGENT, raw_agent(replicas=1, **spec))
        await rig.live(seconds=2)
        changed = raw_agent(replicas=1, image="agent:2", **spec)
        twin.edit(AGENT, "greeter", {"spec": changed["spec"]}, manager="kubectl")
        await rig.live(seconds=seconds)
        status: dict[str, Any] = twin.live(AGENT_UPGRADE, "greeter-2")["status"]
        return status

    return in_fake_time(live)


def test_it_succeeds_though_nothing_else_happens() -> None:
    """After the switch every pod is as it was before, so no event tells of anything."""
    policy = {"type": "BlueGreen", "scaleDownDelaySeconds": 600}

    assert outcome(seconds=10, upgradePolicy=policy)["phase"] == "Succeeded"


def test_a_route_that_never_comes_is_waited_for_until_the_deadline() -> None:
    """Ready pods do not begin to settle again and again while there is nothing to settle."""
    policy = {"progressDeadlineSeconds": 20}
    traffic = {"routeRef": {"name": "nowhere"}}

    early = outcome(seconds=10, upgradePolicy=policy, traffic=traffic)
    late = outcome(seconds=30, upgradePolicy=policy, traffic=traffic)

    told = {condition["type"]: condition["reason"] for condition in early["conditions"]}
    assert told["Progressing"] == "WaitingForTraffic"
    assert (late["phase"], late["rollback"]["trigger"]) == ("RolledBack", "ProgressDeadline")
