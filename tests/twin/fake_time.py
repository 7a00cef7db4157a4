"""An event loop whose clock jumps: where a real one would wait, this one is there already."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

STUCK_AFTER = 5.0
"""Real seconds without an event or a timer after which nothing is going to happen any more."""


def in_fake_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something to its end in a loop of its own."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(main())


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 seconds; only `asyncio.sleep`, timeouts and timers move its clock."""

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__(_SkippingSelector(self))

    def time(self) -> float:
        """The loop's own time."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Let time pass without anybody noticing, as when the whole process hangs."""
        self._now += seconds


class _SkippingSelector(selectors.BaseSelector):
    def __init__(self, loop: FakeTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            events = self._real.select(STUCK_AFTER)
            if not events:
                raise RuntimeError("everything waits and no timer runs")
            return events
        events = self._real.select(0)
        if not events and timeout > 0:
            self._loop.skip(timeout)
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()
