"""Whatever people ask for, one thing after the other and in a hurry, it comes to an end.

The lives are those of a whole operator on a cluster in memory, in which pods are ready at once or
never. What is promised holds when nothing moves any more.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent, raw_upgrade
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, HTTP_ROUTE, REPLICA_SET, SERVICE
from agentherd.domain.plan import Plan

KEPT_SECONDS: Final = 31
"""How long the pods of the version that lost are kept, and one more."""

RUNNING: Final = {"Progressing", "Paused", "Promoting", "RollingBack"}
POLICIES: Final = [
    {"type": "BlueGreen"},
    {"type": "BlueGreen", "blueGreen": {"pause": {"seconds": 3}}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
    {"type": "Canary", "canary": {"steps": [{"weight": 50, "pause": {"seconds": 3}}]}},
]
TRAFFIC: Final = [None, {"parentRefs": [{"name": "public"}]}, {"routeRef": {"name": "shop"}}]
SHOP: Final = {
    "apiVersion": HTTP_ROUTE.api_version,
    "kind": "HTTPRoute",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "parentRefs": [{"name": "mine"}],
        "rules": [{"backendRefs": [{"name": "greeter", "port": 8080, "weight": 7}]}],
    },
}

images = st.sampled_from(["agent:1", "agent:2", "agent:broken"])
actions = st.one_of(
    st.tuples(st.just("image"), images),
    st.tuples(st.just("replicas"), st.integers(0, 2)),
    st.tuples(st.just("upgrade"), st.fixed_dictionaries({"image": images})),
    st.tuples(st.just("upgrade"), st.just({"version": "2.0.0"})),
    st.tuples(st.just("roll back"), st.none()),
    st.tuples(st.just("try again"), st.integers(2, 4)),
    st.tuples(st.just("delete"), st.none()),
    st.tuples(st.just("promote"), st.none()),
)
lives = st.lists(st.tuples(actions, st.sampled_from([0, 1, 4, 40])), min_size=1, max_size=5)


class Life:
    """An Agent, the people who change it, and the cluster around it."""

    def __init__(self, policy: dict[str, Any], traffic: dict[str, Any] | None) -> None:
        self.twin = Twin(loop_clock)
        self.controllers = Controllers(self.twin)
        self.controllers.sick_images["agent:broken"] = "ImagePullBackOff"
        self.rig = Rig(self.twin, controllers=self.controllers)
        self.spec: dict[str, Any] = {"replicas": 2, "upgradePolicy": policy}
        if traffic is not None:
            self.spec["traffic"] = traffic
        self.twin.put(HTTP_ROUTE, SHOP)
        self.twin.put(AGENT, raw_agent(**self.spec))
        self.made = 0

    def act(self, what: str, how: Any) -> None:
        names = [raw["metadata"]["name"] for raw in self.twin.all(AGENT_UPGRADE)]
        if what in {"image", "replicas"}:
            self.spec[what] = how
            spec = raw_agent(**self.spec)["spec"]
            self.twin.edit(AGENT, "greeter", {"spec": spec}, manager="kubectl")
        elif what == "upgrade":
            self.made += 1
            self.twin.put(AGENT_UPGRADE, raw_upgrade(f"mine-{self.made}", to=how))
        elif names:
            self._steer(names[-1], what, how)

    def _steer(self, name: str, what: str, how: Any) -> None:
        if what == "delete":
            self.twin.remove(AGENT_UPGRADE, name)
            return
        patches: dict[str, Any] = {
            "roll back": {"rollback": {"requested": True}},
            "promote": {"promote": {"full": True}},
            "try again": {"attempt": how, "rollback": None},
        }
        self.twin.edit(AGENT_UPGRADE, name, {"spec": patches[what]}, manager="kubectl")

    async def work(self, seconds: int) -> None:
        """Let that time go by; nothing at all has to have come to an end in it."""
        for _ in range(seconds + 1):
            self.rig.feed()
            await self.rig.work()
            self.controllers.settle()
            if seconds:
                await asyncio.sleep(1)

    # At rest

    def plan(self) -> Plan:
        """What a new process would do."""
        rig = Rig(self.twin)
        rig.feed()
        return rig.plan()

    def running(self) -> list[str]:
        found = self.twin.all(AGENT_UPGRADE)
        return [u["metadata"]["name"] for u in found if u["status"].get("phase") in RUNNING]

    def queued(self) -> list[str]:
        """Upgrades that wait for nothing but their turn."""
        return [
            upgrade["metadata"]["name"]
            for upgrade in self.twin.all(AGENT_UPGRADE)
            for condition in upgrade["status"]["conditions"]
            if condition["reason"] == "Queued" and condition["type"] == "Progressing"
        ]

    def with_pods(self) -> set[str]:
        sets = self.twin.all(REPLICA_SET)
        return {r["metadata"]["name"].rpartition("-")[2] for r in sets if r["spec"]["replicas"]}

    def backends(self) -> list[tuple[str, int]]:
        route = self.twin.live(HTTP_ROUTE, "shop")
        refs = route["spec"]["rules"][0]["backendRefs"]
        return [(ref["name"], ref["weight"]) for ref in refs]


@settings(max_examples=30)
@given(policy=st.sampled_from(POLICIES), traffic=st.sampled_from(TRAFFIC), life=lives)
def test_every_life_comes_to_rest(
    policy: dict[str, Any], traffic: dict[str, Any] | None, life: list[tuple[Any, int]]
) -> None:
    """One version serves, no canary is left anywhere, nobody waits, and nothing is left to do."""

    async def live() -> Life:
        one = Life(policy, traffic)
        await one.rig.until_quiet()
        for (what, how), seconds in life:
            one.act(what, how)
            await one.work(seconds)
        await one.rig.until_quiet(patience=KEPT_SECONDS)
        return one

    one = in_fake_time(live)
    status = one.twin.live(AGENT, "greeter")["status"]

    assert in_fake_time_plan(one).intents == ()
    assert one.spec["replicas"] == 0 or one.running() + one.queued() == []
    assert one.with_pods() == ({status["stableRevision"]} if one.spec["replicas"] else set())
    assert one.backends() == [("greeter", 7)]
    assert one.running() or one.twin.names(SERVICE) == ["greeter"]


def test_what_never_had_a_pod_is_not_promoted_without_steps() -> None:
    """A version that came and went while the Agent had no pods has not proved itself."""

    async def live() -> Life:
        one = Life(POLICIES[-1], None)
        await one.rig.until_quiet()
        for what, how in [
            ("replicas", 0),
            ("image", "agent:2"),
            ("image", "agent:3"),
            ("replicas", 2),
            ("image", "agent:2"),
        ]:
            one.act(what, how)
            await one.work(2)
        return one

    (upgrade,) = in_fake_time(live).twin.all(AGENT_UPGRADE)

    assert upgrade["status"]["steps"] == 1


def in_fake_time_plan(one: Life) -> Plan:
    async def live() -> Plan:
        await asyncio.sleep(10_000)
        return one.plan()

    return in_fake_time(live)
