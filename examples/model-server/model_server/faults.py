"""The faults that the settings turn on.

They are drawn from one random generator for each loaded set: with a seed, request n of a pod fails
in every run or in none. The warm-up is of the process and counts from its start; the leak counts
from when the settings were loaded, so that it can be switched on in a running server.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from model_server.settings import Settings

MEGABYTE = 1_000_000


class Faults:
    """What goes wrong under one set of settings."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._since = clock()
        self._random = random.Random(settings.fault_seed)

    def next_request_fails(self) -> bool:
        """Draw once; to be called once for each request."""
        return self._random.random() < self._settings.error_rate

    def is_cold(self, *, age: float, number: int) -> bool:
        """Tell whether the model is not warm yet for a request, the number-th counted from 1.

        `age` is how many seconds ago the model was loaded.
        """
        return (
            self._settings.warm_up == "fail"
            or number <= self._settings.warm_up_failures
            or age < self._settings.warm_up_seconds
        )

    def leaked_bytes(self) -> int:
        """Give how much memory has to be lost by now."""
        rate = self._settings.memory_leak_mb_per_second
        return int((self._clock() - self._since) * rate * MEGABYTE)
