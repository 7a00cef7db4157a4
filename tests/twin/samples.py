"""Agents to test with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from agentherd.api import Agent

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


def agent(name: str = "greeter", **options: Any) -> Agent:
    """The same, parsed."""
    return Agent.model_validate(raw_agent(name, **options))
