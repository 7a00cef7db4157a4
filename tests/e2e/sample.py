"""Agents to test with: the sample agent of examples/, small, fit for a restricted namespace."""

from __future__ import annotations

from typing import Any, Final

IMAGE: Final = "localhost/agentherd/sample-agent:dev"

QUICKLY: Final[dict[str, Any]] = {
    "type": "BlueGreen",
    "scaleDownDelaySeconds": 0,
    "abortScaleDownDelaySeconds": 0,
}
"""An upgrade policy without steps and pauses, for tests that are about something else."""


def agent(name: str, *, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """An Agent; `spec` as in the API, None removes a field, `container` adds to its container."""
    wanted = {
        "health": {"http": {"port": "http"}, "intervalSeconds": 1, "failureThreshold": 1},
        "upgradePolicy": QUICKLY,
        "template": template(**(container or {})),
        **spec,
    }
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


def template(**container: Any) -> dict[str, Any]:
    """A pod template with the sample agent; `container` adds to it or replaces parts of it."""
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "agent",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "5m", "memory": "32Mi"},
                        "limits": {"memory": "96Mi"},
                    },
                    **container,
                }
            ],
        }
    }
