"""Nothing happens: requests of a settled fleet, and memory over a longer time."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.bench.client import Client
from tests.bench.exposition import Labels, totals
from tests.bench.subject import Operator

from agentherd.domain.kinds import AGENT, CHILD_KINDS

_KINDS = {kind.plural for kind in (AGENT, *CHILD_KINDS)} - {"pods", "serviceaccounts"}
_SAMPLE_SECONDS = 30.0


async def idle(client: Client, operator: Operator, seconds: float) -> dict[str, object]:
    """Requests in a time in which nobody asks for anything, as both sides count them."""
    before, server_before = await operator.requests(), await _served(client)
    cpu = operator.cpu_seconds
    await asyncio.sleep(seconds)
    after, server_after = await operator.requests(), await _served(client)
    return {
        "seconds": seconds,
        "requests": _difference(before, after),
        "served_by_api_server": _difference(server_before, server_after),
        "operator_cpu_seconds": round(operator.cpu_seconds - cpu, 3),
    }


async def soak(operator: Operator, minutes: float) -> dict[str, object]:
    """Memory of the operator, sampled while nothing happens."""
    readings = [operator.resident_mb]
    for _ in range(max(1, round(minutes * 60 / _SAMPLE_SECONDS))):
        await asyncio.sleep(_SAMPLE_SECONDS)
        readings.append(operator.resident_mb)
    return {
        "minutes": minutes,
        "resident_mb": [round(reading, 1) for reading in readings],
        "growth_mb": round(readings[-1] - readings[0], 1),
    }


async def _served(client: Client) -> Counter[str]:
    """Requests for the operator's kinds, whoever sent them; watches that end are begun anew."""

    def key(labels: Labels) -> str | None:
        if labels["resource"] not in _KINDS or labels["verb"] == "WATCH":
            return None
        return f"{labels['verb']} {labels['resource']}"

    return totals(await client.text("/metrics"), "apiserver_request_total", key)


def _difference(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    return {key: n - before[key] for key, n in sorted(after.items()) if n > before[key]}
