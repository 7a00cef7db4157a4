"""Names of hosts become addresses in threads of their own.

A name server may keep a thread waiting for half a minute, and nobody can call it back. The threads
that the loop has for everybody are few; were they all waiting for the name of some source, nobody
else's name would be found either, be it that of the API server.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS: Final = 256
"""More than there are questions open together. A name may keep its thread for longer than its
question is open, so one waits for another only where very many find no answer. Threads are started
as they are needed, and where names are found soon, few are."""


class Names(AbstractResolver):
    """Asks the system, as everybody on the machine does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a host.

        Raises:
            OSError: it is not known.
        """
        look_up = partial(
            socket.getaddrinfo,
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Look up no more; what is being looked up is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
