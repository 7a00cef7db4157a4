"""The one way this package speaks to an API server: kubectl, with the kubeconfig of the cluster.

A kubeconfig may need plugins to log in, which kubectl runs and a client of our own would not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.command import run
from devcluster.errors import CommandFailed, TimedOut


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster; no kubeconfig means what kubectl would choose itself."""

    program: str
    kubeconfig: Path | None = None

    def __call__(self, *words: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Standard output of `kubectl WORDS`."""
        chosen = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return run([self.program, *chosen, *words], stdin=stdin, timeout=timeout)

    def apply(self, documents: str) -> None:
        """Server-side apply of YAML or JSON text."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=documents)

    def apply_directory(self, directory: Path) -> None:
        """Server-side apply of all files of a directory."""
        self("apply", "--server-side", "--force-conflicts", "-f", str(directory))

    def delete(self, documents: str) -> None:
        """Delete what YAML or JSON text describes, as far as it is there."""
        self("delete", "--ignore-not-found", "-f", "-", stdin=documents)

    def get(self, *words: str) -> dict[str, Any]:
        """What `kubectl get WORDS` answers, parsed."""
        answer: dict[str, Any] = json.loads(self("get", *words, "-o", "json"))
        return answer

    def answers(self) -> bool:
        """Whether the API server is ready."""
        try:
            self("get", "--raw", "/readyz", "--request-timeout=5s", timeout=10)
        except (CommandFailed, TimedOut):
            return False
        return True
