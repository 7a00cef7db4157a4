"""Whether approvals are checked is seen by trying to forge one, and known for a while only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from tests.twin import Twin

from agentherd.domain.errors import AgentherdError, Forbidden, Invalid, Unreachable
from agentherd.domain.kinds import AGENT_UPGRADE, Key
from agentherd.engine.approvals import FRESH_SECONDS, RETRY_SECONDS, Approvals

GREETER = Key("default", "greeter")
OTHER = Key("default", "other")
AWAY = Key("elsewhere", "greeter")


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
async def approvals(twin: Twin, woken: list[Key]) -> AsyncIterator[Approvals]:
    found = Approvals(twin, wake=woken.append)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def tries(twin: Twin) -> list[Key]:
    return [request.key for request in twin.requests if request.verb == "DRY_RUN"]


async def test_nothing_is_asked_before_somebody_has_to_know(
    approvals: Approvals, twin: Twin
) -> None:
    """An operator whose Agents need no approval sends nothing."""
    await asyncio.sleep(60)

    assert twin.requests == []


async def test_a_server_that_refuses_a_forgery_checks_approvals(
    approvals: Approvals, twin: Twin, woken: list[Key]
) -> None:
    """Whoever has asked is woken with the answer, which cost one request that stores nothing."""
    first = [approvals.checked(GREETER), approvals.checked(OTHER)]
    await asyncio.sleep(1)

    assert first == [None, None]
    assert set(woken) == {GREETER, OTHER}
    assert approvals.checked(GREETER) is True
    assert len(tries(twin)) == 1
    assert twin.all(AGENT_UPGRADE) == []


async def test_a_forgery_is_in_nobodys_name(approvals: Approvals, twin: Twin) -> None:
    """A name that the operator bears itself would be let through."""
    approvals.checked(GREETER)
    await asyncio.sleep(1)

    (request,) = [r for r in twin.requests if r.verb == "DRY_RUN"]
    body: Any = request.body
    assert body["spec"]["approval"] == {"approvedBy": "agentherd:nobody"}


async def test_a_server_that_lets_a_forgery_pass_is_asked_again(
    approvals: Approvals, twin: Twin, woken: list[Key]
) -> None:
    """Once the policies are installed nobody has to do anything more."""
    twin.forgery = None
    approvals.checked(GREETER)
    await asyncio.sleep(1)
    before = approvals.checked(GREETER)
    twin.forgery = Forbidden("needs agentupgrades/approval")
    await asyncio.sleep(RETRY_SECONDS)
    approvals.checked(GREETER)
    await asyncio.sleep(1)

    assert before is False
    assert approvals.checked(GREETER) is True
    assert len(tries(twin)) == 2


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("no answer"),
        Forbidden('cannot create resource "agentupgrades"'),
        Invalid("another policy does not like it"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_another_refusal_proves_nothing(
    approvals: Approvals, twin: Twin, woken: list[Key], error: AgentherdError
) -> None:
    """It says neither that forgeries pass nor that they do not."""
    twin.forgery = error
    approvals.checked(GREETER)
    await asyncio.sleep(1)

    assert approvals.checked(GREETER) is None
    assert woken == [GREETER]


async def test_an_answer_is_not_believed_for_long(approvals: Approvals, twin: Twin) -> None:
    """Policies may be taken away."""
    approvals.checked(GREETER)
    await asyncio.sleep(FRESH_SECONDS + 1)
    twin.forgery = None

    assert approvals.checked(GREETER) is None
    await asyncio.sleep(1)
    assert approvals.checked(GREETER) is False


async def test_each_namespace_is_asked_for_itself(approvals: Approvals, twin: Twin) -> None:
    """A binding need not be for all of them."""
    approvals.checked(GREETER)
    approvals.checked(AWAY)
    await asyncio.sleep(1)

    assert {key.namespace for key in tries(twin)} == {"default", "elsewhere"}


async def test_who_asks_while_nothing_is_proved_causes_no_storm(
    approvals: Approvals, twin: Twin
) -> None:
    """An Agent that is looked at each second asks as often as all others."""
    twin.forgery = None
    for _ in range(int(RETRY_SECONDS * 3)):
        approvals.checked(GREETER)
        await asyncio.sleep(1)

    assert 3 <= len(tries(twin)) <= 4
