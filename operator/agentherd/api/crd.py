"""The CustomResourceDefinition of a resource, built from its model.

What the schema says comes from the model, what stands beside the schema from the table of
resources; this module knows the form in which the API server wants both.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from agentherd.api.markers import UNSEEN
from agentherd.api.meta import API_GROUP, API_VERSION
from agentherd.api.resources import Resource
from agentherd.api.schema import structural_schema

_API_VERSION_TEXT: Final = (
    "Version of the schema this object is written in: `agentherd.dev/v1alpha1`. The API server "
    "refuses versions it does not know."
)
_KIND_TEXT: Final = "Kind of this object. It cannot be changed once the object exists."


def object_schema(resource: Resource) -> dict[str, Any]:
    """The structural schema of a whole object."""
    schema = structural_schema(resource.model)
    properties = schema["properties"]
    schema["properties"] = {
        "apiVersion": {"description": _API_VERSION_TEXT, "type": "string"},
        "kind": {"description": _KIND_TEXT, "type": "string"},
        # The API server has its own schema of metadata and accepts none beside it.
        "metadata": {"type": "object"},
        "spec": properties["spec"],
        # For whoever waits, an object without a status is one that is as it should be (kstatus).
        "status": {**properties["status"], "default": {"observedGeneration": UNSEEN}},
    }
    schema["required"] = ["spec"]
    return schema


def crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{API_GROUP}",
            "labels": {"app.kubernetes.io/part-of": "agentherd"},
        },
        "spec": {
            "group": API_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": [resource.short_name],
                "categories": ["agentherd"],
            },
            "versions": [
                {
                    "name": API_VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [c.keywords() for c in resource.columns],
                    "subresources": {n: dict(o) for n, o in resource.subresources.items()},
                    "schema": {"openAPIV3Schema": object_schema(resource)},
                }
            ],
        },
    }


# Folded texts would cost a sixth of the size, for files that nobody reads line by line.
_ONE_LINE: Final = 1_000_000


class _Dumper(yaml.SafeDumper):
    """Writes every value out, also those that stand in several places."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def crd_yaml(resource: Resource) -> str:
    """The CustomResourceDefinition as the text of its file."""
    body = yaml.dump(
        crd(resource), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_ONE_LINE
    )
    return f"# Generated from operator/agentherd/api by `make generate`; do not edit.\n{body}"
