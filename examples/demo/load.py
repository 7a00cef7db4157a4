"""Requests at a fixed rate, and who answered each of them.

vegeta sends a request when it is due, whether or not those before it were answered, and writes
what became of it into a file that is read while it grows. Who answered is in the answer, where
the samples say their version; what has none came from the Gateway.
"""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from devcluster import toolchain
from devcluster.layout import BIN
from devcluster.lock import alone
from devcluster.progress import Progress
from examples.demo.shell import DemoError, Request

LONGEST: Final = 240
"""Seconds after which it ends by itself, whatever becomes of us."""

TIMEOUT: Final = 30
"""Seconds within which a request has to be answered; long, since a machine may have much to do."""

NOBODY: Final = "nobody"
"""Who answered when no version put its name to the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Which version answered a request, and what went wrong; requests are numbered from 0."""

    number: int
    by: str
    error: str = ""


class Load:
    """A request, so many times a second; if it is a POST, nobody on the way sends it twice.

    `enter` are the words that run a program where `url` can be reached, and `directory` takes
    the files of this load alone.
    """

    def __init__(
        self,
        url: str,
        request: Request,
        *,
        rate: int,
        directory: Path,
        enter: tuple[str, ...] = (),
    ) -> None:
        self._url = url
        self._request = request
        self._rate = rate
        self._enter = enter
        self._answers = directory / "answers.jsonl"
        self._target = directory / "target.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._offset = 0
        self._sent = 0
        self._answered = 0

    def __enter__(self) -> Load:
        vegeta = str(program())
        self._target.write_text(self._target_line())
        # Sessions of their own, so that Ctrl-C ends the demo first and the load in order.
        with self._answers.open("wb") as answers:
            attack = subprocess.Popen(
                [*self._enter, vegeta, *self._words()],
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            encode = subprocess.Popen(
                [vegeta, "encode", "--to=json"],
                stdin=attack.stdout,
                stdout=answers,
                start_new_session=True,
            )
        if attack.stdout:
            attack.stdout.close()
        self._processes = [attack, encode]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def new(self) -> list[Answer]:
        """The answers since the last look."""
        found = []
        with self._answers.open("rb") as lines:
            lines.seek(self._offset)
            for line in lines:
                # The last line may still be being written.
                if line.endswith(b"\n"):
                    found.append(read(line))
                    self._offset += len(line)
        self._answered += len(found)
        self._sent = max([self._sent, *(answer.number + 1 for answer in found)])
        return found

    def stop(self) -> list[Answer]:
        """Send no more and wait for what is in flight; the answers since the last look."""
        self._processes[0].terminate()
        for process in self._processes:
            try:
                code = process.wait(timeout=TIMEOUT + 5)
            except subprocess.TimeoutExpired:
                raise DemoError("the load generator does not end") from None
            if code:
                raise DemoError(f"the load generator ended with code {code}")
        rest = self.new()
        if self._answered < self._sent:
            raise DemoError(f"nothing is known of {self._sent - self._answered} requests")
        return rest

    def _words(self) -> list[str]:
        return [
            "attack",
            "-format=json",
            f"-targets={self._target}",
            f"-rate={self._rate}/1s",
            f"-duration={LONGEST}s",
            f"-timeout={TIMEOUT}s",
        ]

    def _target_line(self) -> str:
        target = {
            "method": self._request.method,
            "url": f"{self._url}{self._request.path}",
            "header": {name: [value] for name, value in self._request.headers.items()},
            "body": base64.b64encode(self._request.body.encode()).decode(),
        }
        return json.dumps(target) + "\n"


def read(line: bytes) -> Answer:
    """The answer that a line of `vegeta encode` tells of."""
    record = json.loads(line)
    try:
        by = json.loads(base64.b64decode(record["body"] or ""))["version"]
    except (ValueError, TypeError, KeyError):
        by = NOBODY
    failed = record["error"] or not 200 <= record["code"] < 300
    return Answer(
        number=record["seq"],
        by=by,
        error=record["error"] or f"{record['code']}" if failed else "",
    )


def program() -> Path:
    """vegeta, built the first time that it is wanted."""
    with alone("vegeta"):
        toolchain.build(toolchain.VEGETA, Progress())
    return BIN / "vegeta"
