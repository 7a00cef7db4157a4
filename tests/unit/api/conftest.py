"""An Agent as the API server hands it out, with everything set, and the schema it has to obey."""

from __future__ import annotations

from typing import Any

import pytest

from agentherd.api.crd import agent_crd, agent_schema


@pytest.fixture
def raw_agent() -> dict[str, Any]:
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {
            "name": "greeter",
            "namespace": "default",
            "uid": "5d9d0b1c-0d3f-4c39-9a52-5a1f3a0a6f5e",
            "resourceVersion": "4711",
            "generation": 3,
            "creationTimestamp": "2026-11-21T09:59:00Z",
            "annotations": {"agentherd.dev/unmanaged": "false"},
            "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
        },
        "spec": {
            "version": "1.4.2",
            "template": {
                "metadata": {"labels": {"team": "red"}},
                "spec": {"containers": [{"name": "agent", "image": "agent:1.4.2"}]},
            },
            "replicas": 2,
            "revisionHistoryLimit": 5,
            "historyLimit": 10,
            "progressDeadlineSeconds": 600,
            "operatingMode": "Running",
            "config": {"prompt.md": "Grüße auf 日本語 🤖"},
            "configUpdate": "Rollout",
            "dependsOn": ["model"],
            "health": {
                "http": {"path": "/healthz", "port": "http"},
                "intervalSeconds": 30,
                "timeoutSeconds": 3,
                "failureThreshold": 3,
            },
            "drain": {"timeoutSeconds": 60, "delaySeconds": 5},
        },
        "status": {
            "observedGeneration": 3,
            "phase": "Online",
            "phaseSince": "2026-11-21T10:00:00Z",
            "replicas": 2,
            "readyReplicas": 2,
            "availableReplicas": 2,
            "updatedReplicas": 2,
            "selector": "agentherd.dev/agent=greeter",
            "stableRevision": "0123456789",
            "targetRevision": "0123456789",
            "configVersion": 1,
            "configHash": "abcdef0123",
            "configHistory": [{"version": 1, "hash": "abcdef0123", "at": "2026-11-21T09:59:01Z"}],
            "history": [
                {
                    "to": "Deploying",
                    "reason": "Starting",
                    "triggeredBy": "kubectl",
                    "at": "2026-11-21T09:59:01Z",
                },
                {
                    "from": "Deploying",
                    "to": "Online",
                    "reason": "AllAvailable",
                    "triggeredBy": "pods",
                    "at": "2026-11-21T10:00:00Z",
                },
            ],
            "errorCount": 0,
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "observedGeneration": 3,
                    "lastTransitionTime": "2026-11-21T10:00:00Z",
                    "reason": "AllAvailable",
                    "message": "2 pods available",
                }
                for kind in ("Ready", "Available", "Healthy")
            ],
        },
    }


@pytest.fixture(scope="session")
def crd() -> dict[str, Any]:
    return agent_crd()


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return agent_schema()
