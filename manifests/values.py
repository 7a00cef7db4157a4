"""The reference of the chart's values, made of values.yaml, which is where they are explained.

What a comment says is about the key after it. A block of settings is a row with its explanation, if
it has one, and a row for each setting in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

HEAD: Final = """\
# Values of the chart

`helm show values helm/agentherd` prints the same, to copy from. What may be written is in
`helm/agentherd/values.schema.json`: Helm refuses a value that does not exist or makes no sense.

| Value | Default | Meaning |
| --- | --- | --- |
"""

WHOLE: Final = frozenset({"resources"})
"""Blocks that are one setting, in the words of Kubernetes."""

_KEY: Final = re.compile(r"^( *)(\w+):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value by its path, such as `log.level`; a block has no default."""

    path: str
    default: str
    meaning: str


def values_reference(text: str) -> str:
    """The page, of the text of values.yaml."""
    rows = (f"| `{row.path}` | {row.default} | {row.meaning} |\n" for row in rows_of(text))
    return HEAD + "".join(rows)


def rows_of(text: str) -> Iterator[Row]:
    """A row for each key, in the order of the file."""
    values, comment = yaml.safe_load(text), ""
    path: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = f"{comment} {stripped.removeprefix('#').strip()}".strip()
            continue
        found = _KEY.match(line)
        if found is None:
            continue
        above = path[: len(found[1]) // 2]
        if not isinstance(_at(values, above), dict) or WHOLE.intersection(above):
            continue
        path = [*above, found[2]]
        value = _at(values, path)
        block = isinstance(value, dict) and bool(value) and path[0] not in WHOLE
        if comment or not block:
            default = "" if block else f"`{json.dumps(value)}`"
            meaning = comment.replace("|", "\\|").replace("<", "&lt;")
            yield Row(path=".".join(path), default=default, meaning=meaning)
        comment = ""


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values
