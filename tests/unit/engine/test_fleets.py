"""What is seen goes to the store of the kind of workload that it belongs to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.twin import raw_agent, raw_upgrade

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    POD,
    SERVICE,
    Key,
    Kind,
)
from agentherd.engine.fleets import Fleets
from agentherd.engine.store import Store

SHARED_NAME = Key("default", "greeter")
MODEL = {"kind": "ModelDeployment", "name": "greeter"}
Woken = list[tuple[str, Key]]


@pytest.fixture
def woken() -> Woken:
    return []


@pytest.fixture
def stores(woken: Woken) -> dict[Kind, Store]:
    def store(kind: Kind) -> Store:
        return Store(kind, wake=lambda key: woken.append((kind.name, key)))

    return {kind: store(kind) for kind in (AGENT, MODEL_DEPLOYMENT)}


@pytest.fixture
def fleets(stores: dict[Kind, Store]) -> Fleets:
    return Fleets(stores.values())


def at(version: int, raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"metadata": raw["metadata"] | {"resourceVersion": str(version)}}


def service(version: int, label: str, name: str = "greeter") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "labels": {f"agentherd.dev/{label}": "greeter"},
        }
    }


def route(version: int, **annotations: str) -> dict[str, Any]:
    metadata = {"namespace": "default", "name": "shop", "uid": "u"}
    marks = {f"agentherd.dev/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return at(version, {"metadata": metadata | {"annotations": marks}, "spec": {"rules": []}})


def held(stores: dict[Kind, Store], kind: Kind, name: str = "greeter") -> list[str]:
    return [of.name for of, store in stores.items() if store.holds(kind, Key("default", name))]


@pytest.mark.parametrize(("label", "kind"), [("agent", "Agent"), ("model", "ModelDeployment")])
def test_a_child_goes_by_its_label(
    fleets: Fleets, stores: dict[Kind, Store], woken: Woken, label: str, kind: str
) -> None:
    """An Agent and a model of the same name are two workloads."""
    fleets.put(SERVICE, service(1, label))

    assert held(stores, SERVICE) == [kind]
    assert woken == [(kind, SHARED_NAME)]


def test_a_child_that_is_given_another_label_changes_sides(
    fleets: Fleets, stores: dict[Kind, Store], woken: Woken
) -> None:
    """Both workloads are told: one has lost it."""
    fleets.put(SERVICE, service(1, "agent"))

    fleets.put(SERVICE, service(2, "model"))

    assert held(stores, SERVICE) == ["ModelDeployment"]
    assert {kind for kind, _ in woken[1:]} == {"Agent", "ModelDeployment"}


def test_a_list_is_shared_out_and_what_it_does_not_hold_is_gone(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """Also from the store for which there is nothing in it."""
    fleets.put(SERVICE, service(1, "model", "gone"))

    fleets.replace(SERVICE, [service(2, "agent", "kept")], 3, None)

    assert held(stores, SERVICE, "gone") == []
    assert held(stores, SERVICE, "kept") == ["Agent"]


def test_a_deletion_is_heard_before_a_late_answer(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """The answer to a write must not bring the child back, whichever store it belongs to."""
    fleets.drop(SERVICE, SHARED_NAME, 5)

    fleets.put(SERVICE, service(4, "model"), own=True)

    assert held(stores, SERVICE) == []


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ({"name": "greeter"}, "Agent"),
        ({"kind": "Agent", "name": "greeter"}, "Agent"),
        (MODEL, "ModelDeployment"),
        ({"kind": "Fleet", "name": "greeter"}, "Agent"),
    ],
)
def test_an_upgrade_goes_by_the_kind_of_its_target(
    fleets: Fleets, stores: dict[Kind, Store], target: Any, kind: str
) -> None:
    """One of which the target cannot be read is told about among Agents."""
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("u", targetRef=target))

    assert held(stores, AGENT_UPGRADE, "u") == [kind]


def test_an_upgrade_of_a_model_that_is_not_understood_stays_with_the_model(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """What can be read of it is its target."""
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("u", targetRef=MODEL, priority="high"))

    assert stores[MODEL_DEPLOYMENT].upgrades(SHARED_NAME)["u"].unreadable


def test_an_upgrade_made_anew_for_another_kind_changes_sides(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """Although nobody has told that the former one was deleted."""
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("u"))

    anew = raw_upgrade("u", targetRef=MODEL, metadata={"uid": "another", "resourceVersion": "2"})
    fleets.put_subject(AGENT_UPGRADE, anew)

    assert held(stores, AGENT_UPGRADE, "u") == ["ModelDeployment"]


def test_upgrades_of_different_kinds_wait_for_each_other(fleets: Fleets, woken: Woken) -> None:
    """The end of one wakes what waits for it, also by the operator's own write."""
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("first", targetRef=MODEL))
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("second", dependsOn=["first"]))
    woken.clear()

    done = raw_upgrade("first", targetRef=MODEL, status={"phase": "Succeeded"})
    fleets.put_subject(AGENT_UPGRADE, at(2, done), own=True)

    assert woken == [("Agent", SHARED_NAME)]
    assert fleets.upgrade(Key("default", "first")) is not None


def test_the_echo_of_an_own_write_wakes_nobody(fleets: Fleets, woken: Woken) -> None:
    """Not even those in another store that depend on it."""
    done = at(2, raw_upgrade("first", targetRef=MODEL, status={"phase": "Succeeded"}))
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("second", dependsOn=["first"]))
    fleets.put_subject(AGENT_UPGRADE, done, own=True)
    woken.clear()

    fleets.put_subject(AGENT_UPGRADE, done)

    assert woken == []


@pytest.mark.parametrize(
    ("mark", "kind"), [("canary", "Agent"), ("model_canary", "ModelDeployment")]
)
def test_a_mark_in_a_route_names_workloads_of_one_kind(
    fleets: Fleets, woken: Woken, mark: str, kind: str
) -> None:
    """An Agent that does not exist must not have the canary of a model cleared away."""
    fleets.routes.put(HTTP_ROUTE, route(1, **{mark: "greeter"}))

    assert woken == [(kind, SHARED_NAME)]
    assert fleets.count(HTTP_ROUTE) == 1


async def test_routes_are_wanted_as_soon_as_one_store_wants_them(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """One watch is enough for both."""
    task = asyncio.create_task(fleets.routes.wanted())
    await asyncio.sleep(0)
    before = task.done()

    stores[MODEL_DEPLOYMENT].routes.wanted.set()
    await asyncio.wait_for(task, 1)

    assert not before


def test_what_a_list_does_not_hold_is_forgotten_by_all(fleets: Fleets) -> None:
    """Upgrades are in both stores, workloads in one."""
    fleets.put_subject(AGENT, raw_agent())
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("a"))
    fleets.put_subject(AGENT_UPGRADE, raw_upgrade("b", targetRef=MODEL))

    fleets.retain_subjects(AGENT_UPGRADE, {}, 9, None)

    assert fleets.known(AGENT_UPGRADE) == set()
    assert fleets.known(AGENT) == {SHARED_NAME}
    assert fleets.count(POD) == 0


def test_a_model_that_is_not_understood_is_known_by_its_name(
    fleets: Fleets, stores: dict[Kind, Store]
) -> None:
    """A newer API may have words that this operator does not know."""
    metadata = raw_agent()["metadata"]
    raw = {"metadata": metadata, "spec": {"versions": "none"}, "status": {}}

    fleets.put_subject(MODEL_DEPLOYMENT, raw)

    (record,) = stores[MODEL_DEPLOYMENT].subjects(MODEL_DEPLOYMENT).values()
    assert record.unreadable.startswith("spec.")
