"""The CustomResourceDefinition of the Agent, built from its model.

What the schema says comes from the model; this module adds what only a CRD has: names, the
columns that `kubectl get` prints, and the subresources through which status and scale are written.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from agentherd.api.agent import Agent
from agentherd.api.meta import API_GROUP, API_VERSION
from agentherd.api.schema import structural_schema

_API_VERSION_TEXT: Final = (
    "Version of the schema this object is written in: `agentherd.dev/v1alpha1`. The API server "
    "refuses versions it does not know."
)
_KIND_TEXT: Final = "Kind of this object. It cannot be changed once the object exists."

COLUMNS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "Phase",
        "type": "string",
        "jsonPath": ".status.phase",
        "description": "What the Agent is doing.",
    },
    {
        "name": "Version",
        "type": "string",
        "jsonPath": ".spec.version",
        "description": "Semantic version of the agent.",
    },
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        "description": "Whether the Agent is as its spec wants it.",
    },
    {
        "name": "Available",
        "type": "integer",
        "jsonPath": ".status.availableReplicas",
        "description": "Number of pods that serve.",
    },
    {
        "name": "Desired",
        "type": "integer",
        "jsonPath": ".spec.replicas",
        "description": "Number of pods wanted; empty means 1.",
    },
    {
        "name": "Mode",
        "type": "string",
        "priority": 1,
        "jsonPath": ".spec.operatingMode",
        "description": "What the Agent should be doing.",
    },
    {
        "name": "Revision",
        "type": "string",
        "priority": 1,
        "jsonPath": ".status.targetRevision",
        "description": "Revision the spec asks for.",
    },
    {
        "name": "Reason",
        "type": "string",
        "priority": 1,
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
        "description": "Why the Agent is ready or not.",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)


def agent_schema() -> dict[str, Any]:
    """The structural schema of a whole Agent object."""
    schema = structural_schema(Agent)
    properties = schema["properties"]
    schema["properties"] = {
        "apiVersion": {"description": _API_VERSION_TEXT, "type": "string"},
        "kind": {"description": _KIND_TEXT, "type": "string"},
        # The API server has its own schema of metadata and accepts none beside it.
        "metadata": {"type": "object"},
        "spec": properties["spec"],
        "status": properties["status"],
    }
    schema["required"] = ["spec"]
    return schema


def agent_crd() -> dict[str, Any]:
    """The CustomResourceDefinition, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{Agent.PLURAL}.{API_GROUP}",
            "labels": {"app.kubernetes.io/part-of": "agentherd"},
        },
        "spec": {
            "group": API_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": Agent.KIND,
                "listKind": f"{Agent.KIND}List",
                "plural": Agent.PLURAL,
                "singular": "agent",
                "shortNames": ["ag"],
                "categories": ["agentherd"],
            },
            "versions": [
                {
                    "name": API_VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [dict(column) for column in COLUMNS],
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": agent_schema()},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes every value out, also those that stand in several places."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def agent_crd_yaml() -> str:
    """The CustomResourceDefinition as the text of its file."""
    body = yaml.dump(agent_crd(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"# Generated from operator/agentherd/api by `make generate`; do not edit.\n{body}"
