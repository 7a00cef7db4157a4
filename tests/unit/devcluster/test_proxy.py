"""A door passes bytes on in both directions and never keeps half of a connection."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from devcluster.proxy import Door


class Behind:
    """A server behind the door that answers with all it got, once its client has said all."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.read())
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()


@pytest.fixture
async def behind() -> Behind:
    return Behind()


@pytest.fixture
async def door(behind: Behind) -> AsyncIterator[int]:
    async with await asyncio.start_server(behind, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with await asyncio.start_server(Door(port), "127.0.0.1", 0) as front:
            yield front.sockets[0].getsockname()[1]


async def test_a_client_that_has_said_all_still_gets_its_answer(door: int) -> None:
    """`kubectl exec` closes its input and then reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door)

    writer.write(b"x" * 1_000_000)
    writer.write_eof()

    assert len(await reader.read()) == 1_000_000
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_waits_long_for_its_answer_is_not_forgotten() -> None:
    """Nothing but the answer would wake the connection, and garbage is collected meanwhile."""
    answers = asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers.wait()
        writer.write(b"late")
        writer.close()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        behind = Door(server.sockets[0].getsockname()[1])
        async with await asyncio.start_server(behind, "127.0.0.1", 0) as front:
            port = front.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write_eof()
            await asyncio.sleep(0.1)
            gc.collect()
            answers.set()

            assert await reader.read() == b"late"
            writer.close()


async def test_a_client_that_breaks_off_is_not_kept_behind_the_door(
    door: int, behind: Behind
) -> None:
    """Otherwise every watch of a killed program would stay open in the API server."""
    _, writer = await asyncio.open_connection("127.0.0.1", door)
    writer.write(b"x")
    await writer.drain()

    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()

    await asyncio.wait_for(behind.ended.wait(), timeout=5)


async def test_a_client_of_a_closed_port_is_let_go(behind: Behind) -> None:
    """While the API server starts, nobody listens behind the door."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        door = Door(unused.getsockname()[1])
        async with await asyncio.start_server(door, "127.0.0.1", 0) as front:
            port = front.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)

            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
