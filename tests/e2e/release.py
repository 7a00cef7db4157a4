"""A release of the chart: the operator as it is installed, two pods of the real image.

It serves its own namespace, as that of a tenant who may write nothing that belongs to the cluster.
To the words of the other tests it is an operator like theirs; only its pods may come and go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from devcluster.providers import find
from tests.e2e.cluster import Cluster, Object
from tests.e2e.operator_process import Operator
from tests.e2e.world import World, is_ready
from tests.installing.rendering import CHART, program, run

NAME: Final = "agentherd"
"""Of the release, its Deployment and its Lease."""

PODS: Final = f"app.kubernetes.io/name={NAME},app.kubernetes.io/instance={NAME}"
REPLICAS: Final = 2

UP_WITHIN: Final = 120.0
"""Seconds in which both pods are there, on a machine that runs several tests at once."""

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
AUTHOR: Final = "authentication.kubernetes.io/pod-name"
"""Where an audit log says which pod a token was made for."""
RECEIVED: Final = "requestReceivedTimestamp"


class Release(Operator):
    """The release in one namespace."""

    def __init__(self, cluster: Cluster, *, namespace: str, log: Path) -> None:
        super().__init__(namespace=namespace, kubeconfig=cluster.kubeconfig, log=log)
        self._way = (f"--kubeconfig={cluster.kubeconfig}",) if cluster.kubeconfig else ()
        self._place = f"--namespace={namespace}"
        self._values: tuple[str, ...] = (
            f"--values={CHART / 'ci/tenants-values.yaml'}",
            f"--set=namespaces={{{namespace}}}",
        )

    def install(self, *settings: str) -> None:
        """Install it, or change it to these values; returns when all of it is up."""
        values = (*self._values, *(f"--set={setting}" for setting in settings))
        place = (*self._way, self._place, "--wait", f"--timeout={UP_WITHIN:.0f}s")
        run(program("helm"), "upgrade", "--install", NAME, CHART, *values, *place)

    def runs_for(self, seconds: float) -> None:
        """Wait: that a pod ends is what its tests are about."""
        time.sleep(seconds)

    def last_words(self, lines: int = 60) -> str:
        """The ends of the logs of its pods."""
        words = ("logs", f"--selector={PODS}", "--prefix", f"--tail={lines}")
        return run(program("kubectl"), *self._way, self._place, *words)


def operator_pods(world: World) -> dict[str, Object]:
    """The pods of the release that are not on their way out, by name."""
    found = world.cluster.moment("Pod", namespace=world.namespace, labels=PODS).items
    staying = (pod for pod in found if "deletionTimestamp" not in pod["metadata"])
    return {pod["metadata"]["name"]: pod for pod in staying}


def wait_for_leader(world: World) -> str:
    """Wait until all pods are ready and one of them leads; returns its name."""

    def up(pods: list[Object]) -> bool:
        return sum(map(is_ready, pods)) == REPLICAS == len(pods)

    world.cluster.wait_until_all(
        "Pod", up, within=UP_WITHIN, namespace=world.namespace, labels=PODS
    )
    pods = operator_pods(world)
    lease = world.wait_until("Lease", NAME, lambda seen: holder(seen) in pods, within=30)
    return holder(lease)


def holder(lease: Object) -> str:
    """The pod that holds a Lease, "" if nobody does."""
    identity: str = lease["spec"].get("holderIdentity") or ""
    return identity.rpartition("_")[0]


def process_of(pod: Object) -> int:
    """The process of a pod's only container, on this machine.

    Raises AssertionError where the nodes are other machines.
    """
    (container,) = pod["status"]["containerStatuses"]
    identity = container["containerID"].rpartition("/")[2]
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if identity in group.read_text():
                return int(group.parent.name)
        except OSError:  # it has ended since
            continue
    raise AssertionError(f"no process of this machine is in container {identity}")


def writes(pod: str) -> Iterator[tuple[float, str]]:
    """When the API server got each write of a pod, those of Leases left aside, and what it was.

    The witness is the audit log, which only the local cluster keeps; elsewhere there are none.
    """
    for log in sorted(find(Progress()).layout.logs.glob("audit*.jsonl")):
        with log.open() as lines:
            events = (json.loads(line) for line in lines if f'"{AUTHOR}":["{pod}"]' in line)
            written = (event for event in events if event["verb"] in WRITES)
            for verb, what, at in ((e["verb"], e["objectRef"], e[RECEIVED]) for e in written):
                if what["resource"] != "leases":
                    yield moment(at), f"{verb} {what['resource']} {what.get('name', '')}"


def moment(timestamp: Any) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()
