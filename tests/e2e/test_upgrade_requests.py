"""What people ask for with an AgentUpgrade: refused with a reason, or made and written down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import IMAGE
from tests.e2e.test_upgrade_words import (
    broken,
    canary,
    names,
    quiet,
    sizes,
    steer,
    step,
    upgrade,
    wait_at_step,
)
from tests.e2e.world import SOON, START, World, condition, identity, observed

AT_ONCE: Final = canary()
LOOKED_AT: Final = canary(step(50))


@pytest.fixture(scope="module")
def calm(shared_world: World) -> World:
    """A world with an Agent `calm` of version 1.0.0, which no test here may change."""
    shared_world.apply(quiet("calm"))
    shared_world.wait_until_ready("calm")
    return shared_world


@pytest.mark.row("E02")
@pytest.mark.parametrize(
    ("name", "target", "asked", "reason", "said"),
    [
        ("no-target", "nobody", {"to": {"version": "2.0.0"}}, "TargetNotFound", "nobody"),
        ("lower", "calm", {"to": {"version": "0.9.0"}}, "Downgrade", "1.0.0"),
        (
            "unmet",
            "calm",
            {"to": {"version": "2.0.0"}, "dependsOn": ["never-made"]},
            "WaitingForDependencies",
            "never-made",
        ),
        ("unknown", "calm", {"to": {"revision": "0123456789"}}, "RevisionNotFound", "0123456789"),
    ],
)
def test_e02_what_cannot_be_done_is_refused_with_a_reason(
    calm: World, name: str, target: str, asked: dict[str, Any], reason: str, said: str
) -> None:
    """`Validated` says why, and nothing happens to the pods."""
    before = [identity(pod) for pod in calm.pods("calm")], sizes(calm, "calm")

    calm.apply(upgrade(name, target, **asked))
    found = calm.wait_until(
        "AgentUpgrade", name, lambda seen: condition(seen, "Validated") is not None
    )

    validated = condition(found, "Validated")
    assert validated is not None
    assert (validated["status"], validated["reason"]) == ("False", reason)
    assert said in validated["message"]
    assert found["status"]["phase"] == "Pending"
    assert ([identity(pod) for pod in calm.pods("calm")], sizes(calm, "calm")) == before


@pytest.mark.row("E02")
def test_e02_an_upgrade_begins_when_what_it_depends_on_has_succeeded(shared_world: World) -> None:
    """Also when that is the upgrade of another Agent."""
    world = shared_world
    for name in ("first", "second"):
        world.apply(quiet(name))
    for name in ("first", "second"):
        world.wait_until_ready(name)
    to = {"version": "2.0.0"}
    world.apply(upgrade("then", "second", to=to, dependsOn=["now"], strategy=AT_ONCE))
    waiting = world.wait_upgrade("then", "Pending")

    world.apply(upgrade("now", "first", to=to, strategy=AT_ONCE))
    now = world.wait_upgrade("now", "Succeeded")
    then = world.wait_upgrade("then", "Succeeded")

    assert "startedAt" not in waiting["status"]
    assert then["status"]["startedAt"] >= now["status"]["finishedAt"]


def test_an_upgrade_for_an_agent_that_comes_later_is_taken_up(shared_world: World) -> None:
    """A missing target is no end: what was asked for is done once there is an Agent."""
    world = shared_world
    world.apply(upgrade("early", "late", to={"version": "2.0.0"}, strategy=AT_ONCE))
    world.wait_upgrade("early", "Pending")

    world.apply(quiet("late"))

    world.wait_upgrade("early", "Succeeded", within=2 * START)
    assert world.wait_until_ready("late")["spec"]["version"] == "2.0.0"


def test_a_lower_version_is_possible_for_who_says_so(shared_world: World) -> None:
    """A refusal that the spec can lift is lifted by the spec."""
    world = shared_world
    world.apply(quiet("down", version="2.0.0"))
    world.wait_until_ready("down")
    world.apply(upgrade("going-down", "down", to={"version": "1.0.0"}, strategy=AT_ONCE))
    world.wait_upgrade("going-down", "Pending")

    steer(world, "going-down", allowDowngrade=True)

    world.wait_upgrade("going-down", "Succeeded")
    assert world.get("Agent", "down")["spec"]["version"] == "1.0.0"


def test_an_upgrade_created_paused_begins_when_it_is_resumed(shared_world: World) -> None:
    """Nothing is wrong with it, so `Validated` is true while it waits."""
    world = shared_world
    world.apply(quiet("held"))
    world.wait_until_ready("held")
    world.apply(upgrade("holding", "held", to={"version": "2.0.0"}, strategy=AT_ONCE, paused=True))
    found = world.wait_upgrade("holding", "Pending")
    validated = condition(found, "Validated")

    steer(world, "holding", paused=False)

    assert validated is not None
    assert validated["status"] == "True"
    world.wait_upgrade("holding", "Succeeded")


@dataclass(frozen=True)
class Asked:
    """What is changed of an Agent, and what its spec is to be afterwards."""

    to: Callable[[Object], Object]
    expected: Callable[[Object], Object]
    before: dict[str, Any]
    former: dict[str, Any] | None = None


def _image(spec: Object, image: str) -> Object:
    (container,) = spec["template"]["spec"]["containers"]
    pod = {**spec["template"]["spec"], "containers": [{**container, "image": image}]}
    return {**spec, "template": {**spec["template"], "spec": pod}}


ASKED: Final = {
    "version": Asked(
        to=lambda _: {"version": "2.0.0"},
        expected=lambda spec: {**spec, "version": "2.0.0"},
        before={},
    ),
    "config": Asked(
        to=lambda _: {"config": {"greeting": "Hi"}},
        expected=lambda spec: {**spec, "config": {"greeting": "Hi"}},
        before={"config": {"prompt": "be kind"}},
    ),
    "image": Asked(
        to=lambda _: {"image": IMAGE},
        expected=lambda spec: _image(spec, IMAGE),
        before={},
    ),
    "template": Asked(
        to=lambda _: {"template": {"metadata": {"labels": {"team": "blue"}}}},
        expected=lambda spec: {
            **spec,
            "template": {**spec["template"], "metadata": {"labels": {"team": "blue"}}},
        },
        before={},
    ),
    "revision": Asked(
        to=lambda status: {"revision": status["formerRevisions"][0]},
        expected=lambda spec: {**spec, "version": "0.9.0"},
        before={"version": "0.9.0"},
        former={"version": "1.0.0"},
    ),
}


@pytest.fixture(scope="module")
def asked(shared_world: World) -> World:
    """A world with an Agent for each field that an upgrade may change, all started together."""
    for name, case in ASKED.items():
        shared_world.apply(quiet(name, **case.before))
    for name, case in ASKED.items():
        shared_world.wait_until_ready(name)
        if case.former is not None:
            shared_world.change(name, **case.former)
            shared_world.wait_until_ready(name)
    return shared_world


@pytest.mark.parametrize("field", ASKED)
def test_an_agent_is_written_only_once_its_upgrade_has_succeeded(asked: World, field: str) -> None:
    """While it runs the Agent is as it was; then it has what was asked for, and nothing else."""
    world, case = asked, ASKED[field]
    before = world.get("Agent", field)
    name = f"to-{field}"
    to = case.to(before["status"])
    pausing = {"strategy": {"type": "BlueGreen", "blueGreen": {"pause": {}}, "rollbackWindow": 0}}

    world.apply(upgrade(name, field, to=to, **pausing))
    wait_at_step(world, name, 1)
    meanwhile = world.get("Agent", field)
    steer(world, name, promote={"full": True})
    done = world.wait_upgrade(name, "Succeeded")
    after = world.wait_until_ready(field)

    assert meanwhile["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert after["spec"] == case.expected(before["spec"])
    assert after["status"]["stableRevision"] == done["status"]["toRevision"]
    assert name in names(world.upgrades(field))
    assert f"{field}-{after['metadata']['generation']}" not in names(world.upgrades(field))


def test_an_agent_is_not_written_when_its_upgrade_fails(shared_world: World) -> None:
    """What was tried and failed leaves no trace in the spec."""
    world = shared_world
    world.apply(quiet("unwritten"))
    before = world.wait_until_ready("unwritten")

    to = {"version": "2.0.0", "template": broken()}
    world.apply(upgrade("failing", "unwritten", to=to, strategy=LOOKED_AT))
    world.wait_upgrade("failing", "RolledBack")

    after = world.wait_until_ready("unwritten", within=SOON)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["stableRevision"] == before["status"]["stableRevision"]
    assert observed(world.upgrade("failing"))


def test_the_higher_priority_goes_first_then_the_older(shared_world: World) -> None:
    """Three upgrades of one Agent wait for a fourth; nobody interrupts it, and all say why."""
    world = shared_world
    world.apply(quiet("wanted"))
    world.wait_until_ready("wanted")
    to = {"version": "1.1.0", "config": {"greeting": "zero"}}
    world.apply(upgrade("running", "wanted", to=to, strategy=LOOKED_AT))
    wait_at_step(world, "running", 1)
    world.apply(_greeting("b-older", "one", priority=5))
    _wait_for_the_next_second(world.upgrade("b-older"))
    world.apply(_greeting("a-younger", "two", priority=5))
    world.apply(_greeting("urgent", "three", priority=8))
    waiting = [world.wait_upgrade(name, "Pending") for name in ("b-older", "a-younger", "urgent")]

    steer(world, "running", promote={"full": True})
    ended = {
        each: world.wait_upgrade(each, "Succeeded")["status"]
        for each in ("running", "urgent", "b-older", "a-younger")
    }

    assert {(condition(each, "Progressing") or {})["reason"] for each in waiting} == {"Queued"}
    order = ["running", "urgent", "b-older", "a-younger"]
    assert [ended[each]["fromRevision"] for each in order[1:]] == [
        ended[each]["toRevision"] for each in order[:-1]
    ]
    assert world.get("Agent", "wanted")["spec"]["config"] == {"greeting": "two"}


def _wait_for_the_next_second(older: Object) -> None:
    """Wait until what is created is younger, since the API server tells ages in whole seconds."""
    created = datetime.fromisoformat(older["metadata"]["creationTimestamp"])
    until_next = (created + timedelta(seconds=1) - datetime.now(UTC)).total_seconds()
    time.sleep(max(0.0, until_next))


def _greeting(name: str, greeting: str, *, priority: int) -> Object:
    config = {"config": {"greeting": greeting}}
    return upgrade(name, "wanted", to=config, strategy=AT_ONCE, priority=priority)
