"""The schemas by which kubeconform validates know as much as an API server, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.installing.schemas import LOOSE, PREFIX, strict, write_schemas

POD: dict[str, Any] = {
    "type": "object",
    "properties": {"spec": {"$ref": f"{PREFIX}Spec"}},
    "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
}
SWAGGER = {"definitions": {"Pod": POD, "Spec": {"type": "object"}, "Other": {"type": "object"}}}
DEFINITION = {
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {}}}},
            }
        ],
    },
}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    swagger, definition = tmp_path / "swagger.json", tmp_path / "thing.yaml"
    swagger.write_text(json.dumps(SWAGGER))
    definition.write_text(yaml.safe_dump(DEFINITION))
    write_schemas(swagger, [definition], tmp_path / "schemas")
    return {file.name: json.loads(file.read_text()) for file in (tmp_path / "schemas").iterdir()}


def test_each_kind_has_a_file(written: dict[str, Any]) -> None:
    """By the name under which kubeconform looks for it."""
    assert set(written) == {"v1_pod_v1.json", "example.com_thing_v1.json"}


def test_a_file_holds_what_it_refers_to_and_nothing_else(written: dict[str, Any]) -> None:
    """Seven hundred definitions in each file would take long to read."""
    assert set(written["v1_pod_v1.json"]["definitions"]) == {"Pod", "Spec"}


def test_metadata_are_known_to_every_kind(written: dict[str, Any]) -> None:
    """A CustomResourceDefinition does not name them."""
    assert "metadata" in written["example.com_thing_v1.json"]["properties"]


def test_an_unknown_field_is_an_error() -> None:
    """Unless it is said that any may be there."""
    known = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}}
    loose = {**known, "x-kubernetes-preserve-unknown-fields": True}

    assert strict(known)["additionalProperties"] is False
    assert strict(known)["properties"]["a"]["additionalProperties"] is False
    assert "additionalProperties" not in strict(loose)


def test_a_field_called_properties_is_no_object() -> None:
    """As in the schema of a schema, which a CustomResourceDefinition has."""
    schema = {"type": "object", "properties": {"properties": {"type": "object"}}}

    assert "additionalProperties" not in strict(schema)["properties"]


def test_numbers_may_be_written_for_quantities() -> None:
    """`cpu: 1` is a quantity, and `port: 80` is a number or a name."""
    assert all("string" in each["type"] for each in LOOSE.values())
