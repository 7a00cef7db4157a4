"""The floor of coverage: lines and branches apart, the rules higher than the rest.

`make coverage` runs it on what the unit tests have recorded. The operators of the end-to-end tests
are not measured, as that makes them slow, and the floors hold without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RULES = ("drain.py", "judging/", "phase.py", "routing/", "upgrades/")
"""The parts of the domain in which an untried branch may cost somebody their requests."""

FLOORS = {
    "rules of phases and upgrades": (tuple(f"agentherd/domain/{name}" for name in RULES), 98.0),
    "domain": (("agentherd/domain/",), 95.0),
    "all": (("agentherd/",), 90.0),
}


def main() -> int:
    """Print the shares; returns 1 when one is below its floor."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)]
        subprocess.run(command, check=True)
        files: Mapping[str, Any] = json.loads(report.read_text())["files"]
    low = False
    for name, (parts, floor) in FLOORS.items():
        summaries = [f["summary"] for path, f in files.items() if any(p in path for p in parts)]
        lines = _share(summaries, "covered_lines", "num_statements")
        branches = _share(summaries, "covered_branches", "num_branches")
        low = low or min(lines, branches) < floor
        print(
            f"coverage of {name}: lines {lines:.1f} %, branches {branches:.1f} % (>= {floor:g} %)"
        )
    return 1 if low else 0


def _share(summaries: Iterable[Mapping[str, int]], part: str, whole: str) -> float:
    found = [(summary[part], summary[whole]) for summary in summaries]
    total = sum(count for _, count in found)
    return 100.0 * sum(count for count, _ in found) / total if total else 100.0


if __name__ == "__main__":
    sys.exit(main())
