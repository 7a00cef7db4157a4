"""The guard: process 1 of the cluster's process namespace; starts, watches and restarts the rest.

Why a process namespace: when its first process dies, the kernel kills every other one in it,
containers and their shims included, and with the last of them goes the mount namespace and every
mount of a pod. So the cluster is stopped by killing one process, whoever crashed before and
whatever was forgotten, and no recycled process id is ever at risk.

A component that ends before it was ready once has failed, and the person at the terminal decides.
One that ends later is started again, as a node's init would.

Runs as `python -m devcluster.guard PLAN`, already inside its namespaces (`local.start_guard`).
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

from devcluster.component import Component, Mount, Plan, Probe, Report, Stage, write_report

POLL_STARTING = 0.05
POLL_SETTLED = 0.5
BACKOFF_FIRST = 0.5
BACKOFF_MOST = 10.0


WAITING = Report(Stage.WAITING)


@dataclass
class Watched:
    """A component with its process."""

    component: Component
    report: Report = WAITING
    process: int = 0
    not_before: float = 0.0
    backoff: float = BACKOFF_FIRST
    was_ready: bool = False


class Guard:
    """Runs a plan until it is killed."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._watched = {entry.name: Watched(entry) for entry in plan.components}
        self._tls = ssl.create_default_context(cafile=plan.authority)
        # No proxy of the environment may come between a component and its probe.
        self._http = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )

    def run(self) -> None:
        """Never returns."""
        said: dict[str, Report] = {}
        while True:
            reports = self.turn()
            if reports != said:
                write_report(Path(self._plan.report), reports)
                said = reports
            settled = all(report.stage is Stage.READY for report in reports.values())
            time.sleep(POLL_SETTLED if settled else POLL_STARTING)

    def turn(self) -> dict[str, Report]:
        """Look at every process once and start what may start."""
        self._reap()
        now = time.monotonic()
        for watched in self._watched.values():
            self._advance(watched, now)
        return {name: watched.report for name, watched in self._watched.items()}

    def _advance(self, watched: Watched, now: float) -> None:
        stage = watched.report.stage
        if stage is Stage.WAITING and self._may_start(watched.component):
            self._start(watched, Stage.STARTING)
        elif stage is Stage.RESTARTING and not watched.process and now >= watched.not_before:
            self._start(watched, Stage.RESTARTING)
        elif watched.process and stage is not Stage.READY:
            self._look(watched)

    def _look(self, watched: Watched) -> None:
        if self._answers(watched.component.probe):
            watched.was_ready = True
            watched.backoff = BACKOFF_FIRST
            watched.report = replace(watched.report, stage=Stage.READY)

    def _may_start(self, component: Component) -> bool:
        return all(self._watched[name].report.stage is Stage.READY for name in component.after)

    def _start(self, watched: Watched, stage: Stage) -> None:
        component = watched.component
        log = Path(self._plan.logs) / f"{component.name}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                component.argv,
                env={**os.environ, **component.env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=component.inherits,
            )
        watched.process = process.pid
        # Reaped by `_reap` together with the orphans that process 1 inherits.
        process.returncode = 0
        watched.report = replace(watched.report, stage=stage)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for watched in self._watched.values():
                if watched.process == pid:
                    self._ended(watched, os.waitstatus_to_exitcode(status))

    def _ended(self, watched: Watched, code: int) -> None:
        watched.process = 0
        if not watched.was_ready:
            watched.report = Report(Stage.FAILED, watched.report.restarts, code)
            return
        watched.not_before = time.monotonic() + watched.backoff
        watched.backoff = min(watched.backoff * 2, BACKOFF_MOST)
        watched.report = Report(Stage.RESTARTING, watched.report.restarts + 1, code)
        print(f"{watched.component.name} ended with {code}; starting it again", flush=True)

    def _answers(self, probe: Probe) -> bool:
        if probe.socket:
            return accepts_connections(probe.socket)
        try:
            with self._http.open(probe.url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError):
            return False


def accepts_connections(path: str) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def mount_all(mounts: tuple[Mount, ...]) -> None:
    """Mount what programs shall find elsewhere than on the machine; nobody outside sees it."""
    _mount("--make-rshared", "/")
    for entry in mounts:
        if entry.source:
            Path(entry.source).mkdir(parents=True, exist_ok=True)
            _mount("--bind", entry.source, entry.target)
        else:
            _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", entry.target)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def main() -> None:
    """Run the plan in the file that is the only argument."""
    plan = Plan.from_json(Path(sys.argv[1]).read_text())
    mount_all(plan.mounts)
    Guard(plan).run()


if __name__ == "__main__":
    main()
