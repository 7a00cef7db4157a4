"""The reference documentation of the API, from the same schema the API server gets.

One table for each object, in the order of the fields, so that a page reads from what is wanted to
what was seen. Nothing is written by hand here: what is missing from the page is missing from the
model's docstrings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentherd.api.crd import object_schema
from agentherd.api.markers import RULES
from agentherd.api.meta import API_GROUP, API_VERSION
from agentherd.api.resources import Resource

Schema = Mapping[str, Any]

_WRITER = {"status": "`status` (written by the operator)"}


def reference(resource: Resource) -> str:
    """The page about one resource, as Markdown."""
    schema = object_schema(resource)
    subresources = " and ".join(_WRITER.get(name, f"`{name}`") for name in resource.subresources)
    parts = [
        "<!-- Generated from operator/agentherd/api by `make generate`; do not edit. -->",
        f"# {resource.kind}",
        schema["description"],
        f"`apiVersion: {API_GROUP}/{API_VERSION}`, `kind: {resource.kind}`. Namespaced; "
        f"`kubectl get {resource.plural}`, short `{resource.short_name}`, category `agentherd`. "
        f"Subresource{'s' if len(resource.subresources) > 1 else ''}: {subresources}.",
        *_rules(schema),
        "## Columns of `kubectl get`",
        "Those marked *wide* are shown with `-o wide`.",
        _columns(resource),
    ]
    for name in ("spec", "status"):
        parts += _objects(schema["properties"][name], name)
    return "\n\n".join(parts) + "\n"


def _columns(resource: Resource) -> str:
    rows = [
        (
            column.name + (" *(wide)*" if column.wide else ""),
            f"`{_escape(column.path)}`",
            column.description,
        )
        for column in resource.columns
    ]
    return _table(("Column", "Path", "What it shows"), rows)


def _objects(schema: Schema, path: str) -> Iterator[str]:
    """The section of one object, and those of the objects within it."""
    yield f"## {path}"
    yield schema["description"]
    yield from _rules(schema)
    required = schema.get("required", ())
    yield _table(
        ("Field", "Type", "Allowed", "Default", "Meaning"),
        [
            (
                f"`{name}`" + (" **required**" if name in required else ""),
                _type(field, f"{path}.{name}"),
                _allowed(field),
                _default(field),
                _escape(field["description"]).replace("\n\n", "<br><br>"),
            )
            for name, field in schema["properties"].items()
        ],
    )
    for name, field in schema["properties"].items():
        inner, suffix = _element(field)
        if "properties" in inner:
            yield from _objects(inner, f"{path}.{name}{suffix}")


def _element(field: Schema) -> tuple[Schema, str]:
    """What a list or map consists of, or the field itself."""
    if "items" in field:
        return field["items"], "[]"
    if "additionalProperties" in field:
        return field["additionalProperties"], "[*]"
    return field, ""


def _type(field: Schema, path: str) -> str:
    inner, suffix = _element(field)
    if inner.get("x-kubernetes-int-or-string"):
        name = "integer or string"
    elif "properties" in inner:
        anchor = "".join(letter for letter in f"{path}{suffix}".lower() if letter.isalnum())
        name = f"[object](#{anchor})"
    else:
        name = "time" if inner.get("format") == "date-time" else inner.get("type", "any value")
    return {"[]": f"list of {name}", "[*]": f"map of {name}"}.get(suffix, name)


def _allowed(field: Schema) -> str:
    inner, suffix = _element(field)
    found = list(_bounds(field))
    if suffix and (of_each := list(_bounds(inner))):
        found.append("each: " + ", ".join(of_each))
    found += [rule["message"] for rule in field.get(RULES, ())]
    return _escape("; ".join(found))


def _default(field: Schema) -> str:
    if "default" not in field:
        return ""
    default = field["default"]
    return f"`{json.dumps(default) if isinstance(default, list) else default}`"


def _bounds(field: Schema) -> Iterator[str]:
    if "enum" in field:
        yield ", ".join(f"`{value}`" for value in field["enum"])
    yield from _range(field, "minimum", "maximum", "")
    yield from _range(field, "minLength", "maxLength", " characters")
    yield from _range(field, "minItems", "maxItems", " items")
    yield from _range(field, "minProperties", "maxProperties", " entries")
    if field.get("x-kubernetes-list-type") == "set":
        yield "no duplicates"
    if pattern := field.get("pattern"):
        yield f"matches `{pattern}`"


def _range(field: Schema, least: str, most: str, unit: str) -> Iterator[str]:
    low, high = field.get(least), field.get(most)
    if low is not None and high is not None:
        yield f"{low} to {high}{unit}"
    elif high is not None:
        yield f"at most {high}{unit}"
    elif low is not None:
        yield f"at least {low}{unit}"


def _rules(schema: Schema) -> Iterator[str]:
    """The rules that concern an object as a whole."""
    if rules := schema.get(RULES):
        lines = (f"- {rule.get('fieldPath', '')[1:]} {rule['message']}" for rule in rules)
        yield "\n".join(["Rules:", "", *(line.replace("-  ", "- ") for line in lines)])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
