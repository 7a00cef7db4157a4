"""The demo: install the operator, run the sample fleet, and look at it, command by command.

Everything it does is done with kubectl and shown as it is typed, so that each step can be
repeated by hand. It may be run again at any time; what is there already stays.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

ROOT: Final = Path(__file__).resolve().parent.parent
NAMESPACE: Final = "agentherd-demo"
HOST: Final = "hello.agentherd.local"
PATIENCE: Final = 90.0

T = TypeVar("T")


class DemoError(Exception):
    """A step did not do what it should; the text says what was seen."""


class Shell:
    """kubectl on the development cluster, with every command shown."""

    def __init__(self) -> None:
        built = ROOT / ".cache" / "bin" / "kubectl"
        kubectl = str(built) if built.exists() else shutil.which("kubectl")
        if kubectl is None:
            raise DemoError("kubectl is not installed")
        self._kubectl = kubectl
        self._environment = os.environ | {"KUBECONFIG": _devcluster("kubeconfig")}

    def __call__(self, *words: str, quiet: bool = False, check: bool = True) -> str:
        """Run kubectl, show command and output; returns the output."""
        if not quiet:
            print(f"\n\033[1m$ kubectl {' '.join(words)}\033[0m", flush=True)
        answer = subprocess.run(
            [self._kubectl, *words],
            cwd=ROOT,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if check and answer.returncode:
            raise DemoError(f"kubectl {' '.join(words)}: {answer.stderr.strip()}")
        if not quiet:
            print(answer.stdout.rstrip() or answer.stderr.rstrip(), flush=True)
        return answer.stdout


def main() -> int:
    """Run the demo; returns 1 when a step failed."""
    started = time.monotonic()
    try:
        shell = Shell()
        install(shell)
        run_fleet(shell)
        gateway = _devcluster("gateway")
        ask(gateway)
        put_right(shell)
    except DemoError as error:
        print(f"\nthe demo stopped: {error}", file=sys.stderr)
        return 1
    goodbye(gateway, seconds=time.monotonic() - started)
    return 0


def install(shell: Shell) -> None:
    """Install the operator from manifests/, with the image that was built from this tree."""
    title("Install the operator")
    shell("apply", "--server-side", "--force-conflicts", "-k", "manifests/base")
    stamp = ROOT / ".cache" / "images" / "localhost-agentherd-operator-dev.stamp"
    if stamp.exists():
        # The tag stays the same while the image changes, so the pods are told its version.
        pod = {"metadata": {"annotations": {"agentherd.dev/image": stamp.read_text()[:12]}}}
        patch = json.dumps({"spec": {"template": pod}})
        shell("-n", "agentherd", "patch", "deploy/agentherd", "-p", patch, quiet=True)
    shell("-n", "agentherd", "rollout", "status", "deploy/agentherd", "--timeout=120s")


def run_fleet(shell: Shell) -> None:
    """Apply the samples and wait until every Agent is what it should be."""
    title("Run a fleet of agents")
    shell("create", "namespace", NAMESPACE, quiet=True, check=False)
    for file in ("first-agent.yaml", "fleet.yaml", "route.yaml"):
        shell("-n", NAMESPACE, "apply", "--server-side", "-f", f"examples/{file}")
    shell("-n", NAMESPACE, "wait", "--for=condition=Ready", "agents", "--all", "--timeout=120s")
    shell("-n", NAMESPACE, "get", "agents")


def ask(gateway: str) -> None:
    """Send a request through the Gateway and show the agent's answer."""
    title("Ask one of them, through the Gateway")
    print(f"\033[1m$ curl -H 'Host: {HOST}' {gateway}/\033[0m", flush=True)
    print(_await("an answer through the Gateway", lambda: _request(gateway)), flush=True)


def put_right(shell: Shell) -> None:
    """Delete a child of an Agent and see it come back."""
    title("Break something")
    before = _uid(shell)
    shell("-n", NAMESPACE, "delete", "service", "hello")
    started = time.monotonic()
    _await("the Service to come back", lambda: _uid(shell) not in {before, ""} or None)
    print(f"the Service is back after {time.monotonic() - started:.1f} s", flush=True)


def goodbye(gateway: str, *, seconds: float) -> None:
    """Say what to try next."""
    title(f"Done in {seconds:.0f} s. What to try next")
    print(
        f"""  export KUBECONFIG={_devcluster("kubeconfig")}
  kubectl -n {NAMESPACE} get agents -o wide
  kubectl -n {NAMESPACE} describe agent hello
  kubectl explain agent.spec.drain
  kubectl -n {NAMESPACE} scale agent hello --replicas=3
  kubectl -n {NAMESPACE} edit agent writer    # e.g. operatingMode: Suspended
  kubectl -n {NAMESPACE} apply -f examples/broken-agent.yaml    # see how an error looks
  curl -H 'Host: {HOST}' {gateway}/
  make cluster-down                                     # remove everything
  docs/how-to/first-agent.md explains each step."""
    )


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1;36m== {text}\033[0m", flush=True)


def _devcluster(command: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "devcluster", command],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise DemoError(answer.stderr.strip())
    return answer.stdout.strip()


def _request(gateway: str) -> str | None:
    request = urllib.request.Request(f"{gateway}/", headers={"Host": HOST})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            body: str = response.read().decode()
            return body
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def _uid(shell: Shell) -> str:
    path = "jsonpath={.metadata.uid}"
    return shell("-n", NAMESPACE, "get", "service", "hello", "-o", path, quiet=True, check=False)


def _await(what: str, look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.1)
    raise DemoError(f"waited {PATIENCE:.0f} s for {what}")


if __name__ == "__main__":
    sys.exit(main())
