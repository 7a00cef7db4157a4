"""Servers that answer as an API server does or should not, and kubeconfigs that lead to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from agentherd.plugin.connection import Place

Answer = tuple[int, str]


@contextmanager
def server(answer: Callable[[str, str], Answer]) -> Iterator[int]:
    """An HTTP server that gives this answer to every request; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PATCH = do_POST = do_GET  # noqa: N815  (names of the library)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found.server_address[1]
        finally:
            found.shutdown()
            thread.join()


def kubeconfig(directory: Path, port: int, **changes: Any) -> Place:
    """A kubeconfig with one context, `here`."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    } | changes
    file = directory / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return Place(kubeconfig=str(file), timeout=5)


def told(reason: str, code: int, message: str, **details: Any) -> Answer:
    """A Status as API servers send them."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return code, json.dumps(body | {"details": details})
