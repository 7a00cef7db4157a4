"""The faults that a configuration turns on.

They are drawn from one random generator per loaded configuration: with a seed, request n of a pod
fails in every run or in none. Times count from when the configuration was loaded, so a fault can
be switched on in a running agent; any change of the configuration starts them again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from sample_agent.config import Settings

MEGABYTE = 1_000_000


class Faults:
    """What goes wrong under one configuration."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._since = clock()
        self._random = random.Random(settings.fault_seed)

    def next_request_fails(self) -> bool:
        """Draw once; to be called once for each request."""
        return self._random.random() < self._settings.error_rate

    def probe_fails(self) -> bool:
        """Tell whether the health endpoint answers 500 now."""
        return self._settings.probe_fails or self._past(self._settings.probe_fail_after)

    def crash_is_due(self) -> bool:
        """Tell whether the process ends without a goodbye now."""
        return self._past(self._settings.crash_after)

    def leaked_bytes(self) -> int:
        """Give how much memory has to be lost by now."""
        rate = self._settings.memory_leak_mb_per_second
        return int((self._clock() - self._since) * rate * MEGABYTE)

    def _past(self, seconds: float | None) -> bool:
        return seconds is not None and self._clock() - self._since >= seconds
