"""A replacement pod by pod that is superseded half-way leaves as many pods as are wanted."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, POD, SERVICE

PODS: Final = 6
POD_BY_POD: Final[dict[str, Any]] = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": 1},
    "scaleDownDelaySeconds": 0,
    "abortScaleDownDelaySeconds": 60,
}
STEPS: Final = {"canary": {"steps": [{"weight": 20, "pause": {"seconds": 2}}]}}
FORGETFUL: Final[dict[str, Any]] = {"revisionHistoryLimit": 0}
ROUTED: Final[dict[str, Any]] = {"traffic": {"parentRefs": [{"name": "gate"}]}}


class Life:
    """An Agent of which half the pods have been replaced, and whoever is sent its requests."""

    def __init__(self, **spec: Any) -> None:
        self.twin = Twin(loop_clock, page_size=50)
        self.controllers = Controllers(self.twin)
        self.rig = Rig(self.twin, controllers=self.controllers)
        self.spec: dict[str, Any] = {"replicas": PODS, "upgradePolicy": POD_BY_POD} | spec
        self.counts: list[int] = []

    async def half_way(self) -> None:
        self.twin.put(AGENT, raw_agent(**self.spec))
        await self.rig.live(seconds=2)
        self.change(image="agent:2")
        while self.served()["agent:2"] < PODS // 2:
            await self.rig.live(seconds=1)
        self.twin.on_write = lambda _, when: (
            self.counts.append(self.served().total()) if when == "after" else None
        )

    async def before_pods_come(self) -> None:
        """The operator has seen all that it has done, and nobody has done anything else."""
        for _ in range(3):
            self.rig.feed()
            await self.rig.work()

    def change(self, **spec: Any) -> None:
        self.spec |= spec
        self.twin.edit(AGENT, "greeter", {"spec": raw_agent(**self.spec)["spec"]})

    def served(self) -> Counter[str]:
        """The ready pods that the Service sends to, by image."""
        selector = self.twin.live(SERVICE, "greeter")["spec"]["selector"].items()
        return Counter(
            pod["spec"]["containers"][0]["image"]
            for pod in self.twin.all(POD)
            if selector <= pod["metadata"]["labels"].items()
            and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions(pod))
        )

    def phases(self) -> list[str]:
        return [raw["status"]["phase"] for raw in self.twin.all(AGENT_UPGRADE)]


def conditions(pod: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = pod.get("status", {}).get("conditions", [])
    return found


@pytest.mark.parametrize(
    ("change", "ends", "phases"),
    [
        ({"image": "agent:3"}, "agent:3", ["Superseded", "Succeeded"]),
        ({"image": "agent:3", "upgradePolicy": STEPS}, "agent:3", ["Superseded", "Succeeded"]),
        ({"image": "agent:1"}, "agent:1", ["Superseded"]),
        ({"image": "agent:1", "replicas": PODS + 2}, "agent:1", ["Superseded"]),
    ],
    ids=["pod by pod", "by a canary", "set back", "set back and scaled"],
)
@pytest.mark.parametrize("more", [FORGETFUL, ROUTED], ids=["forgetful", "routed"])
def test_a_replacement_that_is_superseded_half_way_costs_no_pod_that_serves(
    change: dict[str, Any], ends: str, phases: list[str], more: dict[str, Any]
) -> None:
    """Its pods serve on until the stable version has its own again, and then they go."""

    async def live() -> Life:
        life = Life(**more)
        await life.half_way()
        life.change(**change)
        await life.before_pods_come()
        await life.rig.live(seconds=120)
        return life

    life = in_fake_time(live)

    assert min(life.counts) >= PODS
    assert life.phases() == [p for p in phases if p != "Superseded" or more != FORGETFUL]
    assert life.served() == {ends: life.spec["replicas"]}
    assert len(life.twin.all(POD)) == life.spec["replicas"]


def test_a_stable_version_that_does_not_come_back_holds_nothing_up() -> None:
    """As when its image is gone: the superseded pods serve until the next ones do."""

    async def live() -> Life:
        life = Life()
        await life.half_way()
        life.controllers.sick_images["agent:1"] = "ImagePullBackOff"
        life.change(image="agent:3")
        await life.rig.live(seconds=120)
        return life

    life = in_fake_time(live)

    assert min(life.counts) >= PODS // 2
    assert life.phases() == ["Superseded", "Succeeded"]
    assert life.served() == {"agent:3": PODS}


def test_what_was_rolled_back_does_not_stand_in() -> None:
    """Its pods are kept to be looked at, and a newer change does not bring them back."""

    async def live() -> Life:
        life = Life()
        await life.half_way()
        life.twin.edit(AGENT_UPGRADE, "greeter-2", {"spec": {"rollback": {"requested": True}}})
        life.rig.feed()
        await life.rig.work()
        life.change(image="agent:3")
        life.rig.feed()
        await life.rig.work()
        return life

    life = in_fake_time(live)

    assert life.phases()[0] == "RolledBack"
    assert life.served() == {"agent:1": life.counts[-1]}
