"""The operator's role holds what its code asks for, and nothing that would be worth stealing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agentherd.api.resources import RESOURCES, Resource
from agentherd.domain.kinds import (
    AGENT_UPGRADE,
    CHILD_KINDS,
    CONTROLLER_REVISION,
    EVENT,
    GATEWAY_KINDS,
    GROUP,
    JOB,
    KUBELET_EVENT,
    POD,
    REPLICA_SET,
    ROUTE_KINDS,
    WORKLOADS,
    Kind,
)

BASE = Path(__file__).parents[3] / "manifests/base"
ROLE = yaml.safe_load((BASE / "cluster-role.yaml").read_text(encoding="utf-8"))
GRANTED = {
    (name, resource): set(rule["verbs"])
    for rule in ROLE["rules"]
    for name in rule["apiGroups"]
    for resource in rule["resources"]
}


def group(kind: Kind) -> str:
    name, slash, _ = kind.api_version.partition("/")
    return name if slash else ""


def granted(kind: Kind) -> set[str]:
    return GRANTED.get((group(kind), kind.plural), set())


@pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.plural)
def test_every_kind_of_child_can_be_followed(kind: Kind) -> None:
    """A watch that is refused would keep the operator from starting."""
    assert {"list", "watch"} <= granted(kind)


@pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.plural)
def test_children_are_applied_and_deleted(kind: Kind) -> None:
    """Pods are made by ReplicaSets; what has a name without a hash is looked at before."""
    writes = granted(kind) - {"list", "watch"}

    if kind is POD:
        assert writes == {"delete", "patch"}
    else:
        assert writes - {"get"} == {"create", "delete", "patch"}
        assert ("get" in writes) == (kind not in {CONTROLLER_REVISION, REPLICA_SET})


@pytest.mark.parametrize("kind", ROUTE_KINDS, ids=lambda kind: kind.plural)
def test_routes_are_made_followed_and_removed(kind: Kind) -> None:
    """They have names that people use as well, so they are looked at before they are written."""
    assert granted(kind) == {"create", "delete", "get", "list", "patch", "watch"}


def test_jobs_are_made_followed_and_removed() -> None:
    """They have names that people use as well."""
    assert granted(JOB) == {"create", "delete", "get", "list", "patch", "watch"}


@pytest.mark.parametrize("kind", GATEWAY_KINDS, ids=lambda kind: kind.plural)
def test_gateways_are_only_followed(kind: Kind) -> None:
    """They belong to whoever runs the cluster."""
    assert granted(kind) == {"list", "watch"}


def test_an_upgrade_is_made_followed_promoted_and_removed() -> None:
    """A canary of a model that somebody makes the active version is promoted in its upgrade."""
    assert granted(AGENT_UPGRADE) == {"create", "delete", "list", "patch", "watch"}


@pytest.mark.parametrize("kind", WORKLOADS.values(), ids=lambda kind: kind.plural)
def test_a_workload_is_written_and_never_made_or_removed(kind: Kind) -> None:
    """A promoted change goes into it; whether there is one is up to people."""
    assert granted(kind) == {"get", "list", "patch", "watch"}


def test_of_the_status_of_a_pod_only_a_condition_is_written() -> None:
    """Whether it is warm; the rest is the kubelet's to say."""
    assert GRANTED["", "pods/status"] == {"patch"}


@pytest.mark.parametrize("kind", [*WORKLOADS.values(), AGENT_UPGRADE], ids=lambda kind: kind.plural)
def test_a_status_is_only_patched(kind: Kind) -> None:
    """It is read with its object."""
    assert GRANTED[GROUP, f"{kind.plural}/status"] == {"patch"}


def test_no_other_kind_is_granted() -> None:
    """A permission that nothing uses is only of use to somebody else."""
    kinds = {*CHILD_KINDS, *ROUTE_KINDS, *GATEWAY_KINDS}
    kinds |= {*WORKLOADS.values(), AGENT_UPGRADE, EVENT, JOB, KUBELET_EVENT}

    objects = {resource for resource in GRANTED if "/" not in resource[1]}

    assert objects == {(group(kind), kind.plural) for kind in kinds}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_people_may_do_with_each_of_our_objects_what_they_may_do_in_a_namespace(
    resource: Resource,
) -> None:
    """A new resource that only administrators can see would be of no use."""
    view, edit, _ = yaml.safe_load_all((BASE / "agent-roles.yaml").read_text(encoding="utf-8"))

    (seen,) = view["rules"]
    assert {resource.plural, f"{resource.plural}/status"} <= set(seen["resources"])
    assert resource.plural in edit["rules"][0]["resources"]


def test_nobody_may_approve_who_was_not_made_an_approver() -> None:
    """Not who edits or administers a namespace, and least of all the operator."""
    roles = list(yaml.safe_load_all((BASE / "agent-roles.yaml").read_text(encoding="utf-8")))

    may = [
        role
        for role in [*roles, ROLE]
        if any("agentupgrades/approval" in rule["resources"] for rule in role["rules"])
    ]

    assert [role["metadata"]["name"] for role in may] == ["agentherd-agents-approve"]
    labels = may[0]["metadata"]["labels"]
    assert not [label for label in labels if "aggregate-to" in label]


def test_nothing_opens_the_cluster() -> None:
    """No Secrets, no RBAC, no wildcard, no escalation."""
    resources = {resource for _, resource in GRANTED}
    verbs = set().union(*GRANTED.values())

    assert not resources & {"*", "secrets", "pods/exec", "serviceaccounts/token", "nodes"}
    assert not verbs & {"*", "bind", "escalate", "impersonate", "deletecollection"}
    assert "rbac.authorization.k8s.io" not in {name for name, _ in GRANTED}
