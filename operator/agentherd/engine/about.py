"""Whom the lines of the log are about while somebody is at work on it.

What is written in the middle of a turn knows nothing of the object that the turn is for, and need
not: the worker says so once, and the log looks when there is a line to be written. Tasks that are
started during a turn are about the same object.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from agentherd.domain.kinds import Key


@dataclass(frozen=True, slots=True)
class About:
    """An object, and what all lines about one change of it have in common.

    The `correlation` is the uid of the AgentUpgrade that is under way, "" without one; it is asked
    for only when a line is written.
    """

    kind: str
    key: Key
    correlation: Callable[[Key], str] = lambda _key: ""

    @property
    def correlation_id(self) -> str:
        """The uid of the upgrade that is under way now, or ""."""
        return self.correlation(self.key)


ABOUT: Final[ContextVar[About | None]] = ContextVar("about", default=None)
