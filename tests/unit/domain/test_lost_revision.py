"""What serves goes on serving, whatever somebody deletes, and what is lost is not guessed.

The content of a revision is in its ControllerRevision and nowhere else. An Agent whose record was
deleted is told of here, with a whole operator on a cluster in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, agent, in_fake_time, raw_agent, raw_upgrade
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    CONTROLLER_REVISION,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
    REVISION_LABEL,
    SERVICE,
    Kind,
)
from agentherd.domain.revision import revision_of

KEPT_SECONDS: Final = 31
"""How long the pods of the version that lost are kept, and one more."""

OLD: Final = revision_of(agent().spec).hash
NEW: Final = revision_of(agent(image="agent:2").spec).hash
HALF: Final = {"canary": {"steps": [{"weight": 50, "pause": {}}]}}
OWN: Final = {"parentRefs": [{"name": "public"}]}
ROLL_BACK: Final = {"rollback": {"requested": True}}

EACH_TRAFFIC = pytest.mark.parametrize("traffic", [None, OWN], ids=["pods", "route"])


class Story:
    """An Agent with a paused canary, and what happens to it next."""

    def __init__(self, traffic: dict[str, Any] | None) -> None:
        self.twin = Twin(loop_clock)
        self.controllers = Controllers(self.twin)
        self.rig = Rig(self.twin, controllers=self.controllers)
        routed = {"traffic": traffic} if traffic else {}
        self.spec: dict[str, Any] = {"replicas": 2, "upgradePolicy": HALF} | routed
        self.twin.put(AGENT, raw_agent(**self.spec))

    async def rest(self) -> None:
        await self.rig.until_quiet(patience=KEPT_SECONDS)

    async def restart(self) -> None:
        """Another process, which has seen nothing of what was deleted."""
        self.rig = Rig(self.twin, controllers=self.controllers)
        await self.rest()

    async def change(self, image: str) -> None:
        spec = raw_agent(image=image, **self.spec)["spec"]
        self.twin.edit(AGENT, "greeter", {"spec": spec})
        await self.rest()

    async def steer(self, name: str = "greeter-2", **spec: Any) -> None:
        self.twin.edit(AGENT_UPGRADE, name, {"spec": spec})
        await self.rest()

    async def lose(self, revision: str = OLD) -> None:
        self.twin.remove(CONTROLLER_REVISION, f"greeter-{revision}")
        await self.rest()

    def agent(self) -> dict[str, Any]:
        status: dict[str, Any] = self.twin.live(AGENT, "greeter")["status"]
        return status

    def told(self) -> str:
        """What the Agent says of itself."""
        ready = next(c for c in self.agent()["conditions"] if c["type"] == "Ready")
        return f"{ready['reason']}: {ready['message']}"

    def phase(self, name: str = "greeter-2") -> str:
        phase: str = self.twin.live(AGENT_UPGRADE, name)["status"]["phase"]
        return phase

    def sizes(self) -> dict[str, int]:
        sets = self.twin.all(REPLICA_SET)
        return {s["metadata"]["name"].rpartition("-")[2]: s["spec"]["replicas"] for s in sets}


def told(traffic: dict[str, Any] | None, life: Callable[[Story], Any]) -> Story:
    """The story of an Agent from its first canary on, to its end."""

    async def live() -> Story:
        one = Story(traffic)
        await one.rest()
        await one.change("agent:2")
        await life(one)
        return one

    return in_fake_time(live)


def ready_pods(twin: Twin, selector: dict[str, str]) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in twin.all(POD)
        if selector.items() <= pod["metadata"]["labels"].items()
        and any(c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))
    ]


def unanswered(twin: Twin) -> list[str]:
    """The Services that get requests and have no pod to answer them."""
    sent = {"greeter"}
    for route in twin.all(HTTP_ROUTE):
        for rule in route["spec"]["rules"]:
            sent |= {ref["name"] for ref in rule["backendRefs"] if ref.get("weight", 1)}
    known = {service["metadata"]["name"]: service["spec"] for service in twin.all(SERVICE)}
    return sorted(s for s in sent if s in known and not ready_pods(twin, known[s]["selector"]))


async def settled(one: Story) -> None:
    await one.steer(promote={"full": True})


async def paused(_: Story) -> None:
    pass


async def rolled_back(one: Story) -> None:
    await one.steer(**ROLL_BACK)


CASES: Final = {"settled": settled, "paused": paused, "rolled back": rolled_back}


def children_after(name: str, traffic: dict[str, Any] | None) -> list[tuple[Kind, str]]:
    one = told(traffic, CASES[name])
    kinds = (*CHILD_KINDS, HTTP_ROUTE)
    return [(kind, name) for kind in kinds for name in one.twin.names(kind)]


EVERY_CHILD = [
    pytest.param(case, traffic, kind, name, id=f"{case}-{'route' if traffic else 'pods'}-{what}")
    for case in CASES
    for traffic in (None, OWN)
    for kind, name in children_after(case, traffic)
    for what in [f"{kind.name} {name}"]
]


@pytest.mark.parametrize(("case", "traffic", "kind", "name"), EVERY_CHILD)
def test_what_serves_goes_on_serving_whatever_single_child_is_deleted(
    case: str, traffic: dict[str, Any] | None, kind: Kind, name: str
) -> None:
    """Nobody is ever sent to a version without pods while the stable one has some."""
    found: list[tuple[str, list[str]]] = []

    async def life(one: Story) -> None:
        await CASES[case](one)
        stable = one.agent()["stableRevision"]

        def look(_: int, when: str) -> None:
            if when == "after" and ready_pods(one.twin, {REVISION_LABEL: stable}):
                found.append((stable, unanswered(one.twin)))

        one.twin.remove(kind, name)
        one.controllers.collect()
        one.twin.on_write = look
        await one.rest()
        look(0, "after")
        await one.restart()
        look(0, "after")
        assert one.agent()["stableRevision"] == stable

    told(traffic, life)

    assert [services for _, services in found if services] == []


@EACH_TRAFFIC
def test_an_agent_whose_record_is_lost_after_a_rollback_stays_with_what_serves(
    traffic: dict[str, Any] | None,
) -> None:
    """The version that was rolled back is never taken for the lost one, and people are told."""

    async def life(one: Story) -> None:
        await rolled_back(one)
        await one.lose()
        await one.restart()

    one = told(traffic, life)

    assert one.agent()["stableRevision"] == OLD
    assert one.sizes()[OLD] == 2
    assert one.sizes().get(NEW, 0) == 0
    assert one.told().startswith("RolledBack")
    assert f"ControllerRevision greeter-{OLD} was deleted" in one.told()


@EACH_TRAFFIC
def test_a_canary_beside_a_lost_revision_can_be_rolled_back(traffic: dict[str, Any] | None) -> None:
    async def life(one: Story) -> None:
        await one.lose()
        await one.restart()
        await one.steer(**ROLL_BACK)

    one = told(traffic, life)

    assert one.phase() == "RolledBack"
    assert one.sizes()[OLD] == 2
    assert unanswered(one.twin) == []


@EACH_TRAFFIC
def test_a_canary_beside_a_lost_revision_goes_back_by_its_fault(
    traffic: dict[str, Any] | None,
) -> None:
    async def life(one: Story) -> None:
        await one.lose()
        one.controllers.sick_images["agent:2"] = "CrashLoopBackOff"
        await one.rest()

    one = told(traffic, life)

    assert one.phase() == "RolledBack"
    assert unanswered(one.twin) == []


@EACH_TRAFFIC
def test_an_upgrade_that_is_deleted_leaves_the_lost_revision_serving(
    traffic: dict[str, Any] | None,
) -> None:
    async def life(one: Story) -> None:
        await one.lose()
        one.twin.remove(AGENT_UPGRADE, "greeter-2")
        await one.rest()

    one = told(traffic, life)

    assert one.sizes()[OLD] == 2
    assert one.told().startswith("UpgradeDeleted")
    assert unanswered(one.twin) == []


@EACH_TRAFFIC
def test_a_canary_beside_a_lost_revision_can_take_over(traffic: dict[str, Any] | None) -> None:
    """Then nothing of the lost one is needed any more, and it goes."""

    async def life(one: Story) -> None:
        await one.lose()
        await settled(one)

    one = told(traffic, life)

    assert one.phase() == "Succeeded"
    assert one.agent()["stableRevision"] == NEW
    assert one.sizes() == {NEW: 2}
    assert one.told().startswith("AllAvailable")


@EACH_TRAFFIC
def test_a_lost_revision_can_be_upgraded_to_something_new(traffic: dict[str, Any] | None) -> None:
    """Step by step, as ever: the new pods beside those of the lost one."""

    async def life(one: Story) -> None:
        await rolled_back(one)
        await one.lose()
        await one.change("agent:3")
        assert one.sizes()[OLD] == 2
        assert one.phase("greeter-3") == "Paused"
        await one.steer("greeter-3", promote={"full": True})

    one = told(traffic, life)

    assert one.phase("greeter-3") == "Succeeded"
    assert unanswered(one.twin) == []


def test_a_spec_that_is_set_to_what_serves_makes_the_lost_record_anew() -> None:
    async def life(one: Story) -> None:
        await rolled_back(one)
        await one.lose()
        await one.change("agent:1")

    one = told(None, life)

    assert f"greeter-{OLD}" in one.twin.names(CONTROLLER_REVISION)
    assert one.told().startswith("AllAvailable")


def test_a_lost_revision_is_scaled_and_keeps_what_all_share() -> None:
    async def life(one: Story) -> None:
        await rolled_back(one)
        await one.lose()
        one.spec["replicas"] = 3
        await one.change("agent:2")

    one = told(None, life)

    assert one.sizes()[OLD] == 3
    assert one.twin.names(Kind("v1", "ServiceAccount", "serviceaccounts")) == ["agentherd-greeter"]


def test_a_lost_revision_without_its_replica_set_is_told_as_an_error() -> None:
    """Nothing can make its pods again, and nothing that was not asked for takes their place."""

    async def life(one: Story) -> None:
        await rolled_back(one)
        one.twin.remove(REPLICA_SET, f"greeter-{OLD}")
        one.twin.remove(CONTROLLER_REVISION, f"greeter-{OLD}")
        one.controllers.collect()
        await one.rest()

    one = told(None, life)

    assert one.agent()["phase"] == "Error"
    assert one.told().startswith("RevisionNotFound")
    assert one.twin.names(SERVICE) == ["greeter"]
    assert one.sizes().get(NEW, 0) == 0


def test_an_upgrade_to_a_kept_revision_whose_record_is_lost_goes_back() -> None:
    """It cannot be written into the Agent's spec, and the present one is not taken for it."""

    async def life(one: Story) -> None:
        await settled(one)
        one.twin.put(
            AGENT_UPGRADE, raw_upgrade("back", to={"revision": OLD}, strategy=HALF | NO_WINDOW)
        )
        await one.rest()
        assert one.phase("back") == "Paused"
        await one.lose(OLD)

    one = told(OWN, life)
    record = one.twin.live(AGENT_UPGRADE, "back")["status"]["rollback"]

    assert one.phase("back") == "RolledBack"
    assert (record["trigger"], f"greeter-{OLD}" in record["reason"]) == ("Refused", True)
    assert one.agent()["stableRevision"] == NEW


NO_WINDOW: Final = {"rollbackWindow": 0}


def test_a_service_that_was_deleted_with_the_record_comes_with_the_next_version() -> None:
    async def life(one: Story) -> None:
        await rolled_back(one)
        one.twin.remove(SERVICE, "greeter")
        one.twin.remove(CONTROLLER_REVISION, f"greeter-{OLD}")
        await one.change("agent:3")
        await one.steer("greeter-3", promote={"full": True})
        await asyncio.sleep(1)

    one = told(None, life)

    assert "greeter" in one.twin.names(SERVICE)


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_rollback_to_what_is_not_kept_is_answered_once(restarts: int) -> None:
    """It has no effect, the conditions say why, and the success stays one."""

    async def life(one: Story) -> None:
        await settled(one)
        await one.lose(OLD)
        await one.steer(rollback={"requested": True, "reason": "complaints"})
        for _ in range(restarts):
            await one.restart()

    one = told(None, life)
    status = one.twin.live(AGENT_UPGRADE, "greeter-2")["status"]
    conditions = {c["type"]: c for c in status["conditions"]}

    assert status["phase"] == "Succeeded"
    assert [c["detail"] for c in status["controls"] if c["verb"] == "RollbackRequested"] == [
        f"attempt 1: no effect, revision {OLD} is not kept any more: complaints"
    ]
    assert conditions["Progressing"]["reason"] == "RevisionNotFound"
    assert "has no effect" in conditions["Progressing"]["message"]
    assert (conditions["Ready"]["status"], "Stalled" in conditions) == ("True", False)
    assert one.agent()["stableRevision"] == NEW


def test_a_history_limit_of_nothing_leaves_nothing_to_go_back_to() -> None:
    async def life(one: Story) -> None:
        one.spec["revisionHistoryLimit"] = 0
        await one.change("agent:2")
        await settled(one)
        await one.steer(**ROLL_BACK)

    one = told(None, life)

    assert one.phase() == "Succeeded"
    assert one.told().startswith("AllAvailable")


@EACH_TRAFFIC
def test_an_undo_whose_way_back_is_lost_ends_where_it_began(traffic: dict[str, Any] | None) -> None:
    """Nothing is waited for that can never come."""

    async def life(one: Story) -> None:
        await settled(one)
        one.controllers.sick_images["agent:1"] = "CrashLoopBackOff"
        await one.steer(**ROLL_BACK)
        assert one.phase() == "RollingBack"
        await one.lose(OLD)

    one = told(traffic, life)

    assert one.phase() == "Succeeded"
    assert one.sizes() == {OLD: 0, NEW: 2}
    assert one.told().startswith("AllAvailable")
    assert unanswered(one.twin) == []
