"""What is observed of an Agent is what the store knows of it and of those it depends on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import NOON, Twin, raw_agent, raw_upgrade
from tests.twin.rig import Pods, loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, KUBELET_EVENT, POD, Key
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.reasons import Reason
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe import ObserveAgent, agent_observer
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")


@pytest.fixture
def store() -> Store:
    return Store(AGENT, wake=lambda _key: None)


@pytest.fixture
def mounts() -> MountFailures:
    return MountFailures(wake=lambda _pod: None)


@pytest.fixture
def observe(store: Store, mounts: MountFailures) -> ObserveAgent:
    return agent_observer(store, mounts, Pods(Twin(loop_clock)))


def available(status: str) -> dict[str, Any]:
    condition = {
        "type": "Available",
        "status": status,
        "lastTransitionTime": "2026-11-21T12:00:00Z",
        "reason": "X",
        "message": "",
    }
    return {"conditions": [condition]}


def test_an_agent_that_is_gone_is_not_observed(observe: ObserveAgent) -> None:
    """There is nothing to do for it."""
    assert observe(GREETER, {}) is None


def test_dependencies_are_looked_up_by_name(store: Store, observe: ObserveAgent) -> None:
    """Whether they exist, and whether they serve."""
    store.put_subject(AGENT, raw_agent("model", status=available("True")))
    store.put_subject(AGENT, raw_agent("store", status=available("False")))
    store.put_subject(AGENT, raw_agent(dependsOn=["model", "store", "typo"]))

    seen = observe(GREETER, {})

    assert seen is not None
    found = [(d.name, d.exists, d.available) for d in seen.dependencies]
    assert found == [("model", True, True), ("store", True, False), ("typo", False, False)]


def test_what_a_dependency_needs_is_found_through_all_of_them(
    store: Store, observe: ObserveAgent
) -> None:
    """A circle of three is a circle; walking it ends."""
    store.put_subject(AGENT, raw_agent("a", dependsOn=["b", "nobody"]))
    store.put_subject(AGENT, raw_agent("b", dependsOn=["greeter"]))
    store.put_subject(AGENT, raw_agent(dependsOn=["a"]))

    seen = observe(GREETER, {})

    assert seen is not None
    assert seen.dependencies[0].needs == {"a", "b", "greeter", "nobody"}


def test_upgrades_of_several_agents_that_wait_for_each_other_are_a_circle(
    store: Store, observe: ObserveAgent
) -> None:
    """All of a namespace are looked at, and none of another."""
    elsewhere = {"namespace": "elsewhere"}
    store.put_subject(AGENT, raw_agent())
    store.put_subject(AGENT_UPGRADE, raw_upgrade("a", dependsOn=["b"]))
    store.put_subject(AGENT_UPGRADE, raw_upgrade("c", dependsOn=["d"]))
    for upgrade in (
        raw_upgrade("b", targetRef={"name": "writer"}, dependsOn=["a"]),
        raw_upgrade("d", metadata=elsewhere, dependsOn=["c"]),
    ):
        store.put_subject(AGENT_UPGRADE, upgrade)

    seen = observe(GREETER, {})

    assert seen is not None
    assert {n: each.circle for n, each in seen.upgrades.items()} == {"a": ("a", "b"), "c": ()}


@pytest.mark.parametrize(
    ("spec", "status", "held"),
    [
        ({"gently": True}, {"phase": "Progressing"}, True),
        ({"gently": True}, {"phase": "Pending"}, False),
        ({"gently": True}, {"phase": "Succeeded"}, False),
        ({}, {"phase": "Progressing", "dreams": 1}, True),
        ({}, {"phase": "Dreaming"}, True),
        ({}, {"phase": "Progressing"}, False),
    ],
)
def test_an_upgrade_of_a_newer_version_that_may_run_holds_its_agent(
    store: Store,
    observe: ObserveAgent,
    spec: dict[str, Any],
    status: dict[str, Any],
    *,
    held: bool,
) -> None:
    """An older operator would go on with a part of it, or begin it anew."""
    store.put_subject(AGENT, raw_agent())
    store.put_subject(AGENT_UPGRADE, raw_upgrade("up", status=status, **spec))

    seen = observe(GREETER, {})

    assert isinstance(seen, AgentObservation)
    assert seen.unreadable.startswith("AgentUpgrade up: ") == held


def test_a_refusal_of_an_earlier_spec_does_not_count(store: Store, observe: ObserveAgent) -> None:
    """What the server refused then may be right now."""
    store.put_subject(AGENT, raw_agent(metadata={"generation": 2}))
    failures = {
        Ref("Service", name): Failure(
            reason=Reason.FORBIDDEN, message="", generation=generation, retry_at=NOON
        )
        for name, generation in (("old", 1), ("new", 2))
    }

    seen = observe(GREETER, failures)

    assert seen is not None
    assert list(seen.failures) == [Ref("Service", "new")]


def test_a_pod_that_waits_for_a_volume_says_which(
    store: Store, mounts: MountFailures, observe: ObserveAgent
) -> None:
    """Its own status is silent about it."""
    creating = {"name": "agent", "state": {"waiting": {"reason": "ContainerCreating"}}}
    labels = {"agentherd.dev/agent": "greeter"}
    for name, state in (("a", creating), ("b", {"name": "agent", "state": {"running": {}}})):
        metadata = {
            "namespace": "default",
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "labels": labels,
        }
        store.put(POD, {"metadata": metadata, "status": {"containerStatuses": [state]}})
        event = {
            "metadata": {"namespace": "default", "name": f"event-{name}"},
            "involvedObject": {"uid": name, "name": name},
            "message": 'secret "x" not found',
        }
        mounts.put(KUBELET_EVENT, event)
    store.put_subject(AGENT, raw_agent())

    seen = observe(GREETER, {})

    assert seen is not None
    fault = seen.pods["a"].fault
    assert fault is not None
    assert fault.reason is Reason.VOLUME_NOT_MOUNTED
    assert seen.pods["b"].fault is None
