"""How things are said in the terminal: durations, shares, names; and never a control character.

What stands in the cluster was written by many, a comment or the message of a program included.
Nothing of it may move the cursor of whoever reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from agentherd.api import Agent, AgentUpgrade, TargetKind
from agentherd.api.analysis import Side
from agentherd.api.meta import Condition
from agentherd.domain.upgrades.change import is_asked_again
from agentherd.domain.upgrades.phases import ENDED

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(value: Any) -> Any:
    """The same, parts of parts included, with a sign in place of each control character."""
    if isinstance(value, str):
        return _CONTROL.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {printable(key): printable(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [printable(inner) for inner in value]
    return value


def duration(seconds: float) -> str:
    """A time in at most two units, such as `2 min 5 s`."""
    whole = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for unit, size in units:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago something was."""
    return "–" if then is None else f"{duration((now - then).total_seconds())} ago"


def clock(at: datetime) -> str:
    """The time of day, in UTC as everywhere in the status."""
    return f"{at:%H:%M:%S} UTC"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent, precise enough for one in a million."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 10 or not percent else f"{percent:.2g} %"


def mean(side: Side) -> str:
    """How long a request took on average."""
    return milliseconds(side.microseconds / side.timed / 1000) if side.timed else "–"


def milliseconds(value: float) -> str:
    """A short time."""
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def number(value: float) -> str:
    """A measurement, without digits that nobody compares."""
    return f"{value:.6g}"


def version(revision: str | None, version: str | None) -> str:
    """A revision as people know it: by its version, or else by its digest."""
    return f"{version} ({revision})" if version and revision else revision or version or "–"


def step(upgrade: AgentUpgrade) -> str:
    """Where in its steps an upgrade is."""
    status = upgrade.status
    return f"{status.step}/{status.steps}" if status.steps else "–"


def has_ended(upgrade: AgentUpgrade) -> bool:
    """Whether nothing happens any more, as far as the operator has seen what is asked for."""
    seen = upgrade.status.observed_generation == upgrade.metadata.generation
    return seen and upgrade.status.phase in ENDED and not is_asked_again(upgrade)


def is_of(upgrade: AgentUpgrade, agent: Agent) -> bool:
    """Whether an upgrade changes an Agent, and not a ModelDeployment of the same name."""
    target = upgrade.spec.target_ref
    return target.kind is TargetKind.AGENT and target.name == agent.metadata.name


def condition(subject: Agent | AgentUpgrade, kind: str) -> Condition | None:
    """A condition of an Agent or an upgrade by its type, or None."""
    return next((c for c in subject.status.conditions if c.type == kind), None)
