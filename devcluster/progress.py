"""What the person at the terminal sees: a line for each step, with the seconds since the start."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints to stderr, so that stdout stays free for what a command answers."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"[{self.elapsed:6.1f}s] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Print a line at the beginning and, if it took a while, one at the end."""
        self.say(f"{text} …")
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        if took > 1:
            self.say(f"{text}: done in {took:.1f} s")
