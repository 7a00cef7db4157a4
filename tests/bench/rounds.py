"""Change every Agent, again and again: until all have converged, with nothing lost.

Each round writes another config, which is a new revision with new pods. Nothing is lost when
every status is about the latest generation and the files of the latest revision hold what was
written.
"""

from __future__ import annotations

import time

from tests.bench import fleet
from tests.bench.client import Client
from tests.bench.manifests import names
from tests.bench.milestones import Milestone, Object, name, reaching, watching
from tests.bench.subject import Operator

from agentherd.domain.kinds import AGENT, CONFIG_MAP, revision_name

PATIENCE = 600.0


async def changes(
    client: Client, operator: Operator, namespace: str, *, count: int, rounds: int
) -> dict[str, object]:
    """Change all `count` Agents `rounds` times."""
    memory = [round(operator.resident_mb, 1)]
    cpu = operator.cpu_seconds
    seconds = []
    lost = 0
    for number in range(rounds):
        text = f"Round {number}: be kind."
        seconds.append(round(await _round(client, namespace, count, text), 2))
        lost += await _lost(client, namespace, count, text)
        memory.append(round(operator.resident_mb, 1))
    return {
        "seconds": seconds,
        "lost_updates": lost,
        "resident_mb": memory,
        "operator_cpu_ms_per_change": round(
            1000 * (operator.cpu_seconds - cpu) / (count * rounds), 2
        ),
    }


async def _round(client: Client, namespace: str, count: int, text: str) -> float:
    converged = Milestone(count)

    def reached(found: Object) -> str | None:
        return name(found) if _converged(found, text) else None

    async with watching(client, AGENT, namespace, reaching([(converged, reached)])):
        start = time.perf_counter()
        await fleet.patch(client, namespace, names(count), {"config": {"prompt.txt": text}})
        return await converged.last(seconds=PATIENCE) - start


def _converged(found: Object, text: str) -> bool:
    status = found.get("status", {})
    return bool(
        found["spec"].get("config", {}).get("prompt.txt") == text
        and status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("phase") == "Online"
        and status.get("stableRevision") == status.get("targetRevision")
    )


async def _lost(client: Client, namespace: str, count: int, text: str) -> int:
    """How many Agents are not as they were written last."""
    maps = {name(item): item["data"] for item in await fleet.items(client, CONFIG_MAP, namespace)}
    good = [
        agent
        for agent in await fleet.items(client, AGENT, namespace)
        if _converged(agent, text)
        and maps.get(revision_name(name(agent), agent["status"]["targetRevision"]))
        == {"prompt.txt": text}
    ]
    return count - len(good)
