"""The engine on fake time: its loops wait for minutes, the tests do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.twin import FakeTimeLoop, Rig, Twin
from tests.twin.rig import loop_clock


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"fake time": FakeTimeLoop}


@pytest.fixture
def twin() -> Twin:
    return Twin(loop_clock)


@pytest.fixture
async def rig(twin: Twin) -> Rig:
    return Rig(twin)
