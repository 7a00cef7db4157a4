"""The operator under test: one real process, seen from outside."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from tests.bench.exposition import quantile, samples, totals
from tests.bench.processes import cpu_seconds, resident_mb

from agentherd.domain.kinds import AGENT

PORT = 18099


class Operator:
    """A running operator."""

    def __init__(self, pid: int, session: aiohttp.ClientSession) -> None:
        self.pid = pid
        self._session = session

    @property
    def resident_mb(self) -> float:
        """Its memory now."""
        return resident_mb(self.pid)

    @property
    def cpu_seconds(self) -> float:
        """Its CPU time so far."""
        return cpu_seconds(self.pid)

    async def metrics(self) -> str:
        """Its exposition."""
        async with self._session.get(f"http://127.0.0.1:{PORT}/metrics") as response:
            return await response.text()

    async def requests(self) -> Counter[str]:
        """Requests it sent, by verb and resource."""
        text = await self.metrics()
        return totals(
            text, "agentherd_api_requests_total", lambda s: f"{s['verb']} {s['resource']}"
        )

    async def ready(self) -> None:
        """Wait until it knows all objects."""
        async with asyncio.timeout(60):
            while True:
                try:
                    url = f"http://127.0.0.1:{PORT}/readyz"
                    async with self._session.get(url) as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)


def transition_buckets(metrics: str) -> dict[float, float]:
    """The operator's own histogram from event to written status, of Agents."""
    name = "agentherd_transition_seconds_bucket"
    return {
        float(labels["le"]): value
        for labels, value in samples(metrics, name)
        if labels["kind"] == AGENT.name
    }


def transition_quantiles(before: str, after: str) -> dict[str, float]:
    """Quantiles in milliseconds of the transitions between two readings."""
    old, new = transition_buckets(before), transition_buckets(after)
    buckets = {bound: count - old.get(bound, 0) for bound, count in new.items()}
    return {f"p{round(q * 100)}": round(1000 * quantile(buckets, q), 1) for q in (0.5, 0.95, 0.99)}


@asynccontextmanager
async def operator(log: Path, *, profile: Path | None = None) -> AsyncIterator[Operator]:
    """Run the operator for the whole cluster while the context lasts."""
    await _compile(log.parent)
    measured = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *measured, "-m", "tests.bench.launch", "run"),
            *("--http-host=127.0.0.1", f"--http-port={PORT}", "--lease-namespace=default"),
            "--lease-name=agentherd-bench",
            stdout=output,
            stderr=output,
            env=_environment(log.parent),
        )
    try:
        async with aiohttp.ClientSession() as session:
            subject = Operator(process.pid, session)
            await subject.ready()
            yield subject
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _compile(directory: Path) -> None:
    """Have the bytecode written, as in an image: compiling takes memory that is not given back."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.launch", "version"),
        stdout=asyncio.subprocess.DEVNULL,
        env=_environment(directory),
    )
    await process.wait()


def _environment(directory: Path) -> dict[str, str]:
    dropped = ("AGENTHERD_", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return kept | {"PYTHONPYCACHEPREFIX": str(directory / "bytecode")}
