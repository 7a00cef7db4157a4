"""`python -m tests.bench`: what the operator costs and how fast it is, measured in one run.

Progress goes to stderr, a table to stdout, everything to a JSON file. Run it where the cluster's
processes can be seen: `python -m devcluster enter --scale -- .venv/bin/python -m tests.bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.plan import Options, run
from tests.bench.report import table

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all benchmarks; returns 0 whatever they say, for a noisy machine is no failure."""
    chosen = _parser().parse_args(arguments)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    options = Options(
        agents=chosen.agents or (200 if chosen.quick else 1000),
        repeat=chosen.repeat or (1 if chosen.quick else 3),
        idle_seconds=chosen.idle or (20 if chosen.quick else 60),
        rounds=chosen.rounds,
        soak_minutes=chosen.soak,
        only_burst=chosen.only_burst,
        profile=chosen.profile,
        json=chosen.json,
    )
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    results = asyncio.run(run(options))
    print(table(results))
    print(f"\nall figures: {chosen.json}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="200 Agents, one burst, 20 s of idling"
    )
    parser.add_argument("--agents", type=int, help="size of the fleet (1000)")
    parser.add_argument("--repeat", type=int, help="bursts of each kind, for the spread (3)")
    parser.add_argument("--idle", type=float, help="seconds in which nothing happens (60)")
    parser.add_argument("--rounds", type=int, default=3, help="changes of the whole fleet (3)")
    parser.add_argument("--soak", type=float, default=0, help="minutes of idling at the end (0)")
    parser.add_argument("--only-burst", action="store_true", help="nothing but the bursts")
    parser.add_argument("--profile", type=Path, help="run the operator under cProfile, into a file")
    where = ROOT / ".cache" / "bench" / "bench.json"
    parser.add_argument("--json", type=Path, default=where, help="where all figures go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
