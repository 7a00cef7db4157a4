"""The world of one test: a namespace, an operator that serves it, and the words tests are told in.

Whatever a test does, it does as a person would: it applies, patches, scales and deletes Agents,
and looks at what becomes of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Answer, Change, Cluster, Moment, Object
from tests.e2e.operator_process import ROOT, Operator

USER: Final = "e2e"
"""The field manager of what tests write, unless they say otherwise."""

START: Final = 60.0
"""Seconds in which pods start on a machine that runs several tests at once."""

SOON: Final = 15.0
"""Seconds in which the operator does what needs no pod."""

AGENT_LABEL: Final = "agentherd.dev/agent"
REVISION_LABEL: Final = "agentherd.dev/revision"

CHILD_KINDS: Final = (
    "ConfigMap",
    "ControllerRevision",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Service",
    "ServiceAccount",
)


@dataclass(frozen=True)
class Command:
    """A command that has ended."""

    code: int
    out: str
    err: str


class World:
    """One namespace of the cluster; every name is looked up in it."""

    def __init__(self, cluster: Cluster, *, namespace: str, operator: Operator) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.operator = operator

    # What people do

    def apply(self, manifest: Object, *, manager: str = USER) -> Object:
        """Server-side apply in the test's namespace."""
        metadata = {**manifest["metadata"], "namespace": self.namespace}
        return self.cluster.apply({**manifest, "metadata": metadata}, manager=manager)

    def patch(self, kind: str, name: str, body: Object, *, manager: str = USER) -> Object:
        """Merge patch."""
        return self.cluster.patch(kind, name, body, manager=manager, namespace=self.namespace)

    def change(self, name: str, *, manager: str = USER, **spec: Any) -> Object:
        """Change fields of an Agent's spec; None removes a field."""
        return self.patch("Agent", name, {"spec": spec}, manager=manager)

    def annotate(self, kind: str, name: str, annotation: str, value: str | None) -> Object:
        """Set an annotation, or remove it with None."""
        return self.patch(kind, name, {"metadata": {"annotations": {annotation: value}}})

    def scale(self, name: str, replicas: int) -> Object:
        """Give an Agent another number of pods, as an autoscaler does."""
        return self.cluster.patch(
            "Agent",
            name,
            {"spec": {"replicas": replicas}},
            manager="autoscaler",
            namespace=self.namespace,
            subresource="/scale",
        )

    def delete(self, kind: str, name: str) -> None:
        """Delete an object; what belongs to it follows."""
        self.cluster.delete(kind, name, namespace=self.namespace)

    def kubectl(self, *words: str, stdin: str | None = None) -> Command:
        """Run kubectl in the test's namespace."""
        chosen = [f"--kubeconfig={self.cluster.kubeconfig}"] if self.cluster.kubeconfig else []
        ended = subprocess.run(
            [_kubectl(), *chosen, f"--namespace={self.namespace}", *words],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=60,
        )
        return Command(ended.returncode, ended.stdout, ended.stderr)

    # What is there

    def find(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        return self.cluster.get(kind, name, namespace=self.namespace)

    def get(self, kind: str, name: str) -> Object:
        """The object, which has to be there."""
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def status(self, name: str) -> Object:
        """The status of an Agent."""
        status: Object = self.get("Agent", name).get("status", {})
        return status

    def children(self, agent: str, kind: str) -> list[Object]:
        """The children of an Agent, oldest first."""
        found = self.cluster.moment(kind, namespace=self.namespace, labels=f"{AGENT_LABEL}={agent}")
        return sorted(found.items, key=lambda item: int(item["metadata"]["resourceVersion"]))

    def pods(self, agent: str) -> list[Object]:
        """The pods of an Agent that are not on their way out."""
        return [p for p in self.children(agent, "Pod") if "deletionTimestamp" not in p["metadata"]]

    def pod(self, agent: str) -> Object:
        """The one pod of an Agent."""
        (pod,) = self.pods(agent)
        return pod

    def upgrades(self, agent: str) -> list[Object]:
        """The upgrades of an Agent, whoever made them, oldest first."""
        found = self.cluster.moment("AgentUpgrade", namespace=self.namespace).items
        own = [item for item in found if item["spec"]["targetRef"]["name"] == agent]
        return sorted(own, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def upgrade(self, name: str) -> Object:
        """An upgrade, which has to be there."""
        return self.get("AgentUpgrade", name)

    def everything(self, agent: str) -> list[Object]:
        """The Agent, its upgrades and all its children."""
        found = [child for kind in CHILD_KINDS for child in self.children(agent, kind)]
        return [self.get("Agent", agent), *self.upgrades(agent), *found]

    def events(self, agent: str) -> list[Object]:
        """The Events about an Agent."""
        found = self.cluster.moment("Event", namespace=self.namespace)
        return [
            event
            for event in found.items
            if event["regarding"]["kind"] == "Agent" and event["regarding"]["name"] == agent
        ]

    def http(self, pod: str, route: str) -> Answer:
        """The answer of a pod to a GET request."""
        return self.cluster.ask(pod, route, namespace=self.namespace)

    @contextmanager
    def log(self, pod: str, *, within: float = START) -> Iterator[Iterator[str]]:
        """The lines of a pod's log, also those to come; ends with its container."""
        with self.cluster.log(pod, namespace=self.namespace, within=within) as lines:
            yield lines

    # What happens

    def now(self, kind: str, agent: str | None = None) -> Moment:
        """This moment of a kind, for `since` of `follow`."""
        return self.cluster.moment(kind, namespace=self.namespace, labels=_of(agent))

    def follow(
        self, kind: str, *, since: Moment, within: float, agent: str | None = None
    ) -> Iterator[Change]:
        """All changes of a kind since a moment, in order, for so many seconds."""
        return self.cluster.follow(
            kind,
            since=since.version,
            within=within,
            namespace=self.namespace,
            labels=_of(agent),
        )

    def wait_until(
        self, kind: str, name: str, holds: Callable[[Object], bool], *, within: float = SOON
    ) -> Object:
        """Wait until the condition holds for the object, which is returned."""
        found = self.cluster.wait_until(
            kind,
            name,
            lambda seen: seen is not None and holds(seen),
            within=within,
            namespace=self.namespace,
        )
        assert found is not None
        return found

    def wait_until_gone(self, kind: str, name: str, *, within: float = SOON) -> None:
        """Wait until there is no such object."""
        self.cluster.wait_until(
            kind, name, lambda seen: seen is None, within=within, namespace=self.namespace
        )

    def wait_until_children(
        self, agent: str, kind: str, holds: Callable[[list[Object]], bool], *, within: float = SOON
    ) -> list[Object]:
        """Wait until the condition holds for all children of a kind together."""
        return self.cluster.wait_until_all(
            kind,
            holds,
            within=within,
            namespace=self.namespace,
            labels=f"{AGENT_LABEL}={agent}",
        )

    def wait_for_phase(self, name: str, phase: str, *, within: float = START) -> Object:
        """Wait until the Agent is in a phase that was decided for its present spec."""
        return self.wait_until(
            "Agent",
            name,
            lambda seen: observed(seen) and seen["status"].get("phase") == phase,
            within=within,
        )

    def wait_for_condition(
        self, name: str, condition: str, status: str, *, within: float = START
    ) -> Object:
        """Wait until a condition of the Agent has a status, decided for its present spec."""
        return self.wait_until(
            "Agent",
            name,
            lambda seen: observed(seen) and condition_status(seen, condition) == status,
            within=within,
        )

    def wait_until_ready(self, name: str, *, within: float = START) -> Object:
        """Wait until the Agent is as its spec wants it."""
        return self.wait_for_condition(name, "Ready", "True", within=within)

    def wait_upgrade(self, name: str, phase: str, *, within: float = START) -> Object:
        """Wait until an upgrade is in a phase that was decided for its present spec."""
        return self.wait_until(
            "AgentUpgrade",
            name,
            lambda seen: observed(seen) and seen["status"].get("phase") == phase,
            within=within,
        )

    def describe(self) -> str:
        """What is there, for a person who wonders why a test failed."""
        return "\n".join(
            self.kubectl(*words).out
            for words in (
                ("get", "agents,modeldeployments,agentupgrades,replicasets,pods", "-o", "wide"),
                ("get", "events", "--sort-by=.metadata.creationTimestamp"),
                ("get", "agents,modeldeployments,agentupgrades", "-o", "yaml"),
            )
        )


@contextmanager
def governed(
    cluster: Cluster, *, namespace: str, kubeconfig: str | None, log: Path
) -> Iterator[World]:
    """A world with an operator of its own, which reaches the API server by `kubeconfig`."""
    operator = Operator(namespace=namespace, kubeconfig=kubeconfig, log=log)
    operator.start()
    try:
        yield World(cluster, namespace=namespace, operator=operator)
    finally:
        operator.stop()


def observed(found: Object) -> bool:
    """Whether the status was decided for the spec as it stands."""
    status: Object = found.get("status", {})
    return bool(status.get("observedGeneration") == found["metadata"]["generation"])


def condition(found: Object, kind: str) -> Object | None:
    """A condition of an object, by its type."""
    # A definition that was just made has null where others have a list.
    conditions = found.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), None)


def condition_status(found: Object, kind: str) -> str | None:
    """The status of a condition, None if it is not there."""
    seen = condition(found, kind)
    return seen["status"] if seen else None


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready and will stay."""
    return condition_status(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def revision(child: Object) -> str:
    """The revision a child belongs to."""
    label: str = child["metadata"]["labels"][REVISION_LABEL]
    return label


def identity(pod: Object) -> tuple[str, int]:
    """Uid and number of restarts: equal as long as nobody touched the pod's process."""
    statuses = pod["status"].get("containerStatuses", ())
    return pod["metadata"]["uid"], sum(status["restartCount"] for status in statuses)


def _of(agent: str | None) -> str:
    return f"{AGENT_LABEL}={agent}" if agent else ""


def _kubectl() -> str:
    built = ROOT / ".cache" / "bin" / "kubectl"
    found = str(built) if os.access(built, os.X_OK) else shutil.which("kubectl")
    assert found, "kubectl is not installed; run `make cluster-up`"
    return found
