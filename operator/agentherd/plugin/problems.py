"""What can go wrong for the person at the terminal: one sentence each, that says what to do.

Problem               ends the command with code 1 and `Error: …`
├── Absent            there is no such object
├── Denied            the API server does not let this person do it
├── Changed           the object was changed since it was read
└── Unanswered        nobody answers, or not now
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import click


class Problem(click.ClickException):
    """The command cannot do what it was asked for."""


class Absent(Problem):
    """There is no such object."""


class Denied(Problem):
    """The API server knows the person, and says no."""


class Changed(Problem):
    """The object is not the one that was read."""


class Unanswered(Problem):
    """The API server cannot be reached, or is not able to answer now."""


def near(name: str, names: Iterable[str]) -> str:
    """What names look like `name`, to go behind a sentence that misses it; empty when none does."""
    found = difflib.get_close_matches(name, sorted(set(names)), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(found)}?)" if found else ""
