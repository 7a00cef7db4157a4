"""Pods are looked at every second, whatever they answer; what is no number is no reading."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import Key
from agentherd.domain.readings import WINDOW, Counters, Target
from agentherd.engine.exposition import total
from agentherd.engine.scraper import (
    AT_ONCE,
    AT_ONCE_PER_AGENT,
    BODY_LIMIT,
    TIMEOUT,
    Client,
    Scraper,
    over_http,
)

GREETER, OTHER = Key("default", "greeter"), Key("default", "other")
NAME = "http_requests_total"


def target(
    uid: str,
    *,
    url: str = "",
    requests: str = NAME,
    health: str | None = None,
    figures: bool = False,
) -> Target:
    counters = Counters(
        url=url or f"http://{uid}/metrics",
        requests=requests,
        in_flight="http_requests_in_flight",
        error_label="code",
        error_values=("5xx",),
        latency="http_request_duration_seconds",
        figures=figures,
        accuracy="model_accuracy" if figures else None,
    )
    return Target(uid=uid, counters=counters, health=health)


def checked(uid: str) -> Target:
    """A pod without metrics."""
    return Target(uid=uid, health=f"http://{uid}/healthz")


def exposition(requests: object, in_flight: object = 0) -> str:
    return f"{NAME} {requests}\nhttp_requests_in_flight {in_flight}\n"


async def hangs() -> str | None:
    await asyncio.sleep(math.inf)
    return None


# What a scraper does in time, with pods that are functions


Pod = Callable[[], Awaitable[str | None]]
"""What a pod has to tell: the text of its metrics, or the status of its health as a text."""


@dataclass
class World:
    """Pods by the host in their URL, and what was done with them."""

    pods: dict[str, Pod] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    woken: list[tuple[float, Key]] = field(default_factory=list)
    asking: int = 0
    most: int = 0

    def serve(self, uid: str, *texts: str | None) -> None:
        """A pod that gives these answers, and the last of them from then on."""
        rest = iter(texts)

        async def answer() -> str | None:
            return next(rest, texts[-1])

        self.pods[uid] = answer

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        yield self

    async def status(self, url: str) -> int | None:
        told = await self.text(url)
        return int(told) if told is not None else None

    async def text(self, url: str) -> str | None:
        uid = url.split("/")[2]
        self.asked.append((asyncio.get_running_loop().time(), uid))
        self.asking += 1
        self.most = max(self.most, self.asking)
        try:
            return await self.pods[uid]()
        finally:
            self.asking -= 1

    def wake(self, key: Key) -> None:
        self.woken.append((asyncio.get_running_loop().time(), key))


@asynccontextmanager
async def scraping(world: World) -> AsyncIterator[Scraper]:
    scraper = Scraper(wake=world.wake, clock=loop_clock, connect=world.connect)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scraper.run())
        yield scraper
        task.cancel()


async def test_every_pod_is_looked_at_once_a_second_and_its_agent_woken() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10, 4), exposition(30, 2))
    world.serve("b", exposition(7))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a"), target("b")])
        await asyncio.sleep(2.5)
        readings = scraper.readings(GREETER)

    assert {uid: reading.recent for uid, reading in readings.items()} == {"a": 30, "b": 0}
    assert (readings["a"].in_flight, readings["a"].since_last) == (2, 20)
    assert [at - world.woken[0][0] for at, key in world.woken] == [0, 1, 2]


async def test_a_reading_tells_the_time_of_day_of_the_latest_answer() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10), None)

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a")])
        await asyncio.sleep(1.5)
        latest = loop_clock().replace(microsecond=0)
        await asyncio.sleep(5)
        reading = scraper.readings(GREETER)["a"]

    assert abs((reading.at - latest).total_seconds()) <= 1
    assert reading.recent == 10


async def test_a_pod_that_disappears_is_forgotten_after_the_window() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10), None)
    world.serve("b", exposition(0))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a"), target("b")])
        await asyncio.sleep(WINDOW + 3)

        assert set(scraper.readings(GREETER)) == {"b"}


async def test_a_pod_that_comes_back_is_read_again() -> None:
    """Its container was restarted, so its counter has begun at 0."""
    world = World()
    world.serve("a", exposition(100), None, None, exposition(5))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a")])
        await asyncio.sleep(3.5)

        assert scraper.readings(GREETER)["a"].recent == 5


async def test_following_the_same_pods_again_changes_nothing() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10))

    async with scraping(world) as scraper:
        for _ in range(15):
            scraper.follow(GREETER, [target("a")])
            await asyncio.sleep(0.1)

        assert scraper.readings(GREETER)["a"].recent == 10
    assert len(world.asked) == 2


async def test_pods_come_and_go_without_touching_what_is_known_of_the_others() -> None:
    world = World()
    for uid in "abc":
        world.serve(uid, exposition(0), exposition(10))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a"), target("b")])
        await asyncio.sleep(1.5)
        scraper.follow(GREETER, [target("b"), target("c")])
        await asyncio.sleep(1)
        readings = scraper.readings(GREETER)

    assert {uid: reading.recent for uid, reading in readings.items()} == {"b": 10, "c": 0}


async def test_another_metric_of_the_same_pod_is_counted_from_the_beginning() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10) + "calls_total 5000\n")

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a")])
        await asyncio.sleep(1.5)
        scraper.follow(GREETER, [target("a", requests="calls_total")])
        await asyncio.sleep(1)

        assert scraper.readings(GREETER)["a"].recent == 0


async def test_what_is_not_followed_any_more_is_left_alone_and_forgotten() -> None:
    world = World()
    world.serve("a", exposition(0), exposition(10))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a")])
        await asyncio.sleep(1.5)
        scraper.follow(GREETER, [])
        asked, woken = len(world.asked), len(world.woken)
        await asyncio.sleep(3)

        assert scraper.readings(GREETER) == {}
    assert (len(world.asked), len(world.woken)) == (asked, woken)


async def test_an_agent_that_is_let_go_during_a_round_is_not_woken() -> None:
    world = World(pods={"a": hangs})

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a")])
        await asyncio.sleep(TIMEOUT / 2)
        scraper.follow(GREETER, ())
        await asyncio.sleep(2)

    assert world.woken == []


async def test_nothing_is_known_of_an_agent_that_was_never_followed() -> None:
    scraper = Scraper(wake=World().wake, clock=loop_clock)

    scraper.follow(GREETER, [])

    assert scraper.readings(GREETER) == {}


async def test_a_row_of_failing_answers_is_counted() -> None:
    """One that cannot be had is not bad: it neither counts nor ends the row."""
    world = World()
    world.serve("a", "200", "503", None, "500", None)

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [checked("a")])
        await asyncio.sleep(5.5)
        checks = scraper.checks(GREETER)["a"]

    assert (checks.failures, checks.status) == (2, 500)
    assert scraper.readings(GREETER) == {}


async def test_a_healthy_agent_without_metrics_is_looked_at_and_not_woken() -> None:
    """There is nothing new to decide on, until a check fails."""
    world = World()
    world.serve("a", "200", "200", "200", "503")

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [checked("a")])
        await asyncio.sleep(2.5)
        before = len(world.woken)
        await asyncio.sleep(1)

    assert (before, len(world.woken)) == (0, 1)


async def test_metrics_and_health_of_a_pod_do_not_wait_for_each_other() -> None:
    world = World(pods={"metrics": hangs})
    world.serve("a", "200", "503")
    world.serve("b", exposition(0), exposition(10))
    world.pods["health"] = hangs

    async with scraping(world) as scraper:
        scraper.follow(
            GREETER,
            [
                target("a", url="http://metrics/", health="http://a/"),
                target("b", health="http://health/"),
            ],
        )
        await asyncio.sleep(3.5)

        assert scraper.checks(GREETER)["a"].failures == 3
        assert scraper.readings(GREETER)["b"].recent == 10


async def test_a_pod_that_is_not_asked_any_more_keeps_its_metrics_and_forgets_its_row() -> None:
    """It was unready in between; once it is ready again the count begins anew."""
    world = World()
    world.serve("a", *(exposition(10 * n) for n in range(10)))
    world.serve("health", "503")
    asked, unasked = target("a", health="http://health/"), target("a")

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [asked])
        await asyncio.sleep(2.5)
        before = scraper.checks(GREETER)["a"].failures
        scraper.follow(GREETER, [unasked])
        between = scraper.checks(GREETER)
        scraper.follow(GREETER, [asked])
        await asyncio.sleep(1)

        assert (before, between, scraper.checks(GREETER)["a"].failures) == (3, {}, 1)
        assert scraper.readings(GREETER)["a"].recent == 30


async def test_pods_that_are_looked_at_seldom_have_their_turn_together() -> None:
    """So that one wake tells of all of them; those of another Agent have it at another time."""
    world = World(pods={})
    for uid in "abc":
        world.serve(uid, exposition(0), exposition(50), exposition(100))
    seldom = {uid: replace(target(uid, figures=True), every=10) for uid in "abc"}

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [seldom["a"]])
        scraper.follow(OTHER, [seldom["c"]])
        await asyncio.sleep(3.5)
        scraper.follow(GREETER, [seldom["a"], seldom["b"]])
        await asyncio.sleep(22)
        readings = scraper.readings(GREETER)

    at = {uid: [when for when, who in world.asked if who == uid] for uid in "abc"}
    assert at["a"][-2:] == at["b"][-2:]
    assert [after - before for before, after in pairwise(at["b"][-2:])] == [10]
    assert at["a"][-1] != at["c"][-1]
    assert len(at["a"]) <= 4
    assert [when for when, key in world.woken if key == GREETER][-2:] == at["a"][-2:]
    increases = {uid: each.increase for uid, each in readings.items()}
    assert increases["a"] is not None
    assert 10 <= increases["a"].seconds <= 25


async def test_pods_of_an_upgrade_that_begins_are_looked_at_every_second_at_once() -> None:
    """What is known of them stays known."""
    world = World()
    world.serve("a", *(exposition(10 * n) for n in range(20)))
    seldom = replace(target("a", figures=True), every=10)

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [seldom])
        await asyncio.sleep(11.5)
        asked = len(world.asked)
        scraper.follow(GREETER, [replace(seldom, every=1)])
        await asyncio.sleep(3)
        reading = scraper.readings(GREETER)["a"]

    assert len(world.asked) == asked + 3
    assert reading.increase is not None
    assert reading.increase.counted.requests >= 30


async def test_figures_are_read_only_where_they_are_asked_for() -> None:
    text = exposition(7) + "model_accuracy 0.9\n"
    world = World()
    for uid in "ab":
        world.serve(uid, text)

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a", figures=True), target("b")])
        await asyncio.sleep(1.5)
        readings = scraper.readings(GREETER)

    assert (readings["a"].accuracy, readings["b"].accuracy) == (0.9, None)
    assert (readings["a"].increase is None, readings["b"].increase) == (False, None)


async def test_pods_that_hang_do_not_delay_another_agent() -> None:
    world = World(pods={f"hanging-{n}": hangs for n in range(3 * AT_ONCE)})
    world.serve("b", exposition(0))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target(uid) for uid in world.pods if uid != "b"])
        scraper.follow(OTHER, [target("b")])
        await asyncio.sleep(10.5)

    assert sum(key == OTHER for _, key in world.woken) == 11
    assert world.most == 2 * AT_ONCE_PER_AGENT + 1


async def test_a_pod_that_hangs_costs_the_others_of_its_agent_no_look() -> None:
    world = World(pods={"a": hangs})
    world.serve("b", *(exposition(10 * n) for n in range(5)))

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target("a"), target("b")])
        await asyncio.sleep(4.5)
        readings = scraper.readings(GREETER)

    assert {uid: reading.recent for uid, reading in readings.items()} == {"b": 40}


async def test_pods_that_hang_delay_only_each_other() -> None:
    """However many of an Agent there are, those that answer are looked at every second."""
    world = World(pods={f"hanging-{n}": hangs for n in range(5 * AT_ONCE_PER_AGENT)})
    world.serve("b", "200", "503")

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [checked(uid) for uid in world.pods])
        # The first round is the one in which they are found to hang.
        await asyncio.sleep(5 * TIMEOUT + 1)
        begun = len(world.asked)
        await asyncio.sleep(10)

    assert [uid for _, uid in world.asked[begun:]].count("b") == 10


async def test_a_pod_that_has_hung_is_looked_at_with_the_others_once_it_answers() -> None:
    tries = 0

    async def wakes_up() -> str | None:
        nonlocal tries
        tries += 1
        return await hangs() if tries <= 2 else "200"

    world = World(pods={"a": wakes_up})

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [checked("a")])
        await asyncio.sleep(5.5)

        assert scraper.checks(GREETER)["a"].passed
    assert [round(at - world.asked[0][0]) for at, _ in world.asked] == [0, 1, 2, 3, 4, 5]


async def test_no_more_than_so_many_pods_are_asked_at_once() -> None:
    """Of those that hang as many again, apart from the others."""
    agents = [Key("default", f"agent-{n}") for n in range(20)]
    world = World(pods={f"{key.name}-{n}": hangs for key in agents for n in range(20)})

    async with scraping(world) as scraper:
        for key in agents:
            scraper.follow(key, [target(f"{key.name}-{n}") for n in range(20)])
        await asyncio.sleep(0.5)
        first = world.most
        await asyncio.sleep(10)

    assert (first, world.most) == (AT_ONCE, 2 * AT_ONCE)


async def test_the_end_of_a_scraper_is_the_end_of_all_it_does() -> None:
    world = World(pods={f"pod-{n}": hangs for n in range(5)})

    async with scraping(world) as scraper:
        scraper.follow(GREETER, [target(uid) for uid in world.pods])
        await asyncio.sleep(TIMEOUT / 2)

    assert world.asking == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


# What goes over the wire, in real time


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def fetched(answer: Answer, *, path: str = "/metrics") -> str | None:
    """What is read from a server that gives this answer."""

    async def fetch() -> str | None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        async with TestServer(app) as server, over_http() as client:
            return await client.text(str(server.make_url(path)))

    return asyncio.run(fetch())


def test_an_exposition_is_read_from_a_pod_without_a_trace_of_us_being_kept() -> None:
    """Not unpacked, so that it cannot turn out larger, and on a connection of its own."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text=exposition(3))

    assert fetched(answer) == exposition(3)
    assert seen[0].headers["Accept"].startswith("text/plain")
    assert seen[0].headers["Accept-Encoding"] == "identity"
    assert not seen[0].keep_alive


@pytest.mark.parametrize("status", [204, 401, 404, 500])
def test_an_answer_with_another_status_is_none(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=exposition(3) if status != 204 else None)

    assert fetched(answer) is None


@pytest.mark.parametrize("status", [200, 204, 302, 401, 503])
def test_the_status_of_a_health_check_is_what_the_pod_says(status: int) -> None:
    """Neither a redirect is followed nor a body waited for that may never end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Location": "/elsewhere"})
        await response.prepare(request)
        if status not in {204, 302}:
            await asyncio.sleep(60)
        return response

    async def ask() -> int | None:
        app = web.Application()
        app.router.add_get("/healthz", answer)
        async with TestServer(app) as server, over_http() as client, asyncio.timeout(10):
            return await client.status(str(server.make_url("/healthz")))

    assert asyncio.run(ask()) == status


def test_no_redirect_is_followed() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/metrics":
            raise web.HTTPFound("/elsewhere")
        return web.Response(text=exposition(3))

    assert fetched(answer) is None


def test_an_endless_body_is_left_at_the_limit() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 2**16)
            sent += 2**16

    assert fetched(answer) is None
    assert sent < 4 * BODY_LIMIT


def test_a_body_that_ends_too_early_is_none() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(exposition(3).encode())
        assert request.transport is not None
        request.transport.close()
        return response

    assert fetched(answer) is None


def test_a_packed_body_is_not_unpacked() -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(text=exposition(3) * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    text = fetched(answer)

    assert text is not None
    assert total(text, NAME) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/metrics", "http://127.0.0.1:99999/", "", "x"])
def test_an_address_where_nobody_answers_is_none(url: str) -> None:
    async def fetch() -> str | None:
        async with over_http() as client:
            assert await client.status(url) is None
            return await client.text(url)

    assert asyncio.run(fetch()) is None


def test_what_speaks_something_else_than_http_is_none() -> None:
    async def garble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        await writer.drain()
        writer.close()

    async def fetch() -> str | None:
        server = await asyncio.start_server(garble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, over_http() as client:
            assert await client.status(f"http://127.0.0.1:{port}/healthz") is None
            return await client.text(f"http://127.0.0.1:{port}/metrics")

    assert asyncio.run(fetch()) is None


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=exposition(3))

    assert fetched(answer) == exposition(3)


def test_pods_are_read_over_http_from_the_first_round_on() -> None:
    """The whole way: a server that counts, one that hangs, and the readings of both."""
    served = 0

    async def count(_: web.Request) -> web.Response:
        nonlocal served
        served += 10
        return web.Response(text=exposition(served, 2))

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def live() -> dict[str, tuple[bool, float | None]]:
        app = web.Application()
        app.router.add_get("/metrics", count)
        app.router.add_get("/hang", hang)
        woken: asyncio.Queue[Key] = asyncio.Queue()
        scraper = Scraper(wake=woken.put_nowait, clock=lambda: datetime.now(UTC), interval=0.05)
        async with TestServer(app) as server, asyncio.TaskGroup() as group:
            scraper.follow(GREETER, [target("a", url=str(server.make_url("/metrics")))])
            scraper.follow(OTHER, [target("b", url=str(server.make_url("/hang")))])
            task = group.create_task(scraper.run())
            for _ in range(3):
                assert await woken.get() == GREETER
            readings = {**scraper.readings(GREETER), **scraper.readings(OTHER)}
            task.cancel()
        return {uid: (r.recent >= 20, r.in_flight) for uid, r in readings.items()}

    assert asyncio.run(live()) == {"a": (True, 2)}
