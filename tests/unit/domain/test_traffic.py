"""Requests go where a split says, through Services and a route, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.twin import Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock
from tests.twin.samples import NOON, agent, pod_view, set_view

from agentherd.domain import children
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import (
    AGENT,
    GRPC_ROUTE,
    HTTP_ROUTE,
    POD,
    SERVICE,
    Key,
    Kind,
    revision_service_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Failure, Merge, Ref, Stage, digest
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.routing.gateways import MIRROR, SeenGateways
from agentherd.domain.routing.routes import RouteView
from agentherd.domain.routing.traffic import Split, obstacle, place_of, traffic_intents
from agentherd.domain.views import Child

OWN = {"parentRefs": [{"name": "public"}]}
SHARED = {"routeRef": {"name": "shop"}}
OLD, NEW = (revision_of(agent(image=f"agent:{n}").spec) for n in (1, 2))
CANARY = revision_service_name("greeter", NEW.hash)
BARE = revision_of(agent(template={"spec": {"containers": [{"name": "a", "image": "a"}]}}).spec)


def seen_with(traffic: dict[str, Any] | None = None, **seen: Any) -> AgentObservation:
    """An Agent, with traffic in the words of the wire."""
    spec = {"traffic": traffic} if traffic else {}
    return AgentObservation(agent=agent(**spec), **seen)


def split(**fields: Any) -> Split:
    """A canary with a preview, both versions ready."""
    known = {"stable": OLD, "canary": NEW, "selected": OLD.hash, "preview": True, "routed": True}
    return Split(**{**known, "stable_ready": 2, "canary_ready": 1, "weight": 25, **fields})


def child(name: str, **fields: Any) -> Child:
    known = {"namespace": "default", "uid": f"uid-of-{name}", "version": 1, "workload": "greeter"}
    state = {"owner": "uid-of-greeter", "touched": False, "deleting": False, "applied": ""}
    return Child(**{**known, **state, "name": name, **fields})


def applied(seen: AgentObservation, one: Split, kind: Kind = SERVICE) -> dict[str, Any]:
    """What is applied of a kind, by name."""
    found = [i for i in traffic_intents(seen, one) if isinstance(i, Apply) and i.kind is kind]
    return {i.manifest["metadata"]["name"]: i.manifest["spec"] for i in found}


def deleted(seen: AgentObservation, one: Split) -> list[str]:
    return [str(i.ref) for i in traffic_intents(seen, one) if isinstance(i, Delete)]


# Services


def test_the_service_of_the_agent_sends_to_what_is_selected() -> None:
    """To one revision, or to all pods where their number is the weight."""
    one = applied(seen_with(), split())["greeter"]["selector"]
    every = applied(seen_with(), split(selected=None))["greeter"]["selector"]

    assert one["agentherd.dev/revision"] == OLD.hash
    assert "agentherd.dev/revision" not in every


def test_a_new_version_with_a_preview_has_a_service_of_its_own() -> None:
    """It is made before the Agent's own is written, and nobody's is taken over."""
    intents = list(traffic_intents(seen_with(), split()))

    names = [str(i.ref) for i in intents]
    assert names == [f"Service {CANARY}", "Service greeter"]
    assert all(isinstance(i, Apply) and i.claimed for i in intents)
    assert {i.stage for i in intents} == {Stage.TRAFFIC}


@pytest.mark.parametrize("fields", [{"preview": False}, {"canary": None}])
def test_without_a_preview_it_has_none(fields: dict[str, Any]) -> None:
    """Where the pods share one address there is nothing to look at."""
    assert list(applied(seen_with(), split(**fields))) == ["greeter"]


def sets(**sizes: int) -> dict[str, Any]:
    hashes = {"old": OLD.hash, "new": NEW.hash}
    views = [set_view(hashes[name], wanted=size) for name, size in sizes.items()]
    return {view.name: view for view in views}


@pytest.mark.parametrize(
    ("sizes", "goes"),
    [({"old": 2, "new": 1}, False), ({"old": 2, "new": 0}, True), ({"old": 2}, True)],
    ids=["its pods still work", "its pods are gone", "never had any"],
)
def test_the_service_of_a_former_version_stays_until_its_pods_have_gone(
    sizes: dict[str, int], goes: bool
) -> None:
    """What is on its way to them still arrives."""
    seen = seen_with(services={CANARY: child(CANARY)}, replica_sets=sets(**sizes))

    assert deleted(seen, split(canary=None)) == ([f"Service {CANARY}"] if goes else [])


def test_the_only_version_there_is_needs_no_second_address() -> None:
    """After its promotion, when the pods of the old one have gone."""
    seen = seen_with(services={CANARY: child(CANARY)}, replica_sets=sets(old=0, new=2))

    assert deleted(seen, split(stable=NEW, canary=None)) == [f"Service {CANARY}"]


@pytest.mark.parametrize(
    "other",
    [
        child(CANARY, deleting=True),
        child(CANARY, owner="somebody"),
        child(CANARY, owner=None),
        child("greeter-web"),
    ],
    ids=["on its way out", "another Agent's", "nobody's", "no revision"],
)
def test_other_services_are_left_alone(other: Child) -> None:
    """Only those that were made for a revision go."""
    seen = seen_with(services={other.name: other}, replica_sets=sets(old=2))

    assert deleted(seen, split(canary=None)) == []


def test_a_settled_split_costs_nothing() -> None:
    """Each Service is as it was applied."""
    one = split()
    manifests = [
        children.service(seen_with().agent, OLD, selected=OLD.hash),
        children.revision_service(seen_with().agent, NEW),
    ]
    services = {
        made["metadata"]["name"]: child(made["metadata"]["name"], applied=digest(made))
        for made in manifests
        if made is not None
    }

    assert list(traffic_intents(seen_with(services=services), one)) == []


# Admission


def admitted(*pods: Any, **fields: Any) -> list[str]:
    seen = seen_with(pods={pod.name: pod for pod in pods})
    merges = [i for i in traffic_intents(seen, split(**fields)) if isinstance(i, Merge)]
    assert all(m.patch == {"metadata": {"labels": ADMITTED}} and m.kind is POD for m in merges)
    return [merge.name for merge in merges]


ADMITTED = {"agentherd.dev/admitted": "true"}


@pytest.mark.parametrize(
    ("fields", "is_admitted"),
    [
        ({}, True),
        ({"ready": False}, False),
        ({"admitted": True}, False),
        ({"deleting": True}, False),
        ({"finished": True}, False),
        ({"revision": OLD.hash}, False),
    ],
    ids=["ready", "not ready", "admitted before", "going", "ended", "of the old version"],
)
def test_a_pod_of_the_new_version_is_reached_once_it_is_ready(
    fields: dict[str, Any], is_admitted: bool
) -> None:
    """And stays so, whatever becomes of it: the weight is what takes requests away."""
    pod = pod_view("p", **{"revision": NEW.hash} | fields)

    assert admitted(pod) == (["p"] if is_admitted else [])


@pytest.mark.parametrize(
    ("others", "is_let_go"),
    [
        ((), False),
        (({"ready": False, "admitted": True},), False),
        (({"admitted": False},), False),
        (({"admitted": True, "deleting": True},), False),
        (({"admitted": True},), True),
    ],
    ids=["alone", "beside an unready one", "beside a new one", "beside another", "beside one"],
)
def test_a_pod_that_is_deleted_is_reached_until_another_one_answers(
    others: tuple[dict[str, Any], ...], is_let_go: bool
) -> None:
    """Or what comes back would share its requests with one that is about to end."""
    going = pod_view("going", revision=NEW.hash, admitted=True, deleting=True)
    pods = [pod_view(f"p{n}", revision=NEW.hash, **each) for n, each in enumerate(others)]
    seen = seen_with(pods={pod.name: pod for pod in (going, *pods)})

    let_go = [
        merge.name
        for merge in traffic_intents(seen, split())
        if isinstance(merge, Merge)
        and merge.patch == {"metadata": {"labels": {"agentherd.dev/admitted": None}}}
    ]

    assert let_go == (["going"] if is_let_go else [])


@pytest.mark.parametrize("fields", [{"preview": False}, {"canary": None}])
def test_without_a_preview_nobody_is_admitted(fields: dict[str, Any]) -> None:
    """There is no Service that asks for it."""
    assert admitted(pod_view("p", revision=NEW.hash), **fields) == []


# A route of our own


def own(seen: AgentObservation, one: Split, kind: Kind = HTTP_ROUTE) -> list[tuple[str, int]]:
    """The backends of the last rule of the Agent's route, with their weights."""
    rules = applied(seen, one, kind)["greeter"]["rules"]
    return [(ref["name"], ref.get("weight")) for ref in rules[-1]["backendRefs"]]


@pytest.mark.parametrize(
    ("fields", "backends"),
    [
        ({}, [("greeter", 75), (CANARY, 25)]),
        ({"weight": 0}, [("greeter", 100), (CANARY, 0)]),
        ({"canary_ready": 0}, [("greeter", 100), (CANARY, 0)]),
        ({"stable_ready": 0}, [("greeter", 0), (CANARY, 100)]),
        ({"routed": False}, [("greeter", None)]),
        ({"canary": None}, [("greeter", None)]),
        ({"canary": BARE}, [("greeter", None)]),
    ],
    ids=[
        "a part",
        "nothing yet",
        "nobody there",
        "nobody else there",
        "not yet",
        "none",
        "no port",
    ],
)
def test_a_route_of_ours_divides_the_requests(
    fields: dict[str, Any], backends: list[tuple[str, int | None]]
) -> None:
    """A side with no ready pod gets nothing."""
    assert own(seen_with(OWN), split(**fields)) == backends


def test_a_route_of_ours_is_written_before_the_services_that_a_rollback_needs() -> None:
    """It is what sends people there."""
    names = [i.ref[0] for i in traffic_intents(seen_with(OWN), split())]

    assert names == ["Service", "HTTPRoute", "Service"]


def test_testers_reach_the_new_version_from_its_first_ready_pod_on() -> None:
    """Whatever the weight."""
    seen = seen_with(OWN | {"testers": {"headers": {"x-tester": "yes"}}})

    early = applied(seen, split(weight=0, canary_ready=0), HTTP_ROUTE)
    late = applied(seen, split(weight=0), HTTP_ROUTE)

    assert (len(early["greeter"]["rules"]), len(late["greeter"]["rules"])) == (1, 2)


GATE = Key("default", "public")


def gateways(*features: str) -> SeenGateways:
    return SeenGateways(classes={GATE: "fast"}, features={"fast": frozenset(features)}, known=True)


def copies(seen: AgentObservation, one: Split) -> list[Any]:
    """The filters of the last rule of the Agent's route."""
    filters: list[Any] = applied(seen, one, HTTP_ROUTE)["greeter"]["rules"][-1].get("filters", [])
    return filters


def test_copies_are_asked_for_where_the_gateway_makes_them() -> None:
    """Elsewhere the filter could spoil the rule, so that nobody would be served."""
    mirrored = split(weight=0, mirror=100)
    can, cannot = seen_with(OWN, gateways=gateways(MIRROR)), seen_with(OWN, gateways=gateways())

    (found,) = copies(can, mirrored)

    assert found["requestMirror"]["backendRef"]["name"] == CANARY
    assert copies(can, split(weight=0)) == []
    assert copies(cannot, mirrored) == []


def test_what_an_operator_has_just_begun_to_lead_stays_as_it_is() -> None:
    """Until it has read what the Gateways can do."""
    assert applied(seen_with(OWN), split(weight=0, mirror=100), HTTP_ROUTE) == {}


def test_copies_that_are_not_made_any_more_are_an_obstacle() -> None:
    """A class may lose a feature in the middle of a step."""
    view = {(HTTP_ROUTE, Key("default", "greeter")): route("greeter", accepted=True)}
    seen = seen_with(OWN, routes=view, gateways=gateways())

    assert reason_of(seen, split(weight=0, mirror=100)) is Reason.NOT_SUPPORTED
    assert reason_of(seen, split()) is None


def test_until_routes_are_known_none_is_written() -> None:
    """One may exist already."""
    assert applied(seen_with(OWN, routes_known=False), split(), HTTP_ROUTE) == {}


@pytest.mark.parametrize(
    ("port", "number"), [(None, 8080), (9090, 9090), ("metrics", 9090), ("x", None)]
)
def test_requests_go_to_the_port_that_is_named(port: Any, number: int | None) -> None:
    """By its name or its number, else to the first."""
    ports = [{"containerPort": 8080}, {"containerPort": 9090, "name": "metrics"}]
    template = {"spec": {"containers": [{"name": "a", "image": "a", "ports": ports}]}}
    traffic = OWN | ({"port": port} if port else {})
    one = agent(template=template, traffic=traffic)

    routes = applied(
        AgentObservation(agent=one), split(stable=revision_of(one.spec), canary=None), HTTP_ROUTE
    )

    found = [r["backendRefs"][0]["port"] for made in routes.values() for r in made["rules"]]
    assert found == ([number] if number else [])


OWN_PLACE = (HTTP_ROUTE, Key("default", "greeter"))


def owned(*backends: dict[str, Any], kind: Kind = HTTP_ROUTE, **traffic: Any) -> AgentObservation:
    """An Agent whose own route sends to these backends."""
    view = route("greeter", *backends, owner="uid-of-greeter")
    return seen_with(OWN | traffic, routes={(kind, Key("default", "greeter")): view})


def test_a_route_whose_port_is_gone_stays_with_its_service() -> None:
    """Somebody may still be served by it; that it is wrong is told."""
    seen = replace(owned(), services={"greeter": child("greeter")})
    one = split(stable=BARE, canary=None)

    assert list(traffic_intents(seen, one)) == []
    assert reason_of(seen, one) is Reason.PORT_NOT_FOUND


def test_a_weight_is_taken_back_though_the_port_of_the_spec_leads_nowhere() -> None:
    """The port that the route has is still that of the old version."""
    seen = owned({"name": "greeter", "port": 8080}, {"name": CANARY, "port": 8080}, port="nowhere")

    assert own(seen, split(weight=0)) == [("greeter", 100), (CANARY, 0)]
    assert own(seen, split(canary=None)) == [("greeter", None)]


def test_a_route_of_the_former_kind_stays_until_another_can_be_made() -> None:
    """Both would be gone otherwise."""
    stays = owned(kind=GRPC_ROUTE, port="nowhere")
    goes = owned(kind=GRPC_ROUTE)

    assert deleted(stays, split(canary=None)) == []
    assert deleted(goes, split(canary=None)) == ["GRPCRoute greeter"]


def test_a_new_version_without_the_port_is_told_before_it_has_any_weight() -> None:
    """The split that the route has least room for is looked at."""
    assert reason_of(owned(), split(canary=BARE)) is Reason.PORT_NOT_FOUND
    assert reason_of(owned(), split()) is None


@pytest.mark.parametrize(("port", "reason"), [(8080, None), (9102, Reason.PORT_NOT_FOUND)])
def test_a_route_of_a_person_names_the_ports_that_a_new_version_has_to_have(
    port: int, reason: Reason | None
) -> None:
    """Nobody but that person changes it."""
    assert reason_of(shared(route("shop", {"name": "greeter", "port": port}))) is reason


def taken_over(*, traffic: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A person's route of the Agent's name and the Agent's status, once nothing moves."""

    async def live() -> tuple[Any, dict[str, Any]]:
        twin = Twin(loop_clock)
        twin.put(HTTP_ROUTE, raw_route("greeter"))
        before = twin.live(HTTP_ROUTE, "greeter")
        twin.put(AGENT, raw_agent(traffic=traffic))
        await Rig(twin).until_quiet()
        status: dict[str, Any] = twin.live(AGENT, "greeter")["status"]
        return twin.live(HTTP_ROUTE, "greeter") == before, status

    return in_fake_time(live)


def test_a_route_of_a_person_that_has_the_name_is_not_taken_over() -> None:
    """The Agent says what is in its way."""
    untouched, status = taken_over(traffic=OWN)

    assert untouched
    assert status["lastError"]["reason"] == "NameTaken"
    assert "HTTPRoute greeter" in status["lastError"]["message"]


# A route that a person wrote


def raw_route(name: str = "shop", *backends: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    refs = backends or ({"name": "greeter", "port": 8080},)
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"} | metadata,
        "spec": {"parentRefs": [{"name": "mine"}], "rules": [{"backendRefs": list(refs)}]},
    }


def route(name: str, *backends: dict[str, Any], marks: str = "", **fields: Any) -> RouteView:
    notes = {"agentherd.dev/canary": marks} if marks else {}
    raw = raw_route(name, *backends, uid="u", resourceVersion="7", annotations=notes)
    return replace(RouteView.of(raw), **fields)


PLACE = (HTTP_ROUTE, Key("default", "shop"))


def shared(view: RouteView) -> AgentObservation:
    return seen_with(SHARED, routes={PLACE: view})


def merges(seen: AgentObservation, one: Split) -> list[Merge]:
    return [i for i in traffic_intents(seen, one) if isinstance(i, Merge)]


def test_in_a_route_of_a_person_only_our_backends_change() -> None:
    """One write that fails if anybody else wrote meanwhile; and the route is marked."""
    foreign = {"name": "other", "port": 80, "weight": 100}
    mine = {"name": "greeter", "port": 8080, "weight": 100}

    (merge,) = merges(shared(route("shop", foreign, mine)), split())

    (rule,) = merge.patch["spec"]["rules"]
    assert (merge.version, merge.stage) == (7, Stage.TRAFFIC)
    assert rule["backendRefs"] == [
        foreign,
        mine | {"weight": 75},
        mine | {"name": CANARY, "weight": 25},
    ]
    assert merge.patch["metadata"]["annotations"] == {"agentherd.dev/canary": "greeter"}


def after(merge: Merge) -> RouteView:
    """The route once that was written."""
    notes = merge.patch["metadata"]["annotations"]["agentherd.dev/canary"] or ""
    (rule,) = merge.patch["spec"]["rules"]
    return route("shop", *rule["backendRefs"], marks=notes)


def test_in_a_route_of_a_person_the_numbers_there_count() -> None:
    """And not the port of the spec, which is for a route that the operator makes."""
    view = route("shop", {"name": "greeter", "port": 8080, "weight": 1})
    seen = seen_with(SHARED | {"port": "nowhere"}, routes={PLACE: view})

    (merge,) = merges(seen, split())

    (rule,) = merge.patch["spec"]["rules"]
    assert [(ref["port"], ref["weight"]) for ref in rule["backendRefs"]] == [(8080, 75), (8080, 25)]
    assert reason_of(seen) is None


def test_what_was_written_is_not_written_again() -> None:
    """It costs nothing until something moves."""
    (merge,) = merges(shared(route("shop")), split())

    assert merges(shared(after(merge)), split()) == []


def test_a_route_of_a_person_ends_as_it_began() -> None:
    """Backends and marks."""
    mine = {"name": "greeter", "port": 8080, "weight": 3}
    (merge,) = merges(shared(route("shop", mine, marks="another")), split())

    (back,) = merges(shared(after(merge)), split(canary=None, routed=False))

    assert after(merge).annotations["agentherd.dev/canary"] == "another,greeter"
    assert back.patch["spec"]["rules"] == [{"backendRefs": [mine]}]
    assert back.patch["metadata"]["annotations"] == {"agentherd.dev/canary": "another"}


def test_the_mark_of_the_last_agent_goes_with_it() -> None:
    """Null removes it."""
    (merge,) = merges(shared(route("shop", marks="greeter")), split(canary=None))

    assert merge.patch["metadata"]["annotations"] == {"agentherd.dev/canary": None}


def test_a_route_that_leaves_no_room_is_not_written() -> None:
    """It is told as an obstacle instead."""
    foreign = {"name": "other", "port": 80}
    mine = {"name": "greeter", "port": 8080, "weight": 1}
    seen = shared(route("shop", foreign, mine))

    assert merges(seen, split()) == []
    assert reason_of(seen, split()) is Reason.ROUTE_CONFLICT


def test_a_route_that_does_not_exist_is_waited_for() -> None:
    """Nothing is written for it."""
    assert merges(seen_with(SHARED), split()) == []


# Routes that are left


def test_a_route_that_the_agent_has_left_is_freed() -> None:
    """Our own is deleted, a person's gets its backends back, and others' are left alone."""
    place = (GRPC_ROUTE, Key("default", "greeter"))
    mine = route("greeter", owner="uid-of-greeter")
    (marked,) = merges(shared(route("shop")), split())
    routes = {
        place: mine,
        PLACE: after(marked),
        (HTTP_ROUTE, Key("default", "foreign")): route("foreign"),
    }
    seen = seen_with(None, routes=routes)

    (back,) = merges(seen, split(canary=None))

    assert deleted(seen, split(canary=None)) == ["GRPCRoute greeter"]
    assert (back.name, back.patch["spec"]["rules"][0]["backendRefs"][0]["name"]) == (
        "shop",
        "greeter",
    )


def test_a_route_that_is_on_its_way_out_is_not_deleted_twice() -> None:
    """Its end wakes us."""
    place = (GRPC_ROUTE, Key("default", "greeter"))
    seen = seen_with(None, routes={place: route("greeter", owner="uid-of-greeter", deleting=True)})

    assert deleted(seen, split(canary=None)) == []


@pytest.mark.parametrize(
    ("traffic", "kind", "name"),
    [
        (OWN, HTTP_ROUTE, "greeter"),
        (OWN | {"protocol": "GRPC"}, GRPC_ROUTE, "greeter"),
        (SHARED, HTTP_ROUTE, "shop"),
        ({"routeRef": {"kind": "GRPCRoute", "name": "shop"}}, GRPC_ROUTE, "shop"),
    ],
)
def test_where_the_route_of_an_agent_is(traffic: dict[str, Any], kind: Kind, name: str) -> None:
    """By its name, or where it is referred to."""
    spec = agent(traffic=traffic).spec

    assert spec.traffic is not None
    assert place_of(Key("default", "greeter"), spec.traffic) == (kind, Key("default", name))


@pytest.mark.parametrize(
    ("marks", "names"), [("", ()), ("b, a", ("a", "b")), (",a,", ("a",)), ("a,a", ("a",))]
)
def test_marks_are_read_however_they_were_written(marks: str, names: tuple[str, ...]) -> None:
    """A person may have been at them."""
    assert route("shop", marks=marks).canaries("Agent") == names


# Obstacles


def reason_of(seen: AgentObservation, one: Split | None = None) -> Reason | None:
    found: Fault | None = obstacle(seen, one or split())
    return found.reason if found else None


def refused(kind: str, name: str) -> dict[Ref, Failure]:
    failure = Failure(reason=Reason.FORBIDDEN, message="no", generation=1, retry_at=NOON)
    return {Ref(kind, name): failure}


TAKEN: dict[str, Any] = {"accepted": True}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (seen_with(), None),
        (seen_with(failures=refused("Service", "greeter")), Reason.FORBIDDEN),
        (seen_with(failures=refused("ConfigMap", "greeter")), None),
        (seen_with(SHARED, routes_known=False), Reason.ROUTE_NOT_FOUND),
        (seen_with(SHARED), Reason.ROUTE_NOT_FOUND),
        (
            replace(shared(route("shop")), failures=refused("HTTPRoute", "shop")),
            Reason.FORBIDDEN,
        ),
        (shared(route("shop", accepted=False)), Reason.ROUTE_NOT_ACCEPTED),
        (shared(route("shop", accepted=None)), None),
        (shared(route("shop", **TAKEN)), None),
        (shared(route("shop", {"name": "other", "port": 80})), Reason.ROUTE_CONFLICT),
        (
            seen_with(
                OWN, routes={(HTTP_ROUTE, Key("default", "greeter")): route("greeter", **TAKEN)}
            ),
            None,
        ),
    ],
    ids=[
        "no route wanted",
        "a Service is refused",
        "something else is refused",
        "not read yet",
        "missing",
        "its write is refused",
        "not accepted",
        "nothing said of it",
        "accepted",
        "without the Agent",
        "our own",
    ],
)
def test_why_a_route_does_not_do_as_it_is_told(
    seen: AgentObservation, reason: Reason | None
) -> None:
    """Where nothing is known to be wrong it is believed to work."""
    assert reason_of(seen) is reason


def test_a_route_that_does_not_name_the_agent_says_what_is_missing() -> None:
    """So that a person knows what to write."""
    found = obstacle(shared(route("shop", {"name": "other", "port": 80})), split())

    assert found is not None
    assert found.message == "HTTPRoute shop has no backend greeter, the Service of the Agent"
