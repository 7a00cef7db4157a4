"""What the guard is asked to run and what it reports, as plain data that survives a JSON file.

`Plan` goes from the command line to the guard, `Report` comes back. The guard knows nothing of
Kubernetes: a component is a program, what has to be ready before it starts, and how to see that
it is ready itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Probe:
    """Ready means that a URL answers 200 or a Unix socket accepts; one of both is given."""

    url: str = ""
    socket: str = ""


@dataclass(frozen=True)
class Component:
    """A program of the cluster that runs as long as the cluster does."""

    name: str
    argv: tuple[str, ...]
    probe: Probe
    after: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mount:
    """A directory of ours over one that a program insists on; an empty source is a tmpfs."""

    source: str
    target: str


@dataclass(frozen=True)
class Plan:
    """Everything the guard needs."""

    components: tuple[Component, ...]
    mounts: tuple[Mount, ...]
    logs: str
    report: str
    authority: str | None

    def to_json(self) -> str:
        """The form in which the guard reads it."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`."""
        document: dict[str, Any] = json.loads(text)
        components = tuple(
            Component(
                name=entry["name"],
                argv=tuple(entry["argv"]),
                probe=Probe(**entry["probe"]),
                after=tuple(entry["after"]),
                env=entry["env"],
                inherits=tuple(entry["inherits"]),
            )
            for entry in document.pop("components")
        )
        mounts = tuple(Mount(**entry) for entry in document.pop("mounts"))
        return cls(components=components, mounts=mounts, **document)


class Stage(StrEnum):
    """How far a component is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True)
class Report:
    """A component as the guard sees it; `code` is the exit code of its last end."""

    stage: Stage
    restarts: int = 0
    code: int | None = None


def read_report(path: Path) -> dict[str, Report]:
    """The last report by component; empty before the first."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return {
        name: Report(Stage(entry["stage"]), entry["restarts"], entry["code"])
        for name, entry in document.items()
    }


def write_report(path: Path, reports: Mapping[str, Report]) -> None:
    """Replace the report in one step, so that nobody reads half of one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({name: asdict(report) for name, report in reports.items()}))
    partial.replace(path)
