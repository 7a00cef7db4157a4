"""What the demo shows, in its order; exit code 1 when something it promises does not happen."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from devcluster.errors import ClusterError
from examples.demo.shell import (
    ROOT,
    DemoError,
    Shell,
    devcluster,
    request,
    wait_for,
)
from examples.demo.terminal import Style, command, say, styled, title
from examples.demo.upgrade import AGENT, upgrade
from examples.demo.upgrade import HOST as GREETER_HOST

NAMESPACE: Final = "agentherd-demo"
HOST: Final = "hello.agentherd.local"
FLEET: Final = ("hello", "researcher", "writer", "reviewer")


def main() -> int:
    """Run the demo; returns 1 when a step failed."""
    started = time.monotonic()
    try:
        shell = Shell(NAMESPACE)
        gateway = devcluster("gateway")
        install(shell)
        run_fleet(shell)
        ask(gateway)
        put_right(shell)
        undone = upgrade(shell, gateway)
    except (DemoError, ClusterError) as error:
        say("")
        print(styled(f"✗ the demo stopped: {error}", Style.BAD), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nstopped; run it again at any time, or `make cluster-down` to remove everything")
        return 130
    goodbye(gateway, undone=undone, seconds=time.monotonic() - started)
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
    rollout = ("-n", "agentherd", "rollout", "status", "deploy/agentherd", "--timeout=120s")
    command(f"kubectl {' '.join(rollout)}")
    say(shell(*rollout, quiet=True).splitlines()[-1])


def run_fleet(shell: Shell) -> None:
    """Apply the samples and wait until every Agent is what it should be."""
    title("Run a fleet of agents")
    routes = json.loads(shell("get", "httproutes", "-A", "-o", "json", quiet=True))["items"]
    if others := rivals(routes):
        raise DemoError(f"{', '.join(others)} is for the hosts of the demo, too; delete it first")
    shell("create", "namespace", NAMESPACE, quiet=True, check=False)
    files = ["first-agent.yaml", "fleet.yaml", "route.yaml"]
    if not shell.look(f"agent/{AGENT}", ".metadata.uid"):
        # Once it is there, it goes on from the version it has reached.
        files.append("canary.yaml")
    for file in files:
        shell.here("apply", "--server-side", "-f", f"examples/{file}")
    agents = [f"agent/{name}" for name in FLEET]
    shell.here("wait", "--for=condition=Ready", *agents, "--timeout=120s")
    shell.here("get", "agents")


def rivals(routes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Routes elsewhere that ask for our hosts, as those of someone who tries the examples do."""
    return [
        f"HTTPRoute {route['metadata']['namespace']}/{route['metadata']['name']}"
        for route in routes
        if route["metadata"]["namespace"] != NAMESPACE
        and {HOST, GREETER_HOST} & set(route["spec"].get("hostnames", ()))
    ]


def ask(gateway: str) -> None:
    """Send a request through the Gateway and show the agent's answer."""
    title("Ask one of them, through the Gateway")
    command(f"curl -H 'Host: {HOST}' {gateway}/")
    say(wait_for("an answer through the Gateway", lambda: request(gateway, host=HOST)))


def put_right(shell: Shell) -> None:
    """Delete a child of an Agent and see it come back."""
    title("Break something")
    before = shell.look("service/hello", ".metadata.uid")
    shell.here("delete", "service", "hello")
    started = time.monotonic()
    wait_for(
        "the Service to come back",
        lambda: shell.look("service/hello", ".metadata.uid") not in {before, ""} or None,
    )
    say(f"the Service is back after {time.monotonic() - started:.1f} s")


def goodbye(gateway: str, *, undone: str, seconds: float) -> None:
    """Say what to try next."""
    title(f"Done in {seconds:.0f} s. What to try next")
    path = "" if shutil.which("kubectl") else f'  export PATH="{ROOT}/.cache/bin:$PATH"\n'
    say(
        f"""{path}  export KUBECONFIG={devcluster("kubeconfig")}
  kubectl -n {NAMESPACE} get agents -o wide
  kubectl -n {NAMESPACE} scale agent hello --replicas=3
  kubectl -n {NAMESPACE} edit agent writer    # e.g. operatingMode: Suspended
  kubectl -n {NAMESPACE} apply -f examples/broken-agent.yaml    # see how an error looks
  curl -H 'Host: {HOST}' {gateway}/

  kubectl -n {NAMESPACE} get agentupgrades    # every change, and what became of it
  kubectl -n {NAMESPACE} describe agentupgrade {undone}    # why it was taken back, step by step
  kubectl -n {NAMESPACE} patch agentupgrade {undone} --type=merge -p '{{"spec":{{"attempt":2}}}}'
  kubectl explain agent.spec.upgradePolicy

  make cluster-down                                     # remove everything
  docs/how-to/first-agent.md explains each step."""
    )


if __name__ == "__main__":
    sys.exit(main())
