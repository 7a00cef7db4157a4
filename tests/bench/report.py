"""The table of a run: what was reached, its spread, and the goal beside it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = tuple[str, str, str]


def table(results: Mapping[str, Any]) -> str:
    """The results for people; medians with the smallest and largest of the bursts."""
    rows = [("what", "reached", "goal"), *_rows(results)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(text.ljust(widths[i]) for i, text in enumerate(row)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _rows(results: Mapping[str, Any]) -> Iterator[Row]:
    bursts = results["bursts"]
    count = results["agents"]
    yield from _burst_rows(bursts, count)
    if idle := results.get("idle"):
        settled = results["resident_settled_mb"] - bursts[-1]["resident_mb"]["empty"]
        yield (f"memory for {count} Agents, settled", f"{settled:.1f} MB", "<= 20 MB")
        asked = {k: n for k, n in idle["requests"].items() if not k.endswith("leases")}
        leases = sum(idle["requests"].values()) - sum(asked.values())
        what = f"requests in {idle['seconds']:.0f} idle seconds, the Lease's {leases} aside"
        yield (what, str(sum(asked.values())), "0")
    if latency := results.get("latency"):
        for title, key in (("own histogram", "operator_ms"), ("seen on a watch", "watch_ms")):
            figures = latency[key]
            text = f"{figures['p50']:.0f} / {figures['p95']:.0f} / {figures['p99']:.0f} ms"
            what = f"event to status, p50 / p95 / p99, {title}"
            yield (what, text, "p99 < 100 ms")
    if rounds := results.get("rounds"):
        yield ("all changed until all converged", _spread(rounds["seconds"], "s"), "")
        yield ("lost updates", str(rounds["lost_updates"]), "0")
        yield ("memory over these rounds", " > ".join(map(str, rounds["resident_mb"])), "level")
    if soak := results.get("soak"):
        yield (
            f"memory growth in {soak['minutes']:.0f} idle minutes",
            f"{soak['growth_mb']} MB",
            "",
        )


def _burst_rows(bursts: Sequence[Mapping[str, Any]], count: int) -> Iterator[Row]:
    for who in ("bare", "operator", "deployments"):
        for until in ("written", "ready"):
            seconds = [burst[who][until] for burst in bursts]
            yield (f"{count} at once, {who}, until {until}", _spread(seconds, "s"), "")
    for until in ("written", "ready"):
        ratios = [burst["bare"][until] / burst["operator"][until] for burst in bursts]
        yield (f"ratio bare / operator, {until}", _spread(ratios, "", digits=2), ">= 0.7")
    ratios = [_cluster_cpu(burst["bare"]) / _cluster_cpu(burst["operator"]) for burst in bursts]
    yield ("the same of the CPU of all processes", _spread(ratios, "", digits=2), "")
    writes = bursts[-1]["operator"]["writes"]
    for resource, number in sorted(writes.items()):
        goal = "<= 2" if resource == "agents/status" else "0" if "events" in resource else "1"
        yield (f"per Agent: {resource}", f"{number:.2f}", "" if "reads" in resource else goal)
    for who, process in (("operator", "operator"), ("bare", "bare client")):
        cpu = [1000 * burst[who]["cpu"][process] / count for burst in bursts]
        goal = "<= 1.5 ms" if who == "operator" else "the floor"
        yield (f"CPU per Agent, {process}", _spread(cpu, "ms", digits=2), goal)
    empty = [burst["resident_mb"]["empty"] for burst in bursts]
    grown = [burst["resident_mb"]["full"] - burst["resident_mb"]["empty"] for burst in bursts]
    yield ("memory without Agents", _spread(empty, "MB"), "<= 60 MB")
    yield (f"memory for {count} Agents, after the burst", _spread(grown, "MB"), "<= 20 MB")


def _cluster_cpu(burst: Mapping[str, Any]) -> float:
    """What a burst cost in all; unlike its duration it says little of what else is running."""
    return float(sum(burst["cpu"].values()))


def _spread(values: Sequence[float], unit: str, *, digits: int = 1) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    text = f"{middle:.{digits}f} {unit}".strip()
    return text if len(values) == 1 else f"{text} ({low:.{digits}f}–{high:.{digits}f})"
