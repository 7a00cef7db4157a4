"""The policy that guards pod templates knows every place where one can stand.

A cluster evaluates it, see tests/e2e/test_privilege.py; here it is held against the API it speaks
of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from agentherd.api.crd import object_schema
from agentherd.api.resources import RESOURCES

BASE = Path(__file__).parents[3] / "manifests/base"
POLICY, BINDING = yaml.safe_load_all((BASE / "template-policies.yaml").read_text(encoding="utf-8"))
VARIABLES = {each["name"]: each["expression"] for each in POLICY["spec"]["variables"]}
CLOSED = POLICY["spec"]["validations"]


def templates(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Where the schema leaves open what stands there, as the specs of pods do."""
    for name, field in schema.get("properties", {}).items():
        if field.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}"
        else:
            yield from templates(field, f"{path}.{name}")
    if "items" in schema:
        yield from templates(schema["items"], f"{path}[]")


def test_the_policy_knows_every_place_of_a_template() -> None:
    """Whatever is added to the API and holds a pod template has to be guarded as well."""
    found = {
        place.removesuffix(".metadata").removesuffix(".spec")
        for resource in RESOURCES
        for place in templates(object_schema(resource)["properties"]["spec"])
    }

    assert found == {
        ".template",  # ofAgent
        ".versions[].template",  # ofVersions
        ".upgradePolicy.analysis.metrics[].job.template",  # ofJobs
        ".analysis.metrics[].job.template",  # ofJobs
        ".to.template",  # patches
    }


def test_every_kind_is_looked_at_by_everybody() -> None:
    """When it is made and when it is changed, and what cannot be evaluated is refused."""
    (rule,) = POLICY["spec"]["matchConstraints"]["resourceRules"]

    assert set(rule["resources"]) == {resource.plural for resource in RESOURCES}
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert POLICY["spec"]["failurePolicy"] == "Fail"
    assert "matchConditions" not in POLICY["spec"]
    assert BINDING["spec"] == {
        "policyName": POLICY["metadata"]["name"],
        "validationActions": ["Deny"],
    }


def test_the_operator_is_no_exception() -> None:
    """It writes templates when an upgrade has succeeded, and may make ReplicaSets of them."""
    role = yaml.safe_load((BASE / "cluster-role.yaml").read_text(encoding="utf-8"))
    made = next(rule for rule in role["rules"] if "replicasets" in rule["resources"])

    assert "create" in made["verbs"]
    assert "resource('replicasets')" in VARIABLES["mayCreatePods"]
    assert "userInfo" not in yaml.safe_dump(POLICY)


def test_what_is_open_is_listed_and_not_what_is_closed() -> None:
    """A field that a later Kubernetes brings is closed until somebody has thought of it."""
    assert not {
        "serviceAccountName",
        "hostNetwork",
        "hostPID",
        "nodeName",
        "imagePullSecrets",
    } & words("openInPods")
    assert not {"envFrom", "volumeDevices"} & words("openInContainers")
    assert not {"privileged", "procMount", "sysctls"} & words("openInSecurity")


def test_what_is_null_is_absent() -> None:
    """As `metadata:` with nothing after it, of which an expression would make an error."""
    looked_at = [VARIABLES[name] for name in ("containerLists", "podSecurity", "containerSecurity")]
    looked_at += [each["expression"] for each in CLOSED]

    assert not [text for text in looked_at if "orValue({})" in text or "orValue([])" in text]


def test_each_refusal_says_what_would_help() -> None:
    """Who reads it is rarely the one who can grant it."""
    assert all("the permission to create pods in this namespace" in c["message"] for c in CLOSED)
    assert all(c["reason"] == "Forbidden" for c in CLOSED)


def words(variable: str) -> set[str]:
    return set(yaml.safe_load(VARIABLES[variable]))
