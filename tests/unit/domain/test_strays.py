"""Pods that a ReplicaSet has let go get no requests and do not outlive the Agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.twin import Controllers, Rig, Twin, agent, in_fake_time, raw_agent
from tests.twin.rig import loop_clock
from tests.twin.samples import pod_view, set_view

from agentherd.domain.kinds import AGENT, POD, REPLICA_SET, REVISION_LABEL, TRAFFIC_LABEL
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Delete, Merge, Stage
from agentherd.domain.revision import revision_of
from agentherd.domain.strays import strays

GOAL = revision_of(agent().spec)
OTHER = "0" * 10


def written(*, replicas: int = 2, **fields: Any) -> list[Merge | Delete]:
    """What is written of a pod of an Agent that has a ReplicaSet of another revision as well."""
    seen = AgentObservation(
        agent=agent(replicas=replicas),
        pods={"lost": pod_view("lost", **{"owner": None, "version": 7} | fields)},
        replica_sets={"old": set_view(OTHER)},
    )
    return list(strays(seen, GOAL))


@pytest.mark.parametrize("revision", ["", "mine", "1" * 10])
def test_a_pod_that_nobody_counts_leaves_the_traffic_and_belongs_to_the_agent(
    revision: str,
) -> None:
    """Whatever its label says instead."""
    (write,) = written(revision=revision)

    assert isinstance(write, Merge)
    assert (write.stage, write.version) == (Stage.TRAFFIC, 7)
    metadata = write.patch["metadata"]
    assert metadata["labels"] == {TRAFFIC_LABEL: "off"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner.get("controller")) == (
        "Agent",
        "uid-of-greeter",
        None,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "uid-of-a-set"},
        {"revision": OTHER},
        {"revision": GOAL.hash},
        {"in_traffic": False},
        {"deleting": True},
    ],
    ids=["counted", "to be adopted", "of a set to be made anew", "taken care of", "leaving"],
)
def test_other_pods_are_left_alone(fields: dict[str, Any]) -> None:
    """Above all those whose ReplicaSet was deleted without them: the next one takes them over."""
    assert written(**fields) == []


def test_an_agent_that_is_to_have_no_pods_keeps_none() -> None:
    """Else it would never be offline."""
    (write,) = written(replicas=0, in_traffic=False)

    assert isinstance(write, Delete)
    assert write.uid == "uid-of-lost"


# In a cluster


@dataclass
class Scene:
    """An Agent with two pods, one of which is let go."""

    twin: Twin
    rig: Rig
    pod: str

    async def label(self, revision: str | None) -> None:
        self.twin.edit(POD, self.pod, {"metadata": {"labels": {REVISION_LABEL: revision}}})
        await self.rig.until_quiet()

    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.twin.live(POD, self.pod)["metadata"]["labels"]
        return labels


def played(act: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def live() -> Scene:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(AGENT, raw_agent(replicas=2))
        await rig.until_quiet()
        scene = Scene(twin, rig, twin.names(POD)[0])
        await act(scene)
        return scene

    return in_fake_time(live)


def test_a_pod_whose_label_is_removed_gets_no_requests_and_is_replaced() -> None:
    """People may look at it as long as they like."""

    async def act(scene: Scene) -> None:
        await scene.label(None)

    scene = played(act)

    assert scene.labels()[TRAFFIC_LABEL] == "off"
    assert len(scene.twin.names(POD)) == 3


def test_a_pod_that_was_let_go_goes_with_its_agent() -> None:
    async def act(scene: Scene) -> None:
        await scene.label(None)
        scene.twin.remove(AGENT, "greeter")
        scene.rig.controllers.collect()

    assert played(act).twin.names(POD) == []


def test_a_pod_that_was_let_go_does_not_keep_its_agent_from_being_offline() -> None:
    async def act(scene: Scene) -> None:
        await scene.label(None)
        scene.twin.edit(AGENT, "greeter", {"spec": {"operatingMode": "Offline"}})
        await scene.rig.until_quiet(patience=31)

    scene = played(act)

    assert scene.twin.names(POD) == []
    assert scene.twin.live(AGENT, "greeter")["status"]["phase"] == "Offline"


def test_a_pod_whose_label_is_put_back_works_again() -> None:
    """Its ReplicaSet takes it back and removes one that is too many."""

    async def act(scene: Scene) -> None:
        revision = scene.labels()[REVISION_LABEL]
        await scene.label(None)
        await scene.label(revision)

    scene = played(act)

    pods = scene.twin.all(POD)
    assert len(pods) == 2
    assert {pod["metadata"]["labels"][TRAFFIC_LABEL] for pod in pods} == {"on"}


def test_pods_whose_replica_set_was_deleted_without_them_go_on() -> None:
    """`kubectl delete --cascade=orphan`: the ReplicaSet that is made anew takes them over."""
    held: list[list[str]] = []

    async def act(scene: Scene) -> None:
        scene.twin.remove(REPLICA_SET, scene.twin.names(REPLICA_SET)[0])
        for name in scene.twin.names(POD):
            scene.twin.edit(POD, name, {"metadata": {"ownerReferences": None}})
        held.append(scene.twin.names(POD))
        await scene.rig.until_quiet()

    scene = played(act)

    assert [scene.twin.names(POD)] == held
    assert scene.labels()[TRAFFIC_LABEL] == "on"
