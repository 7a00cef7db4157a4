"""Routes are watched from the first that is needed, and wake those whom they concern."""

from __future__ import annotations

from typing import Any

import pytest

from agentherd.api import Traffic
from agentherd.domain.kinds import AGENT, CANARY_ANNOTATION, GRPC_ROUTE, HTTP_ROUTE, Key
from agentherd.engine import tombstones
from agentherd.engine.routes import Routes

GREETER, WRITER = Key("default", "greeter"), Key("default", "writer")
SHARED = Key("default", "shared")
OWN = Traffic.model_validate({"parentRefs": [{"name": "gate"}]})
REFERENCE = Traffic.model_validate({"routeRef": {"name": "shared"}})
Woken = list[Key]


@pytest.fixture
def woken() -> Woken:
    return []


@pytest.fixture
def routes(woken: Woken) -> Routes:
    return Routes(AGENT, woken.append)


def route(
    name: str = "shared", version: int = 10, *, weight: int = 1, canaries: str = ""
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "annotations": {CANARY_ANNOTATION: canaries} if canaries else {},
        },
        "spec": {"rules": [{"backendRefs": [{"name": "greeter", "weight": weight}]}]},
    }


async def test_nobody_asks_for_routes_before_an_agent_needs_one(routes: Routes) -> None:
    """The cluster need not have their definitions."""
    routes.use(GREETER, None)

    assert not routes.wanted.is_set()


@pytest.mark.parametrize("traffic", [OWN, REFERENCE], ids=["own", "shared"])
async def test_the_first_agent_with_traffic_has_routes_watched(
    routes: Routes, traffic: Traffic
) -> None:
    """Its own, or one that a person wrote; and on from then, also when it needs none any more."""
    routes.use(GREETER, traffic)
    routes.use(GREETER, None)

    assert routes.wanted.is_set()


async def test_a_route_wakes_all_who_are_served_through_it(routes: Routes, woken: Woken) -> None:
    """And is found by each of them."""
    routes.use(GREETER, REFERENCE)
    routes.use(WRITER, REFERENCE)

    routes.put(HTTP_ROUTE, route())

    assert sorted(woken) == [GREETER, WRITER]
    assert [list(routes.of(agent)) for agent in (GREETER, WRITER)] == [[(HTTP_ROUTE, SHARED)]] * 2


async def test_a_route_of_nobody_wakes_nobody(routes: Routes, woken: Woken) -> None:
    """Most routes of a cluster are not our business."""
    routes.use(GREETER, OWN)

    routes.put(HTTP_ROUTE, route())

    assert woken == []


async def test_an_agent_that_left_a_route_in_the_middle_still_finds_it(
    routes: Routes, woken: Woken
) -> None:
    """The mark says that something of its canary is in there."""
    routes.use(GREETER, REFERENCE)
    routes.put(HTTP_ROUTE, route(canaries="greeter"))
    routes.use(GREETER, None)
    woken.clear()

    routes.put(HTTP_ROUTE, route(version=11, weight=2, canaries="greeter"))

    assert woken == [GREETER]
    assert list(routes.of(GREETER)) == [(HTTP_ROUTE, SHARED)]


async def test_a_route_without_the_mark_is_forgotten_by_who_left_it(routes: Routes) -> None:
    """It has been put right."""
    routes.put(HTTP_ROUTE, route(canaries="greeter"))
    routes.put(HTTP_ROUTE, route(version=11))

    assert routes.of(GREETER) == {}


async def test_an_agent_that_goes_over_to_another_route_is_not_woken_by_the_first(
    routes: Routes, woken: Woken
) -> None:
    """What it refers to is what counts."""
    routes.use(GREETER, REFERENCE)
    routes.use(GREETER, OWN)

    routes.put(HTTP_ROUTE, route())

    assert woken == []


async def test_the_kind_belongs_to_the_address(routes: Routes, woken: Woken) -> None:
    """A GRPCRoute of the same name is another route."""
    routes.use(GREETER, REFERENCE)

    routes.put(GRPC_ROUTE, route())

    assert (woken, routes.of(GREETER)) == ([], {})
    assert (routes.count(GRPC_ROUTE), routes.count(HTTP_ROUTE)) == (1, 0)


@pytest.mark.parametrize(
    "news", [{"version": 10, "weight": 2}, {"version": 9, "weight": 2}, {"version": 11}]
)
async def test_what_is_old_or_the_same_wakes_nobody(
    routes: Routes, woken: Woken, news: dict[str, Any]
) -> None:
    """A Gateway writes into the status of its routes again and again."""
    routes.use(GREETER, REFERENCE)
    routes.put(HTTP_ROUTE, route(version=10))
    woken.clear()

    routes.put(HTTP_ROUTE, route(**news))

    assert woken == []


async def test_our_own_write_wakes_nobody(routes: Routes, woken: Woken) -> None:
    """It follows from what is known already; what others change in it does wake."""
    routes.use(GREETER, REFERENCE)
    routes.put(HTTP_ROUTE, route())
    woken.clear()

    routes.put(HTTP_ROUTE, route(version=11, weight=2), own=True)
    routes.put(HTTP_ROUTE, route(version=11, weight=2))
    after_ours = list(woken)
    routes.put(HTTP_ROUTE, route(version=12, weight=3))

    assert (after_ours, woken) == ([], [GREETER])


async def test_a_route_that_we_have_just_made_wakes_its_agent(routes: Routes, woken: Woken) -> None:
    """An upgrade that missed it goes on, and says so."""
    routes.use(GREETER, OWN)

    routes.put(HTTP_ROUTE, route("greeter"), own=True)

    assert woken == [GREETER]


async def test_a_route_that_is_deleted_wakes_and_leaves_no_ghost(
    routes: Routes, woken: Woken
) -> None:
    """A late answer of before does not bring it back."""
    routes.use(GREETER, REFERENCE)
    routes.put(HTTP_ROUTE, route(version=10))
    routes.drop(HTTP_ROUTE, SHARED, 12)
    woken_by_the_end = woken[1:]

    routes.put(HTTP_ROUTE, route(version=11), own=True)

    assert woken_by_the_end == [GREETER]
    assert routes.of(GREETER) == {}


async def test_a_route_that_was_never_seen_leaves_no_ghost_either(routes: Routes) -> None:
    """The answer to the write that made it may come after the news of its end."""
    routes.use(GREETER, REFERENCE)
    routes.drop(HTTP_ROUTE, SHARED, 12)

    routes.put(HTTP_ROUTE, route(version=11), own=True)
    ghost = routes.of(GREETER)
    routes.put(HTTP_ROUTE, route(version=13))

    assert ghost == {}
    assert list(routes.of(GREETER)) == [(HTTP_ROUTE, SHARED)]


async def test_the_memory_of_deleted_routes_is_bounded(
    routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a cluster come and go, and most of them are not ours."""
    monkeypatch.setattr(tombstones, "REMEMBERED", 1)
    routes.use(GREETER, REFERENCE)
    for name in ("shared", "other"):
        routes.drop(HTTP_ROUTE, Key("default", name), 12)

    routes.put(HTTP_ROUTE, route(version=11))

    assert list(routes.of(GREETER)) == [(HTTP_ROUTE, SHARED)]


async def test_a_list_finds_the_routes_that_went_unseen(routes: Routes) -> None:
    """Of its kind and its namespace only."""
    routes.use(GREETER, REFERENCE)
    for kind in (HTTP_ROUTE, GRPC_ROUTE):
        routes.put(kind, route())

    routes.replace(HTTP_ROUTE, [], 20, "elsewhere")
    kept = routes.count(HTTP_ROUTE)
    routes.replace(HTTP_ROUTE, [], 20, "default")

    assert kept == 1
    assert (routes.count(HTTP_ROUTE), routes.count(GRPC_ROUTE)) == (0, 1)


def test_whoever_uses_a_route_is_told_that_all_kinds_are_known(
    routes: Routes, woken: Woken
) -> None:
    """The last kind to be read may hold nothing, or not exist; somebody may wait for it."""
    routes.use(GREETER, OWN)
    routes.put(HTTP_ROUTE, route(canaries="writer"))
    woken.clear()

    routes.wake_all()

    assert set(woken) == {GREETER, WRITER}


def test_nothing_stays_of_agents_and_routes_that_are_gone(routes: Routes) -> None:
    """They come and go under ever new names, for as long as the operator runs."""
    routes.use(GREETER, REFERENCE)
    routes.put(HTTP_ROUTE, route(canaries="writer"))
    routes.use(GREETER, None)
    routes.drop(HTTP_ROUTE, SHARED, 11)

    kept = {name: each for name, each in vars(routes).items() if isinstance(each, dict) and each}

    assert kept == {}
