"""What an operator process is told when it starts."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentherd.domain.judging.reach import Reach
from agentherd.domain.kinds import Key
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; `namespaces` empty means the whole cluster.

    `sources` are whom the metrics of an analysis may be asked of. `traces_to` is the URL of a
    collector for traces, "" without one.
    """

    namespaces: tuple[str, ...] = ()
    http_host: str = "0.0.0.0"  # noqa: S104  (the kubelet and Prometheus come from outside)
    http_port: int = 8080
    lease: Key
    workers: int = 32
    upgrades: Defaults = DEFAULTS
    sources: Reach = field(default_factory=Reach)
    traces_to: str = ""
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}_{os.getpid()}")


def own_namespace() -> str:
    """The namespace of the operator's pod, or `default` outside a cluster."""
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except FileNotFoundError:
        return "default"
