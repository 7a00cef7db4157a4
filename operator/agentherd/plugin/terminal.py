"""The terminal: how wide it is, whether it has colours, and whether anybody is there to see them.

A terminal gets lines that fit and, unless `NO_COLOR` is set, colours. A pipe or a file gets plain
lines that are not broken, since the program behind it knows better where they end; `COLUMNS` sets
a width for it nevertheless.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from io import StringIO, TextIOWrapper
from typing import Any, Final

import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from agentherd.api import UpgradePhase

PIPE_WIDTH: Final = 1000
PICTURE_WIDTH: Final = 100

STYLES: Final[Mapping[str, str]] = {
    "Online": "green",
    "Error": "bold red",
    "Deploying": "cyan",
    "Maintenance": "yellow",
    UpgradePhase.PROGRESSING: "cyan",
    UpgradePhase.PAUSED: "yellow",
    UpgradePhase.PROMOTING: "cyan",
    UpgradePhase.SUCCEEDED: "green",
    UpgradePhase.ROLLING_BACK: "bold red",
    UpgradePhase.ROLLED_BACK: "bold red",
    "Pass": "green",
    "Fail": "bold red",
    "Inconclusive": "yellow",
}
"""Colours of phases and verdicts; a word that is not here has none."""


def console() -> Console:
    """What the output goes to."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that does not know a character shows another one.
        sys.stdout.reconfigure(errors="replace")
    if sys.stdout.isatty():
        return Console(highlight=False, emoji=False, markup=False)
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else PIPE_WIDTH
    return Console(highlight=False, emoji=False, markup=False, width=width)


def is_live(console: Console) -> bool:
    """Whether somebody watches on something that can change what it shows."""
    return console.is_terminal and not console.is_dumb_terminal


def show(renderable: RenderableType) -> None:
    """Print it; without the blanks that fill a table, where they would only be in the way."""
    out = console()
    if out.is_terminal:
        out.print(renderable)
        return
    with out.capture() as capture:
        out.print(renderable)
    lines = (line.rstrip() for line in capture.get().splitlines())
    out.out("\n".join(lines), highlight=False)


def save(renderable: RenderableType, path: str) -> None:
    """Write it to a file as a picture, in SVG."""
    canvas = Console(
        file=StringIO(), record=True, width=PICTURE_WIDTH, force_terminal=True, highlight=False
    )
    canvas.print(renderable)
    canvas.save_svg(path, title="kubectl agentherd")


def dump(data: Any, form: str) -> None:
    """Print data as JSON or YAML."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    if form == "yaml":
        # Of what JSON can say, so that both say the same.
        text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True).rstrip("\n")
    console().out(text, highlight=False)


def coloured(word: str) -> Text:
    """A phase or a verdict in its colour."""
    return Text(word, style=STYLES.get(word, ""))


def grid(*, gap: int = 2) -> Table:
    """A table without lines, to which columns and rows can be added."""
    return Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=False)


def fitting(
    heads: Mapping[str, int], rows: Sequence[Mapping[str, Text]], *, width: int
) -> RenderableType:
    """A table of the columns that fit into the width.

    `heads` are the titles in their order, each with its rank: the highest go first. Columns in
    which no row has anything are left out as well.
    """
    sizes = {
        head: max(len(head), *(row[head].cell_len for row in rows))
        for head in heads
        if any(row[head].plain for row in rows)
    }
    chosen: set[str] = set()
    left = width
    for head in sorted(sizes, key=lambda each: heads[each]):
        if sizes[head] > left and len(chosen) > 1:
            break
        chosen.add(head)
        left -= sizes[head] + 2
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in (each for each in heads if each in chosen):
        table.add_column(head.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(row[head] for head in heads if head in chosen))
    return table
