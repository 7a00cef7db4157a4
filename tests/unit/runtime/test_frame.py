"""kopf's frame only turns events into what the store knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from tests.twin import Twin, raw_agent, raw_upgrade
from yarl import URL

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, Key
from agentherd.engine.fleets import Fleets
from agentherd.engine.store import Store
from agentherd.runtime import frame
from agentherd.runtime.frame import Sweeper

LISTS = "http://x/apis/agentherd.dev/v1alpha1"
LIST = f"{LISTS}/agents"


@pytest.fixture
def twin() -> Twin:
    return Twin()


@pytest.fixture
def store() -> Store:
    return Store(AGENT, wake=lambda _key: None)


async def kopf_asks(sweeper: Sweeper, url: str) -> None:
    """As aiohttp tells of a request on the session that kopf was given."""
    params = cast("aiohttp.TraceRequestEndParams", SimpleNamespace(url=URL(url)))
    (tell,) = sweeper.trace().on_request_end
    await tell(cast("aiohttp.ClientSession", None), SimpleNamespace(), params)


@asynccontextmanager
async def sweeping(sweeper: Sweeper) -> AsyncIterator[None]:
    task = asyncio.create_task(sweeper.run())
    yield
    await asyncio.sleep(0.1)
    task.cancel()


def names(store: Store) -> set[str]:
    return {key.name for key in store.subjects(AGENT)}


async def test_a_deletion_that_kopf_missed_is_found_after_its_next_list(
    twin: Twin, store: Store
) -> None:
    """kopf lists anew when its watch is broken, and tells nobody what is missing."""
    for name in ("a", "b", "c"):
        store.put_subject(AGENT, twin.put(AGENT, raw_agent(name)))
    twin.remove(AGENT, "b")
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=())

    async with sweeping(sweeper):
        await kopf_asks(sweeper, LIST)

    assert names(store) == {"a", "c"}


async def test_all_is_swept_once_every_kind_was_compared(twin: Twin, store: Store) -> None:
    """Agents without their upgrades, or upgrades without their Agents, are half of what is."""
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=())

    async with sweeping(sweeper):
        await kopf_asks(sweeper, LIST)
        await asyncio.sleep(0.1)
        after_one = sweeper.swept.is_set()
        await kopf_asks(sweeper, f"{LISTS}/agentupgrades")
        await kopf_asks(sweeper, f"{LISTS}/modeldeployments")

    assert not after_one
    assert sweeper.swept.is_set()


async def test_an_upgrade_that_kopf_has_not_told_yet_is_waited_for(
    twin: Twin, store: Store
) -> None:
    """It tells what it has listed one by one, and nothing is decided on less."""
    raw = twin.put(AGENT_UPGRADE, raw_upgrade())
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=())

    async with sweeping(sweeper):
        await kopf_asks(sweeper, LIST)
        await kopf_asks(sweeper, f"{LISTS}/agentupgrades")
        await kopf_asks(sweeper, f"{LISTS}/modeldeployments")
        await asyncio.sleep(0.3)
        before_it_is_told = sweeper.swept.is_set()
        store.put_subject(AGENT_UPGRADE, raw)
        await asyncio.sleep(0.3)

    assert not before_it_is_told
    assert sweeper.swept.is_set()


@pytest.mark.parametrize("url", [f"{LIST}?watch=true", "http://x/api/v1/namespaces"])
async def test_what_is_no_list_of_agents_starts_nothing(twin: Twin, store: Store, url: str) -> None:
    """Watches and other kinds cost no list of ours."""
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=())

    async with sweeping(sweeper):
        await kopf_asks(sweeper, url)

    assert twin.requests == []


async def test_only_the_namespaces_that_are_served_are_compared(twin: Twin, store: Store) -> None:
    """Of others the process may know nothing."""
    store.put_subject(AGENT, raw_agent("a"))
    store.put_subject(AGENT, raw_agent("b", metadata={"namespace": "other"}))
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=("default",))

    async with sweeping(sweeper):
        await kopf_asks(sweeper, LIST)

    assert names(store) == {"b"}


async def test_a_server_that_is_away_is_asked_again(twin: Twin, store: Store) -> None:
    """The comparison is owed until it was made."""
    store.put_subject(AGENT, raw_agent("a"))
    twin.outages.append(Unreachable("no answer"))
    sweeper = Sweeper(cluster=twin, fleets=Fleets([store]), namespaces=())

    async with sweeping(sweeper):
        await kopf_asks(sweeper, LIST)
        await asyncio.sleep(2)

    assert names(store) == set()


async def told(store: Store, kind: str | None, raw: dict[str, Any]) -> None:
    """Call the handler that is registered for the kind of the object, as kopf would."""
    sweeper = Sweeper(cluster=Twin(), fleets=Fleets([store]), namespaces=())
    registry = frame.handlers(Fleets([store]), sweeper, frame.settings())
    plural = f"{raw['kind'].lower()}s"
    handlers = registry._watching.get_all_handlers()
    (handler,) = (one for one in handlers if getattr(one.fn, "__name__", "") == plural)
    call = cast("Callable[..., Any]", handler.fn)
    await call(event={"type": kind, "object": raw})


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_an_agent_that_is_listed_made_or_changed_is_known(
    store: Store, kind: str | None
) -> None:
    """All three are the same news."""
    await told(store, kind, raw_agent("a"))

    assert store.subjects(AGENT)[Key("default", "a")].version == 1


async def test_an_agent_that_is_deleted_is_forgotten(store: Store) -> None:
    """As of the version of its deletion."""
    await told(store, "ADDED", raw_agent("a"))

    await told(store, "DELETED", raw_agent("a", metadata={"resourceVersion": "2"}))

    assert store.subjects(AGENT) == {}


async def test_upgrades_are_told_as_agents_are(store: Store) -> None:
    """By a handler of their own."""
    await told(store, "ADDED", raw_upgrade("u"))
    known = set(store.upgrades(Key("default", "greeter")))

    await told(store, "DELETED", raw_upgrade("u", metadata={"resourceVersion": "2"}))

    assert known == {"u"}
    assert store.upgrades(Key("default", "greeter")) == {}


def test_kopf_writes_nothing_of_its_own() -> None:
    """No Events, no annotations, nothing that it would compare later."""
    chosen = frame.settings()

    storage = chosen.persistence.diffbase_storage
    storage.store(body={}, patch={}, essence={})

    assert chosen.posting.enabled is False
    assert storage.fetch(body={}) is None
    assert dict(storage.build(body={"spec": {"a": 1}})) == {}
