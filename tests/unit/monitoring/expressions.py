"""What expressions of alerts and dashboards name, compared with what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agentherd.engine.metrics import Metrics

REPOSITORY: Final = Path(__file__).resolve().parents[3]

_ENDINGS: Final = {"histogram": ("_bucket", "_count", "_sum")}
_OF_THE_LIBRARY: Final = {"process_cpu_seconds_total", "process_resident_memory_bytes"}

SERIES: Final = _OF_THE_LIBRARY | {
    f"{one.name}{ending}"
    for one in Metrics().instruments
    for ending in _ENDINGS.get(one.type, ("",))
}
"""The names of all series, as they are queried."""

_LABELS: Final = {one.name: set(one.labels) for one in Metrics().instruments}


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression, those of labels and functions left aside."""
    return set(re.findall(r"\b(?:agentherd|process|python)_\w+", expression))


def unknown_metrics(expression: str) -> set[str]:
    """The metrics an expression names that the operator does not have, also by their labels."""
    unknown = metrics_in(expression) - SERIES
    for name, labels in re.findall(r"\b(agentherd_\w+)\{([^}]*)\}", expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name) if name not in _LABELS else name
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels):
            if label not in _LABELS.get(base, set()) | {"le", "job", "namespace"}:
                unknown.add(f"{name}{{{label}}}")
    return unknown
