import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

SAMPLE_AGENT = Path(__file__).parents[3] / "examples" / "sample-agent"
sys.path.insert(0, str(SAMPLE_AGENT))

from sample_agent.agent import Agent, Identity  # noqa: E402
from sample_agent.config import ConfigDirectory  # noqa: E402

IDENTITY = Identity(agent="hello", version="1.2.0", revision="5d4f8c", pod="hello-5d4f8c-x2x4q")


class MountedConfig:
    """A directory as the kubelet keeps it: all files change at once, by one symlink."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = 0

    def swap(self, values: Mapping[str, str]) -> None:
        self._version += 1
        payload = self.path / f"..{self._version}"
        payload.mkdir()
        for key, text in values.items():
            (payload / key).write_text(text, encoding="utf-8")
            if not (self.path / key).is_symlink():
                (self.path / key).symlink_to(f"..data/{key}")
        link = self.path / "..data_tmp"
        link.symlink_to(payload.name)
        link.rename(self.path / "..data")


class Events:
    """The log of an agent, kept for a look."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self._written: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def __call__(self, event: str, /, **data: object) -> None:
        self.lines.append((event, data))
        self._written[event].set()

    async def written(self, event: str) -> dict[str, object]:
        async with asyncio.timeout(5):
            await self._written[event].wait()
        return self.data(event)

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self.lines]

    def data(self, event: str) -> dict[str, object]:
        return next(data for name, data in reversed(self.lines) if name == event)


class Pause:
    """A sleep that is noted, and that ends when told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if seconds:
            self.begun.set()
            await self.over.wait()


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sample_agent_path() -> Path:
    return SAMPLE_AGENT


@pytest.fixture
def mounted(tmp_path: Path) -> MountedConfig:
    path = tmp_path / "config"
    path.mkdir()
    return MountedConfig(path)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pause() -> Pause:
    return Pause()


@pytest.fixture
def crashes() -> list[str]:
    return []


@pytest.fixture
def start(
    mounted: MountedConfig, events: Events, clock: Clock, crashes: list[str]
) -> Callable[..., Agent]:
    """Start an agent with the keys given, in a mounted directory."""

    def start(**values: str) -> Agent:
        mounted.swap(values)
        return Agent(
            IDENTITY,
            ConfigDirectory(mounted.path),
            log=events,
            clock=clock,
            crash=lambda: crashes.append("crash"),
        )

    return start
