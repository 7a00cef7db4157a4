"""No request is sent to a Service that is not right, in whatever order its way is learnt.

A proxy is late by up to the time to settle, and knows a route and a Service each of a moment of its
own in that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.twin import Rig, Twin, in_fake_time, raw_agent, raw_upgrade
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, HTTP_ROUTE, POD, SERVICE

SETTLE: Final = 2
OWN: Final = {"parentRefs": [{"name": "gate"}], "settleSeconds": SETTLE}
AT_ONCE: Final = {"canary": {"steps": []}}
BACK: Final = {"rollback": {"requested": True, "reason": "complaints"}}

Act = Callable[[Rig], None]


def listening(number: int, name: str = "http", image: str = "agent:1") -> dict[str, Any]:
    port = {"containerPort": number} | ({"name": name} if name else {})
    return {"spec": {"containers": [{"name": "agent", "image": image, "ports": [port]}]}}


SECOND: Final = listening(9090, image="agent:2")
THIRD: Final = listening(7070, image="agent:3")


def edited(**spec: Any) -> Act:
    return lambda rig: rig.twin.edit(AGENT, "greeter", {"spec": spec})


def asked_back(rig: Rig) -> None:
    rig.twin.edit(AGENT_UPGRADE, "greeter-2", {"spec": BACK})


def queued(rig: Rig) -> None:
    rig.twin.put(AGENT_UPGRADE, raw_upgrade("queued", to={"template": THIRD}))


# What is seen at a moment, and what proxies may make of it


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Backends of the route with their ports; by name and port of a Service, who answers there.

    `alive` are the pods that exist, by uid.
    """

    at: float
    route: frozenset[tuple[str, int]]
    services: dict[tuple[str, int], frozenset[str]]
    alive: frozenset[str]


def moment(rig: Rig) -> Moment:
    pods = rig.twin.all(POD)
    found = {}
    for service in rig.twin.all(SERVICE):
        for port in service["spec"]["ports"]:
            behind = (pod for pod in pods if _is_behind(service, pod) and _listens(pod, port))
            answering = frozenset(pod["metadata"]["uid"] for pod in behind)
            found[(service["metadata"]["name"], port["port"])] = answering
    routes = [raw for raw in rig.twin.all(HTTP_ROUTE) if raw["metadata"]["name"] == "greeter"]
    return Moment(
        at=asyncio.get_running_loop().time(),
        route=frozenset(
            (ref["name"], ref["port"])
            for raw in routes
            for rule in raw["spec"]["rules"]
            for ref in rule["backendRefs"]
            if ref.get("weight", 1)
        ),
        services=found,
        alive=frozenset(pod["metadata"]["uid"] for pod in pods),
    )


def _is_behind(service: dict[str, Any], pod: dict[str, Any]) -> bool:
    labels = pod["metadata"]["labels"].items()
    conditions = pod.get("status", {}).get("conditions", ())
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return service["spec"]["selector"].items() <= labels and ready


def _listens(pod: dict[str, Any], port: dict[str, Any]) -> bool:
    target = port["targetPort"]
    (container,) = pod["spec"]["containers"]
    return any(target in {p["containerPort"], p.get("name")} for p in container["ports"])


def lost(moments: list[Moment]) -> Iterator[str]:
    """What somebody would be sent to in vain, by all that a proxy may know at each moment."""
    for index, now in enumerate(moments):
        known = [each for each in moments[: index + 1] if each.at > now.at - SETTLE]
        known += [each for each in moments[:index] if each.at <= now.at - SETTLE][-1:]
        for service, port in frozenset().union(*(each.route for each in known)):
            for each in known:
                there = each.services.get((service, port))
                if not there or not there <= now.alive:
                    yield f"{now.at}: {service}:{port} as of {each.at}: {there}"


async def _lived(
    *acts: tuple[float, Act | None], second: dict[str, Any] = SECOND, **spec: Any
) -> list[Moment]:
    """What is seen while each act is done its seconds after the new version has taken over.

    None kills the operator; another one begins 15 s later.
    """
    rig = Rig(Twin(loop_clock))
    known = {"replicas": 2, "template": listening(8080), "traffic": OWN}
    rig.twin.put(AGENT, raw_agent(**known | spec))
    await rig.until_quiet()
    found = [moment(rig)]
    rig.twin.on_write = lambda *_: found.append(moment(rig))
    edited(template=second)(rig)
    todo, clock = list(acts), asyncio.get_running_loop().time
    over_at: float | None = None
    for _ in range(45):
        rig.feed()
        await rig.work()
        rig.controllers.settle()
        found.append(moment(rig))
        serving = rig.twin.live(AGENT, "greeter")["status"].get("stableRevision")
        first = rig.twin.live(AGENT_UPGRADE, "greeter-2").get("status", {}).get("toRevision")
        if over_at is None and serving == first:
            over_at = clock()
        while todo and over_at is not None and clock() >= over_at + todo[0][0]:
            if (act := todo.pop(0)[1]) is not None:
                act(rig)
                continue
            await asyncio.sleep(15)
            found.append(moment(rig))
            rig = Rig(rig.twin, controllers=rig.controllers)
        await asyncio.sleep(1)
    assert not todo
    return found


def lived(*acts: tuple[float, Act | None], **spec: Any) -> list[Moment]:
    return in_fake_time(lambda: _lived(*acts, **spec))


POLICIES: Final = {
    "at once": AT_ONCE,
    "in steps": {"canary": {"steps": [{"weight": 50}]}},
    "blue and green": {"type": "BlueGreen"},
    "one by one": {"type": "RollingUpdate"},
}

ACTS: Final[dict[str, list[tuple[float, Act | None]]]] = {
    "nothing": [],
    "undone at once": [(0, asked_back)],
    "undone in the midst": [(4, asked_back)],
    "undone on the last stretch": [(7, asked_back)],
    "undone in the end": [(15, asked_back)],
    "set back": [(1, edited(template=listening(8080)))],
    "followed by a third": [(1, edited(template=THIRD))],
    "followed by a third in the midst": [(5, edited(template=THIRD))],
    "followed by another's": [(0, queued)],
    "away": [(0, None)],
    "away in the midst": [(4, None)],
    "undone and away": [(5, asked_back), (6, None)],
}


@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_nobody_is_sent_where_nobody_answers(
    policy: dict[str, Any], acts: list[tuple[float, Act | None]]
) -> None:
    """Whatever a proxy has learnt yet of a version at another port, and of what comes after it."""
    delays = {"scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 0}
    moments = lived(*acts, upgradePolicy=policy | delays)

    assert list(lost(moments)) == []
    assert_over(moments[-1])


@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
def test_a_port_without_a_name_is_followed_too(acts: list[tuple[float, Act | None]]) -> None:
    """The port of the Service that the old version had leads to another number meanwhile."""
    bare = {"template": listening(8080, name=""), "second": listening(9090, "", "agent:2")}
    moments = lived(*acts, upgradePolicy=AT_ONCE | {"scaleDownDelaySeconds": 0}, **bare)

    assert list(lost(moments)) == []
    assert_over(moments[-1])


def test_who_is_undone_loses_its_requests_at_once() -> None:
    """The number follows later: the Service that the route knows leads to the old pods again."""
    delays = {"scaleDownDelaySeconds": 30}
    moments = lived((15, asked_back), upgradePolicy=AT_ONCE | delays)

    asked_at = next(each.at for each in moments if len(each.alive) == 4) + 15
    back = [each for each in moments if each.at > asked_at + 3]
    old = moments[0].alive
    assert all(each.services[place] <= old for each in back for place in each.route)


def assert_over(last: Moment) -> None:
    """The route sends to the Service of the Agent alone, which has that number and no other."""
    ((name, port),) = last.route
    assert name == "greeter"
    assert {number for service, number in last.services if service == "greeter"} == {port}
