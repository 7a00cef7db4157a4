"""Cold pods are asked until they have answered, one request at a time, whatever they answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentherd.domain.kinds import Key
from agentherd.domain.warmth import WarmUpAnswer, WarmUpRequest
from agentherd.engine.warm_ups import (
    AT_ONCE,
    AT_ONCE_PER_MODEL,
    AT_ONCE_PER_NAMESPACE,
    BODY_LIMIT,
    SOON,
    Client,
    Unanswered,
    Unheard,
    WarmUps,
    over_http,
)

EMBEDDER, OTHER = Key("default", "embedder"), Key("default", "other")


def request(uid: str, *, start: str = "s1", url: str = "", **fields: object) -> WarmUpRequest:
    known = {"body": '{"input": "hello"}', "content_type": "application/json", "timeout": 30.0}
    return WarmUpRequest(uid=uid, start=start, url=url or f"http://{uid}/", **(known | fields))  # type: ignore[arg-type]


async def hangs() -> int:
    await asyncio.sleep(math.inf)
    return 200


# What is done in time, with pods that are functions


@dataclass
class World:
    """Pods by uid, and what was done with them."""

    pods: dict[str, Callable[[], Awaitable[int]]] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    woken: list[Key] = field(default_factory=list)
    asking: list[str] = field(default_factory=list)
    most: int = 0

    def serve(self, uid: str, *statuses: int) -> None:
        """A pod that answers so, and with the last of them from then on."""
        rest = iter(statuses)

        async def answer() -> int:
            return next(rest, statuses[-1])

        self.pods[uid] = answer

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        yield self

    async def status(self, request: WarmUpRequest) -> int:
        self.asked.append((asyncio.get_running_loop().time() - self.began, request.uid))
        self.asking.append(request.uid)
        self.most = max(self.most, len(self.asking))
        try:
            return await self.pods[request.uid]()
        finally:
            self.asking.remove(request.uid)

    def __post_init__(self) -> None:
        self.began = asyncio.get_running_loop().time()


@asynccontextmanager
async def warming(world: World) -> AsyncIterator[WarmUps]:
    warm_ups = WarmUps(wake=world.woken.append, connect=world.connect)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(warm_ups.run())
        yield warm_ups
        task.cancel()


async def test_a_pod_is_asked_each_second_until_it_has_answered() -> None:
    """And not once more, whoever else goes on being asked."""
    world = World()
    world.serve("a", 503, 503, 200)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a")])
        await asyncio.sleep(1.5)
        cold = warm_ups.answers(EMBEDDER)["a"]
        await asyncio.sleep(10)
        warm = warm_ups.answers(EMBEDDER)["a"]

    assert cold == WarmUpAnswer(start="s1", said="was answered with status 503", failures=2)
    assert warm == WarmUpAnswer(start="s1", said="was answered with status 200")
    assert world.asked == [(0, "a"), (1, "a"), (2, "a")]
    assert world.woken == [EMBEDDER] * 3


async def test_to_follow_the_same_again_changes_nothing() -> None:
    """Every turn of the reconciler says once more what is to be asked."""
    world = World()
    world.serve("a", 503)

    async with warming(world) as warm_ups:
        for failures in range(25):
            warm_ups.follow(EMBEDDER, [request("a", failures=failures)])
            await asyncio.sleep(0.1)

    assert [at for at, _ in world.asked] == [0, 1, 2]


async def test_failures_are_counted_on_from_those_that_are_known() -> None:
    """A process that was killed has told of its own."""
    world = World()
    world.serve("a", 503)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a", failures=2)])
        await asyncio.sleep(0.5)

        assert warm_ups.answers(EMBEDDER)["a"].failures == 3


async def test_that_nobody_listens_counts_for_nothing() -> None:
    """Many servers load their model first; it is told once that one does."""
    world = World()
    began = world.began

    async def loads() -> int:
        if asyncio.get_running_loop().time() - began < 100:
            raise Unheard("cannot be sent: Connection refused")
        return 200

    world.pods["a"] = loads

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a", failures=1)])
        await asyncio.sleep(99)
        loading = warm_ups.answers(EMBEDDER)["a"]
        told = len(world.woken)
        await asyncio.sleep(2)

    said = "cannot be sent: Connection refused"
    assert loading == WarmUpAnswer(start="s1", said=said, failures=1, listened=False)
    assert told == 1
    assert world.woken == [EMBEDDER] * 2


async def test_a_pod_that_was_started_again_is_asked_anew() -> None:
    """What it has answered before says nothing any more."""
    world = World()
    world.serve("a", 200)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a")])
        await asyncio.sleep(0.5)
        warm_ups.follow(EMBEDDER, [request("a", start="s2")])
        forgotten = warm_ups.answers(EMBEDDER)
        await asyncio.sleep(0.5)
        found = warm_ups.answers(EMBEDDER)

    assert forgotten == {}
    assert found["a"].start == "s2"
    assert len(world.asked) == 2


async def test_a_pod_that_hangs_is_a_failure_after_its_timeout() -> None:
    """No other pod waits for it."""
    world = World()
    world.pods["a"] = hangs
    world.serve("b", 200)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a", timeout=600.0), request("b")])
        await asyncio.sleep(0.5)
        quick = warm_ups.answers(EMBEDDER)
        await asyncio.sleep(600)
        slow = warm_ups.answers(EMBEDDER)["a"]

    assert list(quick) == ["b"]
    assert slow == WarmUpAnswer(start="s1", said="was not answered within 600 s", failures=1)


async def test_a_pod_that_is_not_followed_any_more_is_let_go_at_once() -> None:
    """Or its slot would be held for minutes by a pod that is gone."""
    world = World()
    world.pods["a"] = hangs
    world.serve("b", 503)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a")])
        warm_ups.follow(OTHER, [request("b")])
        await asyncio.sleep(0.5)
        warm_ups.follow(EMBEDDER, ())
        warm_ups.follow(OTHER, ())
        await asyncio.sleep(5)

        assert world.asking == []
        assert len(world.asked) == 2
        assert warm_ups.answers(EMBEDDER) == {}


async def test_one_that_is_dropped_before_it_was_asked_is_never_asked() -> None:
    """Pods come and go within one turn of the loop."""
    world = World()
    world.serve("a", 200)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request("a")])
        warm_ups.follow(EMBEDDER, ())
        await asyncio.sleep(5)

    assert world.asked == []


async def test_a_model_whose_pods_hang_leaves_room_for_others() -> None:
    """They are asked together, up to a limit."""
    world = World()
    pods = [f"a{number}" for number in range(2 * AT_ONCE_PER_MODEL)]
    world.pods |= dict.fromkeys(pods, hangs)
    world.serve("b", 200)

    async with warming(world) as warm_ups:
        warm_ups.follow(EMBEDDER, [request(uid) for uid in pods])
        await asyncio.sleep(0.5)
        warm_ups.follow(OTHER, [request("b")])
        await asyncio.sleep(0.5)

        assert warm_ups.answers(OTHER)["b"].failures == 0
        assert world.most == AT_ONCE_PER_MODEL + 1


def hang(world: World, warm_ups: WarmUps, *, models: int, namespace: str = "crowded") -> None:
    """Follow so many models with as many pods as are asked at once, none of which answers."""
    for model in range(models):
        uids = [f"{namespace}-{model}-{number}" for number in range(AT_ONCE_PER_MODEL)]
        world.pods |= dict.fromkeys(uids, hangs)
        asked = [request(uid, timeout=600.0) for uid in uids]
        warm_ups.follow(Key(namespace, f"m{model}"), asked)


async def test_no_more_pods_of_a_namespace_than_the_limit_are_asked_at_once() -> None:
    """However many models there are."""
    world = World()

    async with warming(world) as warm_ups:
        hang(world, warm_ups, models=2 * AT_ONCE_PER_NAMESPACE // AT_ONCE_PER_MODEL)
        await asyncio.sleep(300)

    assert world.most == AT_ONCE_PER_NAMESPACE


async def test_no_more_requests_than_the_limit_are_sent_at_once() -> None:
    """However many namespaces there are; each of them gets its turn soon."""
    world = World()
    models = AT_ONCE // AT_ONCE_PER_MODEL

    async with warming(world) as warm_ups:
        for namespace in range(3):
            hang(world, warm_ups, models=models, namespace=f"n{namespace}")
        await asyncio.sleep(SOON / 2)
        first = len(world.asked)
        await asyncio.sleep(3 * SOON)

    assert first == AT_ONCE
    assert len(world.asked) == 3 * AT_ONCE


async def test_models_that_hang_stop_nobody_elses_warm_up() -> None:
    """One namespace full of them would keep every other model cold for ten minutes."""
    world = World()
    world.serve("b", 503, 503, 200)

    async with warming(world) as warm_ups:
        hang(world, warm_ups, models=20)
        await asyncio.sleep(SOON / 2)
        warm_ups.follow(OTHER, [request("b")])
        await asyncio.sleep(5)

        assert warm_ups.answers(OTHER)["b"].warm


async def test_room_that_was_given_back_is_given_back_once() -> None:
    """Or there would be more and more of it."""
    world = World()

    async def slow() -> int:
        await asyncio.sleep(2 * SOON)
        return 503

    async with warming(world) as warm_ups:
        world.pods["a"] = slow
        warm_ups.follow(OTHER, [request("a")])
        await asyncio.sleep(50)
        warm_ups.follow(OTHER, ())
        before = len(world.asked)
        for namespace in range(3):
            hang(world, warm_ups, models=10, namespace=f"n{namespace}")
        await asyncio.sleep(SOON / 2)

    assert len(world.asked) - before == AT_ONCE


# What comes over the wire


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def told(handler: Handler, asked: WarmUpRequest | None = None) -> int | str:
    """The status of an answer over HTTP, or why there is none."""

    async def ask() -> int | str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        async with TestServer(app) as server, over_http() as client, asyncio.timeout(10):
            url = str(server.make_url("/v1/embeddings"))
            try:
                return await client.status(replace(asked or request("a"), url=url))
            except Unanswered as unanswered:
                return str(unanswered)

    return asyncio.run(ask())


@pytest.mark.parametrize("body", ['{"input": "grüße"}', "", None])
def test_what_is_sent_is_what_was_written(body: str | None) -> None:
    """POST where there is a body, if an empty one, and GET without."""
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.headers.get("Content-Type", ""), await request.text()))
        return web.Response()

    assert told(answer, request("a", body=body, content_type="text/x-question")) == 200
    sent = ("GET", "", "") if body is None else ("POST", "text/x-question", body)
    assert seen == [sent]


@pytest.mark.parametrize("status", [201, 204, 404, 500, 503])
def test_any_status_is_told(status: int) -> None:
    """What it means is for others to say."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    assert told(answer) == status


def test_no_redirect_is_followed() -> None:
    """A pod would lead the operator to where it cannot go itself."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    assert told(answer) == 307
    assert paths == ["/v1/embeddings"]


def test_an_endless_answer_is_left_at_the_limit() -> None:
    """It has been answered."""
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 2**16)
            sent += 2**16

    assert told(answer) == 200
    assert sent < 4 * BODY_LIMIT


def test_an_answer_that_breaks_off_is_none() -> None:
    """A model that fails while it computes may have sent its head already."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"[0.1, ")
        assert request.transport is not None
        request.transport.close()
        return response

    assert told(answer) == "was answered in part only"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"url": "http://127.0.0.1:1/"}, "cannot be sent: "),
        ({"url": "http://127.0.0.1:99999/"}, "cannot be sent"),
        ({"body": "\ud800", "url": "http://127.0.0.1:1/"}, "cannot be sent as it is written"),
        ({"content_type": "a\r\nX-Evil: b"}, "cannot be sent"),
        ({"url": "http://[::1/"}, ""),
    ],
)
def test_what_cannot_be_sent_is_told(changed: dict[str, str], why: str) -> None:
    """Whatever stands in a spec, the operator goes on."""

    async def ask() -> str:
        async with over_http() as client:
            try:
                await client.status(replace(request("a", url="http://127.0.0.1:1/"), **changed))  # type: ignore[arg-type]
            except Unanswered as unanswered:
                return str(unanswered)
            return "answered"

    said = asyncio.run(ask())

    assert said.startswith(why)
    assert said != "answered"


def test_a_port_on_which_nobody_listens_is_told_apart() -> None:
    """From whatever else keeps a request from being answered."""

    async def ask() -> None:
        async with over_http() as client:
            with pytest.raises(Unheard, match="cannot be sent: "):
                await client.status(request("a", url="http://127.0.0.1:1/"))

    asyncio.run(ask())


def test_what_speaks_something_else_than_http_is_told() -> None:
    """A port may be that of something else."""

    async def garble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask() -> str:
        server = await asyncio.start_server(garble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, over_http() as client:
            with pytest.raises(Unanswered) as unanswered:
                await client.status(request("a", url=f"http://127.0.0.1:{port}/"))
        return str(unanswered.value)

    assert asyncio.run(ask()).startswith("was not answered in HTTP: ")


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be asked in the name of the operator."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    assert told(answer) == 200


def test_pods_are_warmed_up_over_http() -> None:
    """The whole way: a server that is cold twice, and one that is not there."""
    answered = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal answered
        answered += 1
        return web.Response(status=200 if answered > 2 else 503)

    async def live() -> WarmUpAnswer:
        app = web.Application()
        app.router.add_post("/", answer)
        woken: asyncio.Queue[Key] = asyncio.Queue()
        warm_ups = WarmUps(wake=woken.put_nowait, pause=0.01)
        async with TestServer(app) as server, asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(warm_ups.run())
            warm_ups.follow(OTHER, [request("b", url="http://127.0.0.1:1/")])
            warm_ups.follow(EMBEDDER, [request("a", url=str(server.make_url("/")))])
            for _ in range(3):
                while await woken.get() != EMBEDDER:
                    pass
            answers = warm_ups.answers(EMBEDDER)
            task.cancel()
        return answers["a"]

    assert asyncio.run(live()) == WarmUpAnswer(start="s1", said="was answered with status 200")
