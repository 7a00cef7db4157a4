"""The API as kubectl shows it."""

from __future__ import annotations

import pytest
import yaml
from tests.e2e.sample import agent
from tests.e2e.world import World, is_ready


@pytest.mark.row("A01")
def test_a01_kubectl_explains_a_field(world: World) -> None:
    """Every field can be looked up where it is used."""
    explained = world.kubectl("explain", "agent.spec.operatingMode")

    assert explained.code == 0
    assert "Suspended" in explained.out
    assert "ENUM" in explained.out or "enum" in explained.out


@pytest.mark.row("A01")
def test_a01_a_value_that_does_not_exist_is_refused(world: World) -> None:
    """A typing error is told at once and leaves nothing behind."""
    manifest = yaml.safe_dump(agent("a", operatingMode="foo"))

    refused = world.kubectl("apply", "--server-side", "-f", "-", stdin=manifest)

    assert refused.code != 0
    assert 'Unsupported value: "foo"' in refused.err
    assert world.find("Agent", "a") is None


@pytest.mark.row("A01")
def test_a01_kubectl_shows_phase_and_available_pods(world: World) -> None:
    """The list of agents tells what each does and how much of it serves."""
    world.apply(agent("a", version="1.2.3"))
    world.wait_until(
        "Agent", "a", lambda a: a.get("status", {}).get("phase") == "Online", within=60
    )

    heading, row = world.kubectl("get", "ag").out.splitlines()

    shown = dict(zip(heading.split(), row.split(), strict=False))
    assert heading.split() == ["NAME", "PHASE", "VERSION", "READY", "AVAILABLE", "DESIRED", "AGE"]
    assert shown["NAME"] == "a"
    assert shown["PHASE"] == "Online"
    assert shown["VERSION"] == "1.2.3"
    assert shown["READY"] == "True"
    assert shown["AVAILABLE"] == "1"


@pytest.mark.row("A01")
def test_a01_kubectl_scales(world: World) -> None:
    """An Agent is scaled like everything else that can be scaled."""
    world.apply(agent("a"))
    world.wait_until_ready("a")

    scaled = world.kubectl("scale", "ag/a", "--replicas=2")

    assert scaled.code == 0, scaled.err
    pods = world.wait_until_children(
        "a", "Pod", lambda pods: sum(map(is_ready, pods)) == 2, within=60
    )
    assert len(pods) == 2
