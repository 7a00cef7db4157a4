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
    Request,
    Shell,
    answer_to,
    devcluster,
    wait_for,
)
from examples.demo.swap import EMBEDDINGS, swap
from examples.demo.terminal import Style, command, say, styled, title
from examples.demo.upgrade import GREETER, upgrade

NAMESPACE: Final = "agentherd-demo"
HELLO: Final = Request(host="hello.agentherd.local")
HOSTS: Final = frozenset({HELLO.host, GREETER.request.host, EMBEDDINGS.request.host})
FLEET: Final = ("hello", "researcher", "writer", "reviewer")

LONG_LIVED: Final = {GREETER: "canary.yaml", EMBEDDINGS: "model.yaml"}
"""What goes on from the version it has reached once it is there, so it is applied only once."""


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
        tried = swap(shell, gateway)
    except (DemoError, ClusterError) as error:
        say("")
        print(styled(f"✗ the demo stopped: {error}", Style.BAD), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nstopped; run it again at any time, or `make cluster-down` to remove everything")
        return 130
    goodbye(gateway, undone=undone, tried=tried, seconds=time.monotonic() - started)
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
    """Apply the samples and wait until each of them is what it should be."""
    title("Run a fleet of agents, and a model")
    routes = json.loads(shell("get", "httproutes", "-A", "-o", "json", quiet=True))["items"]
    if others := rivals(routes):
        raise DemoError(f"{', '.join(others)} is for the hosts of the demo, too; delete it first")
    shell("create", "namespace", NAMESPACE, quiet=True, check=False)
    files = ["first-agent.yaml", "fleet.yaml", "route.yaml"]
    files += [
        file
        for subject, file in LONG_LIVED.items()
        if not shell.look(f"{subject}", ".metadata.uid")
    ]
    for file in files:
        shell.here("apply", "--server-side", "-f", f"examples/{file}")
    agents = [f"agent/{name}" for name in FLEET]
    shell.here("wait", "--for=condition=Ready", *agents, "--timeout=120s")
    shell.here("wait", "--for=condition=Available", f"{EMBEDDINGS}", "--timeout=120s")
    shell.here("get", "agents,modeldeployments")


def rivals(routes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Routes elsewhere that ask for our hosts, as those of someone who tries the examples do."""
    return [
        f"HTTPRoute {route['metadata']['namespace']}/{route['metadata']['name']}"
        for route in routes
        if route["metadata"]["namespace"] != NAMESPACE
        and HOSTS & set(route["spec"].get("hostnames", ()))
    ]


def ask(gateway: str) -> None:
    """Send a request through the Gateway and show the agent's answer."""
    title("Ask one of them, through the Gateway")
    command(HELLO.typed(gateway))
    say(wait_for("an answer through the Gateway", lambda: answer_to(HELLO, gateway)))


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


def goodbye(gateway: str, *, undone: str, tried: str, seconds: float) -> None:
    """Say what to try next."""
    title(f"Done in {seconds:.0f} s. What to try next")
    path = "" if shutil.which("kubectl") else f'  export PATH="{ROOT}/.cache/bin:$PATH"\n'
    say(
        f"""{path}  export KUBECONFIG={devcluster("kubeconfig")}
  kubectl -n {NAMESPACE} get agents -o wide
  kubectl -n {NAMESPACE} scale agent hello --replicas=3
  kubectl -n {NAMESPACE} edit agent writer    # e.g. operatingMode: Suspended
  kubectl -n {NAMESPACE} apply -f examples/broken-agent.yaml    # see how an error looks
  {HELLO.typed(gateway)}

  kubectl -n {NAMESPACE} get agentupgrades    # every change, and what became of it
  kubectl -n {NAMESPACE} describe agentupgrade {undone}    # why it was taken back, step by step
  kubectl -n {NAMESPACE} patch agentupgrade {undone} --type=merge -p '{{"spec":{{"attempt":2}}}}'
  kubectl explain agent.spec.upgradePolicy

  kubectl -n {NAMESPACE} describe modeldeployment {EMBEDDINGS.name}    # how each version does
  kubectl -n {NAMESPACE} patch modeldeployment {EMBEDDINGS.name} --type=merge \\
    -p '{{"spec":{{"canary":{{"version":"{tried}","weight":10}}}}}}'    # try it

  make cluster-down    # remove everything; of a cluster of your own, its Gateway
  docs/how-to/first-agent.md and serve-a-model.md explain each step."""
    )


if __name__ == "__main__":
    sys.exit(main())
