"""Traces reach a collector, and cost nothing where nobody asks for them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from tests.twin import raw_upgrade

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, Key
from agentherd.engine.store import Record, Store
from agentherd.runtime.tracing import NotInstalled, traces

UID: Final = "6c3e0c1e-6f0a-4b4e-9d5b-1a2b3c4d5e6f"
GREETER: Final = Key("default", "greeter-2")


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def record(store: Store, version: int, *phases: str) -> Record:
    """An upgrade that has gone through these phases, rolled back if it is the last."""
    times = [f"2026-11-21T12:0{minute}:00Z" for minute in range(9)]
    history = [
        {"phase": phase, "reason": "Crash", "message": "", "at": at}
        for phase, at in zip(phases, times, strict=False)
    ]
    status: dict[str, Any] = {"phase": phases[-1], "history": history, "startedAt": times[0]}
    if phases[-1] == "RolledBack":
        back = {"trigger": "Crash", "reason": "exit 1", "requestedBy": "a", "at": times[1]}
        status |= {"finishedAt": times[len(phases) - 1], "rollback": back}
    metadata = {"uid": UID, "resourceVersion": str(version)}
    store.put_subject(AGENT_UPGRADE, raw_upgrade(status=status, metadata=metadata))
    found = store.record(AGENT_UPGRADE, GREETER)
    assert found is not None
    return found


async def test_the_spans_of_an_upgrade_reach_the_collector(collector: Collector) -> None:
    """At the latest when the process ends; with ids, times, causes and who has sent them."""
    store = Store(AGENT, wake=lambda _: None)
    before = record(store, 2, "Progressing", "RollingBack")
    after = record(store, 3, "Progressing", "RollingBack", "RolledBack")

    async with traces(f"{collector.url}/", identity="me") as (witness,):
        witness.wrote(AGENT_UPGRADE, GREETER, before, after)

    ((path, sent),) = collector.requests
    (resource,) = sent.resource_spans
    part, whole = resource.scope_spans[0].spans
    told = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert path == "/v1/traces"
    assert (told["service.name"], told["service.instance.id"]) == ("agentherd", "me")
    assert whole.trace_id.hex() == part.trace_id.hex() == UID.replace("-", "")
    assert part.parent_span_id == whole.span_id
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == 120 * 10**9
    assert (whole.status.code, whole.status.message) == (Status.STATUS_CODE_ERROR, "Crash: exit 1")


async def test_what_is_written_of_an_agent_is_in_no_trace(collector: Collector) -> None:
    """Nor is an upgrade of which nothing has ended."""
    store = Store(AGENT, wake=lambda _: None)
    before = record(store, 2, "Progressing")

    async with traces(collector.url, identity="me") as (witness,):
        witness.wrote(AGENT_UPGRADE, GREETER, before, before)

    assert collector.requests == []


async def test_a_collector_that_is_away_costs_spans_only(caplog: pytest.LogCaptureFixture) -> None:
    """The process ends in time, and says so."""
    store = Store(AGENT, wake=lambda _: None)
    before = record(store, 2, "Progressing")
    after = record(store, 3, "Progressing", "Paused")

    async with traces("http://127.0.0.1:9", identity="me") as (witness,):
        witness.wrote(AGENT_UPGRADE, GREETER, before, after)

    assert "opentelemetry" in caplog.records[-1].name


async def test_the_libraries_have_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the operator says which extra to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(NotInstalled, match=r"agentherd\[tracing\]"):
        async with traces("http://127.0.0.1:9", identity="me"):
            pass


async def test_nobody_is_told_without_an_endpoint() -> None:
    """As by default."""
    async with traces("", identity="me") as witnesses:
        assert witnesses == ()


def test_the_operator_imports_no_library_for_traces() -> None:
    """They would cost memory in every process."""
    looked = "import sys, agentherd.runtime.process; print('opentelemetry' in str([*sys.modules]))"

    done = subprocess.run(
        [sys.executable, "-c", looked], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"
