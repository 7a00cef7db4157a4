"""`Collector`: keeps the spans that an operator sends, as an OpenTelemetry collector would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.e2e.network import LOOPBACK, cluster_network


class Collector(HTTPServer):
    """Listens on the loopback of the cluster's network."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        listening = cluster_network().listen()
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"

    def trace(self, uid: str) -> list[Span]:
        """The spans of the upgrade with this uid, as they came."""
        return [span for span in self.spans if span.trace_id.hex() == uid.replace("-", "")]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect while the context lasts."""
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever, name="collector", daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()
