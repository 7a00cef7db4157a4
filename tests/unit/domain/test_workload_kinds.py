"""What is run as an Agent without being one is named by its own kind in all that is made for it."""

from __future__ import annotations

from typing import ClassVar

import pytest
from tests.twin.samples import NOON, raw_agent
from tests.unit.domain.samples import seen_upgrade

from agentherd.api import Agent
from agentherd.domain import children
from agentherd.domain.aside import without_agent
from agentherd.domain.kinds import MODEL_DEPLOYMENT, Key, workload_in
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.plan import WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import objection


class Served(Agent):
    """As a ModelDeployment is run."""

    KIND: ClassVar[str] = "ModelDeployment"
    PLURAL: ClassVar[str] = "modeldeployments"


POD = {
    "metadata": {"labels": {"agentherd.dev/agent": "somebody", "team": "a"}},
    "spec": {"containers": [{"name": "server", "image": "server:1"}]},
}
MODEL = Served.model_validate(raw_agent(replicas=2, template=POD))
REVISION = revision_of(MODEL.spec)
SEEN = AgentObservation(agent=MODEL)


def test_its_children_belong_to_it() -> None:
    """By owner and by label, so they go with it and wake nobody else."""
    made = children.replica_set(MODEL, REVISION)

    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ModelDeployment", "greeter")
    assert workload_in(made["metadata"]["labels"]) == ("ModelDeployment", "greeter")
    assert made["spec"]["selector"]["matchLabels"]["agentherd.dev/model"] == "greeter"


def test_its_pods_are_its_own_whatever_the_template_says() -> None:
    """A label that names an Agent would make them pods of that one."""
    pod = children.replica_set(MODEL, REVISION)["spec"]["template"]

    assert workload_in(pod["metadata"]["labels"]) == ("ModelDeployment", "greeter")
    assert pod["metadata"]["labels"]["team"] == "a"


def test_its_pods_are_told_which_model_they_serve() -> None:
    """Not which agent they are."""
    (container,) = children.replica_set(MODEL, REVISION)["spec"]["template"]["spec"]["containers"]

    names = {variable["name"] for variable in container["env"]}
    assert "AGENTHERD_MODEL" in names
    assert "AGENTHERD_AGENT" not in names


def test_an_upgrade_made_for_it_says_so() -> None:
    """One for an Agent is written as it always was."""
    made = children.upgrade(MODEL, "greeter-2", REVISION)

    assert made["spec"]["targetRef"] == {"kind": "ModelDeployment", "name": "greeter"}


def test_its_status_is_written_to_it() -> None:
    """Under its own kind."""
    assert SEEN.identity.kind is MODEL_DEPLOYMENT


@pytest.mark.parametrize(
    "change", [{"image": "server:2"}, {"version": "2.0.0"}, {"template": {"spec": {}}}]
)
def test_an_upgrade_of_it_can_only_name_a_revision(change: dict[str, object]) -> None:
    """Its versions are registered in its spec, where each keeps its name."""
    found = objection(SEEN, seen_upgrade("u", to=change), REVISION)

    assert found is not None
    assert found.reason is Reason.NOT_SUPPORTED
    assert "register another version" in found.message


def test_an_upgrade_of_one_that_does_not_exist_says_what_is_missing() -> None:
    """By its kind: an Agent of that name may well exist."""
    left = Leftovers(
        key=Key("default", "greeter"), kind=MODEL_DEPLOYMENT, upgrades={"u": seen_upgrade("u")}
    )

    (write,) = without_agent(left, NOON)

    assert isinstance(write, WriteStatus)
    assert "there is no ModelDeployment greeter" in str(write.status)
