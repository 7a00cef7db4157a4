"""`ApiServer`: the verbs of `Cluster` over HTTP.

One aiohttp session per set of credentials. A write costs about 0.2 ms of CPU here and several
times that in a general client, which is why this hot path is our own; the credentials are still
loaded by a library, and read again when the server does not accept them any more (a service
account's token is renewed on disk every hour).
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agentherd import __version__
from agentherd.cluster.verbs import Page, Raw, WatchEvent
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
from agentherd.domain.kinds import KUBELET_EVENT, Key, Kind

PAGE_SIZE: Final = 500
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)

WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90)
"""The server sends a bookmark about once a minute; a stream silent for longer is dead."""

UNMARKED_SECONDS: Final = 30 * 60
UNMARKED_TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, sock_connect=5, sock_read=UNMARKED_SECONDS + 60
)
"""How long a watch without bookmarks is to last: its silence says nothing, so the server ends it
before we do. That nobody is there any more is found out by TCP, see `_kept_alive`."""

_UNMARKED: Final = frozenset({KUBELET_EVENT})
"""Kinds of which the API server keeps no cache, and so sends no bookmarks."""

_APPLY: Final = {"Content-Type": "application/apply-patch+yaml"}
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_JSON: Final = {"Content-Type": "application/json"}
_METADATA_LIST: Final = {
    "Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
}

RequestObserver = Callable[[str, str, int], None]
"""Called with verb, plural of the kind and HTTP status (0: no answer) of every request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API server is and how to be accepted there."""

    server: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    proxy: str | None = None

    def session(
        self,
        *,
        traces: list[aiohttp.TraceConfig] | None = None,
        requests: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    ) -> aiohttp.ClientSession:
        """Open a session of this connection; needs a running event loop."""
        return aiohttp.ClientSession(
            trace_configs=traces,
            request_class=requests,
            connector=aiohttp.TCPConnector(
                limit=0, ssl=self.tls if self.tls else True, socket_factory=_kept_alive
            ),
            headers={"User-Agent": f"agentherd/{__version__}", **self.headers},
            proxy=self.proxy,
        )


class ApiServer:
    """A Kubernetes API server, to which nothing is written while `may_write` says no."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        observe: RequestObserver | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connect = connect
        self._observe = observe or (lambda _verb, _kind, _status: None)
        self._requests = _allowed(may_write)
        self._connection: Connection | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def get(self, kind: Kind, key: Key) -> Raw:
        """Read one object."""
        return await self._send("GET", kind, kind.path(*key))

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """Read all objects of a kind, page by page."""
        query = {"limit": str(PAGE_SIZE)} | _selection(selector, fields)
        headers = _METADATA_LIST if metadata_only else {}
        while True:
            path = f"{kind.path(namespace)}?{urlencode(query)}"
            answer = await self._send("LIST", kind, path, headers=headers)
            metadata = answer["metadata"]
            yield Page(answer["items"] or [], metadata["resourceVersion"])
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        kind: Kind,
        *,
        version: str,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Follow the changes of a kind since `version`."""
        query = {"watch": "1", "allowWatchBookmarks": "1", "resourceVersion": version}
        query |= _selection(selector, fields)
        timeout = WATCH_TIMEOUT
        if kind in _UNMARKED:
            query["timeoutSeconds"] = str(UNMARKED_SECONDS)
            timeout = UNMARKED_TIMEOUT
        path = f"{kind.path(namespace)}?{urlencode(query)}"
        async with self._request("WATCH", kind, path, timeout=timeout) as response:
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"])
                yield WatchEvent(event["type"], event["object"])

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply of an object."""
        return await self._apply(kind, manifest, manager=manager)

    async def apply_status(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply of an object's status."""
        return await self._apply(kind, manifest, manager=manager, subresource="/status")

    async def create(
        self, kind: Kind, manifest: Mapping[str, Any], *, dry_run: bool = False
    ) -> Raw:
        """Create an object, or find out whether it would be let through."""
        path = kind.path(manifest["metadata"]["namespace"]) + ("?dryRun=All" if dry_run else "")
        # Apart, because what is only tried may well be refused.
        verb = "TRY" if dry_run else "CREATE"
        return await self._send(verb, kind, path, body=manifest, headers=_JSON)

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> Raw:
        """Replace an object of the manifest's resourceVersion."""
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._send("UPDATE", kind, path, body=manifest, headers=_JSON)

    async def merge(self, kind: Kind, key: Key, patch: Mapping[str, Any]) -> Raw:
        """Merge a patch into an object."""
        return await self._send("PATCH", kind, kind.path(*key), body=patch, headers=_MERGE)

    async def delete(self, kind: Kind, key: Key, *, uid: str) -> None:
        """Delete the object with this uid, if it is still there."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._send("DELETE", kind, kind.path(*key), body=options, headers=_JSON)
        except (NotFound, Conflict):
            return

    async def _apply(
        self,
        kind: Kind,
        manifest: Mapping[str, Any],
        *,
        manager: str,
        subresource: str = "",
    ) -> Raw:
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"]) + subresource
        query = f"?fieldManager={manager}&force=true&fieldValidation=Strict"
        return await self._send("APPLY", kind, path + query, body=manifest, headers=_APPLY)

    async def _send(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Raw:
        async with self._request(verb, kind, path, body=body, headers=headers) as response:
            answer: Raw = json.loads(await response.read())
            return answer

    @asynccontextmanager
    async def _request(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT,  # noqa: ASYNC109  (aiohttp's own)
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its answer; turns whatever goes wrong into our errors."""
        data = None if body is None else _encoded(body)
        connection, session = await self._open()
        status = 0
        try:
            async with session.request(
                _METHODS[verb],
                URL(connection.server + path, encoded=True),
                data=data,
                headers=headers,
                timeout=timeout,
            ) as response:
                status = response.status
                if status >= 400:
                    raise _error(status, await _details(response), response.headers)
                yield response
        except Unauthorized:
            await self._close()
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            raise Unreachable(
                f"{_METHODS[verb]} {path}: {error or type(error).__name__}"
            ) from error
        finally:
            self._observe(verb, kind.plural, status)

    async def _open(self) -> tuple[Connection, aiohttp.ClientSession]:
        if self._connection is None or self._session is None or self._session.closed:
            self._connection = self._connect()
            self._session = self._connection.session(requests=self._requests)
        return self._connection, self._session

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


_METHODS: Final = {
    "GET": "GET",
    "LIST": "GET",
    "WATCH": "GET",
    "APPLY": "PATCH",
    "PATCH": "PATCH",
    "CREATE": "POST",
    "TRY": "POST",
    "UPDATE": "PUT",
    "DELETE": "DELETE",
}


def _allowed(may_write: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    """Requests of which those that write are sent only if that is allowed.

    It is asked once there is a connection: a process that was frozen may wake up where it waited
    for one, and would send what another one has done since.
    """

    class Allowed(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            """Raises Conflict instead."""
            if self.method != "GET" and not may_write():
                raise Conflict("another process may write by now")
            return await super().send(conn)

    return Allowed


def _encoded(body: Mapping[str, Any]) -> bytes:
    """The body as it is sent.

    Raises:
        Invalid: it holds what JSON cannot say, such as an infinite number; no server would take it.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise Invalid(f"cannot be written as JSON: {error}") from None


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that finds out within 90 seconds that nobody is there any more."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made


def _selection(labels: str, fields: str) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in chosen.items() if value}


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream into lines of any length; an object may be larger than a reader's limit."""
    rest: list[bytes] = []
    async for chunk in stream.iter_any():
        *complete, last = chunk.split(b"\n")
        for line in complete:
            yield b"".join((*rest, line))
            rest.clear()
        if last:
            rest.append(last)


async def _details(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    text = await response.text()
    try:
        details = json.loads(text)
    except json.JSONDecodeError:
        details = None
    return details if isinstance(details, dict) else {"message": text[:500]}


def _error(
    status: int, details: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> AgentherdError:
    message = details.get("message") or f"HTTP {status}"
    match status:
        case 401:
            return Unauthorized(message)
        case 403:
            return Forbidden(message)
        case 404:
            return NotFound(message)
        case 409:
            return Conflict(message)
        case 410:
            return Expired(message)
        case 429:
            return Throttled(message, retry_after=_retry_after(headers))
        case 500 if "typed patch object" in message:
            # Of a field that the kind does not have, server-side apply tells in this way.
            return Invalid(message)
        case _ if status >= 500:
            return Unreachable(message, retry_after=_retry_after(headers))
        case _:
            return Invalid(message)


def _retry_after(headers: Mapping[str, str] | None) -> float | None:
    value = (headers or {}).get("Retry-After", "")
    return float(value) if value.isdecimal() else None
