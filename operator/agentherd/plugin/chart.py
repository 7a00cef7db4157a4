"""`chart`: weight, errors and latency of both versions over the time of an attempt.

It is drawn from `status.analysis.looks`, which become longer as the attempt does; each column of
the picture shows the look that covers its time. Both versions have the same scale, so that their
heights can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from agentherd.api import AgentUpgrade
from agentherd.api.analysis import AnalysisStatus, Look, Side
from agentherd.domain.judging.analysis import tells_errors
from agentherd.plugin.problems import Absent
from agentherd.plugin.words import milliseconds

WIDEST: Final = 100
HEIGHT: Final = 3
LABEL: Final = 4

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn in one colour: a value for each look, None where nothing was seen."""

    name: str
    style: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves on one scale; `form` says a value in words."""

    title: str
    curves: tuple[Curve, ...]
    form: Callable[[float], str]

    @property
    def most(self) -> float | None:
        """The largest value; None where nothing was seen."""
        return max((v for c in self.curves for v in c.values if v is not None), default=None)


def analysis_of(upgrade: AgentUpgrade) -> AnalysisStatus:
    """What was seen over the time of the attempt, in at least one look.

    Raises:
        Absent: nothing.
    """
    analysis = upgrade.status.analysis
    if analysis is None or not analysis.looks:
        name = upgrade.metadata.name
        raise Absent(
            f"nothing was measured of {name} yet: that begins when the new version gets requests, "
            "and needs spec.metrics in the Agent"
        )
    return analysis


def panels(analysis: AnalysisStatus) -> tuple[Panel, ...]:
    """The three pictures of a chart, from top to bottom."""
    looks = analysis.looks
    new, old = [each.canary for each in looks], [each.stable for each in looks]
    weights = tuple(float(each.weight) for each in looks)
    # Where pods do not tell of errors, none were counted.
    errors = _error_share if tells_errors(analysis) else _unknown
    return (
        Panel("weight of the new version", (Curve("new", "cyan", weights),), _percent),
        _both("errors", errors, new, old, _percent),
        _both("mean latency", _mean_latency, new, old, milliseconds),
    )


def chart(upgrade: AgentUpgrade, *, width: int) -> RenderableType:
    """The chart for a terminal."""
    analysis = analysis_of(upgrade)
    looks = analysis.looks
    columns = min(width, WIDEST) - LABEL
    spread = spread_over(looks, columns)
    lines: list[RenderableType] = [
        Text.assemble(("upgrade ", "dim"), (upgrade.metadata.name, "bold"))
    ]
    for panel in panels(analysis):
        most = panel.most
        told = "not told" if most is None else f"max {panel.form(most)}"
        lines += ["", Text.assemble((panel.title, "bold"), f"  {told}")]
        for curve in panel.curves:
            lines += _drawn(curve, spread, most=most or 0)
    lines += [_axis(looks, columns)]
    return Group(*lines)


def spread_over(looks: Sequence[Look], columns: int) -> list[int]:
    """Which look each column shows: the first one that ended at the column's end or after it."""
    start, end = _beginning(looks), looks[-1].at
    found, index = [], 0
    for column in range(columns):
        at = start + (end - start) * (column + 1) / columns
        while index < len(looks) - 1 and looks[index].at < at:
            index += 1
        found.append(index)
    return found


def _beginning(looks: Sequence[Look]) -> datetime:
    """When the first look began, taken to be as long as the second."""
    first, second = looks[0].at, looks[min(1, len(looks) - 1)].at
    return first - (second - first)


def _drawn(curve: Curve, spread: Sequence[int], *, most: float) -> Iterator[Text]:
    heights = [_height(curve.values[index], most) for index in spread]
    for row in reversed(range(HEIGHT)):
        label = curve.name if row == 0 else ""
        line = "".join(_part(height, row) for height in heights)
        yield Text.assemble((f"{label:<{LABEL}}", "dim"), (line, curve.style))


def _part(height: int | None, row: int) -> str:
    """What one column shows in one line, the lowest of which is 0."""
    if height is None:
        return " " if row else "·"
    return _EIGHTHS[min(8, max(0, height - 8 * row))]


def _height(value: float | None, most: float) -> int | None:
    """Eighths of a line; what was seen is never invisible."""
    if value is None:
        return None
    return max(1, round(8 * HEIGHT * value / most)) if most else 1


def _axis(looks: Sequence[Look], columns: int) -> Text:
    start, end = f"{_beginning(looks):%H:%M:%S}", f"{looks[-1].at:%H:%M:%S}"
    span = max(1, columns - len(start) - len(end))
    return Text(f"{'':{LABEL}}{start}{'·' * span}{end}", "dim")


def _both(
    title: str,
    value: Callable[[Side], float | None],
    new: Sequence[Side],
    old: Sequence[Side],
    form: Callable[[float], str],
) -> Panel:
    curves = (
        Curve("new", "yellow", tuple(map(value, new))),
        Curve("old", "blue", tuple(map(value, old))),
    )
    return Panel(title, curves, form)


def _error_share(side: Side) -> float | None:
    return 100 * side.errors / side.requests if side.requests else None


def _unknown(_: Side) -> None:
    return None


def _mean_latency(side: Side) -> float | None:
    return side.microseconds / side.timed / 1000 if side.timed else None


def _percent(value: float) -> str:
    return f"{value:.3g} %"
