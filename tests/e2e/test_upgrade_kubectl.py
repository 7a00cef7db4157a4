"""What people see of an upgrade who have kubectl and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    quiet,
    steer,
    step,
    wait_at_step,
)
from tests.e2e.world import SOON, World

GATED: Final = canary(step(50))
COLUMNS: Final = ["NAME", "TARGET", "PHASE", "STEP", "WEIGHT", "SEEN", "AGE"]
WIDE: Final = [
    "NAME",
    "TARGET",
    "PHASE",
    "STEP",
    "STEPS",
    "WEIGHT",
    "SEEN",
    "FROM",
    "TO",
    "REASON",
    "AGE",
]


@pytest.fixture(scope="module")
def held(shared_world: World) -> tuple[World, Object]:
    """A world with an upgrade that waits at its only step, and the upgrade."""
    shared_world.apply(quiet("shown", upgradePolicy=GATED))
    shared_world.wait_until_ready("shown")
    name = change(shared_world, "shown", version="2.0.0")
    return shared_world, wait_at_step(shared_world, name, 1)


def test_the_list_shows_where_each_upgrade_is(held: tuple[World, Object]) -> None:
    """Target, phase, step and weight in one line; under its short name."""
    world, _ = held

    heading, row = world.kubectl("get", "agup", "shown-2").out.splitlines()

    assert heading.split() == COLUMNS
    # Nothing has measured these requests, so the column of what was seen is empty.
    assert row.split()[:5] == ["shown-2", "shown", "Paused", "1", "50"]
    assert len(row.split()) == 6
    assert "shown-2" in world.kubectl("get", "agentherd").out


def test_the_wide_list_shows_why_and_from_where(held: tuple[World, Object]) -> None:
    """Both revisions, and the reason for which it is where it is."""
    world, found = held

    heading, row = world.kubectl("get", "agup", "shown-2", "-o", "wide").out.splitlines()

    status = found["status"]
    assert heading.split() == WIDE
    assert row.split()[6:9] == [
        status["fromRevision"],
        status["toRevision"],
        "WaitingForPromotion",
    ]


def test_describe_tells_what_is_waited_for_and_what_has_happened(
    held: tuple[World, Object],
) -> None:
    """The conditions say what to do; the history says how it came there."""
    world, _ = held

    told = world.kubectl("describe", "agup", "shown-2").out

    assert "waits for spec.promote" in told
    assert "step 1 of 1: weight 50" in told
    assert "requests are shared by the number of pods" in told


def test_the_agent_names_the_upgrade_that_it_is_in(held: tuple[World, Object]) -> None:
    """Who looks at the Agent finds the upgrade, and where it is."""
    world, _ = held

    told = world.kubectl("describe", "ag", "shown").out

    assert "upgrade shown-2 Paused: step 1 of 1, weight 50: waits for spec.promote" in told


def test_kubectl_waits_for_success(shared_world: World) -> None:
    """With nothing but the condition, from before the end to the end; and an Event tells of it."""
    world = shared_world
    world.apply(quiet("awaited", upgradePolicy=canary(step(50, seconds=1))))
    world.wait_until_ready("awaited")
    name = change(world, "awaited", version="2.0.0")
    world.wait_until("AgentUpgrade", name, lambda _: True)

    waited = world.kubectl("wait", f"agup/{name}", "--for=condition=Succeeded", "--timeout=50s")
    agent = world.kubectl("wait", "ag/awaited", "--for=condition=Ready", "--timeout=50s")

    assert (waited.code, agent.code) == (0, 0), waited.err + agent.err
    # An Event comes after the status that it tells of.
    world.cluster.wait_until_all(
        "Event",
        lambda events: any(
            (event["regarding"].get("name"), event.get("reason")) == (name, "UpgradeSucceeded")
            for event in events
        ),
        within=SOON,
        namespace=world.namespace,
    )
    told = world.kubectl("events", f"--for=agentupgrade/{name}").out
    assert "UpgradeSucceeded" in told


def test_kubectl_waits_for_failure(shared_world: World) -> None:
    """`Succeeded=False` is the end of one that was rolled back, and not before."""
    world = shared_world
    world.apply(quiet("refused", upgradePolicy=GATED))
    world.wait_until_ready("refused")
    name = change(world, "refused", version="2.0.0")
    wait_at_step(world, name, 1)
    early = world.kubectl("wait", f"agup/{name}", "--for=condition=Succeeded=False", "--timeout=1s")

    steer(world, name, rollback={"requested": True, "reason": "no"})
    waited = world.kubectl(
        "wait", f"agup/{name}", "--for=condition=Succeeded=False", "--timeout=50s"
    )

    assert early.code != 0
    assert waited.code == 0, waited.err


@pytest.mark.parametrize("resource", ["agents", "agentupgrades"])
def test_kubectl_explains_every_field(shared_world: World, resource: str) -> None:
    """Everything that can be written or read has a text, at every depth."""
    world = shared_world
    found = world.cluster.get("CustomResourceDefinition", f"{resource}.agentherd.dev")
    assert found is not None
    (version,) = found["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]

    for place, fields in _objects(schema, resource):
        explained = world.kubectl("explain", place)
        assert explained.code == 0, explained.err
        assert "<no description>" not in explained.out, place
        assert fields <= _explained(explained.out), place


def _objects(schema: Object, place: str) -> Iterator[tuple[str, set[str]]]:
    """Every object in a schema, with the names of its fields."""
    properties: Object = schema.get("properties", {})
    if properties:
        yield place, set(properties)
    for name, field in properties.items():
        yield from _objects(field.get("items", field), f"{place}.{name}")


def _explained(text: str) -> set[str]:
    """The fields that kubectl tells of, each at the beginning of a paragraph."""
    lines = text.partition("FIELDS:")[2].splitlines()
    return {line.split("\t")[0].strip() for line in lines if "\t<" in line}
