"""The cluster made of processes of this machine: start, stop, and what it is doing.

    namespaces, certificates, plan  ─▶  guard  ─▶  components  ─▶  images  ─▶  complete

Everything lives in one state directory, one network namespace, one process and mount namespace
and one cgroup, so stopping is: kill the guard, remove the other three. A start removes first what
an interrupted one left; the file `complete`, written last, tells the two apart.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

from devcluster import (
    certificates,
    guarding,
    kernel,
    network,
    packages,
    processes,
    settings,
    toolchain,
)
from devcluster.command import run
from devcluster.component import Component, Plan, Stage
from devcluster.errors import ClusterError
from devcluster.filesystem import on_overlay
from devcluster.layout import BIN, Layout
from devcluster.progress import Progress

COMPONENT_SECONDS = 90
RECOVERY_SECONDS = 20
IN_BETWEEN = (Stage.STARTING, Stage.RESTARTING)


class LocalCluster:
    """A local cluster, whether it runs or not."""

    def __init__(self, layout: Layout, progress: Progress) -> None:
        self.layout = layout
        self.progress = progress
        self._said: set[str] = set()

    def prepare(self) -> None:
        """Have every program, package and image of the cluster itself."""
        packages.ensure(packages.RUN_CLUSTER, self.progress)
        wanted = toolchain.SCALE_TOOLS if self.layout.scale else toolchain.LOCAL_TOOLS
        for tool in wanted:
            toolchain.build(tool, self.progress)

    def is_up(self) -> bool:
        """Whether a start was completed and everything runs; waits while the guard repairs."""
        if not (self.layout.complete.exists() and guarding.running(self.layout)):
            return False
        try:
            self._await(
                lambda stages: all(stage is Stage.READY for stage in stages.values()),
                seconds=RECOVERY_SECONDS,
            )
        except ClusterError as error:
            self.progress.say(f"the cluster is broken and will be started anew: {error}")
            return False
        return True

    def start(self) -> None:
        """Start everything; returns when the API server and the container runtime are ready."""
        if other := guarding.elsewhere(self.layout):
            raise ClusterError(f"{other} runs its cluster on this machine; stop it there first")
        self.stop()
        self.prepare()
        layout = self.layout
        for directory in (layout.logs, layout.config):
            directory.mkdir(parents=True)
        with ExitStack() as doors_open:
            doors = self._open_doors(doors_open)
            if not layout.scale:
                kernel.note_settings(layout)
                kernel.create_cgroup(layout)
                create_mount_points()
            network.create(layout)
            certificates.write_all(layout, datetime.datetime.now(datetime.UTC))
            self._write_settings()
            self._write_plan(doors)
            guarding.start(layout, doors)
        needed = {"kube-apiserver", "proxy"} | (set() if layout.scale else {"containerd"})
        self.await_components(needed)

    def _open_doors(self, doors_open: ExitStack) -> dict[int, int]:
        ports = [port for port in (self.layout.api, self.layout.gateway) if port]
        sockets = {port.number: network.open_door(port) for port in ports}
        for door in sockets.values():
            doors_open.enter_context(door)
        return {port: door.fileno() for port, door in sockets.items()}

    def _write_settings(self) -> None:
        for name, text in settings.files(self.layout, snapshotter=self._snapshotter()).items():
            path = self.layout.config / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _write_plan(self, doors: Mapping[int, int]) -> None:
        layout = self.layout
        components: tuple[Component, ...]
        if layout.scale:
            stages = toolchain.kwok_stages(self.progress)
            audit = bool(os.environ.get("AGENTHERD_AUDIT"))
            components = processes.scale_components(layout, doors, stages=stages, audit=audit)
        else:
            components = processes.normal_components(layout, doors)
        plan = Plan(
            components=components,
            mounts=processes.mounts(layout),
            logs=str(layout.logs),
            report=str(layout.report),
            authority=str(layout.pki / "ca.crt"),
        )
        layout.plan.write_text(plan.to_json())

    def await_components(self, names: Collection[str] | None = None) -> None:
        """Wait until the named components are ready, or all of them, and say so for each."""

        def enough(stages: Mapping[str, Stage]) -> bool:
            ready = {name for name, stage in stages.items() if stage is Stage.READY}
            for name in sorted(ready - self._said):
                self.progress.say(f"{name} ready")
            self._said |= ready
            wanted = set(stages) if names is None else set(names)
            return bool(stages) and wanted <= ready

        self._await(enough, seconds=COMPONENT_SECONDS)

    def _await(self, enough: Callable[[Mapping[str, Stage]], bool], *, seconds: float) -> None:
        """Poll the guard's report; a component that fails, or is late, is named with its log."""
        deadline = time.monotonic() + seconds
        while True:
            stages = {name: each.stage for name, each in guarding.reports(self.layout).items()}
            if enough(stages):
                return
            if time.monotonic() > deadline:
                late = [name for name, stage in stages.items() if stage in IN_BETWEEN]
                why = f"is not ready after {seconds:.0f} s"
                raise guarding.failure(self.layout, next(iter(late), "guard"), why)
            time.sleep(0.05)

    def load(self, image: Path, *, reference: str, version: str) -> None:
        """Import an image archive, unless the cluster has this version of the image."""
        noted = self.layout.loaded
        known: dict[str, str] = json.loads(noted.read_text()) if noted.exists() else {}
        if known.get(reference) == version:
            return
        with self.progress.step(f"loading {reference}"):
            run([*self._ctr(), "images", "import", "--snapshotter", self._snapshotter(), image])
        noted.write_text(json.dumps(known | {reference: version}))

    def _ctr(self) -> tuple[str, ...]:
        # The socket is in the guard's mount namespace; this path leads there from outside.
        pid = guarding.first_process(self.layout)
        socket = f"/proc/{pid}/root{processes.CONTAINERD_SOCKET}"
        return (str(BIN / "ctr"), f"--address={socket}", "--namespace=k8s.io")

    def _snapshotter(self) -> str:
        return "native" if on_overlay(self.layout.state) else "overlayfs"

    def stop(self) -> None:
        """Leave nothing behind, whatever an earlier start or stop had reached."""
        layout = self.layout
        guarding.stop(layout)
        # These have one name for all checkouts of the project.
        if guarding.elsewhere(layout) is None:
            network.remove(layout)
            if not layout.scale:
                kernel.remove_cgroup(layout)
                remove_mount_points()
        kernel.restore_settings(layout)
        if layout.state.exists():
            shutil.rmtree(layout.state)


def create_mount_points() -> None:
    """Have the directories over which the guard mounts ours."""
    for directory in processes.OWN_DIRECTORIES:
        Path(directory).mkdir(parents=True, exist_ok=True)


def remove_mount_points() -> None:
    """Remove them if they are empty, as they are unless another program uses them.

    Never while a cluster runs: removing a directory takes away what is mounted on it in other
    mount namespaces.
    """
    for directory in processes.OWN_DIRECTORIES:
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
