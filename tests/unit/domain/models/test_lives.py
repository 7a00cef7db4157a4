"""Whatever people ask of a model, one thing after the other and in a hurry, it comes to rest.

The lives are those of a whole operator on a cluster in memory, which is killed between any two of
them: what is promised holds when nothing moves any more.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin import Controllers, Twin, in_fake_time
from tests.twin.models import NAME, ModelRig, raw_model
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT_UPGRADE, MODEL_DEPLOYMENT, REPLICA_SET

KEPT_SECONDS: Final = 4
VERSIONS: Final = ("v1", "v2", "v3", "sick")
MOVING: Final = {"Progressing", "Promoting", "RollingBack"}
TRAFFIC: Final = {"parentRefs": [{"name": "gate"}]}
POLICY: Final = {
    "scaleDownDelaySeconds": 2,
    "abortScaleDownDelaySeconds": 2,
    "canary": {"steps": [{"weight": 5, "pause": {"seconds": 2}}, {"weight": 20}]},
}
STEPS: Final = [{"weight": 5, "pause": {"seconds": 1}}, {"weight": 20}]

names = st.sampled_from(VERSIONS)
canaries = st.one_of(
    st.none(),
    st.fixed_dictionaries({"version": names, "weight": st.sampled_from([0, 10, 20])}),
    st.fixed_dictionaries({"version": names, "steps": st.just(STEPS)}),
)
actions = st.one_of(
    st.tuples(st.just("activeVersion"), names),
    st.tuples(st.just("canary"), canaries),
    st.tuples(st.just("replicas"), st.integers(0, 2)),
    st.tuples(st.just("keepWarm"), st.booleans()),
    st.tuples(st.sampled_from(["roll back", "promote", "try again", "kill"]), st.none()),
)
lives = st.lists(st.tuples(actions, st.sampled_from([0, 1, 4, 15])), min_size=1, max_size=6)


class Life:
    """A ModelDeployment, the people who change it, and one operator after the other."""

    def __init__(self, traffic: dict[str, Any] | None) -> None:
        self.twin = Twin(loop_clock)
        self.controllers = Controllers(self.twin)
        self.controllers.sick_images["model:sick"] = "ImagePullBackOff"
        self.rig = ModelRig(self.twin, controllers=self.controllers)
        spec = {"upgradePolicy": POLICY} | ({"traffic": traffic} if traffic else {})
        self.twin.put(MODEL_DEPLOYMENT, raw_model(VERSIONS, **spec))

    def act(self, what: str, how: Any) -> None:
        if what == "kill":
            self.rig = ModelRig(self.twin, controllers=self.controllers)
            return
        patches: dict[str, Any] = {
            "roll back": {"rollback": {"requested": True}},
            "promote": {"promote": {"full": True}},
            "try again": {"attempt": 2, "rollback": None},
        }
        if what not in patches:
            self.twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": {what: how}})
        elif name := self.status.get("upgrade"):
            self.twin.edit(AGENT_UPGRADE, name, {"spec": patches[what]})

    async def work(self, seconds: int) -> None:
        """Let that time go by; nothing at all has to have come to an end in it."""
        for _ in range(seconds + 1):
            self.rig.feed()
            await self.rig.work()
            self.controllers.settle()
            if seconds:
                await asyncio.sleep(1)

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.twin.live(MODEL_DEPLOYMENT, NAME)["spec"]
        return found

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.twin.live(MODEL_DEPLOYMENT, NAME).get("status", {})
        return found

    def with_pods(self) -> set[str]:
        """The versions that have pods."""
        return {
            raw["metadata"]["labels"]["app.kubernetes.io/version"]
            for raw in self.twin.all(REPLICA_SET)
            if raw["spec"]["replicas"]
        }

    def weights(self) -> dict[str, int]:
        return {v["name"]: v["weight"] for v in self.status["versions"] if v["weight"]}

    def moving(self) -> list[str]:
        found = self.twin.all(AGENT_UPGRADE)
        return [u["metadata"]["name"] for u in found if u["status"].get("phase") in MOVING]


@settings(max_examples=40)
@given(traffic=st.sampled_from([None, TRAFFIC]), life=lives)
def test_every_life_comes_to_rest(
    traffic: dict[str, Any] | None, life: list[tuple[Any, int]]
) -> None:
    """One version serves, beside it at most the canary that is asked for, and nothing moves."""

    async def live() -> Life:
        one = Life(traffic)
        await one.rig.until_quiet()
        for (what, how), seconds in life:
            one.act(what, how)
            await one.work(seconds)
        await one.rig.until_quiet(patience=KEPT_SECONDS)
        return one

    one = in_fake_time(live)
    status, spec = one.status, one.spec
    active, canary = status["activeVersion"], status.get("canaryVersion")
    asked = spec.get("canary") or {}

    assert one.moving() == []
    assert (
        status["observedGeneration"]
        == one.twin.live(MODEL_DEPLOYMENT, NAME)["metadata"]["generation"]
    )
    assert canary is None or canary != active
    assert sum(one.weights().values()) == 100
    assert one.weights().get(canary or "", 0) <= 20
    assert asked.get("version") != active or spec["activeVersion"] != active
    if active == "sick":
        # Without pods the version that is asked for counts as the one that serves.
        assert (("replicas", 0) in [act for act, _ in life]) or not spec["replicas"]
        return
    if spec["replicas"]:
        assert canary in {None, asked.get("version")}
        assert active in one.with_pods()
        assert status["phase"] == "Ready"
    else:
        assert one.with_pods() == set()
    if not spec.get("keepWarm"):
        assert one.with_pods() <= {active, canary}
    told = [(swap["upgrade"], swap["startedAt"]) for swap in status.get("swaps", ())]
    assert len(set(told)) == len(told)
