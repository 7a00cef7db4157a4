"""A load that runs beside the test: started, looked at, stopped.

vegeta decides when to send and what an answer is; here its processes are started where the target
can be reached, and its answers are read from a file, so that nothing slows it down and a test that
dies leaves what was seen. It ends by itself after the seconds it was given, whatever becomes of us.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from devcluster import toolchain
from devcluster.layout import BIN
from devcluster.lock import alone
from devcluster.progress import Progress
from tests.load.answer import Answer, read
from tests.load.report import Report
from tests.load.request import Request
from tests.load.target import Target

MOST_REQUESTS: Final = 120_000
LONGEST: Final = 1800.0
GRACE: Final = 10.0
"""Seconds that the generator has after the last request ended."""


class TooMuch(Exception):
    """More load was asked for than a test may send."""


class GeneratorFailed(Exception):
    """The generator did not do its work, so that its answers prove nothing."""


class Load:
    """Requests at a fixed rate; `rate` is a second, `seconds` is for how long.

    `directory` takes the generator's files and must be this load's own; without `vegeta`, the
    program is built when it is first wanted.
    """

    def __init__(
        self,
        target: Target,
        request: Request,
        *,
        rate: float,
        seconds: float,
        directory: Path,
        vegeta: Path | None = None,
    ) -> None:
        if rate * seconds > MOST_REQUESTS or seconds > LONGEST:
            raise TooMuch(f"{rate:g}/s for {seconds:g} s; at most {MOST_REQUESTS} in {LONGEST:g} s")
        self.target = target
        self.request = request
        self.rate = rate
        self.seconds = seconds
        self._vegeta = vegeta
        self._answers = directory / "answers.jsonl"
        self._targets = directory / "targets.json"
        self._errors = directory / "errors.txt"
        self._attack: subprocess.Popen[bytes] | None = None
        self._encode: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._known: list[Answer] = []
        self._offset = 0

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def start(self) -> None:
        """Begin to send; returns at once."""
        vegeta = str(self._vegeta or program())
        self._targets.write_text(self.request.target(self.target.url))
        with self._errors.open("wb") as errors, self._answers.open("wb") as answers:
            # Sessions of their own: Ctrl-C is for the test, which then stops the load in order.
            self._attack = subprocess.Popen(
                [*self.target.enter, vegeta, *self.words()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            self._encode = subprocess.Popen(
                [vegeta, "encode", "--to=json"],
                stdin=self._attack.stdout,
                stdout=answers,
                stderr=errors,
                start_new_session=True,
            )
        _close(self._attack.stdout)
        self._began = time.monotonic()

    def words(self) -> list[str]:
        """What vegeta is told; a request waits for no other, however many are in flight."""
        return [
            "attack",
            "-format=json",
            f"-targets={self._targets}",
            # By the minute, so that a rate may be less than one a second.
            f"-rate={round(self.rate * 60)}/1m",
            f"-duration={self.seconds}s",
            f"-timeout={self.request.timeout}s",
            f"-keepalive={str(self.request.keepalive).lower()}",
            "-redirects=-1",
            "-http2=false",
        ]

    def so_far(self) -> Report:
        """What is known by now; requests in flight are not in it."""
        with self._answers.open("rb") as lines:
            lines.seek(self._offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    # The rest may be there in a moment, and would look like a line of its own.
                    break
                self._known.append(read(line))
                self._offset += len(line)
        return Report.of(self._known)

    def stop(self) -> Report:
        """Send no more, wait for what is in flight, and report."""
        attack, _ = self._running()
        attack.terminate()
        return self._finished(within=self.request.timeout + GRACE)

    def finish(self) -> Report:
        """Wait until all was sent and answered, and report."""
        left = self.seconds - (time.monotonic() - self._began)
        return self._finished(within=max(0.0, left) + self.request.timeout + GRACE)

    def _finished(self, *, within: float) -> Report:
        deadline = time.monotonic() + within
        for process in self._running():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise GeneratorFailed(f"it did not end within {within:.0f} s") from error
            if process.returncode:
                said = self._errors.read_text().strip()
                raise GeneratorFailed(f"it ended with {process.returncode}: {said}")
        report = self.so_far()
        if report.missing:
            raise GeneratorFailed(f"it kept no record of {report.missing} requests")
        return report

    def _running(self) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        assert self._attack is not None
        assert self._encode is not None
        return self._attack, self._encode

    def _end(self) -> None:
        """Leave no process behind, without waiting for what is in flight."""
        for process in filter(None, (self._attack, self._encode)):
            process.kill()
            process.wait()


def program() -> Path:
    """vegeta, built the first time that it is wanted."""
    with alone("vegeta"):
        toolchain.build(toolchain.VEGETA, Progress())
    return BIN / "vegeta"


def _close(pipe: IO[bytes] | None) -> None:
    """Give our end away, so that the writer notices when the reader is gone."""
    if pipe is not None:
        pipe.close()
