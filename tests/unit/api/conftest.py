"""Objects as the API server hands them out, with everything set, and the schemas they obey."""

from __future__ import annotations

from typing import Any

import pytest

from agentherd.api.crd import crd as crd_of
from agentherd.api.crd import object_schema
from agentherd.api.resources import AGENT, AGENT_UPGRADE, RESOURCES, Resource


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
            "traffic": {
                "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "https"}],
                "hostnames": ["greeter.example.com"],
                "path": "/greeter",
                "protocol": "HTTP",
                "port": "http",
                "testers": {"headers": {"x-tester": "yes"}, "cookie": "tester=yes"},
                "settleSeconds": 2,
            },
            "metrics": {"port": 9090, "path": "/metrics", "requests": "requests_total"},
            "upgradePolicy": {
                "type": "Canary",
                "canary": {"steps": [{"weight": 10, "replicas": 1, "pause": {}}, {"weight": 50}]},
                "rollbackWindow": 3,
            },
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
            "upgrade": "greeter-3",
            "formerRevisions": ["9876543210"],
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


@pytest.fixture
def raw_upgrade() -> dict[str, Any]:
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "AgentUpgrade",
        "metadata": {"name": "greeter-3", "namespace": "default", "generation": 2},
        "spec": {
            "targetRef": {"name": "greeter"},
            "to": {
                "version": "1.5.0",
                "image": "agent:1.5.0",
                "config": {"prompt.md": "Hello"},
                "template": {"metadata": {"annotations": {"old": None}}},
            },
            "strategy": {"type": "BlueGreen", "blueGreen": {"pause": {"seconds": 60}}},
            "priority": 7,
            "dependsOn": ["model-2"],
            "allowDowngrade": False,
            "paused": True,
            "promote": {"step": 2, "full": False},
            "rollback": {"requested": True, "reason": "customers complain"},
            "approval": {
                "required": True,
                "approvedBy": "ada@example.com",
                "revision": "9876543210",
            },
            "attempt": 2,
        },
        "status": {
            "observedGeneration": 2,
            "phase": "RollingBack",
            "attempt": 2,
            "fromRevision": "0123456789",
            "toRevision": "9876543210",
            "fromVersion": "1.4.2",
            "toVersion": "1.5.0",
            "strategy": {
                "type": "BlueGreen",
                "steps": [],
                "pause": {"seconds": 60},
                "maxSurge": "25%",
                "progressDeadlineSeconds": 600,
                "scaleDownDelaySeconds": 30,
                "abortScaleDownDelaySeconds": 30,
                "rollbackWindow": 3,
                "automation": "SemiAuto",
            },
            "steps": 3,
            "step": 2,
            "readySince": "2026-11-21T10:00:00Z",
            "weightSince": "2026-11-21T10:00:01Z",
            "progressSince": "2026-11-21T10:00:01Z",
            "weight": 0,
            "weightSeen": 4,
            "startedAt": "2026-11-21T09:59:00Z",
            "preview": "greeter-9876543210",
            "approval": {
                "by": "ada@example.com",
                "at": "2026-11-21T09:59:30Z",
                "revision": "9876543210",
            },
            "rollback": {
                "trigger": "Requested",
                "reason": "customers complain",
                "requestedBy": "kubectl",
                "at": "2026-11-21T10:01:00Z",
            },
            "history": [
                {
                    "phase": "RollingBack",
                    "reason": "Requested",
                    "message": "customers complain",
                    "at": "2026-11-21T10:01:00Z",
                }
            ],
            "controls": [
                {
                    "verb": "RollbackRequested",
                    "by": "kubectl",
                    "at": "2026-11-21T10:01:00Z",
                    "detail": "customers complain",
                }
            ],
            "conditions": [
                {
                    "type": "Validated",
                    "status": "True",
                    "observedGeneration": 2,
                    "lastTransitionTime": "2026-11-21T09:59:00Z",
                    "reason": "Valid",
                    "message": "",
                }
            ],
        },
    }


@pytest.fixture(params=RESOURCES, ids=lambda resource: resource.singular)
def resource(request: pytest.FixtureRequest) -> Resource:
    found: Resource = request.param
    return found


@pytest.fixture
def each_schema(resource: Resource) -> dict[str, Any]:
    return object_schema(resource)


@pytest.fixture(scope="session")
def crd() -> dict[str, Any]:
    return crd_of(AGENT)


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return object_schema(AGENT)


@pytest.fixture(scope="session")
def upgrade_schema() -> dict[str, Any]:
    return object_schema(AGENT_UPGRADE)
