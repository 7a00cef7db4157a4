"""`Judge`: a source of metrics of which a test says what it answers, good or bad.

It listens where the operator can reach it as it reaches a server of the cluster; the loopback is
refused, as it should be. A real Prometheus is beside it, fed by the pods themselves.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import yaml
from devcluster.packages import prometheus
from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.network import Network

LOOK_EVERY: Final = 0.1
STARTED_WITHIN: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer: after so many seconds, with these headers; `of` is its length if it is cut off."""

    body: str = ""
    status: int = 200
    kind: str = "application/json"
    location: str | None = None
    seconds: float = 0.0
    of: int | None = None


class Judge:
    """Answers at `url(name)` what was `say`-ed last, or what a function of the query gives."""

    def __init__(self, network: Network, *, towards: str) -> None:
        self._answers: dict[str, Callable[[str], Said]] = defaultdict(lambda: lambda _: Said())
        self.asked: dict[str, list[float]] = defaultdict(list)
        address = network.address(towards=towards)
        listening = network.listen(address=address)
        self.host, self.port = address, listening.getsockname()[1]
        self._server = _Server((address, self.port), _Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening
        self._server.judge = self

    def url(self, name: str, query: str = "") -> str:
        """Where an answer of this name is."""
        return f"http://{self.host}:{self.port}/{name}" + (f"?{query}" if query else "")

    def say(self, name: str, answer: Said | Callable[[str], Said]) -> None:
        """Answer so from now on."""
        self._answers[name] = answer if callable(answer) else lambda _: answer

    def score(self, name: str, value: object) -> None:
        """Answer with this number at `/score`."""
        self.say(name, Said(body=json.dumps({"score": value})))

    def answer(self, path: str) -> Said:
        """What is said to a request."""
        name, _, query = path.removeprefix("/").partition("?")
        self.asked[name].append(time.monotonic())
        return self._answers[name](query)

    @contextmanager
    def serving(self) -> Iterator[Judge]:
        """Answer while the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, name="judge", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    # A request that stalls must not keep the tests from ending.
    block_on_close = False
    daemon_threads = True
    judge: Judge

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asks may hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        said = self.server.judge.answer(self.path)
        time.sleep(said.seconds)
        body = said.body.encode()
        self.send_response(said.status)
        self.send_header("Content-Type", said.kind)
        self.send_header("Content-Length", str(said.of or len(body)))
        if said.location is not None:
            self.send_header("Location", said.location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""


@contextmanager
def a_prometheus(
    network: Network, judge: Judge, pods: Callable[[], Iterable[Object]], *, directory: Path
) -> Iterator[str]:
    """The address of a Prometheus that asks these pods each second, and looks for new ones."""
    program = prometheus(Progress())
    port = network.free_port()
    judge.say("targets", lambda _: Said(body=json.dumps([_target(p) for p in pods() if _ip(p)])))
    config = directory / "prometheus.yml"
    # The package has no discovery of Kubernetes' own.
    found = {"url": judge.url("targets"), "refresh_interval": "1s"}
    scraped = {"job_name": "agents", "http_sd_configs": [found]}
    often = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config.write_text(yaml.safe_dump({"global": often, "scrape_configs": [scraped]}))
    with (directory / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *network.enter,
                str(program),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=0.0.0.0:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _await_listening(network, port, process)
        yield f"http://{judge.host}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    labels = {
        "namespace": metadata["namespace"],
        "agent": metadata["labels"]["agentherd.dev/agent"],
        "revision": metadata["labels"]["agentherd.dev/revision"],
    }
    return {"targets": [f"{_ip(pod)}:8080"], "labels": labels}


def _ip(pod: Object) -> str:
    address: str = pod["status"].get("podIP", "")
    return address


def _await_listening(network: Network, port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            network.connect(port, timeout=1).close()
        except OSError:
            assert process.poll() is None, "Prometheus has ended"
            assert time.monotonic() < end, "Prometheus does not listen"
            time.sleep(LOOK_EVERY)
        else:
            return
