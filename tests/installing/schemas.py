"""JSON schemas for kubeconform, made of what the Kubernetes source and CRDs say.

Those that are published elsewhere are of some version of Kubernetes and cannot be had without a
network; these are of the version that the development cluster runs. Unknown fields are errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

Schema = dict[str, Any]

PREFIX: Final = "#/definitions/"
LOCATION: Final = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
"""The name of a file, in the words of kubeconform."""

LOOSE: Final[dict[str, Schema]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
"""Strings that may be written as numbers."""


def write_schemas(swagger: Path, definitions: Iterable[Path], directory: Path) -> None:
    """A file for each kind of Kubernetes, and of the CustomResourceDefinitions in these files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in (*_of_kubernetes(swagger), *_of_definitions(definitions)):
        (directory / name).write_text(json.dumps(schema), encoding="utf-8")


def strict(schema: Any) -> Any:
    """The same, but nothing may be there that it does not know."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: strict(value) for key, value in schema.items()}
    open_ended = tight.get("x-kubernetes-preserve-unknown-fields")
    # A field may be called "properties" itself, and is then no schema of an object.
    if isinstance(tight.get("properties"), dict) and "type" in tight and not open_ended:
        tight.setdefault("additionalProperties", False)
    return tight


def _of_kubernetes(swagger: Path) -> Iterator[tuple[str, Schema]]:
    definitions = json.loads(swagger.read_text(encoding="utf-8"))["definitions"] | LOOSE
    tight = {name: strict(each) for name, each in definitions.items()}
    for name, each in definitions.items():
        kinds = each.get("x-kubernetes-group-version-kind", ())
        if len(kinds) == 1:
            needed = {found: tight[found] for found in _reachable(name, definitions)}
            yield _file(**kinds[0]), {"$ref": PREFIX + name, "definitions": needed}


def _reachable(name: str, definitions: dict[str, Schema]) -> set[str]:
    found: set[str] = set()
    left = [name]
    while left:
        current = left.pop()
        if current not in found:
            found.add(current)
            left += _references(definitions[current])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(PREFIX)
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _of_definitions(paths: Iterable[Path]) -> Iterator[tuple[str, Schema]]:
    texts = (path.read_text(encoding="utf-8") for path in paths)
    found = (each for text in texts for each in yaml.safe_load_all(text) if each)
    for spec in (each["spec"] for each in found if each["kind"] == "CustomResourceDefinition"):
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            # The API server has a schema of its own for it.
            schema["properties"]["metadata"] = {"type": "object"}
            yield _file(spec["group"], version["name"], spec["names"]["kind"]), schema


def _file(group: str, version: str, kind: str) -> str:
    # kubeconform takes what stands before the first slash, or all, for the group.
    return f"{group or version}_{kind.lower()}_{version}.json"
