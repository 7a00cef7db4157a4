"""A route that a person wrote: nothing in it but the weights of one Agent's backends is ours.

The route has an address beside the Agent, filters, timeouts and a backend that is somebody else's.
What is compared is the text of the whole spec, as the API server gives it.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Object, Refused
from tests.e2e.served import (
    CANARY_ANNOTATION,
    NEW,
    OLD,
    PARENT,
    backends,
    canary,
    change,
    hostname,
    load,
    promote,
    roll_back,
    served,
    step,
    wait_for_weight,
    wait_until_only,
    wait_until_reached,
    wait_until_sent,
)
from tests.e2e.world import World

TWO_STEPS: Final = canary(step(20, waits=True), step(60, waits=True))

REFERRED: Final[dict[str, Any]] = {"routeRef": {"name": "shop"}, "settleSeconds": 1}


def test_what_is_foreign_is_the_same_after_a_whole_rollout(world: World, tmp_path: Path) -> None:
    """During every step too; and afterwards the whole spec is, with no mark left behind."""
    before = _given(world)

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        for weight, number in ((20, 1), (60, 2)):
            wait_for_weight(world, upgrade, weight)
            during = _wait_for_share(world, weight)
            assert _foreign(during) == _foreign(before)
            wait_until_sent(world, running, 100)
            promote(world, upgrade, step=number)
        world.wait_upgrade(upgrade, "Succeeded")
        wait_until_only(world, running, NEW)
        report = running.stop()

    after = world.get("HTTPRoute", "shop")
    assert report.failed == ()
    assert _text(after["spec"]) == _text(before["spec"])
    assert CANARY_ANNOTATION not in after["metadata"].get("annotations", {})


def test_a_rollback_leaves_a_shared_route_as_it_was(world: World, tmp_path: Path) -> None:
    """Byte for byte, though the weights of two rules had been changed."""
    before = _given(world)

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 20)
        wait_until_reached(world, running, NEW)
        roll_back(world, upgrade)
        world.wait_upgrade(upgrade, "RolledBack")
        wait_until_only(world, running, OLD)
        report = running.stop()

    assert report.failed == ()
    assert 0 < report.share(NEW) < 0.5
    assert _text(world.get("HTTPRoute", "shop")["spec"]) == _text(before["spec"])


def test_what_somebody_edits_in_the_middle_stays_as_they_wrote_it(world: World) -> None:
    """A filter, a rule, a host name and a backend come and go during a step; the weight stays."""
    _given(world)
    upgrade = change(world, "a")
    wait_for_weight(world, upgrade, 20)
    route = _wait_for_share(world, 20)

    edited = copy.deepcopy(route["spec"])
    edited["hostnames"].append(f"other.{world.namespace}.test")
    edited["rules"][0]["filters"][0]["requestHeaderModifier"]["set"][0]["value"] = "edited"
    edited["rules"][1]["backendRefs"][-1]["weight"] = 30
    edited["rules"].insert(1, _rule("/new", _ref("stranger", weight=3), _ref("a", weight=9)))
    # As it is in the answer it was stored, with all that the API server fills in.
    edited = world.patch("HTTPRoute", "shop", {"spec": edited})["spec"]
    during = world.wait_until(
        "HTTPRoute",
        "shop",
        lambda seen: _our_weights(seen)[1] == [("a", 7), (_canary_of(seen), 2)],
    )
    promote(world, upgrade, full=True)
    world.wait_upgrade(upgrade, "Succeeded")

    after = world.get("HTTPRoute", "shop")
    expected = _without_canary(edited)
    assert _foreign(during) == _foreign({"spec": edited})
    assert _text(_without_our_weights(after["spec"])) == _text(_without_our_weights(expected))
    assert [dict(weights) for weights in _our_weights(after)] == [{"a": 1}, {"a": 9}, {"a": 50}]


def test_an_edit_at_every_step_is_kept_under_load(world: World, tmp_path: Path) -> None:
    """Somebody writes the route again and again while the weight moves: both get what they want."""
    _given(world)

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        for number, weight in enumerate((20, 60), start=1):
            wait_for_weight(world, upgrade, weight)
            for turn in range(5):
                _set_header(world, f"{number}-{turn}")
            promote(world, upgrade, step=number)
        world.wait_upgrade(upgrade, "Succeeded")
        wait_until_only(world, running, NEW)
        report = running.stop()

    after = world.get("HTTPRoute", "shop")
    assert report.failed == ()
    assert _header(after) == "2-4"
    assert [dict(weights) for weights in _our_weights(after)] == [{"a": 1}, {"a": 50}]


def _given(world: World) -> Object:
    """An Agent behind a route of a person's, with another Agent in it; returns that route."""
    world.apply(served("stranger", traffic=None, replicas=1))
    world.apply(served("a", traffic=REFERRED, upgradePolicy=TWO_STEPS))
    world.apply(_shop(world), manager="shopkeeper")
    world.wait_until_ready("stranger")
    world.wait_until_ready("a")
    return world.get("HTTPRoute", "shop")


def _shop(world: World) -> Object:
    first = _rule("/", _ref("a"))
    first["filters"] = [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "x-shop", "value": "yes"}]},
        }
    ]
    second = _rule("/beside", _ref("a", weight=50), _ref("stranger", weight=50))
    second["timeouts"] = {"request": "20s"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "annotations": {"shop.test/note": "do not touch"}},
        "spec": {
            "parentRefs": [PARENT],
            "hostnames": [hostname(world, "a")],
            "rules": [first, second],
        },
    }


def _rule(path: str, *refs: Object) -> Object:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [*refs],
    }


def _ref(name: str, *, weight: int = 1) -> Object:
    return {"name": name, "port": 8080, "weight": weight}


def _is_ours(ref: Object) -> bool:
    name: str = ref["name"]
    return name == "a" or name.startswith("a-")


def _canary_of(route: Object) -> str:
    found = (ref["name"] for ref in backends(route) if ref["name"].startswith("a-"))
    return next(found, "")


def _our_weights(route: Object) -> list[list[tuple[str, int]]]:
    """Name and weight of the Agent's backends, rule by rule."""
    return [
        [(ref["name"], ref["weight"]) for ref in rule["backendRefs"] if _is_ours(ref)]
        for rule in route["spec"]["rules"]
    ]


def _without_our_weights(spec: Object) -> Object:
    result = copy.deepcopy(spec)
    for rule in result["rules"]:
        for ref in filter(_is_ours, rule["backendRefs"]):
            del ref["weight"]
    return result


def _without_canary(spec: Object) -> Object:
    result = copy.deepcopy(spec)
    for rule in result["rules"]:
        rule["backendRefs"] = [
            ref for ref in rule["backendRefs"] if not ref["name"].startswith("a-")
        ]
    return result


def _foreign(route: Object) -> str:
    """The text of all that is not ours: the spec without the canary and without our weights."""
    return _text(_without_our_weights(_without_canary(route["spec"])))


def _text(spec: Object) -> str:
    return json.dumps(spec)


def _wait_for_share(world: World, weight: int) -> Object:
    """Wait until the rule that is all ours gives the new version so many percent."""
    return world.wait_until("HTTPRoute", "shop", lambda seen: _percent(seen) == weight)


def _percent(route: Object) -> float:
    mine = dict(_our_weights(route)[0])
    return 100 * mine.get(_canary_of(route), 0) / sum(mine.values())


def _header(route: Object) -> str:
    value: str = route["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["set"][0]["value"]
    return value


def _set_header(world: World, value: str) -> None:
    """Change one filter as `kubectl edit` does: read all, write all, again when it has changed."""
    while True:
        route = world.get("HTTPRoute", "shop")
        route["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["set"][0]["value"] = value
        version = {"resourceVersion": route["metadata"]["resourceVersion"]}
        try:
            world.patch("HTTPRoute", "shop", {"metadata": version, "spec": route["spec"]})
        except Refused as refused:
            if refused.status != 409:
                raise
        else:
            return
