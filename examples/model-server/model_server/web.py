"""The HTTP surface: OpenAI's embeddings and list of models, and what watches them.

Who answers is told as the sample agent tells it, in the fields `agent`, `version`, `revision` and
`pod` of each JSON body, failures included; clients of OpenAI's ignore fields that they do not know.
Every answer has version and pod in its headers, too.

One model is served here, so the `model` of a request is not looked at.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from model_server.embedding import Embedded, Vector
from model_server.server import LoadingError, Server

MOST_TEXTS = 2048

Sleep = Callable[[float], Awaitable[None]]


def build_app(server: Server, *, sleep: Sleep = asyncio.sleep) -> web.Application:
    """Give the application; `sleep` is what a latency waits with."""
    embeddings = Embeddings(server, sleep=sleep)
    watch = Watch(server)
    app = web.Application()
    app.add_routes(
        [
            web.post("/v1/embeddings", embeddings.handle),
            web.get("/v1/models", watch.models),
            web.get("/healthz", watch.healthz),
            web.get("/metrics", watch.metrics),
        ]
    )

    async def sign(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Agentherd-Version"] = server.identity.version
        response.headers["Agentherd-Pod"] = server.identity.pod

    app.on_response_prepare.append(sign)
    return app


class RefusedError(Exception):
    """A request that is answered with an error; the text is for its sender."""

    def __init__(self, status: HTTPStatus, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Embeddings:
    """The requests that a model server exists for."""

    def __init__(self, server: Server, *, sleep: Sleep) -> None:
        self._server = server
        self._sleep = sleep

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request and count it."""
        server = self._server
        with server.traffic.request() as exchange:
            number = server.traffic.started
            # One draw for each request, before anything waits: the order is that of arrival.
            fails = server.faults.next_request_fails()
            await self._sleep(server.settings.latency_seconds)
            try:
                response = await self._answer(request, number=number, fails=fails)
            except RefusedError as refused:
                response = self._refusal(refused)
            except web.HTTPException as refused:
                exchange.code = refused.status
                raise
            exchange.code = response.status
            if server.draining:
                response.force_close()
            return response

    async def _answer(self, request: web.Request, *, number: int, fails: bool) -> web.Response:
        texts, encoding = read(await request.read())
        if fails:
            raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", "errorRate")
        try:
            embedded = await self._server.embed(texts, number=number)
        except LoadingError as loading:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            raise RefusedError(status, "server_error", str(loading)) from None
        return _json({**_list_of(embedded, encoding, model=self._server.settings.name), **self._us})

    def _refusal(self, refused: RefusedError) -> web.Response:
        error = {"message": str(refused), "type": refused.kind, "code": None, "param": None}
        return _json({"error": error, **self._us}, status=refused.status)

    @property
    def _us(self) -> dict[str, str]:
        return asdict(self._server.identity)


def read(body: bytes) -> tuple[list[str], str]:
    """Give the texts of a request and the encoding it wants, or raise RefusedError."""
    try:
        request = json.loads(body)
    except ValueError:
        raise _invalid("the body is not JSON") from None
    if not isinstance(request, dict):
        raise _invalid("the body is not an object")
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_TEXTS:
        raise _invalid(f"input is a text or a list of 1 to {MOST_TEXTS} texts")
    if not all(isinstance(text, str) and text for text in texts):
        raise _invalid("each input is a text that is not empty")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:  # JSON can escape half a character
        raise _invalid("each input is a text of whole characters") from None
    encoding = request.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise _invalid("encoding_format is float or base64")
    return texts, encoding


def _invalid(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, "invalid_request_error", message)


def _list_of(embedded: Embedded, encoding: str, *, model: str) -> dict[str, object]:
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
        for index, vector in enumerate(embedded.vectors)
    ]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _encoded(vector: Vector, encoding: str) -> list[float] | str:
    return base64.b64encode(vector).decode() if encoding == "base64" else vector.tolist()


class Watch:
    """What probes, scrapes and people look at."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def models(self, _request: web.Request) -> web.Response:
        """Name the model; in the settings it has one name for all of its versions."""
        model = {
            "id": self._server.settings.name,
            "object": "model",
            "created": 0,
            "owned_by": "agentherd",
        }
        return _json({"object": "list", "data": [model], **asdict(self._server.identity)})

    async def healthz(self, _request: web.Request) -> web.Response:
        """Tell whether the model is loaded, warm or not; in a drain it still is."""
        if self._server.loaded:
            return web.Response(text="ok\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="loading\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Give the metrics in the text format of Prometheus."""
        exposition = self._server.traffic.exposition()
        return web.Response(body=exposition, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(value: object, *, status: int = HTTPStatus.OK) -> web.Response:
    text = json.dumps(value, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json")
