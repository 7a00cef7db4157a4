"""From a pydantic model to the structural schema that the API server accepts.

Pydantic speaks JSON Schema, Kubernetes a strict subset of it: one tree without references, no
unions with null, no titles, defaults only where they are to be stored. The translation knows
every keyword it may meet; one it does not know raises, because the API server would either
refuse it or, worse, drop it and with it a bound that somebody relies on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from agentherd.api.markers import RULES

_KEPT: Final = frozenset(
    {
        "type",
        "format",
        "enum",
        "pattern",
        "required",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "nullable",
        RULES,
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
    }
)
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]


class NotStructuralError(ValueError):
    """A model uses something that a structural schema cannot say."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '.'}: {problem}")
        self.path = path
        self.problem = problem


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of `model`, with every reference replaced by what it refers to.

    Raises:
        NotStructuralError: the model has no structural schema.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _translate(raw, raw.get("$defs", {}), "")


def _translate(raw: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> dict[str, Any]:
    node = _resolve(raw, definitions, path)
    schema: dict[str, Any] = {}
    if "description" in node:
        schema["description"] = paragraphs(node["description"])
    for keyword, value in node.items():
        if keyword in _KEPT:
            schema[keyword] = value
        elif keyword == "default":
            # An empty default is how Python spells "absent"; the server must not store it.
            if value:
                schema["default"] = _without_nulls(value)
        elif keyword == "properties":
            schema["properties"] = {
                name: _translate(child, definitions, f"{path}.{name}")
                for name, child in value.items()
            }
        elif keyword == "items":
            schema["items"] = _translate(value, definitions, f"{path}[]")
        elif keyword == "additionalProperties":
            _translate_map(value, schema, definitions, path)
        elif keyword not in {"title", "description", "$defs"}:
            raise NotStructuralError(path, f"{keyword} has no place in a structural schema")
    return schema


def _translate_map(
    value: Any, schema: dict[str, Any], definitions: Mapping[str, Any], path: str
) -> None:
    """A map of any values is an open object; `false` is what a structural schema says anyway."""
    if value is True:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    elif value is not False:
        schema["additionalProperties"] = _translate(value, definitions, f"{path}[*]")


def _resolve(raw: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Replace `$ref` and unions until neither is left; what stands beside them wins."""
    node = dict(raw)
    seen: set[str] = set()
    while True:
        if reference := node.pop("$ref", None):
            if reference in seen:
                raise NotStructuralError(path, f"{reference} refers to itself")
            seen.add(reference)
            node = {**definitions[reference.removeprefix("#/$defs/")], **node}
        elif branches := node.pop("anyOf", None):
            node = {**_only_branch(branches, node, path), **node}
        else:
            return node


def _only_branch(
    branches: list[dict[str, Any]], beside: Mapping[str, Any], path: str
) -> dict[str, Any]:
    if beside.get("x-kubernetes-int-or-string") and branches == _INT_OR_STRING:
        return {}
    present = [branch for branch in branches if branch != {"type": "null"}]
    if len(present) != 1:
        raise NotStructuralError(path, "a union other than with null has no structural schema")
    return present[0]


def _without_nulls(value: Any) -> Any:
    """What a default says; null is how Python spells "absent" within it."""
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def paragraphs(text: str) -> str:
    """Join the lines of each paragraph; source code is wrapped, terminals wrap for themselves."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
