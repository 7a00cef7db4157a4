"""A queue of keys that never holds a key twice and never hands one out twice at a time.

The contract is that of client-go's work queue: a key that is added while it is being worked on
comes back once that work is done, so no event is lost and no object is reconciled by two workers.
Waiting keys cost one timer each; the earliest time that was asked for wins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys to be worked on, each with the loop time at which it was first asked for."""

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._dirty: dict[K, float] = {}
        self._active: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._ready = asyncio.Semaphore(0)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float | None:
        """The loop time at which the key that is next was first asked for; None without any."""
        return self._dirty[self._waiting[0]] if self._waiting else None

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting and nothing is being worked on; timers do not count."""
        return not self._dirty and not self._active

    def add(self, key: K) -> None:
        """Ask for `key` as soon as a worker is free."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._dirty:
            return
        self._dirty[key] = asyncio.get_running_loop().time()
        if key not in self._active:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for `key` in `seconds`, or earlier if it is asked for earlier."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def get(self) -> tuple[K, float]:
        """Wait for a key; returns it with the loop time at which it was first asked for."""
        await self._ready.acquire()
        key = self._waiting.popleft()
        self._active.add(key)
        return key, self._dirty.pop(key)

    def done(self, key: K) -> None:
        """The work on `key` has ended; if it was asked for again meanwhile it comes back."""
        self._active.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Cancel what is waiting for its time."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _push(self, key: K) -> None:
        self._waiting.append(key)
        self._ready.release()
