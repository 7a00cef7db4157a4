"""Whatever is changed and whoever asks for it, somebody answers, on the way back too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin import Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Forbidden
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    HTTP_ROUTE,
    POD,
    ROUTE_KINDS,
    SERVICE,
    TRAFFIC_LABEL,
    TRAFFIC_OFF,
    Kind,
)
from agentherd.domain.plan import Delete

OWN: Final[dict[str, Any]] = {"parentRefs": [{"name": "gate"}]}
HALF: Final = {"canary": {"steps": [{"weight": 50, "pause": {}}]}}
BACK: Final = {"rollback": {"requested": True, "reason": "complaints"}}

Act = Callable[[Rig], None]


def ports(*numbers: int, name: str = "", image: str = "agent:1") -> dict[str, Any]:
    """A template whose container has these ports, the first one with a name."""
    written: list[dict[str, Any]] = [{"containerPort": number} for number in numbers]
    if name and written:
        written[0]["name"] = name
    return {"spec": {"containers": [{"name": "agent", "image": image, "ports": written}]}}


def edited(**spec: Any) -> Act:
    return lambda rig: rig.twin.edit(AGENT, "greeter", {"spec": spec})


def asked(**spec: Any) -> Act:
    return lambda rig: rig.twin.edit(AGENT_UPGRADE, "greeter-2", {"spec": spec})


def sick(*images: str) -> Act:
    """From now on the containers of these images run and are not ready."""
    return lambda rig: rig.controllers.sick_images.update(dict.fromkeys(images, ""))


def well(rig: Rig) -> None:
    rig.controllers.sick_images.clear()


def live(*acts: Act, **spec: Any) -> Rig:
    """An Agent that serves, and what becomes of it after each act."""

    async def life() -> Rig:
        rig = Rig(Twin(loop_clock))
        rig.twin.put(AGENT, raw_agent(**{"replicas": 2, "upgradePolicy": HALF} | spec))
        await rig.until_quiet()
        for act in acts:
            act(rig)
            await rig.until_quiet()
        return rig

    return in_fake_time(life)


def status_of(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = rig.twin.live(AGENT_UPGRADE, "greeter-2").get("status", {})
    return found


def condition(rig: Rig, kind: str) -> tuple[str, str, str]:
    (found,) = (c for c in status_of(rig)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


async def turns(rig: Rig, *, seconds: int) -> None:
    """Let operator and controllers work for a while, whatever they are told of."""
    for _ in range(2 * seconds):
        rig.feed()
        await rig.work()
        rig.controllers.settle()
        await asyncio.sleep(0.5)
        for key in rig.pods.telling():
            rig.reconciler.queue.add(key)


def sent(rig: Rig) -> list[tuple[bool, int, int | None]]:
    """The backends of the Agent's route: whether each is the stable one, its port and weight."""
    (rule,) = rig.twin.live(HTTP_ROUTE, "greeter")["spec"]["rules"]
    return [(r["name"] == "greeter", r["port"], r.get("weight")) for r in rule["backendRefs"]]


def selects_all(rig: Rig) -> bool:
    return "agentherd.dev/revision" not in rig.twin.live(SERVICE, "greeter")["spec"]["selector"]


# What would interrupt requests


@pytest.mark.parametrize(
    "change",
    [
        {"template": ports(9090), "traffic": OWN | {"port": 9090}},
        {"template": ports(9090)},
        {"template": ports(image="agent:2")},
    ],
    ids=["with the port of the route", "without it", "all ports"],
)
def test_a_change_that_moves_the_port_under_a_route_does_not_begin(change: dict[str, Any]) -> None:
    """The route stays, and the upgrade and the Agent say what to do."""
    rig = live(edited(**change), traffic=OWN | {"port": 8080})

    assert sent(rig) == [(True, 8080, None)]
    assert status_of(rig)["phase"] == "Pending"
    assert condition(rig, "Validated")[:2] == ("False", "PortNotFound")
    assert condition(rig, "Stalled")[:2] == ("True", "PortNotFound")


def test_a_port_of_the_spec_that_what_serves_does_not_have_is_told() -> None:
    """Without any upgrade: the route stays, and the Agent says what is wrong until it is mended."""
    rig = live(edited(traffic=OWN | {"port": 9090}), traffic=OWN)
    mended = live(
        edited(traffic=OWN | {"port": 9090}), edited(traffic=OWN | {"port": 8080}), traffic=OWN
    )

    status = rig.twin.live(AGENT, "greeter")["status"]
    assert sent(rig) == sent(mended) == [(True, 8080, None)]
    assert (status["phase"], status["lastError"]["reason"]) == ("Error", "PortNotFound")
    assert mended.twin.live(AGENT, "greeter")["status"]["phase"] == "Online"


def test_a_name_leads_a_change_to_another_number() -> None:
    """Behind a route, whose port follows, and behind one Service."""
    first, second = ports(8080, name="http"), ports(9090, name="http", image="agent:2")
    by_route = live(edited(template=second), template=first, traffic=OWN | {"port": "http"})
    by_count = live(edited(template=second), template=first)

    assert sent(by_route) == [(True, 8080, 50), (False, 9090, 50)]
    assert status_of(by_count)["weight"] == 50
    (port,) = by_count.twin.live(SERVICE, "greeter")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8080, "http")


def test_who_takes_over_at_another_port_is_reached_by_its_own_service_at_first() -> None:
    """Route and Service change one after the other, whichever of them a Gateway learns of first."""
    first, second = ports(8080, name="http"), ports(9090, name="http", image="agent:2")
    policy = {"canary": {"steps": []}, "scaleDownDelaySeconds": 0}

    async def life() -> list[tuple[Any, ...]]:
        rig = Rig(Twin(loop_clock))
        reached = OWN | {"port": "http"}
        rig.twin.put(AGENT, raw_agent(replicas=2, template=first, traffic=reached))
        await rig.until_quiet()
        edited(template=second, upgradePolicy=policy)(rig)
        found: list[tuple[Any, ...]] = []
        for _ in range(60):
            rig.feed()
            await rig.work()
            rig.controllers.settle()
            service = rig.twin.live(SERVICE, "greeter")["spec"]
            numbers = [port["port"] for port in service["ports"]]
            serving = rig.twin.live(AGENT, "greeter")["status"].get("stableRevision")
            whose = "new" if serving == status_of(rig).get("toRevision") else "old"
            now = (sent(rig), numbers, whose, len(rig.twin.all(SERVICE)))
            if not found or found[-1] != now:
                found.append(now)
            await asyncio.sleep(0.5)
            for key in rig.pods.telling():
                rig.reconciler.queue.add(key)
        return found

    found = in_fake_time(life)

    assert found[-5:] == [
        ([(True, 8080, None)], [8080], "new", 2),
        ([(False, 9090, None)], [8080], "new", 2),
        ([(False, 9090, None)], [9090], "new", 2),
        ([(True, 9090, None)], [9090], "new", 2),
        ([(True, 9090, None)], [9090], "new", 1),
    ]


def test_a_version_keeps_its_service_while_a_route_sends_there() -> None:
    """However long the write that would end it is refused."""
    first, second = ports(8080, name="http"), ports(9090, name="http", image="agent:2")
    policy = {"canary": {"steps": []}, "scaleDownDelaySeconds": 0}

    async def life() -> tuple[Any, list[str]]:
        rig = Rig(Twin(loop_clock))
        reached = OWN | {"port": "http"}
        rig.twin.put(AGENT, raw_agent(replicas=2, template=first, traffic=reached))
        await rig.until_quiet()
        edited(template=second, upgradePolicy=policy)(rig)
        write = rig.twin.apply

        async def refuse(kind: Kind, *words: Any, **named: Any) -> Any:
            service = rig.twin.live(SERVICE, "greeter")["spec"]
            if kind is HTTP_ROUTE and service["ports"][0]["port"] == 9090:
                raise Forbidden("routes are frozen")
            return await write(kind, *words, **named)

        rig.twin.apply = refuse  # type: ignore[method-assign]
        await turns(rig, seconds=30)
        return sent(rig), [raw["metadata"]["name"] for raw in rig.twin.all(SERVICE)]

    route, services = in_fake_time(life)

    assert route == [(False, 9090, None)]
    assert len(services) == 2


def test_the_pods_of_a_superseded_version_outlast_its_part_of_the_route() -> None:
    """Until whoever passes requests on has had the time to settle, they answer."""

    async def life() -> list[tuple[bool, int]]:
        rig = Rig(Twin(loop_clock))
        reached = OWN | {"settleSeconds": 5}
        rig.twin.put(AGENT, raw_agent(replicas=2, traffic=reached, upgradePolicy=HALF))
        await rig.until_quiet()
        edited(template=ports(8080, image="agent:2"))(rig)
        await rig.until_quiet()
        edited(template=raw_agent()["spec"]["template"])(rig)
        found: list[tuple[bool, int]] = []
        for _ in range(10):
            await turns(rig, seconds=1)
            out = sum(
                raw["metadata"]["labels"].get(TRAFFIC_LABEL) == TRAFFIC_OFF
                for raw in rig.twin.all(POD)
            )
            found.append((len(sent(rig)) > 1, out))
        return found

    found = in_fake_time(life)

    assert not any(routed for routed, _ in found)
    assert [out for _, out in found[:4]] == [0, 0, 0, 0]
    assert max(out for _, out in found) == 1


CHANGES = st.fixed_dictionaries(
    {
        "template": st.builds(
            ports,
            st.sampled_from([8080, 9090]),
            name=st.sampled_from(["", "http", "web"]),
            image=st.sampled_from(["agent:1", "agent:2"]),
        )
        | st.just(ports(image="agent:2")),
        "traffic": st.builds(
            lambda port: OWN | {"port": port},
            st.sampled_from([None, 8080, 9090, "http", "web"]),
        )
        | st.none(),
        "upgradePolicy": st.sampled_from(
            [
                {"canary": {"steps": [{"weight": 50}]}},
                {"type": "BlueGreen"},
                {"type": "RollingUpdate"},
            ]
        ),
    }
)


@settings(max_examples=60, deadline=None)
@given(before=CHANGES, after=st.lists(CHANGES, min_size=1, max_size=2))
def test_no_change_takes_away_the_address_of_what_serves(
    before: dict[str, Any], after: list[dict[str, Any]]
) -> None:
    """Neither the Service, unless there are no ports and no route, nor the route, unless there is
    to be none."""

    async def life() -> None:
        rig = Rig(Twin(loop_clock))
        rig.twin.put(AGENT, raw_agent(**{"replicas": 2} | before))
        await rig.until_quiet()
        traffic = before["traffic"]
        for change in after:
            traffic = change["traffic"]
            rig.twin.edit(AGENT, "greeter", {"spec": change})
            for _ in range(30):
                rig.feed()
                deleted = {
                    i.ref[0] for i in rig.plan().intents if isinstance(i, Delete) and _main(i)
                }
                _check(rig, deleted, traffic)
                await rig.work()
                rig.controllers.settle()

    in_fake_time(life)


def _main(intent: Delete) -> bool:
    return intent.ref[1] == "greeter"


def _check(rig: Rig, deleted: set[str], traffic: dict[str, Any] | None) -> None:
    if traffic is not None:
        assert not deleted & {"Service", *(kind.name for kind in ROUTE_KINDS)}
    elif "Service" in deleted:
        spec = rig.twin.live(AGENT, "greeter")["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        assert not container["ports"]


# The way back


def test_a_rollback_without_the_route_is_not_complete() -> None:
    """Somebody deletes it in a moment in which it cannot be made again."""

    def loses_its_route(rig: Rig) -> None:
        rig.twin.edit(AGENT, "greeter", {"spec": {"traffic": OWN | {"port": "nowhere"}}})
        rig.twin.remove(HTTP_ROUTE, "greeter")

    lost: tuple[Act, ...] = (
        edited(template=ports(8080, image="agent:2")),
        loses_its_route,
        asked(**BACK),
    )
    rig = live(*lost, traffic=OWN)
    mended = live(*lost, edited(traffic=OWN | {"port": None}), traffic=OWN)

    assert status_of(rig)["phase"] == "RollingBack"
    assert "waits for routes" in condition(rig, "Progressing")[2]
    assert status_of(mended)["phase"] == "RolledBack"
    assert sent(mended) == [(True, 8080, None)]


def test_a_weight_goes_though_the_port_of_the_spec_leads_nowhere() -> None:
    """The version fails in the middle of a mistake in another field."""
    rig = live(
        edited(template=ports(8080, image="agent:2")),
        edited(traffic=OWN | {"port": "nowhere"}),
        asked(**BACK),
        traffic=OWN,
    )

    assert status_of(rig)["phase"] == "RolledBack"
    assert sent(rig) == [(True, 8080, None)]


CANARY: Final = edited(template=ports(8080, image="agent:2"))


def test_who_is_asked_back_answers_until_an_old_pod_can() -> None:
    """A sound version keeps the requests as long as nobody else is ready, and says so."""
    alone = live(CANARY, sick("agent:1"), asked(**BACK), traffic=OWN)
    back = live(CANARY, sick("agent:1"), asked(**BACK), well, traffic=OWN)

    assert sent(alone) == [(True, 8080, 0), (False, 8080, 100)]
    assert status_of(alone)["phase"] == "RollingBack"
    assert condition(alone, "TrafficApplied")[2] == (
        "all requests go to the new version, since no pod of the old one is ready"
    )
    assert sent(back) == [(True, 8080, None)]
    assert status_of(back)["phase"] == "RolledBack"


def test_behind_one_service_it_answers_on_too() -> None:
    """Until an old pod is ready the Service sends to all."""
    alone = live(CANARY, sick("agent:1"), asked(**BACK))
    back = live(CANARY, sick("agent:1"), asked(**BACK), well)

    assert selects_all(alone)
    assert status_of(alone)["phase"] == "RollingBack"
    assert not selects_all(back)
    assert status_of(back)["phase"] == "RolledBack"


@pytest.mark.parametrize("traffic", [OWN, None], ids=["a route", "one Service"])
def test_one_that_fails_loses_its_requests_first_thing(traffic: dict[str, Any] | None) -> None:
    """Whoever is left."""

    def crashes(rig: Rig) -> None:
        rig.controllers.sick_images["agent:2"] = "CrashLoopBackOff"

    given = {"traffic": traffic} if traffic else {}
    rig = live(CANARY, sick("agent:1"), crashes, **given)

    assert status_of(rig)["rollback"]["trigger"] == "Crash"
    assert status_of(rig)["phase"] == "RollingBack"
    if traffic:
        assert sent(rig) == [(True, 8080, None)]
    else:
        assert not selects_all(rig)


def test_the_weight_that_is_told_is_the_one_that_is_written() -> None:
    """While no old pod is ready that is all, whatever the step asks for."""
    rig = live(CANARY, sick("agent:1"), traffic=OWN)

    assert status_of(rig)["weight"] == 50
    assert sent(rig) == [(True, 8080, 0), (False, 8080, 100)]
    assert condition(rig, "TrafficApplied")[2] == (
        "all requests go to the new version, since no pod of the old one is ready"
    )


@pytest.mark.parametrize("stop", [{"replicas": 0}, {"operatingMode": "Offline"}])
def test_a_rollback_of_an_agent_that_is_stopped_waits_for_nobody(stop: dict[str, Any]) -> None:
    """What it starts with afterwards is the old version."""
    start = edited(replicas=2, operatingMode="Running")
    rig = live(edited(template=ports(image="agent:2")), edited(**stop), asked(**BACK))
    later = live(edited(template=ports(image="agent:2")), edited(**stop), asked(**BACK), start)

    assert status_of(rig)["phase"] == "RolledBack"
    assert (
        later.twin.live(AGENT, "greeter")["status"]["stableRevision"]
        == (status_of(later)["fromRevision"])
    )
    assert status_of(later)["phase"] == "RolledBack"
