"""What sources of metrics answer over the network, and what the operator does not do for them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web as server
from aiohttp.test_utils import TestServer
from yarl import URL

from agentherd.api import HTTPRequest, PrometheusQuery
from agentherd.domain.judging.reach import Reach
from agentherd.engine.sources import http, prometheus
from agentherd.engine.sources.inquiries import SLOW_AT_ONCE
from agentherd.engine.sources.names import THREADS
from agentherd.engine.sources.web import BODY_LIMIT, NoAnswer, over_the_web

ANYWHERE = Reach(refused=())

Handler = Callable[[server.Request], Awaitable[server.StreamResponse]]


def asked(
    handler: Handler,
    *,
    pointer: str | None = "/score",
    query: str = "up",
    reach: Reach = ANYWHERE,
    timeout: float = 5,
) -> float | str:
    """The number that a server gives, or why there is none; without a pointer by a query."""

    async def ask() -> float | str:
        app = server.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        async with TestServer(app) as live, over_the_web(reach, timeout=timeout) as session:
            try:
                if pointer is None:
                    address = str(live.make_url("/prefix")).rstrip("/")
                    asked_for = PrometheusQuery(address=address, query=query)
                    return await prometheus.ask(session, asked_for)
                url = str(live.make_url("/quality"))
                return await http.ask(session, HTTPRequest(url=url, pointer=pointer))
            except NoAnswer as error:
                return str(error)

    return asyncio.run(ask())


def saying(text: str, status: int = 200, kind: str = "application/json") -> Handler:
    async def answer(_: server.Request) -> server.Response:
        return server.Response(text=text, status=status, content_type=kind)

    return answer


@pytest.mark.parametrize(
    ("body", "pointer", "value"),
    [
        ('{"score": 0.91}', "/score", 0.91),
        ("3", "", 3),
        ('{"a": [1, {"b/c~d": -2.5}]}', "/a/1/b~1c~0d", -2.5),
        ('{"": 7}', "/", 7),
        ("1e999", "", float("inf")),
    ],
)
def test_a_pointer_leads_to_a_number(body: str, pointer: str, value: float) -> None:
    assert asked(saying(body), pointer=pointer) == value


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('{"score": "0.91"}', "there is no number at /score"),
        ('{"score": true}', "there is no number at /score"),
        ('{"score": null}', "there is no number at /score"),
        ('{"error": "out of memory"}', "there is nothing at /score"),
        ("[1]", "there is nothing at /score"),
        ("[" * 50_000, "not JSON"),
        ('{"score": NaN}', "not JSON"),
        ('{"score": 0.9', "not JSON"),
        ("", "not JSON"),
        ('{"score": 1' + "0" * 400 + "}", "too large to be a measurement"),
    ],
)
def test_what_is_no_number_is_said_so(body: str, why: str) -> None:
    answer = asked(saying(body))

    assert isinstance(answer, str)
    assert why in answer


def test_a_page_of_words_is_not_repeated() -> None:
    """It may be one that those who read the status could not read themselves."""
    answer = asked(saying("<html>secret</html>", kind="text/html"))

    assert answer == "the answer is not JSON (19 bytes of text/html)"


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
@pytest.mark.parametrize("pointer", ["/score", None], ids=["http", "prometheus"])
def test_another_status_is_no_answer(status: int, pointer: str | None) -> None:
    assert asked(saying('{"score": 1}', status), pointer=pointer) == (
        f"127.0.0.1 answers with status {status}"
    )


def test_a_redirect_is_not_followed() -> None:
    """One that leads to itself would never end, one that leads elsewhere is nobody's wish."""
    paths = []

    async def answer(request: server.Request) -> server.Response:
        paths.append(request.path)
        raise server.HTTPFound(request.path)

    assert asked(answer) == "127.0.0.1 redirects (status 302), which is not followed"
    assert paths == ["/quality"]


def test_nobody_is_told_who_asks() -> None:
    """No credentials, no cookies, nothing of the environment; one GET."""
    requests: list[server.Request] = []

    async def answer(request: server.Request) -> server.Response:
        requests.append(request)
        response = server.json_response({"score": 1})
        response.set_cookie("session", "1")
        return response

    assert asked(answer) == 1
    assert requests[0].method == "GET"
    assert requests[0].headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent"} | (
        requests[0].headers.keys() & {"Connection"}
    )


def test_an_endless_body_is_left_at_the_limit() -> None:
    async def answer(request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    assert asked(answer) == f"127.0.0.1 answers with more than {BODY_LIMIT} bytes"


def test_an_answer_that_breaks_off_is_none() -> None:
    async def answer(request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"score": 1}')
        assert request.transport is not None
        request.transport.abort()
        return response

    assert asked(answer) == "the answer of 127.0.0.1 broke off"


def test_a_source_that_takes_too_long_is_left() -> None:
    async def answer(request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response

    assert asked(answer, timeout=0.1) == "127.0.0.1 has not answered within 0.1 s"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/", "cannot connect to 127.0.0.1"),
        ("http://nobody.invalid/", "nobody.invalid is not known to the name servers"),
        ("http://127.0.0.1:99999/", "not a URL"),
        ("http://judge..quality/", "judge..quality is no name that a host can have"),
        (f"http://{'a' * 64}.quality/", "is no name that a host can have"),
        ("http://xn--/", "xn-- is no name that a host can have"),
        ("http://[::::]/", "is no name that a host can have"),
    ],
)
def test_who_is_not_there_does_not_answer(url: str, why: str) -> None:
    async def ask() -> None:
        async with over_the_web(ANYWHERE) as session:
            await http.ask(session, HTTPRequest(url=url))

    with pytest.raises(NoAnswer, match=why):
        asyncio.run(ask())


def test_a_name_leads_to_a_server() -> None:
    async def answer(_: server.Request) -> server.Response:
        return server.json_response(3)

    async def ask() -> float:
        app = server.Application()
        app.router.add_get("/", answer)
        async with TestServer(app) as live, over_the_web(ANYWHERE) as session:
            return await http.ask(session, HTTPRequest(url=f"http://localhost:{live.port}/"))

    assert asyncio.run(ask()) == 3


def test_a_slow_name_server_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that the loop has for all others stay free, however many names are looked up."""
    known = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        known.wait(10)
        raise OSError("not known")

    async def ask() -> None:
        async with over_the_web(ANYWHERE, timeout=1) as session:
            asked = [
                asyncio.create_task(session.get(URL(f"http://judge-{number}.test/")))
                for number in range(THREADS)
            ]
            await asyncio.sleep(0.05)
            async with asyncio.timeout(5):
                await asyncio.to_thread(int)
            known.set()
            await asyncio.wait(asked)
            assert all(isinstance(each.exception(), NoAnswer) for each in asked)

    monkeypatch.setattr("socket.getaddrinfo", slow)
    asyncio.run(ask())


def test_names_that_nobody_knows_keep_no_other_name_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as there are slow sources that are waited for."""
    known = threading.Event()
    find = socket.getaddrinfo

    def slow(host: str, *more: Any, **fields: Any) -> Any:
        if host.endswith(".test"):
            known.wait(10)
            raise OSError("not known")
        return find(host, *more, **fields)

    async def answer(_: server.Request) -> server.Response:
        return server.json_response(3)

    async def ask() -> float:
        app = server.Application()
        app.router.add_get("/", answer)
        async with TestServer(app) as live, over_the_web(ANYWHERE, timeout=5) as session:
            lost = [
                asyncio.create_task(session.get(URL(f"http://judge-{number}.test/")))
                for number in range(SLOW_AT_ONCE)
            ]
            await asyncio.sleep(0.05)
            try:
                url = f"http://localhost:{live.port}/"
                return await http.ask(session, HTTPRequest(url=url))
            finally:
                known.set()
                await asyncio.wait(lost)
                assert all(isinstance(each.exception(), NoAnswer) for each in lost)

    monkeypatch.setattr("socket.getaddrinfo", slow)

    assert asyncio.run(ask()) == 3


# Prometheus


def vector(*values: object) -> str:
    result = [{"metric": {"pod": str(n)}, "value": [1e9, v]} for n, v in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def of_type(kind: str, result: object) -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (vector("0.25"), 0.25),
        (of_type("scalar", [1e9, "42"]), 42),
        (vector("+Inf"), float("inf")),
    ],
)
def test_a_query_yields_one_number(body: str, value: float) -> None:
    assert asked(saying(body), pointer=None) == value


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (vector(), "the query yields no data"),
        (vector("1", "2", "3"), "the query yields 3 numbers; write one that yields one"),
        (of_type("matrix", []), "the query yields a matrix; it has to yield one number"),
        (
            of_type("vector", [{"metric": {}, "histogram": [1e9, {}]}]),
            "the query yields a histogram; it has to yield one number",
        ),
        ("{}", "the answer is not that of a Prometheus"),
        ('[{"data": 1}]', "the answer is not that of a Prometheus"),
        (vector("many"), "the answer is not that of a Prometheus"),
        (of_type("scalar", [1e9, 10**400]), "the answer is not that of a Prometheus"),
        ('{"status": "success", "data": {"resultTy', "the answer is not JSON"),
    ],
)
def test_a_query_that_yields_something_else_is_said_so(body: str, why: str) -> None:
    answer = asked(saying(body), pointer=None)

    assert isinstance(answer, str)
    assert why in answer


def test_what_a_prometheus_finds_wrong_with_a_query_is_repeated() -> None:
    body = '{"status": "error", "errorType": "bad_data", "error": "parse error: unclosed"}'

    assert asked(saying(body, status=400), pointer=None) == (
        "127.0.0.1 cannot evaluate the query: parse error: unclosed"
    )


def test_an_address_that_is_no_url_is_said_so() -> None:
    async def ask() -> None:
        async with over_the_web(ANYWHERE) as session:
            query = PrometheusQuery(address="http://127.0.0.1:99999", query="up")
            await prometheus.ask(session, query)

    with pytest.raises(NoAnswer, match="not a URL"):
        asyncio.run(ask())


def test_a_query_is_asked_below_the_path_of_its_address() -> None:
    seen: list[server.Request] = []

    async def answer(request: server.Request) -> server.Response:
        seen.append(request)
        return server.Response(text=vector("1"))

    query = 'sum(rate(x{a=~"b+c|d&e"}[1m])) / 2'
    asked(answer, pointer=None, query=query)

    assert seen[0].path == "/prefix/api/v1/query"
    assert dict(seen[0].query) == {"query": query, "timeout": "9s"}


# Who is not asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:7f00:1]"])
def test_no_name_leads_to_a_refused_address(host: str) -> None:
    """What counts is the address that would be dialled."""

    async def ask() -> None:
        async with over_the_web(Reach()) as session:
            await http.ask(session, HTTPRequest(url=f"http://{host}:8080/"))

    with pytest.raises(NoAnswer, match=r"the operator does not ask (127|::|0)"):
        asyncio.run(ask())


def test_only_hosts_that_are_listed_are_asked() -> None:
    some = Reach(hosts=("*.monitoring.svc",), refused=())

    assert asked(saying('{"score": 1}'), reach=some) == (
        "host 127.0.0.1 is not one the operator may ask"
    )
