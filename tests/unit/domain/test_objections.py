"""Why an upgrade cannot begin, as it is written and as things are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.twin.samples import agent
from tests.unit.domain.choices import BAD_TEMPLATE, asks, at, hash_of, reason_of
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.domain.kinds import Key
from agentherd.domain.observation import AgentObservation
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.routing.gateways import MIRROR, SeenGateways
from agentherd.domain.upgrades.change import Objection, choose, objection, revision_named


def objected(**fields: Any) -> Objection | None:
    one = seen_upgrade("mine", **fields)
    seen = at(2, one)
    return objection(seen, one, revision_of(seen.agent.spec))


@pytest.mark.parametrize(
    ("fields", "reason", "waits"),
    [
        ({}, None, None),
        ({"to": {"revision": hash_of(1)}}, None, None),
        ({"to": {"revision": hash_of(2)}}, None, None),
        ({"seen": {"unreadable": "spec.x: no"}}, Reason.NOT_UNDERSTOOD, False),
        ({"to": {"revision": "0" * 10}}, Reason.REVISION_NOT_FOUND, False),
        ({"to": {"template": BAD_TEMPLATE}}, Reason.INVALID_TEMPLATE, False),
        ({"to": {"version": "1.9.0"}}, Reason.DOWNGRADE, False),
        ({"to": {"version": "1.9.0"}, "allowDowngrade": True}, None, None),
        ({"rollback": {"requested": True}}, Reason.ROLLBACK_REQUESTED, False),
        ({"rollback": {"requested": False}}, None, None),
        ({"seen": {"needs": {"a": "Succeeded"}}}, None, None),
        ({"seen": {"needs": {"a": "Promoting"}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": None}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": "RolledBack"}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": None}, "circle": ("mine", "a")}}, Reason.DEPENDENCY_CYCLE, False),
        ({"paused": True}, Reason.PAUSED, True),
    ],
)
def test_why_an_upgrade_cannot_begin(
    fields: dict[str, Any], reason: Reason | None, waits: bool | None
) -> None:
    """And whether that may pass by itself."""
    found = objected(**fields)

    assert reason_of(found) is reason
    assert found is None or found.waits is waits


def test_all_that_is_waited_for_is_named() -> None:
    """In an order that does not change from look to look."""
    found = objected(seen={"needs": {"b": None, "a": "Pending", "c": "Succeeded"}})

    assert found is not None
    assert found.message == "waits until a, b has succeeded"


def test_a_circle_is_told_by_the_names_of_all_in_it() -> None:
    """Any of them may be the one to change."""
    found = objected(seen={"needs": {"a": "Pending"}, "circle": ("mine", "a", "b")})

    assert found is not None
    assert found.message.startswith("mine → a → b → mine: ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": {"revision": "0" * 10}, "seen": {"unreadable": "x"}}, Reason.NOT_UNDERSTOOD),
        ({"to": {"version": "1.0.0", "template": BAD_TEMPLATE}}, Reason.INVALID_TEMPLATE),
        ({"to": {"version": "1.0.0"}, "rollback": {"requested": True}}, Reason.DOWNGRADE),
        ({"to": {"version": "1.0.0"}, "paused": True}, Reason.DOWNGRADE),
        (
            {"rollback": {"requested": True}, "seen": {"needs": {"a": None}}},
            Reason.ROLLBACK_REQUESTED,
        ),
        ({"paused": True, "seen": {"needs": {"a": None}}}, Reason.WAITING_FOR_DEPENDENCIES),
    ],
)
def test_what_does_not_pass_by_itself_is_told_first(fields: dict[str, Any], reason: Reason) -> None:
    """Nobody should wait for something in vain."""
    assert reason_of(objected(**fields)) is reason


def test_an_agent_without_a_version_cannot_be_downgraded() -> None:
    """There is nothing to compare with."""
    one = seen_upgrade("mine", to={"version": "0.1.0"})
    seen = upgraded(agent(), one, stable=hash_of(1))

    assert objection(seen, one, revision_of(seen.agent.spec)) is None


def test_a_revision_of_an_earlier_agent_does_not_count() -> None:
    """It has the name and not the uid."""
    others = {"greeter-x": replace(kept(asks(1)), owner="somebody")}

    found = AgentObservation(agent=asks(2), revisions=others)

    assert revision_named(found, hash_of(1), revision_of(asks(2).spec)) is None


# What Gateways can do

MIRRORED: dict[str, Any] = {
    "traffic": {"parentRefs": [{"name": "gate"}]},
    "upgradePolicy": {"canary": {"steps": [{"weight": 0, "mirror": 100}]}},
}


def gateways(*features: str) -> SeenGateways:
    classes = {Key("default", "gate"): "fast"}
    return SeenGateways(classes=classes, features={"fast": frozenset(features)}, known=True)


def objection_of(seen: AgentObservation) -> Objection | None:
    return choose(seen).objections["greeter-2"]


def test_what_no_gateway_can_do_does_not_begin() -> None:
    """Nothing changes before it can be made as it is written; then it begins by itself."""
    made = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})
    seen = at(2, made, target=2, governing="greeter-2", **MIRRORED)

    unknown = objection_of(seen)
    cannot = objection_of(replace(seen, gateways=gateways()))
    can = objection_of(replace(seen, gateways=gateways(MIRROR)))

    assert unknown is not None
    assert unknown.waits
    assert reason_of(cannot) is Reason.NOT_SUPPORTED
    assert can is None


def test_the_way_back_asks_nothing_of_a_gateway() -> None:
    """A revision that has proved itself is gone back to without steps."""
    made = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})
    seen = replace(at(2, made, target=2, governing="greeter-2", **MIRRORED), gateways=gateways())
    status = seen.agent.status.model_copy(update={"former_revisions": (hash_of(2),)})

    assert (
        objection_of(replace(seen, agent=seen.agent.model_copy(update={"status": status}))) is None
    )


# Ports


def with_port(number: int) -> dict[str, Any]:
    container = {"name": "agent", "image": "agent:1", "ports": [{"containerPort": number}]}
    return {"template": {"spec": {"containers": [container]}}}


@pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        (None, Reason.PORT_NOT_FOUND),
        ({"parentRefs": [{"name": "gate"}]}, None),
        ({"parentRefs": [{"name": "gate"}], "port": 9090}, Reason.PORT_NOT_FOUND),
        ({"routeRef": {"name": "shop"}}, None),
    ],
    ids=["one Service", "the first port", "only in the new version", "a route that is not there"],
)
def test_a_change_that_would_interrupt_requests_does_not_begin(
    traffic: dict[str, Any] | None, reason: Reason | None
) -> None:
    """The container listens at another port than that of the version that serves."""
    made = seen_upgrade("greeter-2", to={"template": with_port(9090)["template"]})
    spec = {"traffic": traffic} if traffic else {}
    found = objection_of(at(1, made, **spec))

    assert (found.reason if found else None) is reason
    assert found is None or not found.waits


def test_pods_that_are_replaced_one_by_one_share_a_service_behind_a_route_too() -> None:
    """So the port has to mean the same in both."""
    to = {"template": with_port(9090)["template"]}
    made = seen_upgrade("greeter-2", to=to, strategy={"type": "RollingUpdate"})

    found = objection_of(at(1, made, traffic={"parentRefs": [{"name": "gate"}]}))

    assert reason_of(found) is Reason.PORT_NOT_FOUND


def test_ports_of_a_route_that_has_not_been_read_are_waited_for() -> None:
    """It begins by itself."""
    made = seen_upgrade("greeter-2", to={"version": "9.0.0"})

    found = objection_of(replace(at(1, made, traffic=SHARED_ROUTE), routes_known=False))

    assert found is not None
    assert found.waits


SHARED_ROUTE = {"routeRef": {"name": "shop"}}
