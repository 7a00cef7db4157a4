"""Hold the roles of the operator against the audit log of the development cluster.

`python -m tests.audit` after all end-to-end tests names every permission that is granted and was
not used, or asked for and not granted, and exits with 1 then. Only the local cluster keeps such a
log; on another one there is nothing to compare, which is said. The log begins with the cluster:
what an older operator used counts as used until the cluster is started anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from devcluster.progress import Progress
from devcluster.providers import Origin, find
from tests.audit.replay import UNSEEN, asked, compare, granted

BASE: Final = Path(__file__).resolve().parents[2] / "manifests/base"
ROLES: Final = tuple(BASE / name for name in ("cluster-role.yaml", "lease-role.yaml"))


def main() -> int:
    """Compare and tell; returns the exit code."""
    provider = find(Progress())
    logs = sorted(provider.layout.logs.glob("audit*.jsonl"))
    if provider.origin is not Origin.LOCAL or not logs:
        print("this cluster keeps no audit log, so the roles are compared with nothing")
        return 0
    held = set(granted(yaml.safe_load(role.read_text()) for role in ROLES))
    used = set(asked(_lines(logs)))
    findings = compare(held, used)
    for each in findings.missing:
        print(f"asked for and not granted: {each}")
    for each in findings.unused:
        print(f"granted and never used: {each}")
    print(f"{len(used & held)} of {len(held)} permissions were used; {len(UNSEEN)} cannot be seen")
    return 1 if findings.missing or findings.unused else 0


def _lines(logs: list[Path]) -> Iterator[str]:
    for log in logs:
        with log.open() as lines:
            yield from lines


if __name__ == "__main__":
    sys.exit(main())
