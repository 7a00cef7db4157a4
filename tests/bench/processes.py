"""CPU and memory of processes, from /proc: the operator and the parts of the cluster around it.

The cluster's processes are those that share this process's network namespace, which is why the
benchmarks run inside of it (`python -m devcluster enter --scale`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
_TICKS = os.sysconf("SC_CLK_TCK")


def cluster_processes() -> dict[str, int]:
    """Process id of each component of the cluster around us."""
    ours = _network("self")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            name = Path((entry / "cmdline").read_bytes().split(b"\0")[0].decode()).name
            if name in COMPONENTS and _network(entry.name) == ours:
                found[name] = int(entry.name)
        except OSError:  # it has ended
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_of(processes: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds of each."""
    return {name: cpu_seconds(pid) for name, pid in processes.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference of two readings."""
    return {name: round(after[name] - before[name], 3) for name in before}


def resident_mb(pid: int) -> float:
    """Resident memory in MB (10^6)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _network(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())
