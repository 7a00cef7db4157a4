"""What is asked, over and over.

Go's HTTP clients, the Gateway's included, silently ask again when a GET fails on a connection that
had been used before. A POST is sent once, so `task` shows what a GET may hide.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

STREAM_GRACE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `timeout` is in seconds and ends with the last byte of the answer.

    `host` is the host name that the Gateway routes by; empty means that of the URL. Without
    `keepalive` each request has a connection of its own, which a Service needs that is to spread
    them over its pods.
    """

    host: str = ""
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 30.0
    keepalive: bool = True

    def target(self, url: str) -> str:
        """The line that tells vegeta what to ask of the server at `url`."""
        named = {"Host": self.host} if self.host else {}
        record = {
            "method": self.method,
            "url": url.rstrip("/") + self.path,
            "header": {name: [value] for name, value in {**named, **self.headers}.items()},
            "body": base64.b64encode(self.body).decode(),
        }
        return json.dumps(record) + "\n"


def task(*, host: str = "", headers: Mapping[str, str] | None = None) -> Request:
    """A task for the sample agent."""
    return Request(
        host=host,
        path="/task",
        method="POST",
        headers={"Content-Type": "application/json", **(headers or {})},
        body=b'{"task": "load"}',
    )


def stream(*, seconds: int, host: str = "", headers: Mapping[str, str] | None = None) -> Request:
    """A stream of the sample agent, one line a second; less than all its lines is a failure."""
    return Request(
        host=host,
        path=f"/stream?seconds={seconds}",
        headers=headers or {},
        timeout=seconds + STREAM_GRACE,
    )
