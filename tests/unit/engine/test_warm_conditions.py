"""The condition of a warm pod goes beside those of the kubelet, and the answer tells of both."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.twin import NOON, Twin

from agentherd.domain.errors import Conflict, NotFound
from agentherd.domain.kinds import MODEL_DEPLOYMENT, POD, Key
from agentherd.domain.plan import Plan, WriteCondition
from agentherd.domain.reasons import Reason
from agentherd.domain.views import PodView
from agentherd.domain.warmth import WARM, Told
from agentherd.engine.applier import Applier
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

EMBEDDER: Final = Key("default", "embedder")
READY: Final = [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]
SAID: Final = "POST / was answered with status 503"


def raw_pod(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "embedder-1",
            "namespace": "default",
            "labels": {"agentherd.dev/model": "embedder"},
        },
        "spec": {"readinessGates": [{"conditionType": WARM}]},
        "status": {"conditions": list(conditions)},
    }


def write(uid: str, told: Told) -> Plan:
    condition = told.condition()
    return Plan((WriteCondition(kind=POD, name="embedder-1", uid=uid, condition=condition),))


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def store(woken: list[Key]) -> Store:
    return Store(MODEL_DEPLOYMENT, wake=woken.append)


@pytest.fixture
def applier(twin: Twin, store: Store) -> Applier:
    recorder = Recorder(twin, identity="test", clock=lambda: NOON)
    return Applier(cluster=twin, store=store, recorder=recorder)


def view(store: Store) -> PodView:
    found = store.children(EMBEDDER, POD)["embedder-1"]
    assert isinstance(found, PodView)
    return found


async def test_the_conditions_of_the_kubelet_stay(
    twin: Twin, store: Store, applier: Applier
) -> None:
    """Of the list only the one condition is ours, under a name of its own."""
    made = twin.put(POD, raw_pod(*READY))
    store.put(POD, made)
    told = Told(warm=True, said="GET / was answered with status 200")

    await applier.carry_out(EMBEDDER, None, write(made["metadata"]["uid"], told))

    live = twin.live(POD, "embedder-1")
    assert live["status"]["conditions"] == [*READY, told.condition()]
    assert live["metadata"]["managedFields"][-1]["manager"] == "agentherd-warm"
    assert live["metadata"]["managedFields"][-1]["subresource"] == "status"


async def test_a_warm_pod_is_known_as_that_at_once(
    twin: Twin, store: Store, applier: Applier
) -> None:
    """Or it would be asked once more before the watch has told."""
    made = twin.put(POD, raw_pod(*READY))
    store.put(POD, made)

    await applier.carry_out(
        EMBEDDER, None, write(made["metadata"]["uid"], Told(warm=True, said="x"))
    )

    warmth = view(store).warmth
    assert warmth is not None
    assert warmth.warm
    assert not view(store).touched


async def test_a_warm_up_that_has_failed_wakes_those_who_decide(
    twin: Twin, store: Store, applier: Applier, woken: list[Key]
) -> None:
    """It is a fault of the pod from the write on."""
    made = twin.put(POD, raw_pod(*READY))
    store.put(POD, made)
    woken.clear()
    told = Told(warm=False, said=SAID, failed=True, failures=3, threshold=3)

    await applier.carry_out(EMBEDDER, None, write(made["metadata"]["uid"], told))

    fault = view(store).fault
    assert fault is not None
    assert fault.reason is Reason.WARM_UP_FAILED
    assert woken == [EMBEDDER]


async def test_news_of_the_kubelet_that_cross_the_write_are_not_lost(
    twin: Twin, store: Store, applier: Applier, woken: list[Key]
) -> None:
    """The watch tells of no version that is older than our answer."""
    made = twin.put(POD, raw_pod(*READY))
    store.put(POD, made)
    status = {"conditions": [{"type": "ContainersReady", "status": "False"}]}
    late = twin.edit(POD, "embedder-1", {"status": status}, manager="kubelet")
    woken.clear()

    await applier.carry_out(
        EMBEDDER, None, write(made["metadata"]["uid"], Told(warm=False, said=SAID))
    )
    store.put(POD, late)

    assert woken == [EMBEDDER]


async def test_a_pod_that_is_gone_needs_no_condition(twin: Twin, applier: Applier) -> None:
    """The watch will tell of its end."""
    twin.refusals["Pod", "embedder-1"] = NotFound("pods not found")

    refused = await applier.carry_out(
        EMBEDDER, None, write("uid-of-before", Told(warm=True, said="x"))
    )

    assert refused == []


async def test_a_pod_that_was_made_anew_is_another_one(twin: Twin, applier: Applier) -> None:
    """What was answered is not its answer."""
    twin.put(POD, raw_pod())

    with pytest.raises(Conflict):
        await applier.carry_out(EMBEDDER, None, write("uid-of-before", Told(warm=True, said="x")))


async def test_a_pod_without_a_gate_keeps_no_warmth(twin: Twin, store: Store) -> None:
    """A fleet of Agents has many of them."""
    store.put(POD, twin.put(POD, raw_pod(*READY) | {"spec": {}}))

    assert view(store).warmth is None
