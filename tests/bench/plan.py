"""The order of one run, in which everything that is compared is measured side by side.

The bare client and the Deployments have the cluster for themselves; the operator is started
anew for every burst, so each begins with the memory and the caches of a fresh process. The last
burst's Agents stay for what needs a settled fleet.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import burst, fleet
from tests.bench.client import APPLY, Client, Refused, connected
from tests.bench.latency import transitions
from tests.bench.manifests import NAMESPACE
from tests.bench.quiet import idle, soak
from tests.bench.rounds import changes
from tests.bench.subject import Operator, operator

from agentherd.domain.kinds import GROUP, Kind
from agentherd.engine.store import SUBJECT_KINDS

_FILES = Path(__file__).resolve().parents[2] / "crds"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
BARE, OPERATED, DEPLOYED = "bench-bare", "bench-agents", "bench-deployments"
RATE = 20.0


@dataclass(frozen=True)
class Options:
    """What is run."""

    agents: int
    repeat: int
    idle_seconds: float
    rounds: int
    soak_minutes: float
    only_burst: bool
    profile: Path | None
    json: Path

    @property
    def log(self) -> Path:
        """What the operator says."""
        return self.json.parent / "operator.log"

    def store(self, results: Mapping[str, Any]) -> None:
        """Keep what there is so far; a run takes a while."""
        self.json.write_text(json.dumps(results, indent=2) + "\n")


async def run(options: Options) -> dict[str, Any]:
    """Run everything; the results as they are stored."""
    results: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "agents": options.agents,
        "bursts": [],
    }
    async with connected() as client:
        await _prepare(client)
        for number in range(options.repeat):
            _say(f"burst {number + 1} of {options.repeat}")
            last = number == options.repeat - 1
            results["bursts"].append(await _burst(client, options, results, stay=last))
            options.store(results)
        for namespace in (BARE, OPERATED, DEPLOYED):
            await client.send("DELETE", NAMESPACE.path(None, namespace))
    return results


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


async def _prepare(client: Client) -> None:
    # Also the one that no burst makes: the operator looks again and again for what is not served.
    for kind in SUBJECT_KINDS:
        name = f"{kind.plural}.{GROUP}"
        await client.send(
            "PATCH",
            f"{_CRDS}/{name}?fieldManager=bench&force=true",
            body=(_FILES / f"{GROUP}_{kind.plural}.yaml").read_bytes(),
            headers=APPLY,
        )
    async with asyncio.timeout(30):
        while not all([await _served(client, kind) for kind in SUBJECT_KINDS]):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.2)
    for namespace in (BARE, OPERATED, DEPLOYED):
        await fleet.make_namespace(client, namespace)


async def _served(client: Client, kind: Kind) -> bool:
    """Whether the kind is there; until it is, the server answers 404 in plain text, or 429."""
    try:
        return (await client.send("GET", kind.path(), missing_ok=True)).startswith(b"{")
    except Refused:
        return False


async def _burst(
    client: Client, options: Options, results: dict[str, Any], *, stay: bool
) -> Mapping[str, object]:
    """One burst of each kind; with `stay` also all that needs the settled fleet."""
    count = options.agents
    deployed = await burst.of_deployments(client, DEPLOYED, count)
    _say(f"  Deployments: written {deployed.written:.1f} s, ready {deployed.ready:.1f} s")
    await fleet.clear(client, DEPLOYED)
    bare = await burst.by_bare_client(client, BARE, count)
    _say(f"  bare client: written {bare.written:.1f} s, ready {bare.ready:.1f} s")
    await fleet.clear(client, BARE)
    async with operator(options.log, profile=options.profile) as subject:
        empty = subject.resident_mb
        operated = await burst.by_operator(client, subject, OPERATED, count)
        full = subject.resident_mb
        _say(f"  operator: written {operated.written:.1f} s, ready {operated.ready:.1f} s")
        figures = {
            "bare": bare.result(),
            "operator": operated.result(),
            "deployments": deployed.result(),
            "resident_mb": {"empty": round(empty, 1), "full": round(full, 1)},
        }
        options.store(results | {"bursts": [*results["bursts"], figures]})
        if stay and not options.only_burst:
            await _settled(client, subject, options, results)
    await fleet.clear(client, OPERATED)
    return figures


async def _settled(
    client: Client, subject: Operator, options: Options, results: dict[str, Any]
) -> None:
    _say(f"idle for {options.idle_seconds:.0f} s")
    results["idle"] = await idle(client, subject, options.idle_seconds)
    results["resident_settled_mb"] = round(subject.resident_mb, 1)
    _say("changes at a steady rate")
    results["latency"] = await transitions(
        client, subject, OPERATED, count=min(400, options.agents), rate=RATE
    )
    if options.rounds:
        _say(f"{options.rounds} changes of the whole fleet")
        results["rounds"] = await changes(
            client, subject, OPERATED, count=options.agents, rounds=options.rounds
        )
    if options.soak_minutes:
        _say(f"idle for {options.soak_minutes:.0f} minutes")
        results["soak"] = await soak(subject, options.soak_minutes)


_STARTED = time.monotonic()


def _say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", file=sys.stderr)
