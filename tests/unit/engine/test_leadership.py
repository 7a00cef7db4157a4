"""At most one process leads, and another takes over when it is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.twin import NOON, Twin
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Forbidden, Unreachable
from agentherd.domain.kinds import LEASE, Key
from agentherd.engine.leadership import (
    DURATION,
    PERIOD,
    RENEW_DEADLINE,
    Elector,
    Sighting,
    claim,
)

KEY = Key("agentherd", "agentherd")


def lease(holder: str | None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"holderIdentity": holder} | spec}


def wanted(found: dict[str, Any] | None, *, seen_for: float | None = None) -> dict[str, Any] | None:
    seen = None if seen_for is None else Sighting("7", 100 - seen_for)
    return claim(found, key=KEY, identity="me", seen=seen, now=NOON, loop_time=100)


@pytest.mark.parametrize(
    ("found", "seen_for", "taken"),
    [
        (None, None, True),
        (lease("me"), None, True),
        (lease(""), None, True),
        (lease(None), None, True),
        ({"metadata": {}, "spec": None}, None, True),
        (lease("other"), None, False),
        (lease("other"), DURATION - 1, False),
        (lease("other"), DURATION, True),
        (lease("other", leaseDurationSeconds=60), DURATION, False),
        (lease("other", leaseDurationSeconds=1), 1, True),
    ],
    ids=[
        "none",
        "mine",
        "given back",
        "no holder",
        "empty",
        "just seen",
        "not yet",
        "expired",
        "longer",
        "shorter",
    ],
)
def test_a_lease_is_taken_when_nobody_holds_it(
    found: dict[str, Any] | None, seen_for: float | None, *, taken: bool
) -> None:
    """Expired is one that was not renewed for its duration since we first saw it so."""
    assert (wanted(found, seen_for=seen_for) is not None) is taken


def test_a_lease_that_changes_hands_counts_it() -> None:
    """And says since when."""
    made = wanted(lease("other", leaseTransitions=3, acquireTime="x"), seen_for=DURATION)

    assert made is not None
    assert made["spec"]["leaseTransitions"] == 4
    assert made["spec"]["acquireTime"] == "2026-11-21T12:00:00.000000Z"
    assert made["metadata"]["resourceVersion"] == "7"


def test_a_lease_that_is_renewed_keeps_its_beginning() -> None:
    """Only the time of renewal moves."""
    made = wanted(lease("me", leaseTransitions=3, acquireTime="x"))

    assert made is not None
    assert (made["spec"]["leaseTransitions"], made["spec"]["acquireTime"]) == (3, "x")
    assert made["spec"]["renewTime"] == "2026-11-21T12:00:00.000000Z"


def test_the_first_lease_has_changed_hands_never() -> None:
    """It is made under the name that was given."""
    made = wanted(None)

    assert made is not None
    assert made["spec"]["leaseTransitions"] == 0
    assert made["metadata"] == {"name": "agentherd", "namespace": "agentherd"}


# On a server


def elector(twin: Twin, identity: str) -> Elector:
    return Elector(twin, key=KEY, identity=identity, clock=loop_clock)


def now() -> float:
    return asyncio.get_running_loop().time()


def holder(twin: Twin) -> str:
    identity: str = twin.live(LEASE, KEY.name, KEY.namespace)["spec"]["holderIdentity"]
    return identity


async def test_the_first_to_come_leads(twin: Twin) -> None:
    """And says so in the Lease."""
    one = elector(twin, "one")

    await one.acquire()

    assert holder(twin) == "one"
    assert one.contact == one.turn == now()


async def test_another_takes_over_when_the_holder_is_gone(twin: Twin) -> None:
    """After the duration by its own clock, whatever the clock of the holder said."""
    await elector(twin, "one").acquire()
    began = now()
    two = elector(twin, "two")

    await two.acquire()

    assert holder(twin) == "two"
    assert DURATION <= now() - began <= DURATION + PERIOD


async def test_a_holder_that_renews_is_not_overtaken(twin: Twin) -> None:
    """However long it holds."""
    one, two = elector(twin, "one"), elector(twin, "two")
    await one.acquire()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.hold()), group.create_task(two.acquire())]
        await asyncio.sleep(600)
        done = [task.done() for task in tasks]
        for task in tasks:
            task.cancel()

    assert done == [False, False]
    assert holder(twin) == "one"


async def test_a_lease_that_is_given_back_is_taken_at_once(twin: Twin) -> None:
    """A rolling update waits for no timeout."""
    one, two = elector(twin, "one"), elector(twin, "two")
    await one.acquire()
    began = now()

    await one.release()
    await two.acquire()

    assert now() == began


@pytest.mark.parametrize("state", ["never held", "held by another"])
async def test_what_is_not_held_is_not_given_back(twin: Twin, state: str) -> None:
    """Nobody is robbed of it."""
    one, two = elector(twin, "one"), elector(twin, "two")
    if "another" in state:
        await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        await asyncio.sleep(PERIOD / 2)
        waiting.cancel()

    writes = twin.writes
    await two.release()

    assert twin.writes == writes


async def test_a_lease_is_given_back_though_its_last_renewal_was_cut_off(twin: Twin) -> None:
    """It was written, and the answer was not waited for."""
    one, two = elector(twin, "one"), elector(twin, "two")
    await one.acquire()
    renewed = {"spec": {"renewTime": "2026-11-22T05:00:00.000000Z"}}
    twin.edit(LEASE, KEY.name, renewed, namespace=KEY.namespace)
    began = now()

    await one.release()
    await two.acquire()

    assert now() == began


async def test_a_lease_that_cannot_be_given_back_expires(
    twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a process does not hang on it."""
    one = elector(twin, "one")
    await one.acquire()
    twin.interrupt(twin.writes + 1, "before", Unreachable("no answer"))

    await one.release()

    assert "is not given back" in caplog.text


async def test_a_holder_that_is_robbed_stops_at_once(twin: Twin) -> None:
    """Somebody wrote another name into the Lease."""
    one = elector(twin, "one")
    await one.acquire()
    began = now()
    twin.edit(LEASE, KEY.name, {"spec": {"holderIdentity": "two"}}, namespace=KEY.namespace)

    await one.hold()

    assert now() - began <= 2 * PERIOD


async def test_a_holder_survives_a_change_of_its_lease_by_others(twin: Twin) -> None:
    """A conflict is read and written again."""
    one = elector(twin, "one")
    await one.acquire()
    twin.edit(LEASE, KEY.name, {"metadata": {"labels": {"a": "b"}}}, namespace=KEY.namespace)

    task = asyncio.create_task(one.hold())
    await asyncio.sleep(60)
    held = not task.done()
    task.cancel()

    assert held
    assert holder(twin) == "one"


async def test_two_that_come_together_do_not_both_lead(twin: Twin) -> None:
    """The server lets one write win."""
    one, two = elector(twin, "one"), elector(twin, "two")
    tasks = [asyncio.create_task(one.acquire()), asyncio.create_task(two.acquire())]

    await asyncio.sleep(PERIOD)
    done = [task.done() for task in tasks]
    for task in tasks:
        task.cancel()

    assert sorted(done) == [False, True]


class Ailing(Twin):
    """A server that fails the reads and writes of a Lease as it is told."""

    error: Exception | None = None
    hanging = False

    async def replace(self, *args: Any, **kwargs: Any) -> Any:
        await self._suffer()
        return await super().replace(*args, **kwargs)

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        await self._suffer()
        return await super().get(*args, **kwargs)

    async def _suffer(self) -> None:
        if self.hanging:
            await asyncio.sleep(3600)
        if self.error:
            raise self.error


@pytest.mark.parametrize("fails_for", [0.0, 1.0, 4.0, 7.9, 8.1, 9.5])
@pytest.mark.parametrize("error", [Unreachable("no answer"), Forbidden("no")])
async def test_a_holder_stops_before_others_may_take_over(
    fails_for: float, error: Exception
) -> None:
    """However the server fails: at first with errors, then with silence."""
    twin = Ailing(loop_clock)
    one = elector(twin, "one")
    await one.acquire()
    renewed = now()
    twin.error = error

    task = asyncio.create_task(one.hold())
    await asyncio.sleep(fails_for)
    twin.hanging = True
    await task

    assert now() - renewed <= RENEW_DEADLINE


async def test_a_term_counts_from_the_lease_and_not_from_its_first_renewal(twin: Twin) -> None:
    """What is done in between takes time as well."""
    ailing = Ailing(loop_clock)
    one = elector(ailing, "one")
    await one.acquire()
    acquired = now()
    ailing.hanging = True
    await asyncio.sleep(5)

    await one.hold()

    assert now() - acquired <= RENEW_DEADLINE


async def test_a_server_that_comes_back_in_time_costs_nothing() -> None:
    """A short outage does not end the term."""
    twin = Ailing(loop_clock)
    one = elector(twin, "one")
    await one.acquire()

    task = asyncio.create_task(one.hold())
    twin.error = Unreachable("no answer")
    await asyncio.sleep(6)
    twin.error = None
    await asyncio.sleep(60)
    held = not task.done()
    task.cancel()

    assert held


async def test_whoever_waits_turns_although_the_server_is_silent() -> None:
    """The endpoint for liveness looks at these turns."""
    twin = Ailing(loop_clock)
    twin.hanging = True
    one = elector(twin, "one")

    task = asyncio.create_task(one.acquire())
    await asyncio.sleep(60)
    task.cancel()

    assert one.turn is not None
    assert now() - one.turn <= RENEW_DEADLINE
    assert one.contact is None
