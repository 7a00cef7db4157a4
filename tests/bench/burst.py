"""1,000 at once: by the operator, by the bare client, and Deployments as the yardstick.

All three are timed by the same watches, from the first creation on: `written` when the last one
has its ReplicaSet, its Service and a first status; `ready` when the last one has an available pod
and the status that says so.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

from tests.bench import fleet, milestones
from tests.bench.client import Client
from tests.bench.exposition import Labels, totals
from tests.bench.manifests import DEPLOYMENT, agent, deployment, names
from tests.bench.milestones import Milestone, reaching, watching
from tests.bench.processes import cluster_processes, cpu_of, spent
from tests.bench.subject import Operator

from agentherd.domain.kinds import AGENT, REPLICA_SET, SERVICE

PATIENCE = 600.0
SETTLE_SECONDS = 7.0
"""The operator gathers unimportant changes of a status for five seconds."""


@dataclass
class Burst:
    """Seconds from the first creation on, CPU seconds by process, writes per member."""

    created: float = 0.0
    written: float = 0.0
    ready: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    writes: dict[str, float] = field(default_factory=dict)

    def result(self) -> dict[str, object]:
        """As it is stored."""
        return asdict(self)


async def by_operator(client: Client, operator: Operator, namespace: str, count: int) -> Burst:
    """Create Agents that the operator takes care of; they are left there."""
    processes = cluster_processes() | {"operator": operator.pid}
    before_cpu = cpu_of(processes)
    before = await _writes(client)
    own_before = await operator.requests()
    burst = await _agents(client, namespace, count, told=lambda _name, _uid: None)
    await asyncio.sleep(SETTLE_SECONDS)
    burst.cpu = spent(before_cpu, cpu_of(processes))
    burst.writes = _per_member(before, await _writes(client), count)
    own = await operator.requests()
    own.subtract(own_before)
    burst.writes["events by the operator"] = own["CREATE events"] / count
    burst.writes["reads by the operator"] = (
        sum(number for verb, number in own.items() if verb.startswith(("GET ", "LIST "))) / count
    )
    return burst


async def by_bare_client(client: Client, namespace: str, count: int) -> Burst:
    """Create Agents that the bare client writes for; the operator must not run."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare", namespace),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if await process.stdout.readline() != b"ready\n":
        raise RuntimeError("the bare client did not start; its error is above")
    processes = cluster_processes()
    before_cpu = cpu_of(processes)
    lines = process.stdin
    burst = await _agents(
        client, namespace, count, told=lambda name, uid: lines.write(f"{name} {uid}\n".encode())
    )
    lines.close()
    report = json.loads((await process.communicate())[0])
    burst.cpu = spent(before_cpu, cpu_of(processes)) | {"bare client": report["cpu_seconds"]}
    burst.writes = {"requests": report["requests_per_agent"]}
    return burst


async def of_deployments(client: Client, namespace: str, count: int) -> Burst:
    """Create as many Deployments."""
    members = names(count)
    has_set, has_status, available = (Milestone(count) for _ in range(3))
    sees_sets = reaching([(has_set, milestones.owner)])
    sees_deployments = reaching(
        [(has_status, milestones.has_status), (available, milestones.is_available)]
    )
    processes = cluster_processes()
    before_cpu = cpu_of(processes)
    burst = Burst()
    async with AsyncExitStack() as watches:
        for kind, see in ((REPLICA_SET, sees_sets), (DEPLOYMENT, sees_deployments)):
            await watches.enter_async_context(watching(client, kind, namespace, see))
        start = time.perf_counter()
        await fleet.create(client, DEPLOYMENT, namespace, members, deployment)
        burst.created = time.perf_counter() - start
        burst.written = await _last(has_set, has_status) - start
        burst.ready = await _last(available) - start
    burst.cpu = spent(before_cpu, cpu_of(processes))
    return burst


async def _agents(client: Client, namespace: str, count: int, *, told: fleet.Told) -> Burst:
    has_set, has_service, has_status, ready, available = (Milestone(count) for _ in range(5))
    rules = {
        AGENT: [(has_status, milestones.has_status), (ready, milestones.is_ready)],
        REPLICA_SET: [
            (has_set, milestones.owner),
            (available, milestones.owner_if_available),
        ],
        SERVICE: [(has_service, milestones.owner)],
    }
    burst = Burst()
    async with AsyncExitStack() as watches:
        for kind, wanted in rules.items():
            see = reaching(wanted)
            await watches.enter_async_context(watching(client, kind, namespace, see))
        start = time.perf_counter()
        await fleet.create(client, AGENT, namespace, names(count), agent, told=told)
        burst.created = time.perf_counter() - start
        burst.written = await _last(has_set, has_service, has_status) - start
        burst.ready = await _last(ready, available) - start
    return burst


async def _last(*reached: Milestone) -> float:
    return max([await milestone.last(seconds=PATIENCE) for milestone in reached])


# Writes, counted by the API server

_OF_THE_OPERATOR = {"agents", "services", "serviceaccounts", "configmaps", "controllerrevisions"}
_OF_THE_OPERATOR |= {"replicasets", "poddisruptionbudgets"}


async def _writes(client: Client) -> Counter[str]:
    """Applies of the operator's kinds: nobody else in the cluster uses that verb on them."""

    def key(labels: Labels) -> str | None:
        if labels["verb"] != "APPLY" or labels["resource"] not in _OF_THE_OPERATOR:
            return None
        sub = labels.get("subresource")
        return labels["resource"] + (f"/{sub}" if sub else "")

    return totals(await client.text("/metrics"), "apiserver_request_total", key)


def _per_member(before: Counter[str], after: Counter[str], count: int) -> dict[str, float]:
    return {key: (n - before[key]) / count for key, n in after.items() if n > before[key]}
