"""An Agent that was deleted without its children, and one of its name that finds them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import Rig, Twin, raw_agent

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
    ROUTE_KINDS,
)

KINDS = (*CHILD_KINDS, *ROUTE_KINDS)
STEPS = {"canary": {"steps": [{"weight": 50, "pause": {"seconds": 3600}}]}}
FIRST: dict[str, Any] = {
    "config": {"a": "1"},
    "configUpdate": "InPlace",
    "traffic": {"parentRefs": [{"name": "gate"}]},
    "upgradePolicy": STEPS,
}
NEXT = FIRST | {"image": "agent:2", "configUpdate": "Rollout"}
LESS = {"image": "agent:2"}


def owners(raw: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = raw["metadata"].get("ownerReferences", [])
    return found


def leave(twin: Twin) -> None:
    """`kubectl delete --cascade=orphan`: the collector takes the owner from the children."""
    uid = twin.live(AGENT, "greeter")["metadata"]["uid"]
    for kind in (AGENT_UPGRADE, *KINDS):
        for raw in twin.all(kind):
            if any(each["uid"] == uid for each in owners(raw)):
                patch = {"metadata": {"ownerReferences": None}}
                twin.edit(kind, raw["metadata"]["name"], patch, manager="collector")
    twin.remove(AGENT, "greeter")


@pytest.fixture
async def left(rig: Rig, twin: Twin) -> Twin:
    """An Agent was left in the middle of a canary."""
    twin.put(AGENT, raw_agent(**FIRST))
    await rig.until_quiet()
    twin.edit(AGENT, "greeter", {"spec": raw_agent(**NEXT)["spec"]})
    await rig.until_quiet()
    leave(twin)
    await rig.until_quiet()
    return twin


@pytest.mark.parametrize("spec", [FIRST, NEXT, LESS], ids=["before", "after", "with less"])
async def test_all_that_was_left_goes_with_the_agent_that_finds_it(
    rig: Rig, left: Twin, spec: dict[str, Any]
) -> None:
    """Former revisions too, of which nothing else is written."""
    left.put(AGENT, raw_agent(metadata={"uid": "uid-anew"}, **spec))
    await rig.until_quiet()

    kept = [raw for kind in KINDS if kind is not POD for raw in left.all(kind)]
    assert [each["uid"] for raw in kept for each in owners(raw)] == ["uid-anew"] * len(kept)

    left.remove(AGENT, "greeter")
    await rig.until_quiet()

    assert {kind.name: left.names(kind) for kind in KINDS if left.names(kind)} == {}


async def test_a_route_that_was_left_leads_nobody_to_the_canary(rig: Rig, left: Twin) -> None:
    """The Agent that is there now has none, and no upgrade either."""
    left.put(AGENT, raw_agent(metadata={"uid": "uid-anew"}, **LESS))
    await rig.until_quiet()

    assert left.names(HTTP_ROUTE) == []
    assert sorted(raw["spec"]["replicas"] for raw in left.all(REPLICA_SET)) == [0, 0, 1]


async def test_a_route_of_nobody_of_another_name_is_left_alone(rig: Rig, left: Twin) -> None:
    """Somebody may have made it from a copy of that of the Agent."""
    copy = left.live(HTTP_ROUTE, "greeter")
    kept = {name: copy["metadata"][name] for name in ("namespace", "labels", "annotations")}
    rules = [{"backendRefs": [{"name": "greeter", "port": 8080}]}]
    left.put(HTTP_ROUTE, copy | {"metadata": kept | {"name": "mine"}, "spec": {"rules": rules}})
    left.put(AGENT, raw_agent(metadata={"uid": "uid-anew"}, **LESS))
    await rig.until_quiet()

    assert left.names(HTTP_ROUTE) == ["mine"]
