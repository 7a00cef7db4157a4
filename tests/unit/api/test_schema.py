"""The schema is one the API server accepts, explains well and can evaluate cheaply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentherd.api.crd import crd as crd_of
from agentherd.api.markers import Keywords, Rule
from agentherd.api.resources import AGENT_UPGRADE, Resource
from agentherd.api.schema import NotStructuralError, structural_schema

FORBIDDEN = {
    "$ref",
    "$defs",
    "allOf",
    "anyOf",
    "const",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "oneOf",
    "title",
    "uniqueItems",
}

ANYTHING = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within `schema`, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}[*]")


def test_nothing_in_it_is_unknown_to_kubernetes(each_schema: dict[str, Any]) -> None:
    """No reference, no union, no constant, no title."""
    found = {path: FORBIDDEN & node.keys() for path, node in nodes(each_schema)}

    assert {path: words for path, words in found.items() if words} == {}


def test_every_value_has_exactly_one_type(each_schema: dict[str, Any]) -> None:
    """A node has a type, is an integer-or-string or anything, and never an object and a map."""
    for path, node in nodes(each_schema):
        opaque = "x-kubernetes-preserve-unknown-fields" in node
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node) or opaque, path
        assert not {"properties", "additionalProperties"} <= node.keys(), path


def test_a_rule_names_only_fields_that_have_a_type(each_schema: dict[str, Any]) -> None:
    """The API server refuses a definition whose rule goes into what it knows nothing of."""
    for path, node in nodes(each_schema):
        for rule in node.get("x-kubernetes-validations", ()):
            for named in re.findall(r"\b(?:self|oldSelf)((?:\.\w+\b(?!\())+)", rule["rule"]):
                reached = node
                names = named.removeprefix(".").split(".")
                for name in names if names[0] != "metadata" else ():
                    reached = reached.get("properties", {}).get(name, {})
                    typed = reached.keys() & {"type", "x-kubernetes-int-or-string"}
                    assert typed, f"{path}: {rule['rule']}"


def test_every_property_is_explained(each_schema: dict[str, Any]) -> None:
    """`kubectl explain` has a sentence for each field; metadata is explained by the server."""
    for path, node in nodes(each_schema):
        for name, child in node.get("properties", {}).items():
            if (path, name) == ("", "metadata"):
                continue
            text = child.get("description", "")
            assert len(text) >= 20, f"{path}.{name}"
            assert text.endswith("."), f"{path}.{name}: {text}"
            assert "\n" not in text.replace("\n\n", ""), f"{path}.{name}"


def test_everything_a_person_can_write_is_bounded(each_schema: dict[str, Any]) -> None:
    """Strings, lists and maps of the spec have a maximum, without which no CEL cost is known."""
    for path, node in nodes(each_schema["properties"]["spec"], "spec"):
        match node.get("type"):
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "array":
                assert "maxItems" in node, path
            case "object" if "additionalProperties" in node:
                assert "maxProperties" in node, path


def test_every_list_of_the_status_is_bounded(each_schema: dict[str, Any]) -> None:
    """A status cannot grow for ever, whatever happens to an Agent."""
    for path, node in nodes(each_schema["properties"]["status"], "status"):
        if node.get("type") == "array":
            assert "maxItems" in node, path


def test_every_list_says_how_it_is_merged(each_schema: dict[str, Any]) -> None:
    """Server-side apply needs to know; keys of a list-map are required fields of its items."""
    for path, node in nodes(each_schema):
        if node.get("type") != "array":
            continue
        assert node.get("x-kubernetes-list-type") in {"atomic", "set", "map"}, path
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


ANALYSIS_DEFAULTS = {
    ".intervalSeconds": 2,
    ".warmUpSeconds": 5,
    ".minimumRequests": 20,
    ".onInconclusive": "Hold",
    ".baseline": "Stable",
    ".errorMargin": 2,
    ".performanceImpact": 0.2,
    ".feedbackWeight": 0.3,
    ".rollbackThreshold": 0.7,
    ".metrics[].job.timeoutSeconds": 600,
    ".metrics[].intervalSeconds": 10,
    ".metrics[].failureLimit": 3,
}


def analysis_defaults(path: str) -> dict[str, Any]:
    """The defaults of an analysis that stands at `path`."""
    return {path + field: value for field, value in ANALYSIS_DEFAULTS.items()}


def test_only_these_defaults_are_stored(schema: dict[str, Any]) -> None:
    """`replicas` is one of them, as an autoscaler cannot read a scale without it."""
    defaults = {path: node["default"] for path, node in nodes(schema) if "default" in node}

    assert defaults == {
        ".spec.replicas": 1,
        ".spec.revisionHistoryLimit": 5,
        ".spec.historyLimit": 10,
        ".spec.progressDeadlineSeconds": 600,
        ".spec.operatingMode": "Running",
        ".spec.modelRef.port": 8080,
        ".spec.configUpdate": "Rollout",
        ".spec.health.http.path": "/healthz",
        ".spec.health.intervalSeconds": 30,
        ".spec.health.timeoutSeconds": 3,
        ".spec.health.failureThreshold": 3,
        ".spec.drain.timeoutSeconds": 30,
        ".spec.traffic.path": "/",
        ".spec.traffic.protocol": "HTTP",
        ".spec.traffic.routeRef.kind": "HTTPRoute",
        ".spec.traffic.settleSeconds": 2,
        ".spec.metrics.path": "/metrics",
        ".spec.metrics.requests": "http_requests_total",
        ".spec.metrics.inFlight": "http_requests_in_flight",
        ".spec.metrics.errorLabel": "code",
        ".spec.metrics.errorValues": ["5xx"],
        ".spec.metrics.latency": "http_request_duration_seconds",
        ".spec.upgradePolicy.type": "Canary",
        ".spec.upgradePolicy.automation": "Auto",
        ".status": {"observedGeneration": -1},
    } | analysis_defaults(".spec.upgradePolicy.analysis")


def test_an_upgrade_stores_only_these_defaults(upgrade_schema: dict[str, Any]) -> None:
    """A switch that is off is absent, so that nobody seems to have set it; a setting that is, is
    the operator's."""
    defaults = {path: node["default"] for path, node in nodes(upgrade_schema) if "default" in node}

    assert defaults == {
        ".spec.priority": 5,
        ".spec.attempt": 1,
        ".status": {"observedGeneration": -1},
        ".spec.strategy.type": "Canary",
        ".spec.targetRef.kind": "Agent",
        ".status.strategy.automation": "Auto",
    } | analysis_defaults(".spec.analysis") | analysis_defaults(".status.strategy.analysis")


def test_a_condition_is_a_metav1_condition(each_schema: dict[str, Any]) -> None:
    """Field by field the schema that Kubernetes publishes."""
    conditions = each_schema["properties"]["status"]["properties"]["conditions"]
    item = conditions["items"]
    fields = item["properties"]

    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert sorted(item["required"]) == [
        "lastTransitionTime",
        "message",
        "reason",
        "status",
        "type",
    ]
    assert fields["status"]["enum"] == ["True", "False", "Unknown"]
    assert fields["type"]["maxLength"] == 316
    assert fields["reason"]["maxLength"] == 1024
    assert fields["message"]["maxLength"] == 32768
    assert fields["lastTransitionTime"]["format"] == "date-time"
    assert fields["observedGeneration"] | {"description": ""} == {
        "description": "",
        "format": "int64",
        "minimum": 0,
        "type": "integer",
    }


def test_the_template_is_opaque_but_for_what_every_pod_needs(schema: dict[str, Any]) -> None:
    """Any field of a PodSpec is kept; containers with name and image are demanded."""
    template = schema["properties"]["spec"]["properties"]["template"]
    pod = template["properties"]["spec"]
    containers = pod["properties"]["containers"]

    assert template["required"] == ["spec"]
    assert pod["required"] == ["containers"]
    assert pod["x-kubernetes-preserve-unknown-fields"] is True
    assert (containers["minItems"], containers["maxItems"]) == (1, 64)
    assert containers["items"]["required"] == ["name", "image"]
    assert containers["items"]["x-kubernetes-preserve-unknown-fields"] is True


def test_the_definition_has_its_names_and_subresources(crd: dict[str, Any]) -> None:
    """What kubectl, autoscalers and scripts rely on."""
    spec = crd["spec"]
    version = spec["versions"][0]

    assert crd["metadata"]["name"] == "agents.agentherd.dev"
    assert spec["names"]["shortNames"] == ["ag"]
    assert spec["names"]["categories"] == ["agentherd"]
    assert version["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    columns = version["additionalPrinterColumns"]
    assert [column["name"] for column in columns if not column.get("priority")] == [
        "Phase",
        "Version",
        "Ready",
        "Available",
        "Desired",
        "Age",
    ]


def test_an_upgrade_has_a_status_and_no_scale() -> None:
    """Its number of pods is a matter of its steps."""
    spec = crd_of(AGENT_UPGRADE)["spec"]

    assert spec["names"]["shortNames"] == ["agup"]
    assert spec["names"]["singular"] == "agentupgrade"
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_a_column_points_to_a_field(resource: Resource, each_schema: dict[str, Any]) -> None:
    """A renamed field cannot leave an empty column behind."""
    known = {".metadata.creationTimestamp", *(path for path, _ in nodes(each_schema))}

    for column in resource.columns:
        assert re.sub(r"\[\?.*\]", "[]", column.path) in known, column.name


def test_a_change_of_the_template_is_opaque(upgrade_schema: dict[str, Any]) -> None:
    """A merge patch may hold anything, null above all, so nothing of it is judged or pruned."""
    template = upgrade_schema["properties"]["spec"]["properties"]["to"]["properties"]["template"]

    assert template["properties"].keys() == {"metadata", "spec"}
    assert all(part.items() >= ANYTHING.items() for part in template["properties"].values())


class Loop(BaseModel):
    """A model that contains itself."""

    inner: Loop | None = None


def test_recursion_is_refused() -> None:
    """A structural schema is a finite tree."""
    with pytest.raises((NotStructuralError, RecursionError)):
        structural_schema(Loop)


@pytest.mark.parametrize(
    "kind", [int | list[str], Literal["one"] | int, tuple[int, str], Annotated[int, Field(gt=0)]]
)
def test_what_kubernetes_cannot_say_is_refused(kind: Any) -> None:
    """A bound is never dropped in silence."""

    class Model(BaseModel):
        field: kind

    with pytest.raises(NotStructuralError):
        structural_schema(Model)


def test_the_refusal_names_the_field() -> None:
    """Whoever adds a field learns where the problem is."""

    class Inner(BaseModel):
        odd: int | list[str]

    class Outer(BaseModel):
        many: list[Inner]

    with pytest.raises(NotStructuralError, match=r"^\.many\[\]\.odd: "):
        structural_schema(Outer)


def test_optional_means_absent_not_null() -> None:
    """`X | None` is X, not required and without a default."""

    class Model(BaseModel):
        field: Annotated[int, Field(ge=1)] | None = None

    assert structural_schema(Model) == {
        "type": "object",
        "properties": {"field": {"type": "integer", "minimum": 1}},
    }


def test_a_default_holds_no_null() -> None:
    """The API server would refuse one, as the field is absent and not nullable."""

    class Inner(BaseModel):
        number: int | None = None
        text: str = "a"

    class Model(BaseModel):
        field: list[Inner] = [Inner()]

    assert structural_schema(Model)["properties"]["field"]["default"] == [{"text": "a"}]


def test_a_map_of_anything_is_an_open_object() -> None:
    """`dict[str, Any]` keeps what it is given."""

    class Model(BaseModel):
        field: dict[str, Any]

    found = structural_schema(Model)["properties"]["field"]

    assert found == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_markers_add_up() -> None:
    """Several rules and keywords on one type all arrive."""

    class Model(BaseModel):
        field: Annotated[
            str, Rule("a", "first"), Keywords({"format": "x"}), Rule("b", "second", field=".c")
        ]

    found = structural_schema(Model)["properties"]["field"]

    assert found["format"] == "x"
    assert found["x-kubernetes-validations"] == [
        {"rule": "a", "message": "first"},
        {"rule": "b", "message": "second", "fieldPath": ".c"},
    ]
