"""The answer to a write of ours holds what others wrote meanwhile, and no watch tells it again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import Rig, Twin, raw_agent

from agentherd.domain.kinds import AGENT, POD, REPLICA_SET, Key, Kind
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def store(woken: list[Key]) -> Store:
    return Store(AGENT, wake=woken.append)


def _agent(version: int, **metadata: Any) -> dict[str, Any]:
    return raw_agent(metadata={"resourceVersion": str(version), **metadata})


def _child(kind: Kind, version: int, **fields: Any) -> dict[str, Any]:
    labels = {"agentherd.dev/agent": "greeter"}
    metadata = {"name": "x", "namespace": "default", "uid": "x", "labels": labels}
    return {
        "kind": kind.name,
        "metadata": metadata | {"resourceVersion": str(version)},
        "spec": {"replicas": 2},
        **fields,
    }


def test_the_answer_to_a_status_write_wakes_nobody(store: Store, woken: list[Key]) -> None:
    """What the operator has just said itself is no news."""
    store.put_subject(AGENT, _agent(1))
    woken.clear()

    store.put_subject(AGENT, _agent(2), own=True)

    assert woken == []


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"annotations": {"agentherd.dev/unmanaged": "true"}}]
)
def test_a_change_that_crossed_a_status_write_is_not_lost(
    store: Store, woken: list[Key], change: dict[str, Any]
) -> None:
    """The spec was changed between the last event and the write: the answer is all that tells."""
    store.put_subject(AGENT, _agent(1))
    woken.clear()

    store.put_subject(AGENT, _agent(3, **change), own=True)
    store.put_subject(AGENT, _agent(2, **change))

    assert woken == [GREETER]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (REPLICA_SET, {"replicas": 2, "availableReplicas": 2}),
        (POD, {"conditions": [{"type": "Ready", "status": "True"}]}),
    ],
)
def test_a_report_that_crossed_a_write_of_the_child_is_not_lost(
    store: Store, woken: list[Key], kind: Kind, status: dict[str, Any]
) -> None:
    """The same for what the cluster says of a child."""
    store.put(kind, _child(kind, 1))
    woken.clear()

    store.put(kind, _child(kind, 3, status=status), own=True)
    store.put(kind, _child(kind, 2, status=status))

    assert woken == [GREETER]


@pytest.mark.parametrize("label", ["app.kubernetes.io/managed-by", "agentherd.dev/agent"])
async def test_what_is_told_of_a_child_that_was_lost_from_sight_is_not_lost(
    rig: Rig, twin: Twin, label: str
) -> None:
    """A label by which it is found was taken away: what it says comes with the label put back."""
    twin.put(AGENT, raw_agent(replicas=2))
    await rig.until_quiet()
    (name,) = twin.names(REPLICA_SET)

    twin.edit(REPLICA_SET, name, {"metadata": {"labels": {label: None}}})
    await rig.until_quiet()

    status = twin.live(AGENT, "greeter")["status"]
    assert (status["phase"], status["availableReplicas"]) == ("Online", 2)


def test_the_answer_to_the_making_of_a_child_wakes_nobody(store: Store, woken: list[Key]) -> None:
    """Nothing is told of it yet."""
    store.put(REPLICA_SET, _child(REPLICA_SET, 1), own=True)

    assert woken == []


def test_the_answer_to_a_scaling_wakes_nobody(store: Store, woken: list[Key]) -> None:
    """Another number of replicas is what we asked for."""
    store.put(REPLICA_SET, _child(REPLICA_SET, 1))
    woken.clear()

    store.put(REPLICA_SET, _child(REPLICA_SET, 2, spec={"replicas": 3}), own=True)

    assert woken == []
