"""Gateways are read for those who have to know what they can do, and for nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.twin import Twin, raw_agent, raw_upgrade
from tests.twin.rig import shared_metrics

from agentherd.domain.errors import Forbidden
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, GATEWAY, GATEWAY_CLASS, Key
from agentherd.engine.gateways import Gateways
from agentherd.engine.reflector import ABSENT_DELAY, Reflector
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")
MIRRORED = {"canary": {"steps": [{"weight": 0, "mirror": 100}]}}
Woken = list[Key]


@pytest.fixture
def woken() -> Woken:
    return []


@pytest.fixture
def gateways(woken: Woken) -> Gateways:
    """Those that `greeter` has asked for."""
    found = Gateways(woken.append)
    found.use(GREETER)
    return found


def gateway(name: str = "gate", of: str = "fast", **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "infra", "uid": f"uid-of-{name}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"gatewayClassName": of}, "status": status}


def gateway_class(*features: str, name: str = "fast") -> dict[str, Any]:
    listed = [{"name": feature} for feature in features]
    metadata = {"name": name, "uid": f"uid-of-{name}", "resourceVersion": "1"}
    return {"metadata": metadata, "status": {"supportedFeatures": listed}}


def fill(gateways: Gateways) -> None:
    gateways.replace(GATEWAY, [gateway()], 1, None)
    gateways.replace(GATEWAY_CLASS, [gateway_class("A")], 1, None)


async def test_both_kinds_have_to_be_known(gateways: Gateways, woken: Woken) -> None:
    """One says which class, the other what it can do; then whoever asked goes on."""
    gateways.replace(GATEWAY, [gateway()], 1, None)
    assert not gateways.seen.known

    gateways.replace(GATEWAY_CLASS, [gateway_class("A")], 1, None)
    assert gateways.seen.known
    assert gateways.seen.classes == {Key("infra", "gate"): "fast"}
    assert gateways.seen.features == {"fast": {"A"}}
    assert woken == [GREETER, GREETER]


async def test_only_a_change_that_matters_wakes(gateways: Gateways, woken: Woken) -> None:
    """The status of a Gateway changes with every route."""
    fill(gateways)
    woken.clear()

    gateways.put(GATEWAY, gateway(listeners=[{"attachedRoutes": 5}]))
    assert woken == []

    gateways.put(GATEWAY_CLASS, gateway_class("A", "B"))
    gateways.drop(GATEWAY, Key("infra", "gate"), 2)
    gateways.drop(GATEWAY_CLASS, Key("", "fast"), 2)
    assert woken == [GREETER] * 3
    assert (gateways.count(GATEWAY), gateways.count(GATEWAY_CLASS)) == (0, 0)


async def test_who_is_gone_is_not_woken(gateways: Gateways, woken: Woken) -> None:
    """Its name may be somebody else's by then."""
    gateways.forget(GREETER)

    fill(gateways)

    assert woken == []


async def test_a_refusal_is_an_answer(gateways: Gateways) -> None:
    """Until it can be read after all."""
    fill(gateways)

    gateways.refuse(GATEWAY_CLASS, "gatewayclasses is forbidden")
    assert gateways.seen.known
    assert (
        gateways.seen.unread
        == "the operator cannot read gatewayclasses (gatewayclasses is forbidden)"
    )

    gateways.replace(GATEWAY_CLASS, [gateway_class("A")], 2, None)
    assert gateways.seen.unread == ""


@pytest.mark.parametrize("asked_by", ["nobody", "an agent", "an upgrade"])
async def test_nobody_reads_gateways_before_somebody_has_to_know(asked_by: str) -> None:
    """The cluster need not have any."""
    store = Store(AGENT, wake=lambda _: None)

    store.put_subject(
        AGENT, raw_agent(**({"upgradePolicy": MIRRORED} if asked_by == "an agent" else {}))
    )
    store.put_subject(
        AGENT_UPGRADE,
        raw_upgrade(**({"strategy": MIRRORED} if asked_by == "an upgrade" else {})),
    )

    assert store.gateways.wanted.is_set() == (asked_by != "nobody")


async def test_a_cluster_wide_kind_is_followed_and_its_refusal_told(twin: Twin) -> None:
    """An object of the cluster has no namespace; a right that is given later is found."""
    gateways = Gateways(lambda _: None)
    twin.outages.append(Forbidden("gateways is forbidden"))
    reflector = Reflector(
        GATEWAY,
        cluster=twin,
        sink=gateways,
        metrics=shared_metrics(),
        selector="",
        refused=gateways.refuse,
    )

    async with asyncio.TaskGroup() as group:
        task = group.create_task(reflector.run())
        await asyncio.sleep(1)
        refusal = gateways.seen.unread
        twin.put(GATEWAY, gateway())
        await asyncio.sleep(ABSENT_DELAY)
        task.cancel()

    assert refusal == "the operator cannot read gateways (gateways is forbidden)"
    assert gateways.count(GATEWAY) == 1
