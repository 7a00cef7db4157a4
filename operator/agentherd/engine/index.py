"""Sets by what they belong to, of which none stays that is empty.

Those of a cluster come and go under ever new names.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

H = TypeVar("H", bound=Hashable)
M = TypeVar("M", bound=Hashable)


def discard(index: dict[H, set[M]], at: H, member: M) -> None:
    """Take `member` from the set of `at`, and the set with its last one."""
    members = index.get(at)
    if members is None:
        return
    members.discard(member)
    if not members:
        del index[at]
