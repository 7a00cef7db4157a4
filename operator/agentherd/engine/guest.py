"""A session with servers that somebody else has written, in which the operator is only a guest.

It brings nothing along: no credentials, no cookies, no proxy. And it takes nothing that is larger
than it looks: what is packed stays packed. Redirects are left to who asks; nobody follows them.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver

from agentherd import __version__


def guest(
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    resolver: AbstractResolver | None = None,
    socket_factory: aiohttp.SocketFactoryType | None = None,
) -> aiohttp.ClientSession:
    """Open a session, whose requests last at most `timeout` seconds; needs a running event loop."""
    return aiohttp.ClientSession(
        # A kept connection would make a server wait that ends once its clients have gone.
        connector=aiohttp.TCPConnector(
            limit=0, force_close=True, resolver=resolver, socket_factory=socket_factory
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            # What is not unpacked cannot turn out to be larger than it was.
            "Accept-Encoding": "identity",
            "User-Agent": f"agentherd/{__version__}",
            **(headers or {}),
        },
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=timeout),
        trust_env=False,
    )


async def body_of(response: aiohttp.ClientResponse, *, limit: int) -> bytes | None:
    """The body of an answer; None, and no more than `limit` bytes read, where it is larger."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
