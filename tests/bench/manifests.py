"""What the benchmarks create: a small Agent and a Deployment of the same pods."""

from __future__ import annotations

from typing import Any

from agentherd.domain.kinds import AGENT, Kind

DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
NAMESPACE = Kind("v1", "Namespace", "namespaces")

_POD = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 0,
    "containers": [
        {
            "name": "agent",
            "image": "localhost/agentherd/sample-agent:dev",
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"requests": {"cpu": "10m", "memory": "48Mi"}},
        }
    ],
}

# Without steps and delays a change takes as long as its writes do.
_POLICY = {"type": "BlueGreen", "scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 0}


def names(count: int) -> list[str]:
    """Names of a fleet."""
    return [f"agent-{number:04d}" for number in range(count)]


def agent(name: str, namespace: str) -> dict[str, Any]:
    """An Agent of one pod; revisions are kept short so that rounds of changes compare."""
    return {
        "apiVersion": AGENT.api_version,
        "kind": AGENT.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "version": "1.0.0",
            "revisionHistoryLimit": 1,
            "upgradePolicy": _POLICY,
            "template": {"spec": _POD},
        },
    }


def deployment(name: str, namespace: str) -> dict[str, Any]:
    """A Deployment of the same pod."""
    labels = {"app": name}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _POD},
        },
    }
