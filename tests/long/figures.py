"""What was seen, summed up: a file of all figures for each run, and a line for people."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.long.cases import Case
from tests.long.rollbacks import Rollback
from tests.long.verdicts import Run

PERCENTILES: Final = (50, 99)

WRITE_GOAL: Final = 0.1
LAST_REQUEST_GOAL: Final = 0.25
END_GOAL: Final = 30.0
"""Seconds: the first two of the 99th percentile, the last of every single rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run in one line; `kept` says whether it is as it was promised to be on any machine."""

    name: str
    line: str
    kept: bool
    figures: dict[str, Any]

    def write(self, directory: Path) -> Path:
        """Write all figures to a file of the run's name, with what the machine was doing."""
        path = directory / f"{self.name}.json"
        about = {
            "name": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "kept": self.kept,
        }
        path.write_text(json.dumps({**about, **self.figures}, indent=2) + "\n")
        return path


def of_canary(name: str, found: dict[str, Any], *, ended: str, phase: str) -> Outcome:
    """A canary under load: nothing lost, and it ended as it should."""
    right = found["phase"] == phase and found["ended with"] == ended
    sent = found["requests"]["sent"]
    before = found["lost before the change"]
    line = f"{found['lost']} of {sent} requests lost, {found['phase']}"
    if before:
        line += f"; {before} were lost before the change, so this machine is too slow for the rate"
    return Outcome(name=name, line=line, kept=right and found["lost"] == 0, figures=found)


def of_rollbacks(name: str, done: Sequence[Rollback]) -> Outcome:
    """Rollbacks: nothing lost, none late, and the weight before all else.

    The two short times are goals of a quiet machine, which another machine may miss.
    """
    kept = all(each.lost == 0 and each.in_order and each.end < END_GOAL for each in done)
    by_trigger = {
        trigger: spread([each for each in done if each.trigger == trigger])
        for trigger in sorted({each.trigger for each in done})
    }
    every = spread(done)
    line = (
        f"{len(done)} rollbacks, p50/p99 in ms: write {_pair(every['write'])}, "
        f"last request {_pair(every['lastRequest'])}, end {_pair(every['end'])}; "
        f"{sum(each.lost for each in done)} of {sum(each.sent for each in done)} requests lost"
    )
    figures = {
        "goals": {"write": WRITE_GOAL, "lastRequest": LAST_REQUEST_GOAL, "end": END_GOAL},
        "all": every,
        "by trigger": by_trigger,
        "rollbacks": [asdict(each) for each in done],
    }
    return Outcome(name=name, line=line, kept=kept and bool(done), figures=figures)


def of_verdicts(name: str, done: Sequence[Run], case: Case) -> Outcome:
    """Versions that are worse: each is given up for the right reason, and stable loses nothing.

    Nobody answers the requests that a version had when it was killed.
    """
    right = all(run.trigger in case.triggers for run in done)
    kept = right and (case.killed or not any(run.lost_elsewhere for run in done))
    times = [run.since_first_request(run.verdict) for run in done]
    known = sorted(time for time in times if time is not None)
    line = f"{len(known)} of {len(done)} given up"
    if known:
        line += f", half of them within {nearest(known, 50):.1f} s and all in {known[-1]:.1f} s"
    line += f"; {sum(run.lost for run in done)} of {sum(run.sent for run in done)} requests lost"
    figures = {"runs": [asdict(run) for run in done]}
    return Outcome(name=name, line=line, kept=kept and bool(done), figures=figures)


def spread(done: Sequence[Rollback]) -> dict[str, dict[str, float]]:
    """Percentiles of the times in seconds: each is a time that was seen."""
    return {
        "write": percentiles([each.write for each in done]),
        "lastRequest": percentiles([each.last_request for each in done]),
        "end": percentiles([each.end for each in done]),
        "told": percentiles([each.told for each in done]),
    }


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """The 50th and the 99th percentile and the largest, by the nearest rank."""
    ordered = sorted(times)
    if not ordered:
        return {}
    found = {f"p{percent}": nearest(ordered, percent) for percent in PERCENTILES}
    return {key: round(value, 4) for key, value in {**found, "max": ordered[-1]}.items()}


def nearest(ordered: Sequence[float], percent: float) -> float:
    """The smallest of these values that so many percent of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _pair(spread: dict[str, float]) -> str:
    return "/".join(f"{1000 * found:.0f}" for key, found in spread.items() if key != "max")
