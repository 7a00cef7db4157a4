"""kubectl with every command shown, a request, and patience for both."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from examples.demo.terminal import command, say

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 90.0

T = TypeVar("T")


class DemoError(Exception):
    """A step did not do what it should; the text says what was seen."""


class Shell:
    """kubectl on the development cluster, in one namespace, with every command shown."""

    def __init__(self, namespace: str) -> None:
        built = ROOT / ".cache" / "bin" / "kubectl"
        kubectl = str(built) if built.exists() else shutil.which("kubectl")
        if kubectl is None:
            raise DemoError("kubectl is not installed")
        self.namespace = namespace
        self._kubectl = kubectl
        self._environment = os.environ | {"KUBECONFIG": devcluster("kubeconfig")}

    def __call__(self, *words: str, quiet: bool = False, check: bool = True) -> str:
        """Run kubectl, show command and output; returns the output."""
        if not quiet:
            command(f"kubectl {shlex.join(words)}")
        answer = subprocess.run(
            [self._kubectl, *words],
            cwd=ROOT,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if check and answer.returncode:
            raise DemoError(f"kubectl {shlex.join(words)}: {answer.stderr.strip()}")
        if not quiet:
            say(answer.stdout.rstrip() or answer.stderr.rstrip())
        return answer.stdout

    def here(self, *words: str, quiet: bool = False, check: bool = True) -> str:
        """The same in the demo's namespace."""
        return self("-n", self.namespace, *words, quiet=quiet, check=check)

    def look(self, what: str, path: str) -> str:
        """One field of an object in the demo's namespace; empty when there is none."""
        return self.here(
            "get", what, "-o", f"jsonpath={{{path}}}", "--ignore-not-found", quiet=True
        )


def devcluster(word: str) -> str:
    """The answer of a command of the development cluster."""
    answer = subprocess.run(
        [sys.executable, "-m", "devcluster", word],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise DemoError(answer.stderr.strip())
    return answer.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request through the Gateway: a GET, or with a `body`, which is JSON, a POST."""

    host: str
    path: str = "/"
    body: str = ""

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return "POST" if self.body else "GET"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that matter."""
        return {"Host": self.host, "Content-Type": "application/json"}

    def typed(self, gateway: str) -> str:
        """The request as somebody would type it."""
        curl = f"curl -H 'Host: {self.host}' {gateway}{self.path}"
        return f"{curl} -d {shlex.quote(self.body)}" if self.body else curl


def answer_to(request: Request, gateway: str) -> str | None:
    """What is answered through the Gateway; None while nobody does."""
    asked = urllib.request.Request(  # noqa: S310
        f"{gateway}{request.path}",
        data=request.body.encode() or None,
        headers=request.headers,
        method=request.method,
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as response:  # noqa: S310
            body: str = response.read().decode()
            return body
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.1)
    raise DemoError(f"waited {PATIENCE:.0f} s for {what}")
