"""Agents about which nothing is decided: what is said of them, and what they have left behind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import NOON, agent
from tests.unit.domain.samples import seen_upgrade

from agentherd.domain.decide import decide
from agentherd.domain.kinds import HTTP_ROUTE, Key
from agentherd.domain.observation import AgentObservation, Leftovers, SeenUpgrade
from agentherd.domain.plan import Merge, WriteStatus
from agentherd.domain.routing.routes import RouteView

KEY = Key("default", "greeter")


def written(upgrade: SeenUpgrade) -> dict[str, Any] | None:
    """The status that an upgrade gets whose Agent does not exist."""
    plan = decide(Leftovers(key=KEY, upgrades={"one": upgrade}), NOON)
    writes = [dict(i.status) for i in plan.intents if isinstance(i, WriteStatus)]
    return writes[0] if writes else None


@pytest.mark.parametrize("phase", [None, "Pending"])
def test_an_upgrade_of_nobody_says_so_and_waits(phase: str | None) -> None:
    """The Agent may come; until then it is stuck."""
    status = written(seen_upgrade("one", status={"phase": phase} if phase else {}))

    assert status is not None
    told = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert status["phase"] == "Pending"
    assert told["Stalled"] == ("True", "TargetNotFound")
    assert told["Validated"] == ("False", "TargetNotFound")


def test_it_is_said_once() -> None:
    """No write begets a write."""
    status = written(seen_upgrade("one"))

    assert written(seen_upgrade("one", status=status)) is None


def test_an_upgrade_whose_agent_was_deleted_is_over() -> None:
    """There is nothing left to upgrade."""
    status = written(seen_upgrade("one", status={"phase": "Progressing", "weight": 5}))

    assert status is not None
    assert (status["phase"], status["weight"]) == ("Superseded", 0)
    assert status["finishedAt"] == "2026-11-21T12:00:00Z"


@pytest.mark.parametrize("phase", ["Succeeded", "RolledBack", "Superseded"])
def test_what_has_ended_stays_as_it_ended(phase: str) -> None:
    """It is history."""
    assert written(seen_upgrade("one", status={"phase": phase})) is None


def route(*marks: str) -> RouteView:
    backends = [
        {"name": "greeter", "port": 80, "weight": 95},
        {"name": "greeter-0123456789", "port": 80, "weight": 5},
    ]
    return RouteView.of(
        {
            "metadata": {
                "name": "shop",
                "namespace": "default",
                "uid": "u",
                "resourceVersion": "7",
                "annotations": {"agentherd.dev/canary": ",".join(marks)},
            },
            "spec": {"rules": [{"backendRefs": backends}]},
        }
    )


def test_a_route_that_a_deleted_agent_has_left_is_freed() -> None:
    """Its canary goes, the mark of another Agent stays; and only if nobody wrote meanwhile."""
    places = {(HTTP_ROUTE, Key("default", "shop")): route("greeter", "other")}

    (merge,) = decide(Leftovers(key=KEY, routes=places), NOON).intents

    assert isinstance(merge, Merge)
    assert merge.version == 7
    assert merge.patch["metadata"]["annotations"] == {"agentherd.dev/canary": "other"}
    (rule,) = merge.patch["spec"]["rules"]
    assert [ref["name"] for ref in rule["backendRefs"]] == ["greeter"]


def test_a_route_of_others_is_left_alone() -> None:
    """Without the mark nothing in it is the Agent's."""
    places = {(HTTP_ROUTE, Key("default", "shop")): route("other")}

    assert decide(Leftovers(key=KEY, routes=places), NOON).intents == ()


def test_nobody_owns_what_is_left() -> None:
    """There is no spec to have a generation, and no status to have a phase."""
    left = Leftovers(key=KEY)

    assert (left.owner, left.generation, left.phase) == (None, 0, None)


def test_a_status_of_a_newer_version_is_not_written() -> None:
    """What is not known in it would be gone."""
    seen = AgentObservation(agent=agent(), unreadable="status.dreams: no such field")

    assert decide(seen, NOON).intents == ()


def test_an_agent_that_is_not_understood_keeps_its_upgrades_as_they_are() -> None:
    """What runs goes on running, and nobody guesses."""
    seen = AgentObservation(
        agent=agent(),
        unreadable="spec.operatingMode: no such mode",
        upgrades={"one": seen_upgrade("one", status={"phase": "Progressing"})},
    )

    (write,) = decide(seen, NOON).intents

    assert isinstance(write, WriteStatus)
    assert write.target == seen.identity
