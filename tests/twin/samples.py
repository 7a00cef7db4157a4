"""Things to test with: Agents, and what is seen of them. Every builder takes what differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentherd.api import Agent, OperatingMode, Phase
from agentherd.domain.phase import Facts
from agentherd.domain.views import PodView, ReplicaSetView, RevisionView

NOON: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)


def raw_agent(
    name: str = "greeter",
    *,
    image: str = "agent:1",
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """An Agent as the API server gives it; `spec` in the words of the wire."""
    container = {"name": "agent", "image": image, "ports": [{"containerPort": 8080}]}
    body: dict[str, Any] = {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "generation": 1,
        }
        | (metadata or {}),
        "spec": {"template": {"spec": {"containers": [container]}}} | spec,
    }
    if status is not None:
        body["status"] = status
    return body


def raw_upgrade(
    name: str = "greeter-2",
    *,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """An AgentUpgrade of `greeter` as a person creates it."""
    found = {"name": name, "namespace": "default", "uid": f"uid-of-{name}"}
    body: dict[str, Any] = {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "AgentUpgrade",
        "metadata": {**found, "resourceVersion": "1", "generation": 1} | (metadata or {}),
        "spec": {"targetRef": {"name": "greeter"}} | spec,
    }
    if status is not None:
        body["status"] = status
    return body


def agent(name: str = "greeter", **options: Any) -> Agent:
    """The same, parsed."""
    return Agent.model_validate(raw_agent(name, **options))


def set_view(revision: str, **fields: Any) -> ReplicaSetView:
    """The ReplicaSet of a revision of `greeter`: two pods, all available."""
    size = fields.get("wanted", 2)
    return ReplicaSetView(
        **_child(f"greeter-{revision}")
        | {
            "revision": revision,
            "wanted": size,
            "replicas": size,
            "ready": size,
            "available": size,
            "current": True,
            "fault": None,
        }
        | fields
    )


def pod_view(name: str, **fields: Any) -> PodView:
    """A pod of `greeter`, ready since an hour."""
    created = (NOON - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return PodView(
        **_child(name)
        | {"revision": "", "ready": True, "creating": False, "created": created, "config": ""}
        | {"finished": False, "fault": None}
        | fields
    )


def revision_view(revision: str, number: int, **fields: Any) -> RevisionView:
    """A ControllerRevision of `greeter`."""
    return RevisionView(
        **_child(f"greeter-{revision}") | {"revision": revision, "number": number} | fields
    )


def _child(name: str) -> dict[str, Any]:
    return {
        "namespace": "default",
        "name": name,
        "uid": f"uid-of-{name}",
        "version": 1,
        "workload": "greeter",
        "owner": "uid-of-greeter",
        "applied": "",
        "touched": False,
        "deleting": False,
    }


def facts(**fields: Any) -> Facts:
    """The facts of an Agent that wants two pods and has none, at its first sight."""
    return Facts(
        **{
            "mode": OperatingMode.RUNNING,
            "mode_reason": None,
            "wanted": 2,
            "pods": 0,
            "serving": 0,
            "available": 0,
            "complete": False,
            "settled": False,
            "observed": True,
            "waiting_for": (),
            "fault": None,
            "failure": None,
            "error": None,
            "phase": Phase.DEPLOYING,
            "since": NOON,
            "deadline": timedelta(minutes=10),
            "now": NOON,
        }
        | fields
    )
