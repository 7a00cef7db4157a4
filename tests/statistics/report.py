"""The figures as JSON, and as the tables of docs/statistics.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = ROOT / "docs/statistics.json"
PAGE: Final = ROOT / "docs/statistics.md"

RULES: Final = {
    "bets": "Agentherd",
    "threeStrikes": "success ≥ 99 %, every minute, three strikes",
    "fiveMinutes": "success ≥ 95 %, every 5 minutes",
}


def written(figures: Mapping[str, Any]) -> str:
    return json.dumps(figures, indent=2, ensure_ascii=False) + "\n"


def with_tables(page: str, figures: Mapping[str, Any]) -> str:
    """The page with the tables of these figures between its marks."""
    for name, lines in (
        ("good", _good(figures["good"])),
        ("bad", _bad(figures["bad"])),
        ("compared", _compared(figures["compared"])),
        ("medians", _medians(figures["medians"])),
    ):
        before, rest = page.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- end of {name} -->\n")
        table = "\n".join(lines)
        page = f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->\n{after}"
    return page


def _good(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| a version that is not worse | rolled back | by errors | by latency |"
    yield "|---|---|---|---|"
    for row in rows:
        parts = [f"{row[key]:g} %" for key in ("rolledBack", "byErrors", "byLatency")]
        yield f"| {row['what']} | {' | '.join(parts)} |"


def _bad(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| a version that is worse | rolled back | of ten, 1 after | 5 after | 9 after |"
    yield "|---|---|---|---|---|"
    for row in rows:
        parts = [_seconds(row[key]) for key in ("p10", "median", "p90")]
        yield f"| {row['what']} | {row['rolledBack']:g} % | {' | '.join(parts)} |"


def _compared(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"| | {' | '.join(RULES.values())} |"
    yield "|---|---|---|---|"
    for row in rows:
        cells = [_cell(row[name]) for name in RULES]
        yield f"| {row['what']} | {' | '.join(cells)} |"


def _medians(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    kinds = [kind for kind in rows[0] if kind != "rate"]
    yield f"| requests/s | {' | '.join(kinds)} |"
    yield f"|---|{'---|' * len(kinds)}"
    for row in rows:
        yield f"| {row['rate']} | {' | '.join(_seconds(row[kind]) for kind in kinds)} |"


def _cell(found: Mapping[str, Any]) -> str:
    after = f", half after {_seconds(found['median'])}" if found["median"] is not None else ""
    return f"{found['rolledBack']:g} %{after}"


def _seconds(seconds: int | None) -> str:
    return "–" if seconds is None else f"{seconds} s"
