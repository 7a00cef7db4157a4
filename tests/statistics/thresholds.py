"""Rules with fixed thresholds, as they are written for other tools, for comparison.

They look at the canary alone, at fixed intervals, at what it did since they looked last; without a
request they say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tests.statistics.canaries import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Rolls back at the so-manieth time that fewer than a part of the requests succeeded.

    `looks` is the number of looks of the canary that it waits from one time to the next.
    """

    success: float
    looks: int
    strikes: int

    def errors_seen(self, seen: Seen) -> Any:
        """At which look each canary is rolled back; -1 where it never is."""
        every = self.looks
        rounds = len(seen.canary.requests) // every
        requests, errors = (
            counts[: rounds * every].reshape(rounds, every, -1).sum(axis=1)
            for counts in (seen.canary.requests, seen.canary.errors)
        )
        bad = (requests > 0) & (errors > (1 - self.success) * requests)
        out = np.cumsum(bad, axis=0) >= self.strikes
        return np.where(out.any(axis=0), (out.argmax(axis=0) + 1) * every - 1, -1)


THREE_STRIKES: Final = Threshold(success=0.99, looks=30, strikes=3)
FIVE_MINUTES: Final = Threshold(success=0.95, looks=150, strikes=1)
"""Of looks two seconds apart: every minute, and every five."""
