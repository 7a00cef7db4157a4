"""Write the reference of the metrics, or check that it is fresh.

`python -m agentherd.engine` is run at the root of the repository; `--check` writes nothing, names
the file if it differs and exits with 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentherd.engine.metrics import MAX_TOLD, Metrics

PAGE: Final = Path("docs/reference/metrics.md")


def reference() -> str:
    """The page about the metrics, as Markdown, made of the instruments there are."""
    rows = [
        f"| `{each.name}` | {each.type} | {_labels(each.labels)} | {each.text}. |"
        for each in Metrics().instruments
    ]
    return "\n".join(
        [
            "<!-- Generated from operator/agentherd/engine by `make generate`; do not edit. -->",
            "",
            "# Metrics",
            "",
            "Served at `/metrics`, port 8080 of the operator, in the text format of Prometheus.",
            "How they are collected, and what is worth an alert: [Monitor](../how-to/monitor.md).",
            "A process that waits for the Lease knows of no objects and has only those of its own.",
            "",
            "A histogram is queried with `_bucket`, `_count` and `_sum` at the end of its name.",
            "Labels have few values: kinds, phases, reasons, verbs. Only the series of an upgrade",
            f"that runs have its name. There are at most {MAX_TOLD} such upgrades, the ones that",
            "have run the longest, and the series go when it ends. Besides, there are `process_`",
            "and `python_info`, as of every program with this library.",
            "",
            "| name | type | labels | what it tells |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentherd.engine", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the file is stale"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="root of the repository (default: here)"
    )
    options = parser.parse_args(arguments)
    path: Path = options.root / PAGE
    text = reference()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        sys.stderr.write(f"{path} is stale: run `make generate`\n")
        return 1
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path} written\n")
    return 0


def _labels(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    sys.exit(main())
