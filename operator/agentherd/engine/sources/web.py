"""`Web`: GET, and no more than that, at addresses that are written by somebody else.

The operator stands where those who write an Agent do not: it reaches what their pods may not. So
it asks as nobody: no credentials, no cookies, no proxy, and no redirect is followed to where the
first answer points. It speaks to nobody who is on the same machine only, or who tells machines
about themselves, whatever name leads there; that is checked on the address that is dialled, since
a name may lead elsewhere the next moment. And of what it gets it repeats nothing but numbers and
what a Prometheus says about a query, or it could be used to read pages that are not for everybody.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from agentherd.domain.judging.reach import Reach
from agentherd.engine.guest import body_of, guest
from agentherd.engine.sources.names import Names

TIMEOUT: Final = 10.0
"""Seconds until an answer has to be there as a whole."""

BODY_LIMIT: Final = 256 * 2**10


class NoAnswer(Exception):
    """There is no number; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, and the JSON value; None where it is none."""

    status: int
    value: Any
    fault: str = ""


class Web(Protocol):
    """Asks URLs."""

    async def get(self, url: URL) -> Reply:
        """What is at a URL, whatever the status.

        Raises:
            NoAnswer: nothing usable came in time.
        """
        ...


@asynccontextmanager
async def over_the_web(reach: Reach, *, timeout: float = TIMEOUT) -> AsyncIterator[Web]:  # noqa: ASYNC109
    """A session that reaches whom it may, for `timeout` seconds each time."""
    names = Names()
    session = guest(
        headers={"Accept": "application/json"},
        timeout=timeout,
        resolver=names,
        socket_factory=lambda found: _dial(reach, found),
    )
    try:
        async with session:
            yield _Web(session, reach, timeout)
    finally:
        await names.close()


class _Web:
    def __init__(self, session: aiohttp.ClientSession, reach: Reach, timeout: float) -> None:
        self._session = session
        self._reach = reach
        self._timeout = timeout

    async def get(self, url: URL) -> Reply:
        try:
            if not url.host or not self._reach.allows(url.host):
                raise NoAnswer(f"host {url.host or ''} is not one the operator may ask")
            return await self._get(url)
        except TimeoutError:
            raise NoAnswer(f"{url.host} has not answered within {self._timeout:g} s") from None
        except aiohttp.ClientPayloadError:
            raise NoAnswer(f"the answer of {url.host} broke off") from None
        except aiohttp.ClientConnectorDNSError:
            raise NoAnswer(f"{url.host} is not known to the name servers") from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or str(error.os_error)
            raise NoAnswer(f"cannot connect to {url.host}: {why}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"{url.host} does not speak HTTP: {type(error).__name__}") from None
        except ValueError:  # of what turns names into bytes, and bytes into addresses
            raise NoAnswer(f"{url.raw_host} is no name that a host can have") from None

    async def _get(self, url: URL) -> Reply:
        async with self._session.get(url, allow_redirects=False) as response:
            if 300 <= response.status < 400:
                status = response.status
                raise NoAnswer(f"{url.host} redirects (status {status}), which is not followed")
            body = await body_of(response, limit=BODY_LIMIT)
            if body is None:
                raise NoAnswer(f"{url.host} answers with more than {BODY_LIMIT} bytes")
            value, fault = parsed(body, response.content_type)
            return Reply(response.status, value, fault)


def parsed(body: bytes, content_type: str) -> tuple[Any, str]:
    """The JSON value of a body, or what is wrong with it."""
    try:
        return json.loads(body, parse_constant=_reject), ""
    except (ValueError, RecursionError):
        return None, f"the answer is not JSON ({len(body)} bytes of {content_type})"


def _reject(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _dial(reach: Reach, found: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = found
    if reach.refuses(address[0]):
        raise PermissionError(0, f"the operator does not ask {address[0]}")
    return socket.socket(family, kind, protocol)
