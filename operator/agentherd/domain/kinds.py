"""The kinds of objects the operator reads and writes, and the names it gives to them.

A `Kind` is all that is needed to build a URL or a manifest; nothing here talks to a server.
Child names are deterministic: the same Agent always has the same children, so that a process
which was killed after a write finds its own work again instead of doing it twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

GROUP: Final = "agentherd.dev"
VERSION: Final = "v1alpha1"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "agentherd"
ADMITTED_LABEL: Final = f"{GROUP}/admitted"
ADMITTED: Final = "true"
AGENT_LABEL: Final = f"{GROUP}/agent"
MODEL_LABEL: Final = f"{GROUP}/model"
REQUESTED_BY_ANNOTATION: Final = f"{GROUP}/requested-by"
REVISION_LABEL: Final = f"{GROUP}/revision"
BASELINE_LABEL: Final = f"{GROUP}/baseline"
BASELINE: Final = "true"
BASELINE_ENDING: Final = "-baseline"
APPLIED_ANNOTATION: Final = f"{GROUP}/applied"
CONFIG_ANNOTATION: Final = f"{GROUP}/config"
CANARY_ANNOTATION: Final = f"{GROUP}/canary"
MODEL_CANARY_ANNOTATION: Final = f"{GROUP}/model-canary"
TRIES_ANNOTATION: Final = f"{GROUP}/tries-version"
DRAINING_ANNOTATION: Final = f"{GROUP}/draining-since"
DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
TRAFFIC_LABEL: Final = f"{GROUP}/traffic"
TRAFFIC_ON: Final = "on"
TRAFFIC_OFF: Final = "off"
UNMANAGED_ANNOTATION: Final = f"{GROUP}/unmanaged"
UPGRADE_ANNOTATION: Final = f"{GROUP}/upgrade"

SERVICE_NAME_LENGTH: Final = 63
JOB_NAME_LENGTH: Final = 63


class Key(NamedTuple):
    """The address of an object within its kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API server; `api_version` as in a manifest, `plural` as in a URL."""

    api_version: str
    name: str
    plural: str

    @property
    def root(self) -> str:
        """The path under which the server serves the kind's group and version."""
        return f"/{'apis' if '/' in self.api_version else 'api'}/{self.api_version}"

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of one object, of a namespace's collection, or of all objects."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.root}{scope}/{self.plural}" + (f"/{name}" if name else "")


AGENT: Final = Kind(f"{GROUP}/{VERSION}", "Agent", "agents")
AGENT_UPGRADE: Final = Kind(f"{GROUP}/{VERSION}", "AgentUpgrade", "agentupgrades")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
CONTROLLER_REVISION: Final = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
EVENT: Final = Kind("events.k8s.io/v1", "Event", "events")
GATEWAY: Final = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASS: Final = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses")
GRPC_ROUTE: Final = Kind("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
JOB: Final = Kind("batch/v1", "Job", "jobs")
KUBELET_EVENT: Final = Kind("v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
MODEL_DEPLOYMENT: Final = Kind(f"{GROUP}/{VERSION}", "ModelDeployment", "modeldeployments")
POD: Final = Kind("v1", "Pod", "pods")
REPLICA_SET: Final = Kind("apps/v1", "ReplicaSet", "replicasets")
SERVICE: Final = Kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")

WORKLOADS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (AGENT, MODEL_DEPLOYMENT)}
"""The kinds that are run, by their names."""

WORKLOAD_LABELS: Final[Mapping[str, str]] = {
    AGENT.name: AGENT_LABEL,
    MODEL_DEPLOYMENT.name: MODEL_LABEL,
}
"""The label in which every child names its workload, by the kind of the workload."""

WORKLOAD_WORDS: Final[Mapping[str, str]] = {AGENT.name: "AGENT", MODEL_DEPLOYMENT.name: "MODEL"}
"""What a workload of a kind is called in environment variables and placeholders."""

CANARY_ANNOTATIONS: Final[Mapping[str, str]] = {
    AGENT.name: CANARY_ANNOTATION,
    MODEL_DEPLOYMENT.name: MODEL_CANARY_ANNOTATION,
}
"""The annotation in which a route names the workloads of a kind that have a canary in it."""

ROUTE_KINDS: Final = (GRPC_ROUTE, HTTP_ROUTE)
GATEWAY_KINDS: Final = (GATEWAY, GATEWAY_CLASS)

CHILD_KINDS: Final = (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
)


def workload_in(labels: Mapping[str, str]) -> tuple[str, str]:
    """Kind and name of the workload to which an object with these labels belongs.

    The name is "" for one that belongs to none, and counts as an Agent's.
    """
    for kind, label in WORKLOAD_LABELS.items():
        if name := labels.get(label, ""):
            return kind, name
    return AGENT.name, ""


def revision_name(agent: str, revision: str) -> str:
    """Name of what exists once per revision: ReplicaSet, ControllerRevision, ConfigMap."""
    return f"{agent}-{revision}"


def baseline_name(agent: str, revision: str) -> str:
    """Name of the ReplicaSet of the fresh pods of a revision with which a new one is compared."""
    return f"{revision_name(agent, revision)}{BASELINE_ENDING}"


def companion_name(agent: str) -> str:
    """Name of what exists once per Agent and is not addressed by people.

    The prefix keeps clear of the names people give, so that an Agent called like an existing
    ServiceAccount never takes that account over.
    """
    return f"{MANAGED_BY}-{agent}"


def spec_upgrade_name(agent: str, generation: int) -> str:
    """Name of the upgrade to what the spec of a generation asks for, unless it is taken."""
    return f"{agent}-{generation}"


def revision_service_name(agent: str, revision: str) -> str:
    """Name of the Service of one revision; shortened where the name of a Service could not hold it.

    A digest of the Agent's whole name keeps two long names with the same beginning apart.
    """
    name = revision_name(agent, revision)
    if len(name) <= SERVICE_NAME_LENGTH:
        return name
    mark = blake2b(agent.encode(), digest_size=3).hexdigest()
    return f"{agent[: SERVICE_NAME_LENGTH - len(revision) - len(mark) - 2]}-{mark}-{revision}"


def job_name(upgrade: str, metric: str, attempt: int) -> str:
    """Name of the Job that tries the new version for a metric of an upgrade, in one attempt."""
    name = f"{upgrade}-{metric}-{attempt}"
    if len(name) <= JOB_NAME_LENGTH:
        return name
    mark = blake2b(f"{upgrade}/{metric}".encode(), digest_size=3).hexdigest()
    tail = f"-{mark}-{attempt}"
    return name[: JOB_NAME_LENGTH - len(tail)].rstrip("-.") + tail


def is_revision_service(agent: str, service: str) -> bool:
    """Whether `service` can be the name of a Service of one of the Agent's revisions."""
    revision = service.rpartition("-")[2]
    looks_so = re.fullmatch("[0-9a-f]{10}", revision) is not None
    return looks_so and service == revision_service_name(agent, revision)
