"""One request and what became of it, read from a line of `vegeta encode`.

Who answered is in the body, where the sample agent says its version, revision and pod. An answer
without them is not the agent's: it is counted as the Gateway's own.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

GATEWAY: Final = "gateway"
"""Who gave an answer that no pod put its name to."""

NOBODY: Final = "nobody"
"""Who gave the answer when there was none."""


class Source(StrEnum):
    """By what answers are told apart; two revisions may have one version."""

    VERSION = "version"
    REVISION = "revision"
    POD = "pod"


class Failure(StrEnum):
    """Why a request was not answered as it should have been."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CLOSED = "closed"
    CUT = "cut"
    TIMEOUT = "timeout"
    REJECTED = "4xx"
    ERROR = "5xx"
    OTHER = "other"


# The words of Go's HTTP client; the first that are found count.
_WORDS: Final = (
    ("connection refused", Failure.REFUSED),
    ("no route to host", Failure.UNREACHABLE),
    ("network is unreachable", Failure.UNREACHABLE),
    ("no such host", Failure.UNREACHABLE),
    ("connection reset", Failure.RESET),
    ("broken pipe", Failure.RESET),
    ("unexpected EOF", Failure.CUT),
    ("EOF", Failure.CLOSED),
    ("server closed", Failure.CLOSED),
)
_LATE: Final = ("Client.Timeout", "deadline exceeded", "i/o timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request; times in seconds, `at` since the epoch.

    `code` is 0 when no whole answer came. `text` is what the client or the Gateway said about a
    failure. `lines` and `of` count the lines of a stream: those that came and those promised.
    """

    number: int
    at: float
    latency: float
    code: int
    version: str = ""
    revision: str = ""
    pod: str = ""
    lines: int = 0
    of: int = 0
    failure: Failure | None = None
    text: str = ""

    def by(self, source: Source) -> str:
        """The version, revision or pod that answered, or GATEWAY, or NOBODY."""
        named: str = getattr(self, source)
        return named or (GATEWAY if self.code else NOBODY)

    @property
    def ended(self) -> float:
        """When the last byte was there, or the failure."""
        return self.at + self.latency


def read(line: str | bytes) -> Answer:
    """The answer that a line of JSON tells of."""
    record = json.loads(line)
    body = base64.b64decode(record["body"] or "").decode(errors="replace")
    said = _said(body)
    lines, of = (body.count("\n"), said["of"]) if "of" in said else (0, 0)
    failure = _failure(record["code"], record["error"], begun=bool(body))
    if failure is None and lines < of:
        failure = Failure.CUT
    return Answer(
        number=record["seq"],
        at=datetime.fromisoformat(record["timestamp"]).timestamp(),
        latency=record["latency"] / 1e9,
        code=record["code"],
        version=said.get("version", ""),
        revision=said.get("revision", ""),
        pod=said.get("pod", ""),
        lines=lines,
        of=of,
        failure=failure,
        text=(record["error"] or f"{lines} of {of} lines") if failure else "",
    )


def _said(body: str) -> dict[str, Any]:
    """What the agent says about itself; nothing if the body is not the agent's."""
    first, _, _ = body.partition("\n")
    try:
        said = json.loads(first)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and "pod" in said else {}


def _failure(code: int, error: str, *, begun: bool) -> Failure | None:
    """What went wrong; `begun` says that a part of the body came."""
    if code >= 500:
        return Failure.ERROR
    if code >= 400:
        return Failure.REJECTED
    if not error:
        return None
    if any(words in error for words in _LATE):
        return Failure.TIMEOUT
    if begun:
        return Failure.CUT
    return next((failure for words, failure in _WORDS if words in error), Failure.OTHER)
