"""The doors of the cluster: loopback ports of the machine that lead into its network namespace.

A listening socket belongs to the namespace in which it was made, wherever its owner lives. So the
sockets are opened outside and handed to this process inside, which connects each to the same port
of the namespace's own loopback: one address works on both sides, and nothing is routed.

Runs as `python -m devcluster.proxy HEALTH FD:PORT …`; HEALTH is a Unix socket for the guard.
"""

from __future__ import annotations

import asyncio
import socket
import sys

CHUNK = 256 * 1024


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends; if either side breaks, the other must not wait for it."""
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.close()


class Door:
    """Leads each client to 127.0.0.1:`port`; each direction ends on its own, as TCP allows.

    The loop holds a task by what it waits for. A connection of which one half is closed may wait
    for nothing that the loop holds and would be taken for garbage, so it is held here.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._relays: set[asyncio.Task[None] | None] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one client until both directions have ended."""
        task = asyncio.current_task()
        self._relays.add(task)
        try:
            await self._relay(reader, writer)
        finally:
            self._relays.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_pour(reader, to_writer))
                directions.create_task(_pour(to_reader, writer))
        finally:
            to_writer.close()
            writer.close()


async def serve(doors: list[tuple[int, int]], health: str) -> None:
    """Serve (file descriptor, port) pairs until killed; `health` is a Unix socket that accepts."""
    servers: list[asyncio.Server] = []
    for descriptor, port in doors:
        listening = socket.socket(fileno=descriptor)
        servers.append(await asyncio.start_server(Door(port), sock=listening, backlog=1024))
    servers.append(await asyncio.start_unix_server(_accept_only, path=health))
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _accept_only(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def doors_of(arguments: list[str]) -> list[tuple[int, int]]:
    """The (file descriptor, port) pairs of "FD:PORT" words."""
    pairs = (argument.split(":") for argument in arguments)
    return [(int(descriptor), int(port)) for descriptor, port in pairs]


def main() -> None:
    """Arguments: the health socket, then FD:PORT for each door."""
    asyncio.run(serve(doors_of(sys.argv[2:]), sys.argv[1]))


if __name__ == "__main__":
    main()
