"""The operator's role holds what its code asks for, and nothing that would be worth stealing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agentherd.domain.kinds import (
    CHILD_KINDS,
    CONTROLLER_REVISION,
    POD,
    REPLICA_SET,
    Kind,
)

BASE = Path(__file__).parents[3] / "manifests/base"
ROLE = yaml.safe_load((BASE / "cluster-role.yaml").read_text(encoding="utf-8"))
GRANTED = {
    (group, resource): set(rule["verbs"])
    for rule in ROLE["rules"]
    for group in rule["apiGroups"]
    for resource in rule["resources"]
}


def granted(kind: Kind) -> set[str]:
    group, slash, _ = kind.api_version.partition("/")
    return GRANTED.get((group if slash else "", kind.plural), set())


@pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.plural)
def test_every_kind_of_child_can_be_followed(kind: Kind) -> None:
    """A watch that is refused would keep the operator from starting."""
    assert {"list", "watch"} <= granted(kind)


@pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.plural)
def test_children_are_applied_and_deleted(kind: Kind) -> None:
    """Pods are made by ReplicaSets; what has a name without a hash is looked at before."""
    writes = granted(kind) - {"list", "watch"}

    if kind is POD:
        assert writes == {"patch"}
    else:
        assert writes - {"get"} == {"create", "delete", "patch"}
        assert ("get" in writes) == (kind not in {CONTROLLER_REVISION, REPLICA_SET})


def test_nothing_opens_the_cluster() -> None:
    """No Secrets, no RBAC, no wildcard, no escalation."""
    resources = {resource for _, resource in GRANTED}
    verbs = set().union(*GRANTED.values())

    assert not resources & {"*", "secrets", "pods/exec", "serviceaccounts/token", "nodes"}
    assert not verbs & {"*", "bind", "escalate", "impersonate", "deletecollection"}
    assert "rbac.authorization.k8s.io" not in {group for group, _ in GRANTED}
