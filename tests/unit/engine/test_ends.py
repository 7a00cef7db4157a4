"""An upgrade comes to its end by itself, whether or not anything happens in the cluster."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

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


ONE_BY_ONE: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}


def test_replacing_many_pods_may_take_longer_than_the_deadline() -> None:
    """Each one that comes, and each old one that drains, has as long."""
    policy = ONE_BY_ONE | {"progressDeadlineSeconds": 10}

    async def live() -> dict[str, Any]:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(AGENT, raw_agent(replicas=9, upgradePolicy=policy))
        await rig.live(seconds=2)
        twin.edit(AGENT, "greeter", {"spec": raw_agent(image="agent:2")["spec"]})
        await rig.live(seconds=60)
        status: dict[str, Any] = twin.live(AGENT_UPGRADE, "greeter-2")["status"]
        return status

    status = in_fake_time(live)

    ends = [datetime.fromisoformat(status[when]) for when in ("startedAt", "finishedAt")]
    assert status["phase"] == "Succeeded"
    assert ends[1] - ends[0] > timedelta(seconds=10)


def test_a_tester_that_takes_longer_than_the_deadline_costs_nothing_meanwhile() -> None:
    """Nobody looks again at once at what only the tester can change."""
    job = {"template": {"spec": {"containers": [{"name": "try", "image": "try:1"}]}}}
    analysis = {"metrics": [{"name": "soak", "job": job | {"timeoutSeconds": 3600}}]}
    policy = ONE_BY_ONE | {"analysis": analysis, "progressDeadlineSeconds": 10}

    async def live() -> tuple[Any, datetime | None, datetime]:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(AGENT, raw_agent(replicas=1, upgradePolicy=policy))
        await rig.live(seconds=2)
        twin.edit(AGENT, "greeter", {"spec": raw_agent(image="agent:2")["spec"]})
        await rig.live(seconds=8)
        await asyncio.sleep(20)
        phase = twin.live(AGENT_UPGRADE, "greeter-2")["status"]["phase"]
        return phase, rig.plan().wake_at, loop_clock()

    phase, wake_at, now = in_fake_time(live)

    assert phase == "Promoting"
    assert wake_at is None or wake_at > now
