"""Agents that use a model: they wait for it, find it, and follow its swaps where they want to."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.models import NAME, change, model, wait_until_active, wait_until_ready
from tests.e2e.sample import agent
from tests.e2e.world import START, World, condition, identity

ASK = (
    "import os, urllib.request as r;"
    "print(r.urlopen(os.environ['AGENTHERD_MODEL_URL'] + '/v1/models', timeout=5).status)"
)


def user(name: str = "user", **reference: Any) -> Object:
    """An Agent that uses the model of the test."""
    return agent(name, modelRef={"name": NAME, **reference})


def test_an_agent_starts_once_its_model_is_available_and_reaches_it(world: World) -> None:
    """Whichever is applied first; the address is in a variable, and somebody answers there."""
    world.apply(user())
    waiting = world.wait_for_phase("user", "Deploying")

    world.apply(model())
    world.wait_until_ready("user", within=2 * START)
    (pod,) = world.pods("user")

    because = condition(waiting, "Ready")
    assert because is not None
    assert because["reason"] == "WaitingForDependencies"
    assert f"ModelDeployment {NAME} (does not exist)" in because["message"]
    answer = world.kubectl("exec", pod["metadata"]["name"], "--", "python3", "-c", ASK)
    assert answer.out.strip() == "200", answer.err


def test_a_swap_restarts_only_the_agents_that_ask_for_it(world: World) -> None:
    """For those it is a revision like any other; the others keep their pods."""
    world.apply(model())
    wait_until_ready(world)
    world.apply(user("calm"))
    world.apply(user("eager", restartOnSwap=True))
    for name in ("calm", "eager"):
        world.wait_until_ready(name)
    (calm,), (eager,) = world.pods("calm"), world.pods("eager")
    before = world.status("eager")["stableRevision"]

    change(world, activeVersion="v2")
    wait_until_active(world, "v2")
    world.wait_until(
        "Agent",
        "eager",
        lambda seen: seen["status"]["stableRevision"] != before,
        within=2 * START,
    )

    assert identity(world.pod("calm")) == identity(calm)
    assert {pod["metadata"]["uid"] for pod in world.pods("eager")} - {eager["metadata"]["uid"]}


def test_another_model_is_a_revision_that_goes_back_with_the_rest(world: World) -> None:
    """A change of modelRef is an upgrade, and what is rolled back uses the model of before."""
    world.apply(model())
    world.apply(model(name="other"))
    world.apply(user())
    world.wait_until_ready("user", within=2 * START)
    before = world.status("user")["stableRevision"]

    world.patch("Agent", "user", {"spec": {"modelRef": {"name": "other"}}})
    world.wait_until(
        "Agent", "user", lambda seen: seen["status"]["stableRevision"] != before, within=2 * START
    )
    world.patch("Agent", "user", {"spec": {"modelRef": {"name": NAME}}})
    found = world.wait_until(
        "Agent", "user", lambda seen: seen["status"]["stableRevision"] == before, within=2 * START
    )

    assert found["spec"]["modelRef"]["name"] == NAME
