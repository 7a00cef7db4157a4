"""Running other programs: captured unless they fail, and never through a shell."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devcluster.errors import CommandFailed, TimedOut


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    log: Path | None = None,
) -> str:
    """Standard output of a program; CommandFailed with all it printed if it ends with an error.

    `env` adds to the environment. With `log`, the output goes to that file as it comes.
    """
    words = [str(word) for word in argv]
    environment = os.environ | dict(env or {})
    try:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w") as sink:
                done = subprocess.run(
                    words,
                    check=False,
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    timeout=timeout,
                )
            if done.returncode != 0:
                raise CommandFailed(words, done.returncode, "\n".join(last_lines(log)))
            return ""
        answer = subprocess.run(
            words,
            check=False,
            cwd=cwd,
            env=environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise CommandFailed(words, 127, f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"`{' '.join(words)}` ends", seconds=timeout or 0) from error
    if answer.returncode != 0:
        raise CommandFailed(words, answer.returncode, answer.stderr + answer.stdout)
    return answer.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float = 10) -> bool:
    """Whether a program can be run and ends well."""
    try:
        run(argv, timeout=timeout)
    except (CommandFailed, TimedOut):
        return False
    return True


def wait_until(
    condition: Callable[[], bool], *, what: str, seconds: float, poll: float = 0.1
) -> None:
    """Poll until the condition holds; TimedOut names what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimedOut(what, seconds=seconds)
        time.sleep(poll)


def last_lines(log: Path, *, count: int = 20) -> list[str]:
    """The end of a log file; empty if there is none."""
    try:
        size = log.stat().st_size
        with log.open("rb") as source:
            source.seek(max(0, size - 64 * 1024))
            return source.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
