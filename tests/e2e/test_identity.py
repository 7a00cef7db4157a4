"""Who an Agent's pods are."""

from __future__ import annotations

import pytest
from tests.e2e.sample import agent
from tests.e2e.world import World


@pytest.mark.row("L04")
def test_l04_every_agent_runs_as_somebody_of_its_own(world: World) -> None:
    """No two Agents share a ServiceAccount, and none has that of the namespace."""
    world.apply(agent("a"))
    world.apply(agent("b"))
    world.wait_until_ready("a")
    world.wait_until_ready("b")

    accounts = [world.pod(name)["spec"]["serviceAccountName"] for name in ("a", "b")]

    assert accounts == ["agentherd-a", "agentherd-b"]
    assert all(world.find("ServiceAccount", account) for account in accounts)


@pytest.mark.row("L04")
@pytest.mark.parametrize("verb", ["get", "patch", "delete"])
def test_l04_an_agent_cannot_touch_other_agents(world: World, verb: str) -> None:
    """Its account is granted nothing."""
    world.apply(agent("a", operatingMode="Offline"))
    world.wait_for_phase("a", "Offline")
    account = f"system:serviceaccount:{world.namespace}:agentherd-a"

    answer = world.kubectl("auth", "can-i", verb, "agents.agentherd.dev", f"--as={account}")

    assert world.find("ServiceAccount", "agentherd-a") is not None
    assert answer.out.strip() == "no"
