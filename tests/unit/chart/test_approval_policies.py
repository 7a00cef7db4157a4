"""The policies that guard approvals know every field and word that they have to.

A cluster evaluates them; here they are held against the API they speak of.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentherd.api import Automation
from agentherd.api.crd import object_schema
from agentherd.api.resources import AGENT_UPGRADE, RESOURCES
from agentherd.domain.upgrades.approval import POLICY_SAYS

BASE = Path(__file__).parents[3] / "manifests/base"
FOUND = list(yaml.safe_load_all((BASE / "approval-policies.yaml").read_text(encoding="utf-8")))
POLICIES = {
    each["metadata"]["name"]: each["spec"]
    for each in FOUND
    if each["kind"] == "ValidatingAdmissionPolicy"
}
BINDINGS = [each["spec"] for each in FOUND if each["kind"].endswith("Binding")]


def variables(policy: str) -> dict[str, str]:
    return {each["name"]: each["expression"] for each in POLICIES[policy]["variables"]}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_cannot_be_evaluated_is_refused(policy: str) -> None:
    """A gate that opens when it breaks is none."""
    assert POLICIES[policy]["failurePolicy"] == "Fail"


def test_each_policy_is_in_force_everywhere() -> None:
    """Without a binding, or with one that only warns, it does nothing."""
    assert [binding["policyName"] for binding in BINDINGS] == list(POLICIES)
    assert all(
        binding == {"policyName": binding["policyName"], "validationActions": ["Deny"]}
        for binding in BINDINGS
    )


def test_nobody_is_exempt() -> None:
    """The operator needs no approval for what it writes, so it gets none for what it should not."""
    text = yaml.safe_dump(POLICIES)

    assert "matchConditions" not in text
    assert "serviceaccount" not in text


def test_a_refused_forgery_is_known_by_its_answer() -> None:
    """The operator looks for these words when it tries whether approvals are checked."""
    forged, _ = POLICIES["agentherd-approval"]["validations"]

    assert POLICY_SAYS in forged["message"]


def test_what_is_frozen_once_begun_is_frozen_once_approved() -> None:
    """A field of which nobody thought here could be changed after somebody has approved it."""
    compared = set(
        re.findall(
            r"object\.spec\.\?([\w.?]+) == oldObject", variables("agentherd-approval")["unchanged"]
        )
    )

    rules: list[Any] = object_schema(AGENT_UPGRADE)["x-kubernetes-validations"]
    frozen = {
        rule["fieldPath"].removeprefix(".spec.")
        for rule in rules
        if "oldSelf" in rule["rule"] and "fieldPath" in rule
    }
    assert compared == frozen | {"approval.?approvedBy", "approval.?revision"}


def test_each_comparison_is_of_a_field_with_itself() -> None:
    """A slip would let changes of a field pass."""
    expression = variables("agentherd-approval")["unchanged"]

    pairs = re.findall(r"(?<!old)object\.spec\.(\S+) == oldObject\.spec\.(\S+)", expression)

    assert len(pairs) == expression.count("==") - 1  # beside that of the operation
    assert all(new == old for new, old in pairs)


def test_every_level_of_automation_is_ordered() -> None:
    """From the one that lets most pass to the one that lets nothing."""
    care = yaml.safe_load(variables("agentherd-automation")["care"])

    assert sorted(care, key=care.__getitem__) == ["Auto", "SemiAuto", "Manual"]
    assert set(care) == {each.value for each in Automation}


def test_whatever_has_a_level_of_automation_is_guarded() -> None:
    """An edit of one that nobody looks at would take the place of each approval of its upgrades."""
    (rule,) = POLICIES["agentherd-automation"]["matchConstraints"]["resourceRules"]

    leveled = {
        each.plural
        for each in RESOURCES
        if "automation"
        in object_schema(each)["properties"]["spec"]["properties"]
        .get("upgradePolicy", {})
        .get("properties", {})
    }
    assert leveled == set(rule["resources"]) == {"agents", "modeldeployments"}
