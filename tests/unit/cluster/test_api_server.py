"""What goes over the wire, and what becomes of every answer."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentherd.cluster import ApiServer, Connection, WatchEvent, api_server
from agentherd.domain.errors import (
    AgentherdError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Throttled,
    Unauthorized,
    Unreachable,
)
from agentherd.domain.kinds import AGENT, KUBELET_EVENT, POD, SERVICE, Key

GREETER = Key("default", "greeter")
MANIFEST = {"metadata": {"name": "greeter", "namespace": "default", "uid": "u1"}, "spec": {}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Wire:
    """What was sent, and to whom."""

    answer: Answer
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    observed: list[tuple[str, str, int]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


@asynccontextmanager
async def serving(
    answer: Answer, *, may_write: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[ApiServer, Wire]]:
    """A server that gives one answer, and a client of it."""
    wire = Wire(answer)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        wire.requests.append(request)
        wire.bodies.append(json.loads(body) if body else None)
        wire.tokens.append(request.headers.get("Authorization", ""))
        return await wire.answer(request)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handle)
    opened: list[Connection] = []

    async with TestServer(app) as server:

        def connect() -> Connection:
            token = {"Authorization": f"Bearer {len(opened)}"}
            opened.append(Connection(server=str(server.make_url("")).rstrip("/"), headers=token))
            return opened[-1]

        def observe(verb: str, kind: str, status: int) -> None:
            wire.observed.append((verb, kind, status))

        async with ApiServer(connect, observe=observe, may_write=may_write) as api:
            yield api, wire


def always(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return answer


def streaming(*chunks: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return answer


async def followed(api: ApiServer) -> list[WatchEvent]:
    return [event async for event in api.watch(SERVICE, version="7")]


def line(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "object": fields}).encode() + b"\n"


# Requests


@pytest.mark.parametrize(
    ("call", "method", "target", "content"),
    [
        (
            lambda g: g.get(SERVICE, GREETER),
            "GET",
            "/api/v1/namespaces/default/services/greeter",
            None,
        ),
        (
            lambda g: g.apply(AGENT, MANIFEST, manager="m"),
            "PATCH",
            "/apis/agentherd.dev/v1alpha1/namespaces/default/agents/greeter"
            "?fieldManager=m&force=true&fieldValidation=Strict",
            "application/apply-patch+yaml",
        ),
        (
            lambda g: g.apply_status(AGENT, MANIFEST, manager="m"),
            "PATCH",
            "/apis/agentherd.dev/v1alpha1/namespaces/default/agents/greeter/status"
            "?fieldManager=m&force=true&fieldValidation=Strict",
            "application/apply-patch+yaml",
        ),
        (
            lambda g: g.create(SERVICE, MANIFEST),
            "POST",
            "/api/v1/namespaces/default/services",
            "application/json",
        ),
        (
            lambda g: g.replace(SERVICE, MANIFEST),
            "PUT",
            "/api/v1/namespaces/default/services/greeter",
            "application/json",
        ),
        (
            lambda g: g.merge(SERVICE, GREETER, MANIFEST),
            "PATCH",
            "/api/v1/namespaces/default/services/greeter",
            "application/merge-patch+json",
        ),
    ],
    ids=["get", "apply", "apply_status", "create", "replace", "merge"],
)
async def test_every_verb_is_one_request(
    call: Callable[[ApiServer], Awaitable[Any]], method: str, target: str, content: str | None
) -> None:
    """As the API server documents it."""
    async with serving(always({"kind": "Service"})) as (api, wire):
        answer = await call(api)

    (request,) = wire.requests
    assert (request.method, request.path_qs) == (method, target)
    if content:
        assert request.headers["Content-Type"] == content
    assert wire.bodies == [MANIFEST if content else None]
    assert answer == {"kind": "Service"}


async def test_a_deletion_names_the_object_that_was_seen() -> None:
    """One made anew under its name is left alone."""
    async with serving(always({})) as (api, wire):
        await api.delete(POD, GREETER, uid="u1")

    assert wire.bodies[0]["preconditions"] == {"uid": "u1"}


@pytest.mark.parametrize("status", [404, 409])
async def test_what_is_gone_need_not_be_deleted(status: int) -> None:
    """That is what was wanted."""
    async with serving(always({"message": "gone"}, status=status)) as (api, wire):
        await api.delete(POD, GREETER, uid="u1")

    assert wire.observed == [("DELETE", "pods", status)]


async def test_what_is_only_tried_is_counted_apart() -> None:
    """That it is refused is what was hoped for, and nothing to be woken for."""
    refused = always({"message": "no"}, status=403)
    async with serving(refused) as (api, wire):
        for dry_run in (True, False):
            with pytest.raises(AgentherdError):
                await api.create(AGENT, MANIFEST, dry_run=dry_run)

    assert wire.observed == [("TRY", "agents", 403), ("CREATE", "agents", 403)]


async def test_text_of_all_languages_arrives() -> None:
    """Prompts are written in them."""
    async with serving(always({})) as (api, wire):
        await api.merge(SERVICE, GREETER, {"prompt": "Grüße 日本語 🤖"})

    assert wire.bodies == [{"prompt": "Grüße 日本語 🤖"}]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "\ud800"])
async def test_what_cannot_be_written_is_the_fault_of_that_object(value: object) -> None:
    """As if the server had refused it: nothing is sent, and others are not concerned."""
    async with serving(always({})) as (api, wire):
        with pytest.raises(Invalid, match="cannot be written as JSON"):
            await api.apply(AGENT, MANIFEST | {"spec": {"value": value}}, manager="agentherd")

    assert wire.requests == []


# Lists


async def test_a_list_is_read_page_by_page() -> None:
    """With the selection on every page."""

    async def pages(request: web.Request) -> web.Response:
        last = request.query.get("continue") == "more"
        metadata = {"resourceVersion": "9"} | ({} if last else {"continue": "more"})
        return web.json_response({"metadata": metadata, "items": [1] if last else None})

    async with serving(pages) as (api, wire):
        found = [
            page
            async for page in api.list(
                SERVICE, namespace="default", selector="a=b", fields="reason=X"
            )
        ]

    assert [(page.items, page.version) for page in found] == [([], "9"), ([1], "9")]
    assert {r.query["labelSelector"] for r in wire.requests} == {"a=b"}
    assert {r.query["fieldSelector"] for r in wire.requests} == {"reason=X"}
    assert wire.requests[0].path == "/api/v1/namespaces/default/services"


async def test_a_list_of_names_asks_for_metadata_alone() -> None:
    """Ten thousand Agents with their templates are a lot."""
    async with serving(always({"metadata": {"resourceVersion": "1"}, "items": []})) as (g, wire):
        async for _ in g.list(AGENT, metadata_only=True):
            pass

    assert "as=PartialObjectMetadataList" in wire.requests[0].headers["Accept"]
    assert "labelSelector" not in wire.requests[0].query


# Watches


async def test_a_watch_tells_its_events_until_it_ends() -> None:
    """Bookmarks included, from the version that was given."""
    answer = streaming(line("ADDED", a=1) + line("BOOKMARK", a=2), line("DELETED", a=3))

    async with serving(answer) as (api, wire):
        events = await followed(api)

    assert [(e.type, e.object["a"]) for e in events] == [
        ("ADDED", 1),
        ("BOOKMARK", 2),
        ("DELETED", 3),
    ]
    query = dict(wire.requests[0].query)
    assert query == {"watch": "1", "allowWatchBookmarks": "1", "resourceVersion": "7"}


async def test_a_watch_of_events_is_ended_by_the_server_before_we_do() -> None:
    """No bookmark says that it is alive, and an idle operator is to ask nothing for a long time."""
    async with serving(streaming()) as (api, wire):
        assert [event async for event in api.watch(KUBELET_EVENT, version="7")] == []

    seconds = int(wire.requests[0].query["timeoutSeconds"])
    patience = api_server.UNMARKED_TIMEOUT.sock_read
    assert patience is not None
    assert 600 <= seconds < patience


async def test_a_connection_on_which_nobody_answers_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the server has nothing to say for half an hour."""
    opened: list[socket.socket] = []
    made = api_server._kept_alive
    monkeypatch.setattr(
        api_server, "_kept_alive", lambda address: opened.append(made(address)) or opened[-1]
    )

    async with serving(always({})) as (api, _):
        await api.get(SERVICE, GREETER)

        (connected,) = opened
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_an_object_of_any_size_is_one_event() -> None:
    """A ConfigMap may hold a megabyte, and a chunk ends anywhere."""
    big = line("ADDED", text="ä" * 1_500_000)
    cut = [big[start : start + 70_001] for start in range(0, len(big), 70_001)]

    async with serving(streaming(*cut, line("ADDED", text="next"))) as (api, _):
        events = await followed(api)

    assert [len(event.object["text"]) for event in events] == [1_500_000, 4]


@pytest.mark.parametrize(
    ("status", "error"), [(410, Expired), (500, Unreachable)], ids=["expired", "other"]
)
async def test_an_error_within_a_watch_is_raised(status: int, error: type[AgentherdError]) -> None:
    """The answer has begun with 200 long ago."""
    answer = streaming(line("ADDED", a=1), line("ERROR", code=status, message="too old"))

    async with serving(answer) as (api, _):
        with pytest.raises(error, match="too old"):
            await followed(api)


async def test_a_watch_that_breaks_is_unreachable() -> None:
    """The reflector takes it up again."""

    async def breaking(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("ADDED", a=1))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(breaking) as (api, _):
        with pytest.raises(Unreachable):
            await followed(api)


async def test_a_line_that_is_cut_off_is_unreachable() -> None:
    """Half an event is none."""
    async with serving(streaming(b'{"type": "ADD\n')) as (api, _):
        with pytest.raises(Unreachable):
            await followed(api)


# Errors


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, Invalid),
        (409, Conflict),
        (410, Expired),
        (413, Invalid),
        (422, Invalid),
        (429, Throttled),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
async def test_every_status_is_an_error_of_ours(status: int, error: type[AgentherdError]) -> None:
    """With the server's own words, and counted by its status."""
    async with serving(always({"message": "the words"}, status=status)) as (api, wire):
        with pytest.raises(error, match="the words"):
            await api.get(SERVICE, GREETER)

    assert wire.observed == [("GET", "services", status)]


async def test_a_field_that_a_kind_does_not_have_is_invalid() -> None:
    """Server-side apply answers 500 for it, which is no trouble of the server's."""
    words = "failed to create typed patch object (x): .spec.x: field not declared in schema"

    async with serving(always({"message": words}, status=500)) as (api, _):
        with pytest.raises(Invalid, match="not declared"):
            await api.get(SERVICE, GREETER)


@pytest.mark.parametrize(
    ("text", "said"),
    [("<html>bad gateway</html>", "bad gateway"), ("", "HTTP 502"), ("[1]", "1")],
    ids=["a proxy's page", "nothing", "not an object"],
)
async def test_an_error_need_not_be_a_status_object(text: str, said: str) -> None:
    """Proxies answer too."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=502)

    async with serving(answer) as (api, _):
        with pytest.raises(Unreachable, match=said):
            await api.get(SERVICE, GREETER)


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [(429, "7", 7.0), (503, "3", 3.0), (429, "soon", None), (429, None, None)],
)
async def test_the_server_may_ask_for_patience(
    status: int, header: str | None, expected: float | None
) -> None:
    """In whole seconds; what is not understood is no wish."""
    headers = {"Retry-After": header} if header else None

    async with serving(always({"message": "x"}, status=status, headers=headers)) as (api, _):
        with pytest.raises((Throttled, Unreachable)) as raised:
            await api.get(SERVICE, GREETER)

    assert raised.value.retry_after == expected


async def test_an_answer_that_is_no_json_is_unreachable() -> None:
    """Something else than an API server has answered."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>")

    async with serving(answer) as (api, _):
        with pytest.raises(Unreachable):
            await api.get(SERVICE, GREETER)


async def test_no_answer_in_time_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known about the write."""
    defaults = ApiServer._request.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    monkeypatch.setitem(defaults, "timeout", aiohttp.ClientTimeout(total=0.05))
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await released.wait()
        return web.json_response({})

    async with serving(silent) as (api, wire):
        try:
            with pytest.raises(Unreachable, match=r"GET .*greeter"):
                await api.get(SERVICE, GREETER)
        finally:
            released.set()

    assert wire.observed == [("GET", "services", 0)]


async def test_nobody_there_is_unreachable() -> None:
    """The connection is refused."""
    connection = Connection(server="http://127.0.0.1:1")

    async with ApiServer(lambda: connection) as api:
        with pytest.raises(Unreachable):
            await api.get(SERVICE, GREETER)


# Credentials


async def test_credentials_that_are_not_accepted_are_read_again() -> None:
    """A service account's token is renewed on disk every hour."""

    async def only_the_second(request: web.Request) -> web.Response:
        fresh = request.headers["Authorization"] == "Bearer 1"
        return web.json_response({"message": "who?"}, status=200 if fresh else 401)

    async with serving(only_the_second) as (api, wire):
        with pytest.raises(Unauthorized):
            await api.get(SERVICE, GREETER)
        await api.get(SERVICE, GREETER)

    assert wire.tokens == ["Bearer 0", "Bearer 1"]


async def test_what_may_not_be_written_any_more_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leader that was frozen while it waited for a connection; what is read costs nobody."""
    leads = True
    connected = aiohttp.TCPConnector.connect

    async def frozen(*args: Any, **options: Any) -> Any:
        nonlocal leads
        connection = await connected(*args, **options)
        leads = False
        return connection

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", frozen)
    async with serving(always({}), may_write=lambda: leads) as (api, wire):
        with pytest.raises(Conflict):
            await api.merge(SERVICE, GREETER, {})
        await api.get(SERVICE, GREETER)

    assert [request.method for request in wire.requests] == ["GET"]


async def test_the_server_is_told_who_asks() -> None:
    """The audit log names us."""
    async with serving(always({})) as (api, wire):
        await api.get(SERVICE, GREETER)

    assert wire.requests[0].headers["User-Agent"].startswith("agentherd/")


async def test_a_client_that_is_closed_leaves_nothing_open() -> None:
    """Closing it twice is no error."""
    async with serving(always({})) as (api, _):
        await api.get(SERVICE, GREETER)
        await api.__aexit__()
