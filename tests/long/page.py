"""`python -m tests.long.page`: what verdicts have cost, beside what was predicted, for people.

The figures of all runs of a case, of however many times that it was run, go to
docs/verdicts-under-load.json, and the table that is made of them to docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.e2e.operator_process import ROOT
from tests.long.cases import CASES, PERCENTS, RATE, WEIGHT, predicted
from tests.long.figures import nearest
from tests.long.verdicts import Run

FIGURES: Final = ROOT / "docs/verdicts-under-load.json"
PAGE: Final = ROOT / "docs/benchmarks.md"
MARK: Final = "<!-- verdicts -->\n"
END: Final = "<!-- end of verdicts -->\n"

HEAD: Final = (
    "| the new version | given up for | verdict after, s | predicted | last request after, s "
    "| requests it answered | lost | predicted |\n|---|---|---|---|---|---|---|---|"
)


def main(directories: Sequence[str]) -> int:
    """Gather what was written into these directories."""
    figures = gathered([*map(Path, directories)] or [ROOT / ".cache/long"])
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return 0


def gathered(directories: Sequence[Path]) -> dict[str, Any]:
    """All runs of all cases, with what is predicted of each."""
    cases = []
    for name, case in CASES.items():
        written = [
            json.loads(path.read_text(encoding="utf-8"))
            for directory in directories
            if (path := directory / f"verdicts-{name}.json").exists()
        ]
        rounds = [{key: each[key] for key in ("at", "processors", "load")} for each in written]
        runs = [run for each in written for run in each.get("runs", ())]
        about = {"name": name, "what": case.what, "predicted": predicted(case)}
        cases.append({**about, "rounds": rounds, "runs": runs})
    return {"rate": RATE, "weight": WEIGHT, "percents": PERCENTS, "cases": cases}


def with_table(page: str, figures: Mapping[str, Any]) -> str:
    """The page with the table of these figures between its marks."""
    before, rest = page.split(MARK)
    _, after = rest.split(END)
    table = "\n".join([HEAD, *(row for case in figures["cases"] for row in _rows(case))])
    return f"{before}{MARK}{table}\n{END}{after}"


def _rows(case: Mapping[str, Any]) -> Iterator[str]:
    runs = [Run(**run) for run in case["runs"]]
    if not runs:
        return
    predicted = case["predicted"] or {}
    decided = [run for run in runs if run.verdict is not None]
    triggers = Counter(run.trigger for run in decided)
    told = [f"`{trigger}` {count} of {len(runs)}" for trigger, count in triggers.most_common()]
    cells = (
        case["what"],
        "; ".join(told) or f"nothing, {len(runs)} times",
        _spread([run.since_first_request(run.verdict) for run in decided], digits=1),
        _numbers(predicted.get("verdict", ())),
        _spread([run.since_first_request(run.last_request) for run in decided], digits=1),
        _spread([run.at_canary for run in runs]),
        _spread([run.lost for run in runs]),
        _numbers(predicted.get("lost", ())),
    )
    yield f"| {' | '.join(cells)} |"
    if CASES[case["name"]].killed:
        since = [
            run.verdict - run.first_lost
            for run in decided
            if run.verdict is not None and run.first_lost is not None
        ]
        yield f"| the same, since the first request lost | | {_spread(since, digits=1)} | | | | | |"


def _spread(values: Sequence[float | None], *, digits: int = 0) -> str:
    known = sorted(value for value in values if value is not None)
    return _numbers([nearest(known, percent) for percent in PERCENTS] if known else (), digits)


def _numbers(values: Sequence[float], digits: int = 0) -> str:
    told = [f"{value:,.{digits}f}" for value in values]
    if len(set(told)) == 1:
        return told[0]
    return " / ".join(told) or "–"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
