"""Run the end-to-end tests while no other operator serves the same cluster.

Every test has an operator of its own. One that serves the whole cluster, as the demo leaves
behind, would do their work for them; it is scaled to nothing for as long as the tests run. Its
Agents run on meanwhile. On a cluster of the user's own that is not ours to do, so it is refused.

    python -m tests.e2e.undisturbed COMMAND...
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOYMENT: Final = ("--namespace=agentherd", "deployment/agentherd")


def main(command: Sequence[str]) -> int:
    """Run `command`; returns its exit code."""
    kubectl = _Kubectl()
    running = kubectl("get", *DEPLOYMENT, "--ignore-not-found", "-o=jsonpath={.spec.replicas}")
    if running in {"", "0"}:
        return subprocess.run(command, check=False).returncode
    if os.environ.get("USE_CURRENT_CONTEXT") == "1":
        print("an operator serves this cluster; scale it to 0 or use another cluster")
        return 2
    print("the operator of the demo is paused while the tests run", flush=True)
    kubectl("scale", *DEPLOYMENT, "--replicas=0")
    kubectl("wait", "--namespace=agentherd", "pod", "--all", "--for=delete", "--timeout=60s")
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        kubectl("scale", *DEPLOYMENT, f"--replicas={running}")


class _Kubectl:
    def __init__(self) -> None:
        built = ROOT / ".cache" / "bin" / "kubectl"
        self._program = str(built) if built.exists() else "kubectl"
        where = [sys.executable, "-m", "devcluster", "kubeconfig"]
        config = subprocess.run(where, cwd=ROOT, check=True, capture_output=True, text=True)
        self._environment = os.environ | {"KUBECONFIG": config.stdout.strip()}

    def __call__(self, *words: str) -> str:
        command = [self._program, *words]
        answer = subprocess.run(
            command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return answer.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
