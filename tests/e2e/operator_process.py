"""The operator under test: the real program, in a process of its own.

It serves one namespace and keeps its Lease there, so that many of them run side by side and a test
may end its own at any time. It is known only by what everybody can see of it: its endpoints, its
log and its exit code.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.network import LOOPBACK, cluster_network

PROGRAM: Final = (sys.executable, "-m", "agentherd")
ROOT: Final = Path(__file__).resolve().parents[2]
READY_WITHIN: Final = 60.0
STOPPED_WITHIN: Final = 10.0
LOOK_EVERY: Final = 0.05
ANSWERED_WITHIN: Final = 5.0


class Operator:
    """One operator process after another, for one namespace, with one log."""

    def __init__(self, *, namespace: str, kubeconfig: str | None, log: Path) -> None:
        self.log = log
        self._namespace = namespace
        self._environment = os.environ | ({"KUBECONFIG": kubeconfig} if kubeconfig else {})
        self._network = cluster_network()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Which process it is."""
        return self._process.pid if self._process else None

    @property
    def port(self) -> int:
        """Where its endpoints are, on the loopback of the cluster's network."""
        return self._port

    def configure(self, **environment: str) -> None:
        """Settings that the next process finds in its environment."""
        self._environment = self._environment | environment

    def start(self) -> None:
        """Start it and wait until it says that it is ready; one that never does is ended."""
        assert not self.running
        self._port = self._network.free_port()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # The words that enter become the program, so the process is the operator itself.
                [*self._network.enter, *PROGRAM, "run", *self._options()],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, which has to be in order and soon."""
        process = self._process
        if process is None:
            return
        self._process = None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the operator ran on for {STOPPED_WITHIN} s") from None
        assert code == 0, f"the operator ended with code {code}"

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer of its endpoints; status 0 without one."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port)
        with closing(connection):
            try:
                connection.sock = self._network.connect(self._port, timeout=ANSWERED_WITHIN)
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except (OSError, http.client.HTTPException) as error:
                return 0, str(error)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples with that name and these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self._exposition())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def writes(self, *, but: str) -> float:
        """How many writes were answered, those of its Lease and of resource `but` left aside."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self._exposition())
            for sample in family.samples
            if sample.name == "agentherd_api_requests_total"
            and sample.labels["verb"] not in {"GET", "LIST", "WATCH"}
            and sample.labels["resource"] not in {"leases", but}
        )

    def _exposition(self) -> str:
        """The text of its metrics, for which one that is busy has some time."""
        end = time.monotonic() + READY_WITHIN
        while True:
            status, text = self.get("/metrics")
            if status == 200:
                return text
            assert time.monotonic() < end, f"no metrics: {text}\n{self.last_words()}"
            self.runs_for(LOOK_EVERY)

    def wait_until(self, holds: Callable[[], bool], *, within: float) -> None:
        """Wait until something is true that only its endpoints tell; it has to run all the while.

        Raises:
            AssertionError: it is not within so many seconds.
        """
        end = time.monotonic() + within
        while not holds():
            left = end - time.monotonic()
            assert left > 0, f"not true within {within} s\n{self.last_words()}"
            self.runs_for(min(left, LOOK_EVERY))

    def runs_for(self, seconds: float) -> None:
        """Watch it for so many seconds, in which it must not end."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"the operator ended with code {code}:\n{self.last_words()}")

    def last_words(self, lines: int = 60) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + READY_WITHIN
        said = ""
        while time.monotonic() < end:
            status, said = self.get("/readyz")
            if status == 200:
                return
            try:
                code = process.wait(timeout=LOOK_EVERY)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the operator ended with code {code}:\n{self.last_words()}")
        raise AssertionError(f"the operator is not ready: {said}\n{self.last_words()}")

    def _options(self) -> list[str]:
        return [
            f"--namespace={self._namespace}",
            f"--lease-namespace={self._namespace}",
            f"--http-host={LOOPBACK}",
            f"--http-port={self._port}",
        ]
