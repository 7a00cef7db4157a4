"""The benchmarks' own client: as little as possible between aiohttp and the clock.

It never looks at an answer that nobody asked for, so that it shows what the API server and an
asyncio client can do and takes little from what is measured beside it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import kopf
from yarl import URL

from agentherd.runtime.connection import connect

CONCURRENCY = 32

MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


class Refused(Exception):
    """A request of the benchmark failed."""


class Client:
    """Requests to the API server of the current context."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        missing_ok: bool = False,
    ) -> bytes:
        """One request; its answer as it came."""
        url = URL(self._server + path, encoded=True)
        async with self._session.request(method, url, data=body, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400 and not (missing_ok and response.status == 404):
                raise Refused(f"{method} {path}: {response.status} {answer[:500]!r}")
            return answer

    async def read(self, path: str) -> dict[str, Any]:
        """One JSON answer."""
        answer: dict[str, Any] = json.loads(await self.send("GET", path))
        return answer

    async def text(self, path: str) -> str:
        """One text answer."""
        return (await self.send("GET", path)).decode()

    async def write(
        self, method: str, path: str, body: object, headers: Mapping[str, str] = JSON
    ) -> bytes:
        """Send an object."""
        return await self.send(method, path, body=json.dumps(body).encode(), headers=headers)

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Type and object of every event since `version`."""
        url = URL(f"{self._server}{path}?watch=1&resourceVersion={version}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(url, timeout=timeout) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Refused(f"watch of {path}: {event['object']}")
                    yield event["type"], event["object"]


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """A client of the current context, with the credentials as the operator loads them."""
    connection = connect(kopf.OperatorSettings())
    async with connection.session() as session:
        yield Client(connection.server, session)


async def for_each(
    items: Iterable[T], act: Callable[[T], Awaitable[object]], *, workers: int = CONCURRENCY
) -> None:
    """Act on all, `workers` at a time, in their order."""
    rest = iter(items)

    async def work() -> None:
        for item in rest:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
