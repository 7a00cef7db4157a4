"""The children of an Agent as manifests: each names its owner, and is found by its labels."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent

from agentherd.api import Agent
from agentherd.domain import children
from agentherd.domain.revision import revision_of


def made_of(one: Agent) -> list[dict[str, Any]]:
    revision = revision_of(one.spec)
    made = [
        children.service(one, revision, selected=None),
        children.service_account(one, revision),
        children.config_map(one, revision),
        children.controller_revision(one, revision, 7),
        children.replica_set(one, revision),
        children.disruption_budget(one),
    ]
    return [manifest for manifest in made if manifest is not None]


FULL = agent(replicas=2, config={"a": "1"})
BY_KIND = {manifest["kind"]: manifest for manifest in made_of(FULL)}
REVISION = revision_of(FULL.spec).hash


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_every_child_names_the_agent_as_its_controller(kind: str) -> None:
    """The garbage collector removes it with the Agent, and no finalizer can get stuck."""
    owner = {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "Agent",
        "name": "greeter",
        "uid": "uid-of-greeter",
        "controller": True,
        "blockOwnerDeletion": True,
    }

    assert BY_KIND[kind]["metadata"]["ownerReferences"] == [owner]


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_every_child_is_found_by_its_labels(kind: str) -> None:
    """The operator's watches select by these."""
    labels = BY_KIND[kind]["metadata"]["labels"]

    assert labels["agentherd.dev/agent"] == "greeter"
    assert labels["app.kubernetes.io/managed-by"] == "agentherd"


def test_the_names_of_children_follow_from_the_agent_alone() -> None:
    """A process that was killed finds its own work again."""
    assert {kind: manifest["metadata"]["name"] for kind, manifest in BY_KIND.items()} == {
        "Service": "greeter",
        "ServiceAccount": "agentherd-greeter",
        "PodDisruptionBudget": "agentherd-greeter",
        "ConfigMap": f"greeter-{REVISION}",
        "ControllerRevision": f"greeter-{REVISION}",
        "ReplicaSet": f"greeter-{REVISION}",
    }


def test_what_belongs_to_a_revision_says_so() -> None:
    """Also on the pods, which the ReplicaSet selects by it."""
    selector = BY_KIND["ReplicaSet"]["spec"]["selector"]["matchLabels"]

    assert selector["agentherd.dev/revision"] == REVISION
    assert BY_KIND["ConfigMap"]["metadata"]["labels"]["agentherd.dev/revision"] == REVISION
    assert (
        selector.items() <= BY_KIND["ReplicaSet"]["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_replica_set_leaves_its_size_to_others() -> None:
    """How many pods is decided by the rollout."""
    assert "replicas" not in BY_KIND["ReplicaSet"]["spec"]


def test_a_template_without_ports_has_no_service() -> None:
    """A Service without ports cannot exist."""
    template = {"spec": {"containers": [{"name": "a", "image": "a"}]}}

    one = agent(template=template)

    assert children.service(one, revision_of(one.spec), selected=None) is None
    assert children.revision_service(one, revision_of(one.spec)) is None


def selector_of(manifest: dict[str, Any] | None) -> dict[str, str]:
    assert manifest is not None
    selector: dict[str, str] = manifest["spec"]["selector"]
    return selector


def test_the_service_sends_to_all_pods_of_the_agent_that_are_in_traffic() -> None:
    """Whatever their revision, as long as none is selected."""
    assert selector_of(BY_KIND["Service"]) == {
        "agentherd.dev/agent": "greeter",
        "agentherd.dev/traffic": "on",
    }


def test_the_service_sends_to_the_revision_that_is_selected_alone() -> None:
    """An upgrade gives the other one a Service of its own."""
    revision = revision_of(FULL.spec)

    selected = selector_of(children.service(FULL, revision, selected="0123456789"))
    own = selector_of(children.revision_service(FULL, revision))

    assert selected["agentherd.dev/revision"] == "0123456789"
    assert own.items() >= {**selected, "agentherd.dev/revision": REVISION}.items()


def test_a_pod_that_is_out_of_traffic_is_selected_by_no_service() -> None:
    """Setting one label drains it, whichever Service has sent to it."""
    made = children.revision_service(FULL, revision_of(FULL.spec))

    assert selector_of(made)["agentherd.dev/traffic"] == "on"
    assert selector_of(BY_KIND["Service"])["agentherd.dev/traffic"] == "on"


def test_in_maintenance_the_service_sends_to_nobody() -> None:
    """Pods run on; the selector asks for a label that none has."""
    one = agent(operatingMode="Maintenance")
    service = children.service(one, revision_of(one.spec), selected=None)
    pod_labels = BY_KIND["ReplicaSet"]["spec"]["template"]["metadata"]["labels"]

    assert service is not None
    assert not service["spec"]["selector"].items() <= pod_labels.items()


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
def test_a_template_with_an_account_gets_no_other(field: str) -> None:
    """Who names one takes care of it, by the older name of the field too."""
    template = {"spec": {"containers": [{"name": "a", "image": "a"}], field: "mine"}}

    one = agent(template=template)

    assert children.service_account(one, revision_of(one.spec)) is None


def test_the_account_mounts_no_token() -> None:
    """An agent that does not ask for the API server gets no way to it."""
    assert BY_KIND["ServiceAccount"]["automountServiceAccountToken"] is False


def test_the_config_of_a_revision_cannot_be_changed() -> None:
    """Going back to the revision brings back exactly this."""
    assert BY_KIND["ConfigMap"]["immutable"] is True
    assert BY_KIND["ConfigMap"]["data"] == {"a": "1"}


def test_a_revision_without_config_gets_none() -> None:
    """What the spec asks for now is the next revision's, also where config is reloaded."""
    before = revision_of(agent(configUpdate="InPlace").spec)

    assert children.config_map(agent(configUpdate="InPlace", config={"a": "1"}), before) is None


def test_config_that_is_reloaded_can_be_changed() -> None:
    """It is one map for all revisions."""
    one = agent(config={"a": "1"}, configUpdate="InPlace")

    made = children.config_map(one, revision_of(one.spec))

    assert made is not None
    assert "immutable" not in made
    assert "agentherd.dev/revision" not in made["metadata"]["labels"]


@pytest.mark.parametrize(("replicas", "protected"), [(0, False), (1, False), (2, True), (9, True)])
def test_only_several_pods_are_protected_from_eviction(replicas: int, *, protected: bool) -> None:
    """A budget for a single pod would keep its node from ever being drained."""
    assert (children.disruption_budget(agent(replicas=replicas)) is not None) is protected


def test_the_record_of_a_revision_holds_its_content_and_number() -> None:
    """What a rollback needs to know."""
    record = BY_KIND["ControllerRevision"]

    assert record["revision"] == 7
    assert record["data"]["template"] == FULL.spec.template


def test_in_maintenance_no_service_sends_anything() -> None:
    """Neither that of the Agent nor that of a revision; the pods run."""
    one = agent(operatingMode="Maintenance")
    revision = revision_of(one.spec)

    for made in (
        children.service(one, revision, selected=None),
        children.revision_service(one, revision),
    ):
        assert made is not None
        assert made["spec"]["selector"]["agentherd.dev/in-maintenance"] == "true"


def test_config_that_was_taken_away_is_not_made_empty() -> None:
    """Pods that still mount it keep what they have."""
    before = revision_of(agent(configUpdate="InPlace", config={"a": "1"}).spec)

    assert children.config_map(agent(configUpdate="InPlace"), before) is None
