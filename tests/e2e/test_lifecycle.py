"""From the first apply to the last line of a pod's log."""

from __future__ import annotations

import pytest

from tests.e2e.sample import agent
from tests.e2e.world import World


@pytest.mark.row("A02")
def test_a02_a_new_agent_has_one_phase_and_one_entry_of_history(world: World) -> None:
    """An Agent that is registered but not started says so, once."""
    world.apply(agent("a", operatingMode="Offline"))

    found = world.wait_for_phase("a", "Offline")

    assert [entry["to"] for entry in found["status"]["history"]] == ["Offline"]
    assert world.pods("a") == []
