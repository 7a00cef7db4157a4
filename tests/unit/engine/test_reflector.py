"""A reflector misses nothing, whatever happens to its watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.twin import Twin
from tests.twin.rig import shared_metrics

from agentherd.domain.errors import Expired, Unreachable
from agentherd.domain.kinds import AGENT, SERVICE, Key
from agentherd.engine.reflector import FIRST_DELAY, LAST_DELAY, Reflector
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")
OURS = {"app.kubernetes.io/managed-by": "agentherd", "agentherd.dev/agent": "greeter"}


@pytest.fixture
def store() -> Store:
    return Store(AGENT, wake=lambda _key: None)


def service(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default", "labels": OURS}}


@asynccontextmanager
async def running(twin: Twin, store: Store) -> AsyncIterator[Reflector]:
    reflector = Reflector(SERVICE, cluster=twin, sink=store, metrics=shared_metrics())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reflector.run())
        await asyncio.sleep(LAST_DELAY)
        yield reflector
        task.cancel()


def known(store: Store) -> set[str]:
    return set(store.children(GREETER, SERVICE))


def asked(twin: Twin, verb: str) -> int:
    return sum(request.verb == verb for request in twin.requests)


async def test_a_list_of_several_pages_is_taken_in_whole(twin: Twin, store: Store) -> None:
    """Only what carries our label."""
    for name in "abc":
        twin.put(SERVICE, service(name))
    twin.put(SERVICE, {"metadata": {"name": "theirs", "namespace": "default"}})

    async with running(twin, store) as reflector:
        assert known(store) == {"a", "b", "c"}
        assert reflector.synced.is_set()


async def test_changes_are_followed(twin: Twin, store: Store) -> None:
    """What is made, what goes, and what leaves our label behind."""
    for name in "abc":
        twin.put(SERVICE, service(name))

    async with running(twin, store):
        twin.put(SERVICE, service("d"))
        twin.remove(SERVICE, "a")
        twin.edit(SERVICE, "b", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "other"}}})
        await asyncio.sleep(1)

        assert known(store) == {"c", "d"}


async def test_a_watch_that_ends_is_taken_up_where_it_ended(twin: Twin, store: Store) -> None:
    """The server ends each after some minutes; that costs no list."""
    async with running(twin, store):
        twin.bookmark()
        await asyncio.sleep(1)
        twin.end_watches()
        twin.put(SERVICE, service("a"))
        await asyncio.sleep(1)

        assert known(store) == {"a"}
        assert (asked(twin, "LIST"), asked(twin, "WATCH")) == (1, 2)


async def test_a_deletion_during_an_expired_watch_is_found(twin: Twin, store: Store) -> None:
    """410 means a new list, and the list tells what is missing."""
    twin.put(SERVICE, service("a"))

    async with running(twin, store):
        twin.remove(SERVICE, "a")
        twin.put(SERVICE, service("b"))
        twin.expire()
        await asyncio.sleep(1)

        assert known(store) == {"b"}
        assert asked(twin, "LIST") == 2


async def test_a_silent_watch_begins_anew_without_a_word(
    twin: Twin, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Without bookmarks the version it began with is too old once it ends, every time."""
    caplog.set_level("INFO")

    async with running(twin, store):
        twin.end_watches()
        twin.expire()
        twin.put(SERVICE, service("a"))
        await asyncio.sleep(1)

        assert known(store) == {"a"}
        assert caplog.messages == []


async def test_a_list_that_expires_is_begun_anew(twin: Twin, store: Store) -> None:
    """A list that took too long gets 410 for its next page."""
    twin.outages.append(Expired("the continue token is too old"))

    async with running(twin, store) as reflector:
        assert reflector.synced.is_set()


async def test_an_unreachable_server_is_asked_less_and_less_often(twin: Twin, store: Store) -> None:
    """And at least every ten seconds."""
    twin.outages.extend(Unreachable("no answer") for _ in range(100))

    async with running(twin, store) as reflector:
        early = asked(twin, "LIST")
        await asyncio.sleep(100)
        late = asked(twin, "LIST") - early

        assert not reflector.synced.is_set()
        assert 4 <= early <= 12
        assert 10 <= late <= 21


async def test_a_server_that_is_back_is_noticed(twin: Twin, store: Store) -> None:
    """Without anybody's help."""
    twin.put(SERVICE, service("a"))
    twin.outages.extend(Unreachable("no answer") for _ in range(3))

    async with running(twin, store):
        assert known(store) == {"a"}


async def test_a_watch_that_fails_is_tried_again_without_a_new_list(
    twin: Twin, store: Store
) -> None:
    """Ten thousand Agents are not read anew because a connection broke."""
    async with running(twin, store):
        twin.outages.extend(Unreachable("no answer") for _ in range(3))
        twin.end_watches()
        twin.put(SERVICE, service("a"))
        await asyncio.sleep(LAST_DELAY)

        assert known(store) == {"a"}
        assert asked(twin, "LIST") == 1
        assert asked(twin, "WATCH") == 5
        assert FIRST_DELAY < LAST_DELAY
