"""From a change of a spec to the status that answers it, at a steady rate.

Settled Agents go into maintenance and back. It is timed twice: by the operator's own histogram
(from the event in its hands to the acknowledged write) and from outside, between the two events on
a watch of the benchmark's own, which is what a person or a controller would see.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from tests.bench.client import MERGE, Client
from tests.bench.manifests import names
from tests.bench.milestones import Object, watching
from tests.bench.subject import Operator, transition_quantiles

from agentherd.domain.kinds import AGENT

_PHASES = {"Running": "Online", "Maintenance": "Maintenance"}


async def transitions(
    client: Client, operator: Operator, namespace: str, *, count: int, rate: float
) -> dict[str, object]:
    """Half of `count` Agents into maintenance and back out of it, `rate` changes a second."""
    members = names(count // 2)
    changes = [(name, mode) for mode in ("Maintenance", "Running") for name in members]
    timing = _Timing()
    before = await operator.metrics()
    async with watching(client, AGENT, namespace, timing.see):
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, (name, mode) in enumerate(changes):
                await asyncio.sleep(max(0, start + number / rate - time.perf_counter()))
                body = {"spec": {"operatingMode": mode}}
                path = AGENT.path(namespace, name)
                group.create_task(client.write("PATCH", path, body, MERGE))
        await timing.complete(len(changes), seconds=30)
    own = transition_quantiles(before, await operator.metrics())
    seconds = timing.seconds
    return {
        "transitions": len(seconds),
        "rate": rate,
        "operator_ms": own,
        "watch_ms": {f"p{q}": round(1000 * _quantile(seconds, q), 1) for q in (50, 95, 99)},
        "watch_max_ms": round(1000 * max(seconds), 1),
    }


class _Timing:
    """Pairs of events: the spec changed, the status answers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._asked: dict[tuple[str, int], float] = {}
        self._answered = asyncio.Semaphore(0)

    def see(self, _event: str, found: Object) -> None:
        now = time.perf_counter()
        metadata, status = found["metadata"], found.get("status", {})
        key = (metadata["name"], metadata["generation"])
        mode = found["spec"].get("operatingMode", "Running")
        observed = status.get("observedGeneration") == metadata["generation"]
        if not observed:
            self._asked.setdefault(key, now)
        elif status["phase"] == _PHASES[mode] and key in self._asked:
            self.seconds.append(now - self._asked.pop(key))
            self._answered.release()

    async def complete(self, count: int, *, seconds: float) -> None:
        """Wait until `count` changes have been answered."""
        async with asyncio.timeout(seconds):
            for _ in range(count):
                await self._answered.acquire()


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
