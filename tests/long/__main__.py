"""`python -m tests.long`: what takes longer, or a cluster of its own.

Canaries and swaps under load, how fast rollbacks are, verdicts, and the life of an installation.

Progress goes to stderr, a line for each run to stdout, and all figures to a directory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from tests.e2e.operator_process import ROOT
from tests.e2e.world import World
from tests.long.canary import WAYS, Scale, under_load
from tests.long.cases import CASES
from tests.long.figures import Outcome, of_canary, of_rollbacks, of_verdicts
from tests.long.installation import installed
from tests.long.model_figures import of_pairs, of_swaps, of_weights
from tests.long.pairs import pairs
from tests.long.place import Disturbed, place
from tests.long.rollbacks import rollbacks
from tests.long.swaps import swaps_under_load
from tests.long.verdicts import verdicts
from tests.long.weights import weights

CANARIES: Final = {f"canary-{way}": way for way in WAYS}
ROLLBACKS: Final = {"rollbacks": False, "rollbacks-with-one-unready": True}
VERDICTS: Final = {f"verdicts-{name}": case for name, case in CASES.items()}

Run = Callable[[str, World, Path, argparse.Namespace, Progress], Outcome]


def _swaps(
    name: str, world: World, directory: Path, chosen: argparse.Namespace, progress: Progress
) -> Outcome:
    found = swaps_under_load(
        world, directory, requests=chosen.requests, rate=chosen.rate, progress=progress
    )
    return of_swaps(name, found, requests=chosen.requests)


def _weights(
    name: str, world: World, directory: Path, chosen: argparse.Namespace, progress: Progress
) -> Outcome:
    done, report = weights(world, directory, count=chosen.changes, progress=progress)
    return of_weights(name, done, report)


def _pairs(
    name: str, world: World, directory: Path, chosen: argparse.Namespace, progress: Progress
) -> Outcome:
    return of_pairs(name, pairs(world, directory, count=chosen.rounds, progress=progress))


MODELS: Final[Mapping[str, Run]] = {
    "models-swaps": _swaps,
    "models-weights": _weights,
    "models-pairs": _pairs,
}

INSTALLATION: Final = "installation"
"""The last one, since it removes the definitions."""

NAMES: Final = [*CANARIES, *ROLLBACKS, *VERDICTS, *MODELS, INSTALLATION]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was chosen; returns 1 when something was lost, late or out of order."""
    chosen = _parser().parse_args(arguments)
    chosen.into.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    outcomes = []
    for name in chosen.only or NAMES:
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
    if name == INSTALLATION:
        return installed(progress)
    with place() as (world, directory):
        if name in MODELS:
            return MODELS[name](name, world, directory, chosen, progress)
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
    parser.add_argument("--only", nargs="+", choices=NAMES, help="not all runs")
    parser.add_argument(
        "--requests", type=int, default=60_000, help="of each canary, of all swaps (60000)"
    )
    parser.add_argument("--rate", type=float, default=200, help="of these, a second (200)")
    parser.add_argument("--rollbacks", type=int, default=30, help="of each kind (30)")
    parser.add_argument("--runs", type=int, default=10, help="of each verdict (10)")
    parser.add_argument("--within", type=float, default=300, help="seconds to a verdict (300)")
    parser.add_argument("--changes", type=int, default=30, help="of a weight, each way (30)")
    parser.add_argument("--rounds", type=int, default=20, help="with and without a swap (20)")
    where = ROOT / ".cache" / "long"
    parser.add_argument("--into", type=Path, default=where, help="directory for all figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
