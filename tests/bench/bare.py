"""The yardstick: a bare asyncio client that does the writes of the operator and nothing else.

Run as a process of its own, as the operator is. It reads a name and a uid from each line of its
standard input and sends the rehearsed requests for it, 32 Agents at a time; it prints what that
took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tests.bench.client import CONCURRENCY, Client, connected
from tests.bench.rehearsal import NAME, UID, Request, rehearse


async def main(namespace: str) -> None:
    """Write until the end of the input."""
    requests = await rehearse(namespace)
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    async with connected() as client, asyncio.TaskGroup() as group:
        cpu = time.process_time()
        group.create_task(_read(lines))
        workers = [group.create_task(_work(client, requests, lines)) for _ in range(CONCURRENCY)]
        counts = await asyncio.gather(*workers)
    report = {"agents": sum(counts), "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(report | {"requests_per_agent": len(requests)}))


async def _read(lines: asyncio.Queue[bytes]) -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print("ready", flush=True)
    async for line in reader:
        lines.put_nowait(line)
    for _ in range(CONCURRENCY):
        lines.put_nowait(b"")


async def _work(client: Client, requests: list[Request], lines: asyncio.Queue[bytes]) -> int:
    count = 0
    while line := await lines.get():
        name, uid = line.split()
        for request in requests:
            await client.send(
                request.method,
                request.path.replace(NAME, name.decode()),
                body=request.body.replace(NAME.encode(), name).replace(UID.encode(), uid) or None,
                headers=request.headers,
                missing_ok=request.method == "GET",
            )
        count += 1
    return count


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
