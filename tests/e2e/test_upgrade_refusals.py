"""What the API server refuses to take, and whether what it says helps."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.test_upgrade_words import (
    canary,
    quiet,
    steer,
    step,
    upgrade,
    wait_at_step,
)
from tests.e2e.world import Command, World

GATED: Final = canary(step(50))


@pytest.fixture(scope="module")
def begun(shared_world: World) -> tuple[World, str]:
    """A world with an upgrade that waits at its first step, and its name."""
    shared_world.apply(quiet("steady", upgradePolicy=GATED))
    shared_world.wait_until_ready("steady")
    shared_world.apply(upgrade("begun", "steady", to={"version": "2.0.0"}, attempt=2))
    wait_at_step(shared_world, "begun", 1)
    return shared_world, "begun"


FROZEN: Final[dict[str, Any]] = {
    "to": {"version": "3.0.0"},
    "strategy": {"type": "BlueGreen"},
    "priority": 9,
    "dependsOn": ["another"],
    "allowDowngrade": True,
}


@pytest.mark.parametrize("field", FROZEN)
def test_what_has_begun_keeps_what_it_is_judged_by(begun: tuple[World, str], field: str) -> None:
    """The message names the field, and the way that is open instead."""
    world, name = begun
    before = world.upgrade(name)["spec"]

    refused = _patched(world, name, {"spec": {field: FROZEN[field]}})

    assert refused.code != 0
    assert f"spec.{field}: " in refused.err
    assert "cannot be changed once the upgrade has begun: create another" in refused.err
    assert world.upgrade(name)["spec"] == before


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"targetRef": {"name": "other"}}, "create another AgentUpgrade for the other Agent"),
        ({"attempt": 1}, "cannot be lowered: raise it to try again after a rollback"),
        ({"attempt": 3}, "can be raised only after a rollback, when status.phase is RolledBack"),
        ({"attempt": 101}, "less than or equal to 100"),
        (
            {"attempt": 3, "rollback": {"requested": True}},
            "must not be raised while rollback.requested is true",
        ),
        ({"promote": {"step": 0}}, "greater than or equal to 1"),
        ({"rollback": {"requested": True, "reason": "x" * 257}}, "may not be more than 256"),
        ({"paused": "yes"}, "must be of type boolean"),
    ],
)
def test_a_word_that_steers_is_refused_with_what_to_do(
    begun: tuple[World, str], patch: Object, said: str
) -> None:
    """Nothing of it is taken in, and the upgrade stays where it is."""
    world, name = begun
    before = world.upgrade(name)["spec"]

    refused = _patched(world, name, {"spec": patch})

    assert refused.code != 0
    assert said in refused.err
    assert world.upgrade(name)["spec"] == before


def test_what_has_not_begun_may_still_be_changed(shared_world: World) -> None:
    """All but whom it is for."""
    world = shared_world
    world.apply(upgrade("open", "nobody-yet", to={"version": "2.0.0"}))
    world.wait_upgrade("open", "Pending")

    for field, value in FROZEN.items():
        steer(world, "open", **{field: value})
    refused = _patched(world, "open", {"spec": {"targetRef": {"name": "steady"}}})

    spec = world.upgrade("open")["spec"]
    assert {field: spec[field] for field in FROZEN} == FROZEN
    assert "cannot be changed" in refused.err


@pytest.mark.row("E02")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"to": {}}, "must change something: set version, image, config, template or revision"),
        ({"to": {"revision": "0123456789", "version": "2.0.0"}}, "must stand alone"),
        ({"to": {"version": "two"}}, "spec.to.version"),
        ({"to": {"template": {"spce": {}}}}, "spce"),
        ({"dependsOn": ["refused"]}, "must not contain the name of the AgentUpgrade itself"),
        ({"dependsOn": ["a", "a"]}, "duplicate entries"),
        ({"priority": 11}, "less than or equal to 10"),
        ({"attempt": 0}, "greater than or equal to 1"),
        ({"strategy": canary(step(101))}, "less than or equal to 100"),
        ({"strategy": canary(step(-1))}, "greater than or equal to 0"),
        ({"strategy": canary(*[step(1)] * 21)}, "must have at most 20 items"),
        ({"strategy": canary({"pause": {}})}, "weight: Required value"),
        ({"strategy": canary(step(10, replicas=0))}, "a version without pods cannot get requests"),
        ({"strategy": canary(step(10, seconds=0))}, "greater than or equal to 1"),
        ({"strategy": canary(progressDeadlineSeconds=9)}, "greater than or equal to 10"),
        ({"strategy": {"type": "Sideways"}}, 'Unsupported value: "Sideways"'),
        (
            {"strategy": {"type": "BlueGreen", "canary": {}}},
            "must be left out unless type is Canary",
        ),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%"}}},
            "maxSurge",
        ),
        ({"targetRef": {"name": "Not_A_Name"}}, "spec.targetRef.name"),
    ],
)
def test_an_upgrade_that_makes_no_sense_is_not_created(
    shared_world: World, spec: dict[str, Any], said: str
) -> None:
    """What would be refused later, or never understood, is told at once."""
    target = spec.get("targetRef", {}).get("name", "nobody")
    rest = {key: value for key, value in spec.items() if key != "targetRef"}
    manifest = json.dumps(upgrade("refused", target, **rest))

    refused = shared_world.kubectl("apply", "--server-side", "-f", "-", stdin=manifest)

    assert refused.code != 0
    assert said in refused.err
    assert shared_world.find("AgentUpgrade", "refused") is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"upgradePolicy": {"type": "Canary", "blueGreen": {}}}, "unless type is BlueGreen"),
        ({"traffic": {}}, "parentRefs"),
        (
            {"traffic": {"parentRefs": [{"name": "g"}], "routeRef": {"name": "r"}}},
            "parentRefs",
        ),
        ({"traffic": {"routeRef": {"name": "r"}, "hostnames": ["a.test"]}}, "hostnames"),
        ({"traffic": {"parentRefs": [{"name": "g"}], "testers": {}}}, "testers"),
        ({"traffic": {"parentRefs": [{"name": "g"}], "settleSeconds": 61}}, "or equal to 60"),
    ],
)
def test_an_agent_that_could_not_be_upgraded_so_is_not_created(
    shared_world: World, spec: dict[str, Any], said: str
) -> None:
    """The same words in the Agent's policy, and how requests would reach it."""
    manifest = json.dumps(quiet("refused", **spec))

    refused = shared_world.kubectl("apply", "--server-side", "-f", "-", stdin=manifest)

    assert refused.code != 0
    assert said in refused.err
    assert shared_world.find("Agent", "refused") is None


def _patched(world: World, name: str, patch: Object) -> Command:
    return world.kubectl("patch", "agup", name, "--type=merge", f"--patch={json.dumps(patch)}")
