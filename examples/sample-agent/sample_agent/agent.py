"""The state of a running agent: who it is, which configuration it uses, whether it drains.

Everything else reads it from here, so that one answer never mixes two configurations.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from sample_agent.config import ConfigDirectory, ConfigRejectedError, Loaded
from sample_agent.faults import Faults
from sample_agent.traffic import Traffic


class EventLog(Protocol):
    """Where the events of a life are written: a handful in all, none for a request."""

    def __call__(self, event: str, /, **data: object) -> None:
        """Write one event."""


def write_event(event: str, /, **data: object) -> None:
    """Write one event as a line of JSON."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **data}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
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
            agent=environment.get("AGENTHERD_AGENT", "sample-agent"),
            version=environment.get("AGENTHERD_VERSION", "unknown"),
            revision=environment.get("AGENTHERD_REVISION", "unknown"),
            pod=environment.get("POD_NAME") or socket.gethostname(),
        )


def end_without_goodbye() -> None:
    """End the process as a crash does: nothing is finished, nothing cleaned up."""
    os._exit(1)


@dataclass
class Agent:
    """A running agent. Raises ConfigRejectedError when its first configuration is refused."""

    identity: Identity
    directory: ConfigDirectory
    log: EventLog = write_event
    clock: Callable[[], float] = time.monotonic
    crash: Callable[[], None] = end_without_goodbye
    draining: bool = False
    config: Loaded = field(init=False)
    faults: Faults = field(init=False)
    traffic: Traffic = field(init=False)
    _lost: list[bytes] = field(init=False, default_factory=list)
    _lost_under_this_config: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.traffic = Traffic(version=self.identity.version)
        self._use(self.directory.first())

    @property
    def healthy(self) -> bool:
        """Whether the health endpoint says so."""
        return not self.faults.probe_fails()

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return self.healthy and not self.draining

    @property
    def lost_bytes(self) -> int:
        """How much memory was lost on purpose; only the end of the process frees it."""
        return sum(map(len, self._lost))

    def tick(self) -> None:
        """Do what time brings: a changed configuration, a crash, lost memory."""
        try:
            changed = self.directory.changed()
        except ConfigRejectedError as rejected:
            self.log("config-rejected", error=str(rejected), key=rejected.key)
        else:
            if changed:
                self._use(changed)
        if self.faults.crash_is_due():
            self.log("crash", reason="crashAfterSeconds")
            self.crash()
        self._lose_memory()

    def _use(self, config: Loaded) -> None:
        self.config = config
        self.faults = Faults(config.settings, clock=self.clock)
        self._lost_under_this_config = 0
        self.log(
            "config-loaded",
            hash=config.digest,
            keys=sorted(config.values),
            unknown=config.unknown,
        )

    def _lose_memory(self) -> None:
        due = self.faults.leaked_bytes() - self._lost_under_this_config
        if due > 0:
            # Written to, because untouched pages are not counted by any memory limit.
            self._lost.append(b"\x01" * due)
            self._lost_under_this_config += due
