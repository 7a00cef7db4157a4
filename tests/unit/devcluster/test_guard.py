"""The guard starts in order, restarts what ran, and gives up on what never did."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devcluster.component import Component, Plan, Probe, Report, Stage, read_report, write_report
from devcluster.guard import Guard, accepts_connections
from devcluster.guarding import is_guard, other_checkout

LISTEN = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
while True: s.accept()[0].close()
"""


def test_a_guard_is_recognised_by_the_plan_on_its_command_line() -> None:
    """Neither another checkout's guard nor an editor with the file open is one of ours."""
    plan = Path("/here/.cache/cluster/guard.json")

    assert is_guard(b"python\0-m\0devcluster.guard\0/here/.cache/cluster/guard.json\0", plan)
    assert not is_guard(b"python\0-m\0devcluster.guard\0/there/.cache/cluster/guard.json\0", plan)
    assert not is_guard(b"vi\0/here/.cache/cluster/guard.json\0", plan)


def test_a_cluster_of_another_checkout_is_named_by_its_root() -> None:
    """Its namespace has the same name as ours, so a start here has to say who is in the way."""
    ours = Path("/here/.cache/cluster/guard.json")

    assert other_checkout(["x", "/there/.cache/cluster/guard.json"], ours) == Path("/there")
    assert other_checkout(["x", str(ours)], ours) is None
    assert other_checkout(["x", "/there/.cache/cluster-scale/guard.json"], ours) is None


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    """It is how the command line learns of a component that failed."""
    reports = {"etcd": Report(Stage.READY), "kubelet": Report(Stage.FAILED, 2, 255)}

    write_report(tmp_path / "report.json", reports)

    assert read_report(tmp_path / "report.json") == reports


def test_before_the_first_report_there_is_nothing_to_say(tmp_path: Path) -> None:
    """A start that was killed early leaves no report."""
    assert read_report(tmp_path / "report.json") == {}


@pytest.mark.parametrize("accepts", [True, False])
def test_a_socket_that_accepts_is_ready(tmp_path: Path, accepts: bool) -> None:
    """A file that is left of a socket is not enough."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        if accepts:
            server.listen()

        assert accepts_connections(str(path)) is accepts


def guard_of(directory: Path, *components: Component) -> Guard:
    plan = Plan(components, (), str(directory), str(directory / "report.json"), authority=None)
    return Guard(plan)


def turn_until(guard: Guard, name: str, *stages: Stage) -> Report:
    """Turn the guard's loop until a component has reached one of the stages."""
    while guard.turn()[name].stage not in stages:
        pass
    return guard.turn()[name]


def listener(name: str, directory: Path, *, after: tuple[str, ...] = ()) -> Component:
    path = str(directory / name)
    return Component(name, (sys.executable, "-c", LISTEN, path), Probe(socket=path), after=after)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every process that the guard started; all end with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def note(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        processes.append(start(*arguments, **named))
        return processes[-1]

    monkeypatch.setattr("devcluster.guard.subprocess.Popen", note)
    yield processes
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)


def test_a_component_waits_for_those_it_needs(tmp_path: Path, started: list[Any]) -> None:
    """Nothing is started into the void."""
    guard = guard_of(
        tmp_path, listener("api", tmp_path), listener("node", tmp_path, after=("api",))
    )

    assert guard.turn()["node"].stage is Stage.WAITING
    turn_until(guard, "api", Stage.READY)
    turn_until(guard, "node", Stage.READY)

    assert len(started) == 2


def test_a_component_that_ends_before_it_was_ready_has_failed(
    tmp_path: Path, started: list[Any]
) -> None:
    """A person has to look at it; trying again would hide the first error."""
    broken = Component("etcd", (sys.executable, "-c", "exit(3)"), Probe(socket="/no/such"))
    guard = guard_of(tmp_path, broken)

    report = turn_until(guard, "etcd", Stage.FAILED)

    assert report == Report(Stage.FAILED, restarts=0, code=3)
    assert len(started) == 1


def test_a_component_that_was_ready_is_started_again(tmp_path: Path, started: list[Any]) -> None:
    """As a node's init would do."""
    guard = guard_of(tmp_path, listener("etcd", tmp_path))
    turn_until(guard, "etcd", Stage.READY)
    (tmp_path / "etcd").unlink()

    os.kill(started[0].pid, signal.SIGKILL)
    turn_until(guard, "etcd", Stage.RESTARTING)
    report = turn_until(guard, "etcd", Stage.READY)

    assert report == Report(Stage.READY, restarts=1, code=-signal.SIGKILL)
