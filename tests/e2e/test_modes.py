"""Operating modes: what an Agent is told to do, and when it says that it does."""

from __future__ import annotations

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.world import START, World, condition_status, identity


@pytest.mark.row("A04")
def test_a04_offline_when_the_pods_are_gone(world: World) -> None:
    """An Agent that is stopped says Offline once nothing of it runs any more."""
    world.apply(agent("a"))
    world.wait_until_ready("a")

    world.change("a", operatingMode="Offline")
    found = world.wait_for_phase("a", "Offline")

    assert world.children("a", "Pod") == []
    assert condition_status(found, "Available") == "False"
    assert condition_status(found, "Ready") == "True"


@pytest.mark.row("D01")
def test_d01_an_agent_that_is_offline_from_the_start_has_no_pods_until_it_runs(
    world: World,
) -> None:
    """What is registered but switched off costs nothing, and starts when it is switched on."""
    world.apply(agent("a", operatingMode="Offline"))
    world.wait_for_phase("a", "Offline")
    before = world.children("a", "Pod")

    world.change("a", operatingMode="Running")
    world.wait_for_phase("a", "Online")

    assert before == []
    assert len(world.pods("a")) == 1


@pytest.mark.row("A06")
def test_a06_maintenance_has_a_default_reason_and_ends_online(world: World) -> None:
    """Maintenance needs no reason to be given, and the way out of it is Online."""
    world.apply(agent("a"))
    world.wait_until_ready("a")

    world.change("a", operatingMode="Maintenance")
    during = world.wait_for_phase("a", "Maintenance")
    world.change("a", operatingMode="Running")
    after = world.wait_for_phase("a", "Online")

    assert during["status"]["history"][-1]["reason"] == "Scheduled maintenance"
    assert [entry["to"] for entry in after["status"]["history"]] == [
        "Deploying",
        "Online",
        "Maintenance",
        "Online",
    ]


@pytest.mark.row("A06")
def test_a06_to_resume_twice_is_to_resume_once(world: World) -> None:
    """An Agent that runs is not resumed again: nothing changes and nothing is recorded."""
    world.apply(agent("a"))
    world.wait_until_ready("a")
    world.change("a", operatingMode="Maintenance")
    world.wait_for_phase("a", "Maintenance")
    resumed = world.change("a", operatingMode="Running")
    before = world.wait_for_phase("a", "Online")["status"]["history"]

    again = world.change("a", operatingMode="Running")

    assert again["metadata"]["generation"] == resumed["metadata"]["generation"]
    assert world.status("a")["history"] == before


@pytest.mark.row("A06")
def test_a06_pods_in_maintenance_run_but_are_sent_nothing(world: World) -> None:
    """In maintenance the same pods go on and the Service has no endpoint."""
    world.apply(agent("a"))
    world.wait_until_ready("a")
    before = identity(world.pod("a"))

    world.change("a", operatingMode="Maintenance")
    found = world.wait_for_phase("a", "Maintenance")
    world.cluster.wait_until_all(
        "EndpointSlice",
        lambda slices: not any(_serving(part) for part in slices),
        within=START,
        namespace=world.namespace,
        labels="kubernetes.io/service-name=a",
    )

    assert identity(world.pod("a")) == before
    assert condition_status(found, "Available") == "False"


@pytest.mark.row("A07")
def test_a07_suspended_has_no_pods_and_resumes_with_as_many_as_before(world: World) -> None:
    """Suspended is not Offline: it is a pause, and it says so."""
    world.apply(agent("a", replicas=2))
    world.wait_until_ready("a")

    world.change("a", operatingMode="Suspended", operatingModeReason="saving over the weekend")
    during = world.wait_for_phase("a", "Suspended")
    pods = world.children("a", "Pod")
    world.change("a", operatingMode="Running", operatingModeReason=None)
    after = world.wait_for_phase("a", "Online")

    assert pods == []
    assert during["status"]["history"][-1]["reason"] == "saving over the weekend"
    assert "Offline" not in {entry["to"] for entry in after["status"]["history"]}
    assert after["spec"]["replicas"] == 2
    assert len(world.pods("a")) == 2


def _serving(part: Object) -> bool:
    return any(
        endpoint.get("conditions", {}).get("ready") for endpoint in part.get("endpoints") or ()
    )
