"""Config: how a change reaches the pods, and which never does."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.e2e.cluster import Refused
from tests.e2e.sample import agent
from tests.e2e.test_upgrade_words import wait_for_sizes
from tests.e2e.world import World, condition, identity, revision

RELOADED: Final = 120.0
"""Seconds in which a config reaches a pod that runs, also by way of a busy kubelet: one that is
told of the pod before it is told of the ConfigMap looks again only after up to 90."""


@pytest.mark.row("D02")
def test_d02_a_config_is_reloaded_without_a_restart(world: World) -> None:
    """The same process goes on with the new values, and the version is counted."""
    world.apply(agent("a", config={"threshold": "0.5"}, configUpdate="InPlace"))
    before = world.wait_until_ready("a")
    pod = world.pod("a")
    name = pod["metadata"]["name"]

    with world.log(name, within=RELOADED) as lines:
        events = (json.loads(line)["event"] for line in lines)
        assert next(events) == "config-loaded"
        world.change("a", config={"threshold": "0.9"})
        assert "config-loaded" in events
    after = world.wait_until_ready("a")

    assert _config(world, name) == {"threshold": "0.9"}
    assert identity(world.pod("a")) == identity(pod)
    assert after["status"]["configVersion"] == before["status"]["configVersion"] + 1
    assert [record["version"] for record in after["status"]["configHistory"]] == [1, 2]
    assert after["status"]["targetRevision"] == before["status"]["targetRevision"]


@pytest.mark.row("D02")
def test_d02_a_config_that_is_rolled_out_is_a_new_revision(world: World) -> None:
    """By default a change of config is a change like any other: new pods, and a way back."""
    world.apply(agent("a", config={"threshold": "0.5"}))
    before = world.wait_until_ready("a")
    old = world.pod("a")

    world.change("a", config={"threshold": "0.9"})
    after = world.wait_until_ready("a")
    new = world.wait_until_children("a", "Pod", lambda pods: len(pods) == 1, within=60)[0]

    assert revision(new) != revision(old)
    assert _config(world, new["metadata"]["name"]) == {"threshold": "0.9"}
    assert after["status"]["configVersion"] == before["status"]["configVersion"] + 1


@pytest.mark.row("D03")
@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"threshold": 0.9}, id="a number where text is wanted"),
        pytest.param({"../threshold": "0.9"}, id="a key that is no file name"),
        pytest.param({f"key-{n}": "" for n in range(65)}, id="too many keys"),
    ],
)
def test_d03_a_config_that_cannot_be_is_refused_and_the_good_one_kept(
    world: World, config: dict[str, Any]
) -> None:
    """What the schema forbids is told at once, and the agent never hears of it."""
    world.apply(agent("a", config={"threshold": "0.5"}, configUpdate="InPlace"))
    world.wait_until_ready("a")
    before = world.get("Agent", "a")

    with pytest.raises(Refused, match=r"spec\.config") as refused:
        world.change("a", config=config)

    assert refused.value.status == 422
    assert world.get("Agent", "a")["metadata"]["generation"] == before["metadata"]["generation"]
    assert _config(world, world.pod("a")["metadata"]["name"]) == {"threshold": "0.5"}


@pytest.mark.row("D03")
def test_d03_a_config_the_agent_cannot_use_never_replaces_the_good_one(world: World) -> None:
    """What only the agent can judge it judges before the old pod goes, and the change is undone."""
    world.apply(agent("a", config={"threshold": "0.5"}))
    stable = world.wait_until_ready("a")["status"]["stableRevision"]
    good = world.pod("a")

    world.change("a", config={"threshold": "abc"})
    upgrade = world.wait_upgrade("a-2", "RolledBack")
    found = world.wait_for_condition("a", "Stalled", "True")

    # The rollback is over before the pods of the version that failed are gone.
    wait_for_sizes(world, "a", {stable: 1})
    assert upgrade["status"]["rollback"]["trigger"] == "Crash"
    ready = condition(found, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "RolledBack")
    status = found["status"]
    assert (status["phase"], status["stableRevision"]) == ("Online", stable)
    assert status["availableReplicas"] == 1
    assert (status["errorCount"], status["lastError"]["reason"]) == (1, "RolledBack")
    assert identity(world.pod("a")) == identity(good)
    assert _config(world, good["metadata"]["name"]) == {"threshold": "0.5"}


def _config(world: World, pod: str) -> dict[str, str]:
    values: dict[str, str] = world.http(pod, "/config").json()["values"]
    return values
