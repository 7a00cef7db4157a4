"""Many Agents at once, and none of them forgotten."""

from __future__ import annotations

from typing import Final

import pytest
from tests.e2e.fleet import each, names, podless, wait_until_settled
from tests.e2e.world import START, World

FLEET: Final = 200


@pytest.mark.row("N02")
def test_n02_no_change_of_two_hundred_agents_is_lost(world: World) -> None:
    """All are created, then each is changed twice in a row: the last change is what counts."""
    fleet = names("a", FLEET)
    process = world.operator.pid

    each(lambda name: world.apply(_version(name, 1)), fleet)
    each(lambda name: (world.apply(_version(name, 2)), world.apply(_version(name, 3))), fleet)
    found = wait_until_settled(world, fleet, within=2 * START)

    targets = {f"{name}-{found[name]['status']['targetRevision']}": name for name in fleet}
    configs = {
        item["metadata"]["name"]: item
        for item in world.cluster.wait_until_all(
            "ConfigMap",
            lambda items: targets.keys() <= {item["metadata"]["name"] for item in items},
            within=30,
            namespace=world.namespace,
        )
    }
    for target, name in targets.items():
        assert configs[target]["data"] == {"greeting": f"{name} 3"}
    for name in fleet:
        status = found[name]["status"]
        assert status["observedGeneration"] == 3
        assert 1 <= status["configVersion"] <= 3
        assert status["configHistory"][-1]["hash"] == status["configHash"]
        assert len(status["configHistory"]) == status["configVersion"]
    assert world.operator.pid == process
    assert world.operator.metric("agentherd_reconciles_total", result="bug") == 0
    assert world.operator.metric("agentherd_agents", phase="Offline") == FLEET


def _version(name: str, number: int) -> dict[str, object]:
    return podless(name, version=f"1.0.{number}", config={"greeting": f"{name} {number}"})
