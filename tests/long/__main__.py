"""`python -m tests.long`: canaries under 60,000 requests, how fast rollbacks are, and verdicts.

Progress goes to stderr, a line for each run to stdout, and all figures to a directory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from tests.e2e.operator_process import ROOT
from tests.long.canary import WAYS, Scale, under_load
from tests.long.cases import CASES
from tests.long.figures import Outcome, of_canary, of_rollbacks, of_verdicts
from tests.long.place import Disturbed, place
from tests.long.rollbacks import rollbacks
from tests.long.verdicts import verdicts

CANARIES: Final = {f"canary-{way}": way for way in WAYS}
ROLLBACKS: Final = {"rollbacks": False, "rollbacks-with-one-unready": True}
VERDICTS: Final = {f"verdicts-{name}": case for name, case in CASES.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was chosen; returns 1 when something was lost, late or out of order."""
    chosen = _parser().parse_args(arguments)
    chosen.into.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    outcomes = []
    for name in chosen.only or [*CANARIES, *ROLLBACKS, *VERDICTS]:
        try:
            outcome = _run(name, chosen, progress)
        except Disturbed as error:
            print(error, file=sys.stderr)
            return 2
        except AssertionError as error:
            outcome = Outcome(name=name, line=str(error), kept=False, figures={})
        progress.say(f"all figures: {outcome.write(chosen.into)}")
        outcomes.append(outcome)
    for outcome in outcomes:
        print(f"{'kept  ' if outcome.kept else 'BROKEN'} {outcome.name}: {outcome.line}")
    return 0 if all(outcome.kept for outcome in outcomes) else 1


def _run(name: str, chosen: argparse.Namespace, progress: Progress) -> Outcome:
    with place() as (world, directory):
        if name in CANARIES:
            way = WAYS[CANARIES[name]]
            scale = Scale(rate=chosen.rate, seconds=chosen.requests / chosen.rate)
            found = under_load(world, directory, way, scale, progress)
            return of_canary(name, found, ended=way.wins, phase=way.phase)
        if name in VERDICTS:
            case, within = VERDICTS[name], chosen.within
            runs = verdicts(
                world, directory, case, count=chosen.runs, within=within, progress=progress
            )
            return of_verdicts(name, runs, case)
        done = rollbacks(
            world,
            directory,
            count=chosen.rollbacks,
            unready=ROLLBACKS[name],
            progress=progress,
        )
        return of_rollbacks(name, done)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    names = [*CANARIES, *ROLLBACKS, *VERDICTS]
    parser.add_argument("--only", nargs="+", choices=names, help="not all runs")
    parser.add_argument("--requests", type=int, default=60_000, help="of each canary (60000)")
    parser.add_argument("--rate", type=float, default=200, help="of a canary, a second (200)")
    parser.add_argument("--rollbacks", type=int, default=30, help="of each kind (30)")
    parser.add_argument("--runs", type=int, default=10, help="of each verdict (10)")
    parser.add_argument("--within", type=float, default=300, help="seconds to a verdict (300)")
    where = ROOT / ".cache" / "long"
    parser.add_argument("--into", type=Path, default=where, help="directory for all figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
