"""A ModelDeployment to test with; every builder takes what differs."""

from __future__ import annotations

from typing import Any

from agentherd.api import ModelDeployment


def version(name: str, **fields: Any) -> dict[str, Any]:
    """A version of which only the image is known."""
    return {"name": name, "image": f"embedder:{name}"} | fields


def model(*, status: dict[str, Any] | None = None, **spec: Any) -> ModelDeployment:
    """`embedder` with two versions, of which the first is to serve."""
    body = {
        "metadata": {
            "name": "embedder",
            "namespace": "default",
            "uid": "uid-of-embedder",
            "resourceVersion": "1",
            "generation": 1,
        },
        "spec": {"versions": [version("v1"), version("v2")], "activeVersion": "v1"} | spec,
        "status": status or {},
    }
    return ModelDeployment.model_validate(body)
