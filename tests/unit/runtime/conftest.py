"""What waits runs on fake time; what speaks HTTP needs the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.twin import FakeTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    waits = item.path.name in {"test_frame.py", "test_herd.py"}
    return {"loop": FakeTimeLoop if waits else asyncio.new_event_loop}
