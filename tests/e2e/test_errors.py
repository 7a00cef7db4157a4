"""Errors of pods, in the words a person needs."""

from __future__ import annotations

import pytest
from tests.e2e.sample import agent, template
from tests.e2e.world import World, condition, condition_status

CRASH = ["/bin/sh", "-c", "exit 3"]


@pytest.mark.row("A08")
def test_a08_a_crashing_pod_is_an_error_that_is_counted_and_told(world: World) -> None:
    """Phase, counter, last error, conditions and a Warning all say the same."""
    world.apply(agent("a", container={"command": CRASH}))

    found = world.wait_for_phase("a", "Error")

    status = found["status"]
    assert status["errorCount"] == 1
    assert status["lastError"]["reason"] == "Crashing"
    assert "exited with code 3" in status["lastError"]["message"]
    assert status["history"][-1]["to"] == "Error"
    healthy = condition(found, "Healthy")
    assert healthy is not None
    assert (healthy["status"], healthy["reason"]) == ("False", "Crashing")
    world.cluster.wait_until_all(
        "Event",
        lambda events: any(
            e["regarding"]["kind"] == "Agent" and e["reason"] == "Crashing" for e in events
        ),
        within=10,
        namespace=world.namespace,
    )
    warnings = world.kubectl("get", "events", "--field-selector", "type=Warning")
    assert any("Crashing" in line and "agent/a" in line for line in warnings.out.splitlines())


@pytest.mark.row("A08")
def test_a08_an_error_is_one_error_however_often_the_pod_is_restarted(world: World) -> None:
    """A crash loop does not flood the history, the counter or the Events."""
    world.apply(agent("a", container={"command": CRASH}))
    world.wait_for_phase("a", "Error")

    world.wait_until_children(
        "a",
        "Pod",
        lambda pods: any(
            status["restartCount"] >= 2
            for pod in pods
            for status in pod["status"].get("containerStatuses", ())
        ),
        within=90,
    )

    status = world.status("a")
    assert status["errorCount"] == 1
    assert [entry["to"] for entry in status["history"]] == ["Deploying", "Error"]
    assert [event["reason"] for event in world.events("a")] == ["Crashing"]


@pytest.mark.row("A08")
def test_a08_an_error_ends_when_the_template_is_repaired(world: World) -> None:
    """The way out of an error is to repair it; the error is remembered."""
    world.apply(agent("a", container={"command": CRASH}))
    world.wait_for_phase("a", "Error")

    world.change("a", template=template())
    found = world.wait_for_phase("a", "Online")

    assert found["status"]["errorCount"] == 1
    assert found["status"]["lastError"]["reason"] == "Crashing"
    assert condition_status(found, "Healthy") == "True"


@pytest.mark.row("A08")
def test_a08_an_image_that_cannot_be_pulled_is_named(world: World) -> None:
    """The message holds the image, since that is what has to be put right."""
    image = "localhost/agentherd/no-such-image:1"
    world.apply(agent("a", container={"image": image, "imagePullPolicy": "Never"}))

    error = world.wait_for_phase("a", "Error")["status"]["lastError"]

    assert error["reason"] == "ImageUnavailable"
    assert image in error["message"]
