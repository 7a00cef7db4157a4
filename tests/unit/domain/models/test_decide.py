"""What follows from what was seen of a ModelDeployment, lived through on a cluster in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from tests.twin import Controllers, Twin, in_fake_time, raw_upgrade
from tests.twin.merging import Raw
from tests.twin.models import NAME, ModelRig, raw_model
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Forbidden
from agentherd.domain.kinds import (
    AGENT_UPGRADE,
    CONTROLLER_REVISION,
    EVENT,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    SERVICE,
    Key,
    Kind,
)
from agentherd.domain.models.decide import decide_model
from agentherd.domain.plan import Failure, Merge, Ref
from agentherd.domain.reasons import Reason

ROUTED: Final[dict[str, Any]] = {
    "traffic": {"parentRefs": [{"name": "gate"}]},
    "upgradePolicy": {
        "scaleDownDelaySeconds": 3,
        "abortScaleDownDelaySeconds": 3,
        "canary": {"steps": [{"weight": 5, "pause": {"seconds": 2}}, {"weight": 20}]},
    },
}

Act = Callable[[Twin], object]


class Life:
    """A ModelDeployment, what people do with it, and what it said of itself after each of that."""

    def __init__(self, **spec: Any) -> None:
        self.spec = ROUTED | spec
        self.states: dict[str, list[str]] = {}
        self.phases: list[str] = []

    def live(self, *acts: Act | dict[str, Any] | int) -> Life:
        """Let people change the spec (a dict) or act, and seconds go by (a number)."""

        async def living() -> None:
            self.twin = Twin(loop_clock)
            controllers = Controllers(self.twin)
            controllers.sick_images["model:sick"] = "ImagePullBackOff"
            self.rig = ModelRig(self.twin, controllers=controllers)
            self.twin.put(MODEL_DEPLOYMENT, raw_model(("v1", "v2", "v3", "sick"), **self.spec))
            await self._work(3)
            for act in acts:
                if isinstance(act, dict):
                    self.twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": act})
                elif isinstance(act, int):
                    await self._work(act)
                else:
                    act(self.twin)

        in_fake_time(living)
        return self

    async def _work(self, seconds: int) -> None:
        for _ in range(seconds):
            for _ in range(6):
                self.rig.feed()
                await self.rig.work()
                self.rig.controllers.settle()
                self._note()
            await asyncio.sleep(1)

    def _note(self) -> None:
        for version in self.status.get("versions", ()):
            seen = self.states.setdefault(version["name"], [])
            if seen[-1:] != [version["state"]]:
                seen.append(version["state"])
        if (phase := self.status.get("phase")) and self.phases[-1:] != [phase]:
            self.phases.append(phase)

    @property
    def model(self) -> dict[str, Any]:
        return self.twin.live(MODEL_DEPLOYMENT, NAME)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.model.get("status", {})
        return found

    @property
    def upgrades(self) -> dict[str, str]:
        return {
            raw["metadata"]["name"]: raw["status"].get("phase")
            for raw in self.twin.all(AGENT_UPGRADE)
        }

    @property
    def swaps(self) -> list[tuple[str, str, str]]:
        return [(s["from"], s["to"], s["outcome"]) for s in self.status.get("swaps", ())]

    def version(self, name: str) -> dict[str, Any]:
        return next(dict(v) for v in self.status["versions"] if v["name"] == name)

    def condition(self, kind: str) -> dict[str, Any] | None:
        return next((c for c in self.status["conditions"] if c["type"] == kind), None)

    def with_pods(self) -> int:
        return sum(raw["spec"]["replicas"] > 0 for raw in self.twin.all(REPLICA_SET))


def tried(version: str = "v2", **fields: Any) -> dict[str, Any]:
    return {"canary": {"version": version} | (fields or {"weight": 10})}


# Promotion


def test_a_canary_with_a_weight_stays_there() -> None:
    one = Life().live(tried(), 60)

    assert [one.version(name)["weight"] for name in ("v1", "v2")] == [90, 10]
    assert (one.status["activeVersion"], one.status["canaryVersion"]) == ("v1", "v2")


def test_the_weight_of_a_canary_follows_the_spec() -> None:
    one = Life().live(tried(), 10, tried(weight=15), 3)

    assert one.version("v2")["weight"] == 15
    assert len(one.upgrades) == 1


def test_a_canary_moved_from_steps_to_a_weight_waits_for_a_person() -> None:
    """At whatever step it is, though the API server refuses such a change."""
    steps = [{"weight": 5, "pause": {"seconds": 4}}, {"weight": 20, "pause": {"seconds": 10}}]

    for seconds in (5, 14):
        one = Life().live(tried(steps=steps), seconds, tried(steps=None, weight=3), 60)

        assert one.status["activeVersion"] == "v1"
        assert one.version("v2")["weight"] == 3


def test_a_canary_gets_no_more_than_a_cap_that_is_lowered() -> None:
    steps = [{"weight": 20, "pause": {}}]

    one = Life().live(tried(steps=steps), 10, {"canary": {"cap": 7}}, 5)

    assert one.version("v2")["weight"] == 7


def test_a_canary_of_weight_0_gets_nothing_whatever_is_measured() -> None:
    one = Life(routing="Performance", metrics={}).live(tried(), 10, tried(weight=0), 20)

    assert one.version("v2")["weight"] == 0


def test_it_is_told_whether_requests_are_divided_as_asked_for() -> None:
    """As long as there is something to divide."""
    tries = Life().live(tried(), 10)
    rests = Life().live(tried(), 10, {"canary": None}, 10)

    assert (tries.condition("TrafficApplied") or {})["status"] == "True"
    assert rests.condition("TrafficApplied") is None


def test_a_canary_with_steps_becomes_the_active_version_of_the_spec() -> None:
    steps = [{"weight": 5, "pause": {"seconds": 2}}, {"weight": 20, "pause": {"seconds": 2}}]

    one = Life().live(tried(steps=steps), 20)

    assert one.model["spec"]["activeVersion"] == one.status["activeVersion"] == "v2"
    assert one.model["spec"].get("canary") is None


def test_a_canary_that_a_person_makes_active_takes_over_and_is_none_any_more() -> None:
    """Left in the spec it would be tried again beside whatever serves next."""
    one = Life().live(tried(), 10, {"activeVersion": "v2"}, 10)

    assert one.status["activeVersion"] == "v2"
    assert one.model["spec"].get("canary") is None
    assert list(one.upgrades.values()) == ["Succeeded"]


def test_a_canary_that_served_before_is_no_more_than_a_canary() -> None:
    """A swap goes back to it at once; nobody has asked for one."""
    one = Life().live({"activeVersion": "v2"}, 20, tried("v1"), 20)

    assert [one.version(name)["weight"] for name in ("v1", "v2")] == [10, 90]


def test_a_version_that_served_before_is_gone_back_to_at_once() -> None:
    one = Life(keepWarm=True).live({"activeVersion": "v2"}, 60, {"activeVersion": "v1"}, 2)

    assert one.status["activeVersion"] == "v1"
    assert one.states["v1"] == ["Loading", "Active", "Standby", "Active"]


def test_a_swap_passes_through_the_states_in_their_order() -> None:
    one = Life().live({"activeVersion": "v2"}, 30)

    assert one.states["v1"] == ["Loading", "Active", "Standby", "Draining", "Pending"]
    assert one.states["v2"] == ["Pending", "Loading", "Ready", "Canary", "Active"]
    assert one.phases == ["Loading", "Ready"]


def test_steps_of_a_person_give_no_more_than_any_other_before_the_promotion() -> None:
    """Those of a strategy that is written, and those that a strategy without steps would have."""

    def upgrade(strategy: dict[str, Any]) -> Act:
        def make(twin: Twin) -> None:
            revision = twin.live(MODEL_DEPLOYMENT, NAME)["status"]["formerRevisions"][0]
            strategy["rollbackWindow"] = 0
            raw = raw_upgrade("mine", to={"revision": revision}, strategy=strategy)
            raw["spec"]["targetRef"] = {"kind": "ModelDeployment", "name": NAME}
            twin.put(AGENT_UPGRADE, raw)

        return make

    swapped = ({"activeVersion": "v2"}, 30)
    one = Life().live(*swapped, upgrade({"canary": {"steps": [{"weight": 80, "pause": {}}]}}), 20)
    two = Life().live(*swapped, upgrade({}), 80)

    assert [one.version(name)["weight"] for name in ("v1", "v2")] == [20, 80]
    assert [two.version(name)["weight"] for name in ("v1", "v2")] == [20, 80]


# Changes of mind


def test_a_canary_that_is_removed_leaves_nothing_behind() -> None:
    one = Life().live(tried(), 10, {"canary": None}, 20)

    assert one.version("v1")["weight"] == 100
    assert one.with_pods() == 1
    assert one.swaps == [("v1", "v2", "Superseded")]


def test_another_canary_takes_the_place_of_the_first() -> None:
    one = Life().live(tried(), 10, tried("v3"), 20)

    assert [one.version(name)["weight"] for name in ("v1", "v2", "v3")] == [90, 0, 10]
    assert one.swaps == [("v1", "v2", "Superseded")]


def test_a_swap_comes_before_a_canary() -> None:
    """Which is tried again beside the version that has taken over."""
    one = Life().live(tried(), 10, {"activeVersion": "v3"}, 40)

    assert one.status["activeVersion"] == "v3"
    assert one.version("v2")["weight"] == 10
    assert one.swaps == [("v1", "v2", "Superseded"), ("v1", "v3", "Promoted")]


# What does not work


@pytest.mark.parametrize("asked", [{"activeVersion": "sick"}, tried("sick")])
def test_a_version_that_fails_is_given_up_once(asked: dict[str, Any]) -> None:
    one = Life().live(asked, 60)

    assert one.status["activeVersion"] == "v1"
    assert one.swaps == [("v1", "sick", "RolledBack")]
    assert one.states["sick"] == ["Pending", "Loading", "Failed"]
    assert one.status["lastRollback"]["version"] == "sick"
    assert one.phases == ["Loading", "Ready"]


def test_a_reason_that_becomes_clearer_is_put_right() -> None:
    """A probe fails before it is known why; then the same swap tells the cause."""

    def clear(twin: Twin) -> None:
        rollback = {"trigger": "OutOfMemory", "reason": "it was killed"}
        twin.edit(AGENT_UPGRADE, "embedder-2", {"status": {"rollback": rollback}})

    one = Life().live(tried("sick"), 20, clear, 5)

    assert [swap["reason"] for swap in one.status["swaps"]] == ["OutOfMemory: it was killed"]
    assert one.status["lastRollback"]["trigger"] == "OutOfMemory"


def test_a_swap_that_a_person_takes_back_is_told_as_what_it_was() -> None:
    """Though it was told as promoted before."""

    def take_back(twin: Twin) -> None:
        back = {"rollback": {"requested": True, "reason": "worse"}}
        twin.edit(AGENT_UPGRADE, "embedder-2", {"spec": back})

    one = Life().live({"activeVersion": "v2"}, 30, take_back, 10)

    assert one.status["activeVersion"] == "v1"
    assert one.swaps == [("v1", "v2", "RolledBack")]
    assert one.status["swaps"][0]["durationSeconds"] >= 30


def test_a_failed_canary_is_not_tried_again_with_another_weight() -> None:
    one = Life().live(tried("sick"), 20, tried("sick", weight=5), 30)

    assert len(one.upgrades) == 1


def test_a_failed_canary_that_is_made_active_is_not_tried_again_and_says_what_to_do() -> None:
    """As any version that was given up: it is what the spec asked for before."""
    active = {"activeVersion": "sick", "canary": None}

    def mend(_: Twin) -> None:
        one.rig.controllers.sick_images.clear()

    def ask(twin: Twin) -> None:
        told.append((one.condition("Stalled") or {})["message"])
        raw = raw_upgrade("again")
        raw["spec"]["targetRef"] = {"kind": "ModelDeployment", "name": NAME}
        twin.put(AGENT_UPGRADE, raw)

    told: list[str] = []
    one = Life()
    one.live(tried("sick"), 20, active, mend, 30, ask, 30)

    assert "embedder-2 was rolled back (ImageUnavailable: " in told[0]
    assert "Neither spec.activeVersion nor spec.canary has the same version tried" in told[0]
    assert one.swaps == [("v1", "sick", "RolledBack"), ("v1", "sick", "Promoted")]


def test_what_serves_is_known_though_the_record_of_its_revision_is_deleted() -> None:
    """Else its canary would be given up, as one beside nothing."""

    def forget(twin: Twin) -> None:
        name = NAME + "-" + twin.live(MODEL_DEPLOYMENT, NAME)["status"]["stableRevision"]
        twin.remove(CONTROLLER_REVISION, name)

    one = Life().live(tried(), 10, forget, 10)

    assert one.status["activeVersion"] == "v1"
    assert one.swaps == []


def test_an_incompatible_version_gets_no_pods_and_what_serves_goes_on() -> None:
    one = Life(requires={"api": "chat"}).live(1)

    assert one.with_pods() == 0
    assert (one.condition("Compatible") or {})["status"] == "False"
    assert one.status["phase"] == "Failed"


def test_the_pods_of_a_first_version_go_when_users_need_more() -> None:
    """It has never served, so nobody is left alone by that."""
    one = Life(activeVersion="sick").live(5, {"requires": {"api": "chat"}}, 10)

    assert one.with_pods() == 0
    assert one.twin.all(POD) == []
    assert one.status["phase"] == "Failed"


def test_what_serves_goes_on_when_users_need_more() -> None:
    """Its pods are kept up, and the difference is told."""

    def spoil(twin: Twin) -> None:
        twin.remove(REPLICA_SET, twin.names(REPLICA_SET)[0])

    one = Life().live({"requires": {"api": "chat"}}, 3, spoil, 5)

    assert one.with_pods() == 1
    assert one.status["phase"] == "Ready"
    assert (one.condition("Compatible") or {})["status"] == "False"
    assert one.version("v1")["compatible"] is False


def test_a_version_that_is_not_registered_any_more_is_told_only_while_it_has_pods() -> None:
    rest = raw_model(("v2", "v3"))["spec"]["versions"]

    one = Life(keepWarm=True).live({"activeVersion": "v2"}, 30, {"versions": rest}, 3)
    there = [version["name"] for version in one.status["versions"]]
    two = Life().live({"activeVersion": "v2"}, 30, {"versions": rest}, 3)
    gone = [version["name"] for version in two.status["versions"]]

    assert (there, gone) == (["v2", "v3", "v1"], ["v2", "v3"])


def test_the_way_back_is_open_though_the_version_that_serves_declares_more() -> None:
    """Whoever asks for the version before needs it."""
    versions = raw_model(("v1", "v2"))["spec"]["versions"]
    versions[1]["compatibility"] = {"embeddingDimension": 384}

    swap = {"versions": versions, "activeVersion": "v2"}
    one = Life().live(swap, 30, {"activeVersion": "v1"}, 20)

    assert one.status["activeVersion"] == "v1"
    assert (one.condition("Compatible") or {})["status"] == "True"


def test_hands_are_off_a_model_that_is_unmanaged() -> None:
    """Not even the canary that a person has made active is promoted."""

    def leave(twin: Twin) -> None:
        notes = {"metadata": {"annotations": {"agentherd.dev/unmanaged": "true"}}}
        twin.edit(MODEL_DEPLOYMENT, NAME, notes)

    one = Life().live(tried(), 10, leave, {"activeVersion": "v2"}, 20)

    assert one.status["activeVersion"] == "v1"
    assert one.upgrades == {"embedder-2": "Paused"}


def test_hands_are_off_a_model_that_is_not_understood() -> None:
    """What it tells of its versions stays, and no pod is told to be warm."""

    def known(one: Life) -> dict[str, Any]:
        return {key: one.status[key] for key in ("phase", "activeVersion", "versions", "swaps")}

    one = Life(warmUp={"path": "/"})
    before: list[Any] = []
    one.live(
        {"activeVersion": "v2"},
        30,
        lambda _: before.append(known(one)),
        {"warmUp": None, "replicas": 3, "drain": {"timeoutSeconds": "of a newer operator"}},
        10,
    )

    assert [known(one)] == before
    assert (one.condition("Ready") or {})["reason"] == "NotUnderstood"
    assert one.condition("Compatible") is not None


@pytest.mark.parametrize(
    ("then", "goes"),
    [
        ({}, True),
        ({"requires": {"api": "chat"}}, False),
        ({"drain": {"timeoutSeconds": 7}}, False),
    ],
)
def test_an_upgrade_leads_only_to_what_the_registry_would_make(
    then: dict[str, Any], *, goes: bool
) -> None:
    """Else it would bring back what users cannot do with, or what the spec does not say."""

    def upgrade(twin: Twin) -> None:
        revision = twin.live(MODEL_DEPLOYMENT, NAME)["status"]["formerRevisions"][0]
        raw = raw_upgrade("mine", to={"revision": revision})
        raw["spec"]["targetRef"] = {"kind": "ModelDeployment", "name": NAME}
        twin.put(AGENT_UPGRADE, raw)

    one = Life().live({"activeVersion": "v2"}, 30, then, 30, upgrade, 20)

    assert one.status["activeVersion"] == ("v1" if goes else "v2")
    assert one.upgrades["mine"] == ("Succeeded" if goes else "Pending")


def test_no_canary_takes_over_while_nothing_is_wanted() -> None:
    one = Life(replicas=0).live(2, {"replicas": 1}, 4, {"replicas": 0}, 3, tried(), 10)

    assert one.model["spec"]["activeVersion"] == "v1"


def test_a_promotion_that_was_refused_is_left_alone_until_it_is_due() -> None:
    """Else it would be sent again at once, and never told of."""
    one, sent = Life(), []

    def plan(_: Twin) -> None:
        one.rig.feed()
        seen, now = one.rig.seen_model(), loop_clock()
        for seconds in (1, 0):
            failure = Failure(
                reason=Reason.FORBIDDEN,
                message="no",
                generation=seen.generation,
                retry_at=now + timedelta(seconds=seconds),
            )
            failures = {Ref(MODEL_DEPLOYMENT.name, NAME): failure}
            workload = replace(seen.workload, failures=failures)
            plan = decide_model(replace(seen, workload=workload), now)
            sent.append([each for each in plan.intents if isinstance(each, Merge)])

    one.live(5, tried("v1"), plan)

    assert [len(each) for each in sent] == [0, 1]


def test_a_canary_whose_promotion_is_refused_stays_where_it_is() -> None:
    """Else the version before, which the spec names still, would be gone back to, and on again."""

    def refuse(twin: Twin) -> None:
        merge = twin.merge

        async def refused(kind: Kind, key: Key, patch: Mapping[str, Any]) -> Raw:
            if kind is MODEL_DEPLOYMENT:
                raise Forbidden("the spec is in Git")
            return await merge(kind, key, patch)

        twin.merge = refused  # type: ignore[method-assign]

    def allow(twin: Twin) -> None:
        del twin.merge

    def rest(twin: Twin) -> None:
        (found,) = [raw["status"]["phase"] for raw in twin.all(AGENT_UPGRADE)]
        phases.append(found)

    phases: list[str] = []
    steps = [{"weight": 5, "pause": {"seconds": 2}}, {"weight": 20}]

    one = Life().live(refuse, tried(steps=steps), 30, rest, 20, rest)
    two = Life().live(refuse, tried(steps=steps), 30, allow, 30)

    assert phases == ["Promoting", "Promoting"]
    assert [one.version(name)["weight"] for name in ("v1", "v2")] == [80, 20]
    assert (one.condition("Ready") or {})["reason"] == "Forbidden"
    assert two.swaps == [("v1", "v2", "Promoted")]
    assert two.model["spec"]["activeVersion"] == "v2"


@pytest.mark.parametrize("users_need_more", [False, True])
def test_a_version_that_serves_is_no_failure_though_a_write_is_refused(
    *, users_need_more: bool
) -> None:
    """The condition tells of it, and it is one error with one Event however often it is tried."""
    more = {"requires": {"api": "chat"}} if users_need_more else {}

    def fill(twin: Twin) -> None:
        twin.refusals["AgentUpgrade", f"{NAME}-2"] = Forbidden("exceeded quota: upgrades")
        twin.refusals["Service", NAME] = Forbidden("exceeded quota: services")
        twin.remove(SERVICE, NAME)

    def rest(twin: Twin) -> None:
        events = [raw["reason"] for raw in twin.all(EVENT) if raw["type"] == "Warning"]
        found.append((events, twin.live(MODEL_DEPLOYMENT, NAME)["status"]["errorCount"]))

    def widen(twin: Twin) -> None:
        twin.refusals.clear()

    found: list[object] = []

    one = Life().live(fill, {"activeVersion": "v2"} | more, 60, rest)
    two = Life().live(fill, {"activeVersion": "v2"}, 60, widen, 60)

    assert one.phases == ["Loading", "Ready"]
    assert {c: (one.condition(c) or {})["reason"] for c in ("Ready", "Stalled")} == {
        "Ready": "QuotaExceeded",
        "Stalled": "QuotaExceeded",
    }
    assert found == [(["QuotaExceeded"], 1)]
    assert two.swaps == [("v1", "v2", "Promoted")]
    assert two.condition("Stalled") is None


def test_a_canary_is_tried_on_after_a_pause_without_pods() -> None:
    one = Life().live(tried(), 10, {"replicas": 0}, 10)
    serving = one.status["activeVersion"]
    two = Life().live(tried(), 10, {"replicas": 0}, 10, {"replicas": 1}, 15)

    assert serving == "v1"
    assert [two.version(name)["weight"] for name in ("v1", "v2")] == [90, 10]
    assert two.swaps == []


def test_a_failed_canary_is_not_tried_again_after_a_pause_without_pods() -> None:
    pause = ({"replicas": 0}, 10, {"replicas": 1}, 15)

    one = Life().live(tried("sick"), 20, *pause, *pause)

    assert list(one.upgrades.values()) == ["RolledBack"]
    assert one.status["activeVersion"] == "v1"


# At rest


def test_nothing_is_written_while_nothing_happens() -> None:
    one = Life().live(tried(), 30)
    before = one.twin.version

    async def rest() -> None:
        for _ in range(20):
            one.rig.feed()
            await one.rig.work()
            one.rig.controllers.settle()

    in_fake_time(rest)

    assert one.twin.version == before


def test_an_incompatible_version_beside_a_rollout_makes_nobody_write() -> None:
    """The phase does not swing, though the condition that tells of the rollout tells of another."""
    versions = raw_model(("v1", "v2"))["spec"]["versions"]
    versions[0]["compatibility"] = {"api": "chat"}
    slow = {"canary": {"steps": [{"weight": 5, "pause": {"seconds": 600}}]}}
    spec = {"versions": versions, "activeVersion": "v2", "drain": {"timeoutSeconds": 7}}
    before: list[int] = []

    def look(twin: Twin) -> None:
        twin.edit(MODEL_DEPLOYMENT, NAME, {"metadata": {"annotations": {"seen": "yes"}}})
        before.append(len(twin.requests))

    one = Life(upgradePolicy=slow).live(spec, 15, look, 15)

    assert (one.condition("Compatible") or {})["status"] == "False"
    assert one.version("v1")["weight"] == 95
    assert one.twin.requests[before[0] :] == []
