"""What is due is asked once, whoever is slow meanwhile, and an answer is kept until it is used."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from tests.twin.rig import loop_clock
from yarl import URL

from agentherd.api import HTTPRequest, PrometheusQuery
from agentherd.domain.judging.metrics import Measured, Question
from agentherd.domain.kinds import Key
from agentherd.engine.sources.inquiries import AT_ONCE, SLOW, SLOW_AT_ONCE, Inquiries
from agentherd.engine.sources.web import NoAnswer, Reply, Web

GREETER, OTHER = Key("default", "greeter"), Key("default", "other")


def question(host: str, *, attempt: int = 1) -> Question:
    source = HTTPRequest(url=f"http://{host}/")
    return Question(metric=host.partition("-")[0], source=source, attempt=attempt)


@dataclass
class World:
    """Sources by their host, which answer after so many seconds, and who was asked when."""

    seconds: dict[str, float] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    woken: list[tuple[float, Key]] = field(default_factory=list)
    asking: int = 0
    most: int = 0

    async def get(self, url: URL) -> Reply:
        host = url.host or ""
        self.asked.append(host)
        self.asking += 1
        self.most = max(self.most, self.asking)
        try:
            async with asyncio.timeout(10):
                await asyncio.sleep(self.seconds.get(host, 0))
        except TimeoutError:
            raise NoAnswer("slow") from None
        finally:
            self.asking -= 1
        value = self.values.get(host, 1)
        if isinstance(value, Exception):
            raise value
        return Reply(200, value)

    def wake(self, key: Key) -> None:
        self.woken.append((asyncio.get_running_loop().time() - 1000, key))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Web]:
        yield self

    @asynccontextmanager
    async def inquiries(self) -> AsyncIterator[Inquiries]:
        found = Inquiries(wake=self.wake, clock=loop_clock, connect=self.connect)
        task = asyncio.create_task(found.run())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()


async def test_an_answer_is_kept_while_its_question_is_asked() -> None:
    """So it is not lost with a status that could not be written."""
    world = World(values={"quality": 0.9})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(1)
        answered = found.measurements(GREETER)
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(30)

        assert found.measurements(GREETER) == answered
        assert answered["quality"].value == 0.9
        assert world.asked == ["quality"]
        assert world.woken == [(0, GREETER)]


async def test_an_answer_that_was_used_is_asked_for_again_when_it_is_due() -> None:
    world = World()
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(10)
        used = found.measurements(GREETER)["quality"].at
        found.ask(GREETER, [replace(question("quality"), since=used)])
        between = found.measurements(GREETER)
        await asyncio.sleep(1)

        assert not between
        assert found.measurements(GREETER)["quality"].at == used + timedelta(seconds=10)


async def test_an_answer_is_kept_though_the_one_before_is_of_a_clock_that_was_ahead() -> None:
    """Or it would be asked for over and over until it is in the status."""
    world = World(values={"quality": 0.9})
    async with world.inquiries() as found:
        ahead = replace(question("quality"), since=loop_clock() + timedelta(minutes=5))
        found.ask(GREETER, [ahead])
        await asyncio.sleep(1)
        found.ask(GREETER, [ahead])
        await asyncio.sleep(1)

        assert found.measurements(GREETER)["quality"].value == 0.9
        assert world.asked == ["quality"]


async def test_what_is_not_asked_any_more_wakes_nobody() -> None:
    world = World(seconds={"quality": 5})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(2)
        found.ask(GREETER, [])
        await asyncio.sleep(10)

        assert not found.measurements(GREETER)
        assert not world.woken


async def test_an_answer_to_an_earlier_attempt_is_none_to_a_later_one() -> None:
    world = World(seconds={"quality": 5})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(2)
        found.ask(GREETER, [question("quality", attempt=2)])
        await asyncio.sleep(4)
        early = found.measurements(GREETER)
        await asyncio.sleep(4)

        assert not early
        assert found.measurements(GREETER)["quality"].value == 1


async def test_why_there_is_no_number_is_an_answer() -> None:
    world = World(values={"down": NoAnswer("cannot connect")})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("down")])
        await asyncio.sleep(1)

        assert found.measurements(GREETER) == {
            "down": Measured(at=loop_clock() - timedelta(seconds=1), message="cannot connect")
        }


async def test_what_is_repeated_of_an_answer_can_be_written_down() -> None:
    """JSON can hold halves of characters; a status that cannot be written would stop everything."""
    world = World(values={"prometheus": {"status": "error", "error": "\ud800"}})
    asked = replace(
        question("query"), source=PrometheusQuery(address="http://prometheus", query="up")
    )
    async with world.inquiries() as found:
        found.ask(GREETER, [asked])
        await asyncio.sleep(1)

        told = found.measurements(GREETER)["query"].message
    assert told == "prometheus cannot evaluate the query: ?"


async def test_each_kind_of_source_is_asked_in_its_own_words() -> None:
    scalar = {"data": {"resultType": "scalar", "result": [0, "3"]}}
    world = World(values={"prometheus": scalar, "quality": 0.9})
    query = PrometheusQuery(address="http://prometheus", query="3")
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality"), replace(question("errors"), source=query)])
        await asyncio.sleep(1)

        answers = found.measurements(GREETER)
        assert {name: answer.value for name, answer in answers.items()} == {
            "quality": 0.9,
            "errors": 3,
        }


async def test_a_bug_costs_one_answer_only(caplog: pytest.LogCaptureFixture) -> None:
    world = World(values={"bad": ZeroDivisionError()})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("bad"), question("good")])
        await asyncio.sleep(1)

        answers = found.measurements(GREETER)
        assert (answers["bad"].value, answers["good"].value) == (None, 1)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("slow", [1, AT_ONCE, AT_ONCE + SLOW_AT_ONCE])
async def test_slow_sources_cost_others_seconds_at_most(slow: int) -> None:
    """However many there are: each makes room after a second."""
    hosts = [f"slow-{number}" for number in range(slow)]
    world = World(seconds=dict.fromkeys(hosts, 30.0))
    async with world.inquiries() as found:
        for number, host in enumerate(hosts):
            found.ask(Key("default", f"slow-{number}"), [question(host)])
        found.ask(OTHER, [question("quick")])
        await asyncio.sleep(60)

        told = {key: at for at, key in world.woken}
        assert told[OTHER] <= math.ceil(slow / AT_ONCE) * SLOW
        assert len(told) == slow + 1
        assert world.most <= AT_ONCE + SLOW_AT_ONCE


async def test_slow_sources_beyond_the_room_for_them_are_given_up() -> None:
    """They say so, and are asked again like all others."""
    many = AT_ONCE + SLOW_AT_ONCE + 10
    world = World(seconds={f"slow-{number}": 9.0 for number in range(many)})
    async with world.inquiries() as found:
        for number in range(many):
            found.ask(Key("default", f"slow-{number}"), [question(f"slow-{number}")])
        await asyncio.sleep(60)
        answers = [
            found.measurements(Key("default", f"slow-{number}"))["slow"] for number in range(many)
        ]

    given_up = [answer.message for answer in answers if answer.value is None]
    assert len(given_up) == many - SLOW_AT_ONCE
    assert set(given_up) == {"no answer within 1 s, and too many other sources are slow"}


@pytest.mark.parametrize("seconds", [0.5, 3])
async def test_nothing_is_asked_after_the_end(seconds: float) -> None:
    """Neither among the quick nor among the slow."""
    world = World(seconds={"quality": 5})
    async with world.inquiries() as found:
        found.ask(GREETER, [question("quality")])
        await asyncio.sleep(seconds)
    await asyncio.sleep(0)

    assert world.asking == 0
