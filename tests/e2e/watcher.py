"""`Watcher`: a real Prometheus that collects one operator's metrics and has its alert rules."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml
from devcluster.packages import prometheus
from devcluster.progress import Progress
from tests.e2e.network import LOOPBACK, cluster_network
from tests.e2e.operator_process import Operator

STARTED_WITHIN: Final = 30.0
LOOK_EVERY: Final = 0.1


class Watcher:
    """Asked by calling it with an expression; it listens on the loopback of the cluster."""

    def __init__(self, port: int) -> None:
        self._network = cluster_network()
        self._port = port

    def __call__(self, expression: str) -> list[dict[str, Any]]:
        """The series that the expression gives now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def until(self, expression: str, *, within: float = 15.0) -> list[dict[str, Any]]:
        """Ask until there is a series."""
        end = time.monotonic() + within
        while not (found := self(expression)):
            assert time.monotonic() < end, f"no series within {within} s: {expression}"
            time.sleep(LOOK_EVERY)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules that it has loaded."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **query: str) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self._port)
        with closing(connection):
            connection.sock = self._network.connect(self._port, timeout=5)
            connection.request("GET", f"/api/v1/{what}?{urlencode(query)}")
            answer = json.loads(connection.getresponse().read())
        assert answer["status"] == "success", answer
        return answer["data"]

    def await_listening(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                self.rules()
            except (OSError, http.client.HTTPException, ValueError):
                assert process.poll() is None, "Prometheus has ended"
                assert time.monotonic() < end, "Prometheus does not answer"
                time.sleep(LOOK_EVERY)
            else:
                return


@contextmanager
def watching(operator: Operator, *, rules: Path, directory: Path) -> Iterator[Watcher]:
    """Collect each second, as docs/how-to/monitor.md says, while the context lasts."""
    network = cluster_network()
    port = network.free_port()
    job = {
        "job_name": "agentherd",
        "honor_labels": True,
        "static_configs": [{"targets": [f"{LOOPBACK}:{operator.port}"]}],
    }
    often = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = directory / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({"global": often, "scrape_configs": [job], "rule_files": [str(rules)]})
    )
    with (directory / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *network.enter,
                str(prometheus(Progress())),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={LOOPBACK}:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        found = Watcher(port)
        found.await_listening(process)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)
