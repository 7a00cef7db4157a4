"""Copies of requests are asked for only of Gateways that say they make them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent
from tests.unit.domain.samples import seen_upgrade

from agentherd.api import Traffic
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import Key
from agentherd.domain.reasons import Reason
from agentherd.domain.routing.gateways import (
    MIRROR,
    PERCENTAGE_MIRROR,
    SeenGateways,
    features_of,
    mirror_fault,
    mirrors,
)

GREETER = Key("default", "greeter")
PARENTS = {"parentRefs": [{"name": "gate", "namespace": "infra"}]}
MIRRORED = {"canary": {"steps": [{"weight": 0, "mirror": 50}, {"weight": 10}]}}
PLAIN = {"canary": {"steps": [{"weight": 10}]}}


def seen(*features: str, **fields: Any) -> SeenGateways:
    """One Gateway, of a class with these features."""
    classes = {Key("infra", "gate"): "fast"}
    known = {"classes": classes, "features": {"fast": frozenset(features)}, "known": True}
    return SeenGateways(**known | fields)


def fault(
    gateways: SeenGateways, percent: int = 50, traffic: dict[str, Any] | None = None
) -> Fault | None:
    return mirror_fault(gateways, GREETER, Traffic.model_validate(traffic or PARENTS), percent)


@pytest.mark.parametrize(
    ("features", "percent", "can"),
    [
        ((), 100, False),
        ((MIRROR,), 100, True),
        ((MIRROR,), 50, False),
        ((PERCENTAGE_MIRROR,), 50, True),
        ((MIRROR, PERCENTAGE_MIRROR), 1, True),
        ((), 0, True),
    ],
    ids=["none", "all", "no part", "a part", "both", "not asked"],
)
def test_a_class_has_to_list_what_is_asked_for(
    features: tuple[str, ...], percent: int, can: bool
) -> None:
    """All requests need one feature, a part of them another."""
    assert (fault(seen(*features), percent) is None) == can


@pytest.mark.parametrize(
    ("gateways", "said"),
    [
        (seen(), f"GatewayClass fast of Gateway infra/gate does not list the feature {MIRROR}"),
        (seen(classes={}), "Gateway infra/gate does not exist"),
        (seen(features={}), "GatewayClass fast of Gateway infra/gate does not exist"),
        (
            seen(unread="the operator cannot read gateways (no)"),
            f"whether Gateway infra/gate can do {MIRROR} is not known: the operator cannot read "
            "gateways (no)",
        ),
    ],
    ids=["not listed", "no Gateway", "no class", "not readable"],
)
def test_what_is_missing_is_named_with_what_to_do(gateways: SeenGateways, said: str) -> None:
    """By the names that a person can look up."""
    found = fault(gateways, 100)

    assert found == Fault(
        Reason.NOT_SUPPORTED,
        f"mirror: 100: {said}; leave it out of the upgrade's spec.strategy, or use a Gateway that "
        "can do it",
    )


def test_one_gateway_of_several_that_cannot_is_enough() -> None:
    """A route has the same rules for all of them."""
    classes = {Key("infra", "gate"): "fast", Key("default", "other"): "slow"}
    features = {"fast": frozenset({MIRROR}), "slow": frozenset[str]()}
    parents = {"parentRefs": [*PARENTS["parentRefs"], {"name": "other"}]}

    found = fault(seen(classes=classes, features=features), 100, parents)

    assert found is not None
    assert "GatewayClass slow of Gateway default/other" in found.message


@pytest.mark.parametrize(
    "traffic",
    [None, {"routeRef": {"name": "shop"}}, PARENTS | {"protocol": "GRPC"}],
    ids=["by pods", "a person's route", "GRPC"],
)
def test_without_an_http_route_of_ours_there_are_no_copies(traffic: dict[str, Any] | None) -> None:
    """Nothing else has a place for them; it is told, whatever the Gateway can do."""
    asked = Traffic.model_validate(traffic) if traffic else None

    found = mirror_fault(seen(MIRROR), GREETER, asked, 100)

    assert found is not None
    assert found.reason is Reason.NOT_SUPPORTED
    assert "parentRefs and protocol HTTP" in found.message


def test_what_has_not_been_read_yet_is_waited_for() -> None:
    """It is no error."""
    found = fault(SeenGateways())

    assert found is not None
    assert found.reason is Reason.WAITING_FOR_TRAFFIC


@pytest.mark.parametrize(
    ("raw", "features"),
    [
        ({}, set()),
        ({"status": {"supportedFeatures": [{"name": "A"}, {"name": "B"}]}}, {"A", "B"}),
        ({"status": {"supportedFeatures": ["A"]}}, {"A"}),
    ],
    ids=["nothing said", "objects", "bare names"],
)
def test_features_are_read_as_every_version_of_the_api_writes_them(
    raw: dict[str, Any], features: set[str]
) -> None:
    """A class that says nothing has none."""
    assert features_of(raw) == features


def test_an_agent_or_an_upgrade_may_ask_for_copies() -> None:
    """In its policy, in a strategy of its own, or in the one by which it has begun."""
    settled = {
        "type": "Canary",
        "steps": MIRRORED["canary"]["steps"],
        "maxSurge": 1,
    } | dict.fromkeys(
        (
            "progressDeadlineSeconds",
            "scaleDownDelaySeconds",
            "abortScaleDownDelaySeconds",
            "rollbackWindow",
        ),
        0,
    )

    assert mirrors(agent(upgradePolicy=MIRRORED))
    assert mirrors(seen_upgrade("mine", strategy=MIRRORED).upgrade)
    assert mirrors(seen_upgrade("mine", status={"strategy": settled}).upgrade)
    assert not mirrors(agent(upgradePolicy=PLAIN))
    assert not mirrors(agent())
    assert not mirrors(seen_upgrade("mine").upgrade)
