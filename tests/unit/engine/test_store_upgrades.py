"""An upgrade belongs to an Agent: it is found by it, and whatever happens to it wakes the Agent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import raw_agent, raw_upgrade

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, HTTP_ROUTE, Key
from agentherd.engine.store import Store

GREETER, WRITER = Key("default", "greeter"), Key("default", "writer")
Woken = list[Key]


@pytest.fixture
def woken() -> Woken:
    return []


@pytest.fixture
def store(woken: Woken) -> Store:
    return Store(AGENT, wake=woken.append)


def known(version: int = 1, name: str = "u", **options: Any) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version)} | options.pop("metadata", {})
    return raw_upgrade(name, metadata=metadata, **options)


def test_an_upgrade_wakes_the_agent_it_is_for(store: Store, woken: Woken) -> None:
    """Under whatever name it goes."""
    store.put_subject(AGENT_UPGRADE, known(targetRef={"name": "writer"}))

    assert woken == [WRITER]
    assert set(store.upgrades(WRITER)) == {"u"}
    assert store.upgrades(GREETER) == {}


def test_kinds_are_kept_apart(store: Store) -> None:
    """An upgrade may be called like an Agent."""
    store.put_subject(AGENT, raw_agent())
    store.put_subject(AGENT_UPGRADE, known(2, "greeter"))

    assert (store.count(AGENT), store.count(AGENT_UPGRADE)) == (1, 1)
    assert store.workload(GREETER) is not store.upgrade(GREETER)

    store.drop_subject(AGENT_UPGRADE, GREETER, 3)

    assert store.workload(GREETER) is not None


def test_an_upgrade_made_anew_for_another_agent_leaves_the_first(store: Store) -> None:
    """Its target never changes, but a name can be used again."""
    store.put_subject(AGENT_UPGRADE, known())

    anew = known(2, targetRef={"name": "writer"}, metadata={"uid": "another"})
    store.put_subject(AGENT_UPGRADE, anew)

    assert (set(store.upgrades(GREETER)), set(store.upgrades(WRITER))) == (set(), {"u"})


def test_the_end_of_an_upgrade_wakes_its_agent(store: Store, woken: Woken) -> None:
    """Deleted in the middle it is a reason to go back."""
    store.put_subject(AGENT_UPGRADE, known())
    woken.clear()

    store.drop_subject(AGENT_UPGRADE, Key("default", "u"), 2)

    assert woken == [GREETER]
    assert store.upgrades(GREETER) == {}


@pytest.mark.parametrize(
    ("change", "wakes"),
    [({}, False), ({"metadata": {"generation": 2}, "paused": True}, True)],
    ids=["status alone", "somebody steered it"],
)
def test_the_answer_to_our_status_wakes_only_for_what_people_did(
    store: Store, woken: Woken, change: dict[str, Any], *, wakes: bool
) -> None:
    """The watch tells nothing more of what is in the answer already."""
    store.put_subject(AGENT_UPGRADE, known())
    woken.clear()

    store.put_subject(AGENT_UPGRADE, known(2, status={"phase": "Pending"}, **change), own=True)

    assert bool(woken) is wakes


def test_an_upgrade_that_waits_for_another_is_woken_through_its_agent(
    store: Store, woken: Woken
) -> None:
    """Our own write says that the first has succeeded."""
    store.put_subject(AGENT_UPGRADE, known(1, "first", targetRef={"name": "writer"}))
    store.put_subject(AGENT_UPGRADE, known(2, "second", dependsOn=["first"]))
    woken.clear()

    done = known(3, "first", targetRef={"name": "writer"}, status={"phase": "Succeeded"})
    store.put_subject(AGENT_UPGRADE, done, own=True)

    assert woken == [GREETER]


def test_an_agent_of_the_same_name_wakes_no_upgrade(store: Store, woken: Woken) -> None:
    """Upgrades depend on upgrades."""
    store.put_subject(AGENT_UPGRADE, known(2, "second", dependsOn=["writer"]))
    woken.clear()

    store.put_subject(AGENT, raw_agent("writer"))

    assert woken == [WRITER]


def test_an_upgrade_that_is_not_understood_still_finds_its_agent(
    store: Store, woken: Woken
) -> None:
    """So that it can be told there."""
    store.put_subject(AGENT_UPGRADE, known(targetRef={"name": "writer"}, priority="high"))

    record = store.upgrades(WRITER)["u"]
    assert woken == [WRITER]
    assert record.unreadable.startswith("spec.priority")


@pytest.mark.parametrize("name", ["", "Not A Name", "x" * 64])
def test_an_upgrade_for_nobody_is_known(store: Store, name: str) -> None:
    """Older CRDs may have let it in, and one object must not end the loop that reads them all."""
    store.put_subject(AGENT_UPGRADE, known(targetRef={"name": name}))

    assert store.upgrades(Key("default", name))["u"].unreadable.startswith("spec.targetRef.name")


def test_a_list_of_upgrades_forgets_no_agent(store: Store) -> None:
    """Each kind is listed for itself."""
    store.put_subject(AGENT, raw_agent())
    store.put_subject(AGENT_UPGRADE, known())

    store.retain_subjects(AGENT_UPGRADE, {}, 5, None)

    assert (store.count(AGENT), store.count(AGENT_UPGRADE)) == (1, 0)


async def test_traffic_of_an_agent_has_routes_watched_until_nobody_is_left(store: Store) -> None:
    """The spec says which route; an Agent that is gone is served through none."""
    route = {
        "metadata": {"name": "greeter", "namespace": "default", "uid": "r", "resourceVersion": "3"},
        "spec": {},
    }
    before = store.routes.wanted.is_set()
    store.put_subject(AGENT, raw_agent(traffic={"parentRefs": [{"name": "gate"}]}))
    store.put(HTTP_ROUTE, route)
    found = set(store.routes.of(GREETER))

    store.drop_subject(AGENT, GREETER, 5)

    assert (before, store.routes.wanted.is_set()) == (False, True)
    assert found == {(HTTP_ROUTE, GREETER)}
    assert store.routes.of(GREETER) == {}
    assert store.count(HTTP_ROUTE) == 1
