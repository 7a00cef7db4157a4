"""The state of a running server: who it is, its settings, whether its model is loaded and warm.

The model lives in a thread of its own, one for all requests: the event loop stays free for probes
and scrapes while numpy computes, and no request competes with another for a core.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from model_server import embedding
from model_server.embedding import Embedded, Encoder
from model_server.faults import Faults
from model_server.settings import Settings, SettingsRejectedError, Source
from model_server.traffic import Traffic


class EventLog(Protocol):
    """Where the events of a life are written: a handful in all, none for a request."""

    def __call__(self, event: str, /, **data: object) -> None:
        """Write one event."""


def write_event(event: str, /, **data: object) -> None:
    """Write one event as a line of JSON."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **data}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers; the operator says most of it through the environment."""

    agent: str
    version: str
    revision: str
    pod: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Identity:
        """Read it; outside a cluster every part has a plain default."""
        return cls(
            agent=environment.get("AGENTHERD_AGENT", "model-server"),
            version=environment.get("AGENTHERD_VERSION", "unknown"),
            revision=environment.get("AGENTHERD_REVISION", "unknown"),
            pod=environment.get("POD_NAME") or socket.gethostname(),
        )


class LoadingError(Exception):
    """The model is not loaded yet, or not warm."""


@dataclass(kw_only=True)
class Server:
    """A running server. Raises SettingsRejectedError when its first settings are refused."""

    identity: Identity
    source: Source
    log: EventLog = write_event
    clock: Callable[[], float] = time.monotonic
    draining: bool = False
    settings: Settings = field(init=False)
    faults: Faults = field(init=False)
    traffic: Traffic = field(init=False)
    _encoder: Encoder | None = field(init=False, default=None)
    _loaded_at: float = field(init=False, default=0.0)
    _lost: list[bytes] = field(init=False, default_factory=list)
    _lost_under_these_settings: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.traffic = Traffic(version=self.identity.version)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._use(self.source.first())

    @property
    def loaded(self) -> bool:
        """Whether the model is there, warm or not."""
        return self._encoder is not None

    @property
    def lost_bytes(self) -> int:
        """How much memory was lost on purpose; only the end of the process frees it."""
        return sum(map(len, self._lost))

    async def load(self) -> None:
        """Load the model that the settings of the start name."""
        began = self.clock()
        settings = self.settings
        await asyncio.sleep(settings.start_seconds)
        loop = asyncio.get_running_loop()
        self._encoder = await loop.run_in_executor(self._thread, embedding.load, settings)
        self._loaded_at = self.clock()
        self.log(
            "model-loaded",
            backend=settings.backend,
            precision=settings.precision,
            seconds=round(self._loaded_at - began, 3),
        )

    async def embed(self, texts: Sequence[str], *, number: int) -> Embedded:
        """Give the vectors of the texts of the number-th request, or raise LoadingError."""
        if self._encoder is None:
            raise LoadingError("the model is being loaded")
        if self.faults.is_cold(age=self.clock() - self._loaded_at, number=number):
            raise LoadingError("the model is not warm")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._encoder.encode, texts)

    def tick(self) -> None:
        """Do what time brings: changed settings, lost memory."""
        try:
            changed = self.source.changed()
        except SettingsRejectedError as rejected:
            self.log("settings-rejected", error=str(rejected), key=rejected.key)
        else:
            if changed:
                self._use(changed)
        self._lose_memory()

    def close(self) -> None:
        """End the thread of the model; what it computes now is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = Faults(settings, clock=self.clock)
        self.traffic.claim(settings.accuracy)
        self._lost_under_these_settings = 0
        self.log("settings-loaded", **asdict(settings), unknown=self.source.unknown())

    def _lose_memory(self) -> None:
        due = self.faults.leaked_bytes() - self._lost_under_these_settings
        if due > 0:
            # Written to, because untouched pages are not counted by any memory limit.
            self._lost.append(b"\x01" * due)
            self._lost_under_these_settings += due
