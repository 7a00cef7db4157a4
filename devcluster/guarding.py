"""Finding, starting and stopping the guard of a local cluster.

A guard is recognised by its command line, which names this cluster's plan, and held by a file
descriptor of the process while it is looked at and killed. So nothing has to be written down that
a killed predecessor could have missed, and no other process that got an old id can be hit.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devcluster.command import last_lines
from devcluster.component import Report, Stage, read_report
from devcluster.errors import ComponentFailed, TimedOut
from devcluster.layout import ROOT, Layout
from devcluster.network import enter_argv

MODULE = "devcluster.guard"
PROC = Path("/proc")


def start(layout: Layout, doors: Mapping[int, int]) -> None:
    """Start the guard, detached and in namespaces of its own; `doors` are inherited."""
    with (layout.logs / "guard.log").open("ab") as sink:
        subprocess.Popen(
            [
                *enter_argv(layout),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
                *guard_argv(layout),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(doors.values()),
        )


def guard_argv(layout: Layout) -> tuple[str, ...]:
    """The guard's own command line."""
    return (sys.executable, "-m", MODULE, str(layout.plan))


def is_guard(command_line: bytes, plan: Path) -> bool:
    """Whether a /proc/PID/cmdline is that of this cluster's guard or of what started it."""
    words = command_line.decode(errors="replace").split("\0")
    return MODULE in words and str(plan) in words


def elsewhere(layout: Layout) -> Path | None:
    """The root of another checkout whose guard runs a cluster of the same name, if there is one."""
    for entry in PROC.iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, NotADirectoryError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if MODULE in words and (other := other_checkout(words, layout.plan)):
                return other
    return None


def other_checkout(words: Sequence[str], plan: Path) -> Path | None:
    """The root of the checkout whose plan is among the words, if it is not ours."""
    tail = Path(*plan.parts[-3:])
    for word in words:
        path = Path(word)
        if path.parts[-3:] == tail.parts and path != plan:
            return path.parents[2]
    return None


@contextmanager
def held(layout: Layout) -> Iterator[list[tuple[int, int]]]:
    """(process id, its file descriptor) of every process of the guard."""
    found: list[tuple[int, int]] = []
    try:
        for entry in PROC.iterdir():
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            try:
                if not is_guard((entry / "cmdline").read_bytes(), layout.plan):
                    continue
                descriptor = os.pidfd_open(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.append((pid, descriptor))
        # Looked at again now that the descriptors keep the ids from being given to others.
        yield [pair for pair in found if _still(pair[0], layout.plan)]
    finally:
        for _, descriptor in found:
            os.close(descriptor)


def _still(pid: int, plan: Path) -> bool:
    try:
        return is_guard((PROC / str(pid) / "cmdline").read_bytes(), plan)
    except (FileNotFoundError, ProcessLookupError):
        return False


def running(layout: Layout) -> bool:
    """Whether there is a guard."""
    for _ in range(5):
        with held(layout) as guards:
            if guards:
                return True
        # A process has no command line for an instant while it becomes another program.
        time.sleep(0.02)
    return False


def first_process(layout: Layout) -> int:
    """The id, as seen from the machine, of process 1 of the cluster's process namespace."""
    with held(layout) as guards:
        for pid, _ in guards:
            status = (PROC / str(pid) / "status").read_text()
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
            if len(ids) > 2 and ids[-1] == "1":
                return pid
    raise ComponentFailed("guard", why="does not run", log=layout.logs / "guard.log", tail=())


def stop(layout: Layout, *, seconds: float = 30) -> None:
    """Kill the guard and with it the kernel kills all that ever came from it; wait for the end."""
    while True:
        with held(layout) as guards:
            if not guards:
                return
            for _, descriptor in guards:
                try:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for _, descriptor in guards:
                ended = select.poll()
                ended.register(descriptor, select.POLLIN)
                if not ended.poll(seconds * 1000):
                    raise TimedOut("the processes of the cluster have ended", seconds=seconds)


def reports(layout: Layout) -> dict[str, Report]:
    """What the guard says of its components; raises if one of them or itself is down for good."""
    found = read_report(layout.report)
    for name, report in found.items():
        if report.stage is Stage.FAILED:
            raise failure(layout, name, f"ended with {report.code}")
    if not running(layout):
        raise failure(layout, "guard", "ended")
    return found


def failure(layout: Layout, component: str, why: str) -> ComponentFailed:
    """The error that shows the end of a component's log."""
    log = layout.logs / f"{component}.log"
    return ComponentFailed(component, why=why, log=log, tail=last_lines(log))
