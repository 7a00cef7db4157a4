"""What can go wrong, named by the situation.

ClusterError
├── NothingPossible   this machine can run none of the clusters (exit code 2)
├── CommandFailed     a program that we called said no
├── ComponentFailed   a part of the cluster died or did not get ready
├── PortTaken         another program listens where the cluster wants to
└── TimedOut          a condition did not come true

Each text is written for the person at the terminal and says what to do next where we know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ClusterError(Exception):
    """Anything the command line reports in a sentence instead of a traceback."""

    exit_code = 1


class NothingPossible(ClusterError):
    """No provider can work here."""

    exit_code = 2


class CommandFailed(ClusterError):
    """A program ended with another exit code than 0."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.output = output
        super().__init__(f"`{' '.join(argv)}` ended with {code}\n{output}".rstrip())


class ComponentFailed(ClusterError):
    """A component of the local cluster is down; carries the end of its log."""

    def __init__(self, component: str, *, why: str, log: Path, tail: Sequence[str]) -> None:
        self.component = component
        self.log = log
        lines = "\n".join(f"    {line}" for line in tail)
        super().__init__(f"{component} {why}; the end of {log}:\n{lines}")


class PortTaken(ClusterError):
    """A loopback port of the cluster belongs to another program."""

    def __init__(self, port: int, variable: str) -> None:
        self.port = port
        super().__init__(
            f"127.0.0.1:{port} is in use by another program; stop it or choose another port "
            f"with {variable}=<port>"
        )


class TimedOut(ClusterError):
    """A condition was waited for in vain."""

    def __init__(self, what: str, *, seconds: float) -> None:
        super().__init__(f"gave up after {seconds:.0f} s waiting until {what}")
