"""What the pods of a twin answer, as far as their counters tell: a matter of time alone.

So a process that is started anew finds the counters where the one before would have found them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.twin.merging import Raw

from agentherd.domain.readings import Totals

PER_SECOND = 10
"""Requests that each pod answers, from long before it is looked at."""

MICROSECONDS = 30_000
"""What each of them takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """All pods answer as many requests; those of the `failing` images every other with an error."""

    failing: frozenset[str] = frozenset()

    def totals(self, pod: Raw) -> Totals:
        """The counters of a pod now."""
        requests = PER_SECOND * int(asyncio.get_running_loop().time())
        fails = any(c["image"] in self.failing for c in pod["spec"]["containers"])
        return Totals(
            requests=requests,
            errors=requests // 2 if fails else 0,
            timed=requests,
            microseconds=requests * MICROSECONDS,
        )
