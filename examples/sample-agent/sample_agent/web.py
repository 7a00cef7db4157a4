"""The HTTP surface: work (`/`, `/task`, `/stream`) and what watches it.

Only work is counted, delayed, failed on purpose and waited for; a probe or a scrape sees the
agent as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from sample_agent.agent import Agent
from sample_agent.traffic import ABORTED

LONGEST_STREAM = 3600

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Sleep = Callable[[float], Awaitable[None]]


def build_app(agent: Agent, *, sleep: Sleep = asyncio.sleep) -> web.Application:
    """Give the application; `sleep` is what a latency and a stream wait with."""
    work = Work(agent, sleep=sleep)
    watch = Watch(agent)
    app = web.Application()
    app.add_routes(
        [
            web.get("/", work.counted(work.answer)),
            web.post("/task", work.counted(work.task)),
            web.get("/stream", work.counted(work.stream)),
            web.get("/healthz", watch.healthz),
            web.get("/readyz", watch.readyz),
            web.get("/config", watch.config),
            web.get("/metrics", watch.metrics),
        ]
    )
    return app


class Work:
    """The requests that an agent exists for."""

    def __init__(self, agent: Agent, *, sleep: Sleep) -> None:
        self._agent = agent
        self._sleep = sleep

    def counted(self, handler: Handler) -> Handler:
        """Wrap a handler in the count of requests and in the faults."""

        async def handle(request: web.Request) -> web.StreamResponse:
            with self._agent.traffic.request() as exchange:
                # One draw for each request, before anything waits: the order is that of arrival.
                fails = self._agent.faults.next_request_fails()
                await self._sleep(self._agent.config.settings.latency)
                try:
                    response = self._failure() if fails else await handler(request)
                    exchange.code = response.status
                except web.HTTPException as refused:
                    exchange.code = refused.status
                    raise
                except ConnectionResetError:
                    exchange.code = ABORTED
                    raise
                if self._agent.draining and not response.prepared:
                    response.force_close()
                return response

        return handle

    async def answer(self, _request: web.Request) -> web.Response:
        """Say who answers and with which configuration."""
        return web.json_response(self._about(), dumps=_dumps)

    async def task(self, request: web.Request) -> web.Response:
        """Judge a task: accepted when its score reaches the threshold of the configuration."""
        try:
            task = json.loads(await request.text() or "{}")
            score = float(task.get("score", 1.0))
        except (ValueError, TypeError, AttributeError):
            raise web.HTTPBadRequest(text='wanted is {"task": "text", "score": 0.7}\n') from None
        accepted = score >= self._agent.config.settings.threshold
        return web.json_response(
            {**self._about(), "task": task.get("task", ""), "accepted": accepted}, dumps=_dumps
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Write one line a second, for as many seconds as asked for."""
        seconds = _seconds(request.query.get("seconds", "5"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        if self._agent.draining:
            response.force_close()
        await response.prepare(request)
        for number in range(1, seconds + 1):
            line = {"line": number, "of": seconds, **asdict(self._agent.identity)}
            await response.write(_dumps(line).encode() + b"\n")
            await self._sleep(1)
        await response.write_eof()
        return response

    def _about(self) -> dict[str, object]:
        config = self._agent.config
        return {
            **asdict(self._agent.identity),
            "greeting": config.settings.greeting,
            "prompt": config.settings.prompt,
            "config": config.digest,
        }

    def _failure(self) -> web.Response:
        failure = {**asdict(self._agent.identity), "error": "errorRate"}
        return web.json_response(failure, status=HTTPStatus.INTERNAL_SERVER_ERROR, dumps=_dumps)


class Watch:
    """What probes, scrapes and people look at."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def healthz(self, _request: web.Request) -> web.Response:
        """Tell whether the agent works, which it still does while it drains."""
        return web.Response(text="ok\n") if self._agent.healthy else _unwell(500, "probe fault\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Tell whether the agent wants requests."""
        return web.Response(text="ok\n") if self._agent.ready else _unwell(503, "not ready\n")

    async def config(self, _request: web.Request) -> web.Response:
        """Show the configuration in use."""
        config = self._agent.config
        shown = {
            "hash": config.digest,
            "loadedAt": config.loaded_at.isoformat(timespec="milliseconds"),
            "values": dict(config.values),
            "unknown": config.unknown,
        }
        return web.json_response(shown, dumps=_dumps)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Give the metrics in the text format of Prometheus."""
        return web.Response(
            body=self._agent.traffic.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


def _unwell(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _seconds(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and int(text) <= LONGEST_STREAM):
        wanted = f"seconds is a whole number from 0 to {LONGEST_STREAM}\n"
        raise web.HTTPBadRequest(text=wanted)
    return int(text)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
