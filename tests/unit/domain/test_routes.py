"""A route of ours says what the Agent's traffic asks for, and any route tells who accepted it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import Traffic
from agentherd.domain.routing.routes import RouteView, own_route
from agentherd.domain.routing.weights import Backend, refers, weight_in

STABLE = Backend("greeter", 8080)
CANARY = Backend("greeter-0123456789", 9090)

EVERY = {"path": {"type": "PathPrefix", "value": "/greeter"}}


def traffic(**fields: Any) -> Traffic:
    parents = [{"name": "public", "sectionName": "web"}]
    return Traffic.model_validate({"parentRefs": parents, "path": "/greeter"} | fields)


def grpc(**fields: Any) -> Traffic:
    return Traffic.model_validate({"parentRefs": [{"name": "public"}], "protocol": "GRPC"} | fields)


def test_without_a_canary_a_route_is_what_a_person_would_write() -> None:
    """One rule, one backend, no weight."""
    spec = own_route(traffic(hostnames=["a.example.com"]), stable=STABLE)

    assert spec == {
        "parentRefs": [{"name": "public", "sectionName": "web"}],
        "hostnames": ["a.example.com"],
        "rules": [{"matches": [EVERY], "backendRefs": [{"name": "greeter", "port": 8080}]}],
    }


def test_a_grpc_route_takes_all_requests() -> None:
    """It has no paths, and without hostnames it answers for those of the listener."""
    spec = own_route(grpc(), stable=STABLE)

    assert spec == {
        "parentRefs": [{"name": "public"}],
        "rules": [{"backendRefs": [{"name": "greeter", "port": 8080}]}],
    }


def test_a_parent_is_named_with_all_that_a_person_said_of_it() -> None:
    """And with nothing else, since the API server knows the defaults."""
    parent = {"name": "public", "namespace": "infra", "sectionName": "web", "port": 80}

    assert own_route(traffic(parentRefs=[parent]), stable=STABLE)["parentRefs"] == [parent]


@given(st.integers(0, 100), st.sampled_from([traffic(), grpc()]))
def test_the_weights_of_a_canary_add_up_to_a_hundred(weight: int, asked: Traffic) -> None:
    """The canary is in the route with weight 0 as well, and the stable version at 100."""
    spec = own_route(asked, stable=STABLE, canary=CANARY, weight=weight)

    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [
        {"name": "greeter", "port": 8080, "weight": 100 - weight},
        {"name": "greeter-0123456789", "port": 9090, "weight": weight},
    ]
    names = {"stable": STABLE.service, "canary": CANARY.service}
    assert weight_in(spec["rules"], namespace="default", **names) == weight


@pytest.mark.parametrize(("percent", "part"), [(100, {}), (20, {"percent": 20})])
def test_copies_go_to_the_canary_by_a_filter(percent: int, part: dict[str, int]) -> None:
    """Of all that come to the main rule; all of them is what Gateways do without a percentage."""
    spec = own_route(traffic(), stable=STABLE, canary=CANARY, mirror=percent)

    (rule,) = spec["rules"]
    backend = {"name": "greeter-0123456789", "port": 9090}
    assert rule["filters"] == [
        {"type": "RequestMirror", "requestMirror": {"backendRef": backend, **part}}
    ]


@pytest.mark.parametrize(("canary", "mirror"), [(None, 20), (CANARY, 0)])
def test_without_copies_there_is_no_filter(canary: Backend | None, mirror: int) -> None:
    """Nor without anybody to send them to."""
    (rule,) = own_route(traffic(), stable=STABLE, canary=canary, mirror=mirror)["rules"]

    assert "filters" not in rule


def test_testers_reach_the_canary_by_a_rule_before_the_others() -> None:
    """All the headers together are enough, and so is the cookie."""
    testers = {"headers": {"x-tester": "yes", "x-team": "blue"}, "cookie": "tester=on"}

    spec = own_route(
        traffic(testers=testers), stable=STABLE, canary=CANARY, weight=5, open_to_testers=True
    )

    first, main = spec["rules"]
    headers, cookie = first["matches"]
    assert headers == {
        **EVERY,
        "headers": [
            {"type": "Exact", "name": "x-team", "value": "blue"},
            {"type": "Exact", "name": "x-tester", "value": "yes"},
        ],
    }
    assert (cookie["path"], cookie["headers"][0]["name"]) == (EVERY["path"], "Cookie")
    assert first["backendRefs"] == [{"name": "greeter-0123456789", "port": 9090}]
    assert main["matches"] == [EVERY]


def test_testers_of_a_grpc_route_are_known_by_their_headers() -> None:
    """The rule matches nothing else, and the one for all others has no match."""
    asked = grpc(testers={"headers": {"x-tester": "yes"}})

    spec = own_route(asked, stable=STABLE, canary=CANARY, open_to_testers=True)

    header = {"type": "Exact", "name": "x-tester", "value": "yes"}
    assert [rule.get("matches") for rule in spec["rules"]] == [[{"headers": [header]}], None]


@pytest.mark.parametrize(
    ("canary", "open_to_testers"), [(None, True), (CANARY, False)], ids=["none", "closed"]
)
def test_testers_are_everybody_while_there_is_nothing_to_test(
    canary: Backend | None, *, open_to_testers: bool
) -> None:
    """Until the first pod of the new version is ready, nobody is sent to it."""
    asked = traffic(testers={"headers": {"x-tester": "yes"}})

    spec = own_route(asked, stable=STABLE, canary=canary, open_to_testers=open_to_testers)

    assert len(spec["rules"]) == 1


def expression(cookie: str) -> str:
    asked = traffic(testers={"cookie": cookie})
    spec = own_route(asked, stable=STABLE, canary=CANARY, open_to_testers=True)
    value: str = spec["rules"][0]["matches"][0]["headers"][0]["value"]
    return value


@pytest.mark.parametrize(
    ("header", "tester"),
    [
        ("v=1.0", True),
        ("a=b; v=1.0", True),
        ("v=1.0; a=b", True),
        ("a=b; v=1.0; c=d", True),
        ("a=b;v=1.0 ;c=d", True),
        ("v=1x0", False),
        ("v=1.01", False),
        ("uv=1.0", False),
        ("a=v=1.0", False),
        ("a=b, v=1.0", False),
        ("V=1.0", False),
        ("", False),
    ],
)
def test_a_cookie_is_found_among_others_and_not_mistaken(header: str, *, tester: bool) -> None:
    """Whether a Gateway looks for the expression anywhere or compares all of the header with it."""
    pattern = expression("v=1.0")

    assert bool(re.search(pattern, header)) is tester
    assert bool(re.fullmatch(pattern, header)) is tester


words = st.text(st.sampled_from("ab.~%_-1"), min_size=1, max_size=6)


@given(words, words.filter(lambda w: "%" not in w), st.lists(st.tuples(words, words), max_size=4))
def test_the_cookie_decides_and_nothing_else(
    value: str, name: str, others: list[tuple[str, str]]
) -> None:
    """No character of a cookie means anything but itself."""
    header = "; ".join(f"{n}={v}" for n, v in others)
    has_it = (name, value) in others

    assert bool(re.search(expression(f"{name}={value}"), header)) is has_it


def raw(
    *parents: dict[str, Any], labels: dict[str, str] | None = None, **annotations: str
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "default",
            "name": "shop",
            "uid": "u1",
            "resourceVersion": "42",
            "generation": 3,
            "labels": labels or {},
            "annotations": {f"agentherd.dev/{k}": v for k, v in annotations.items()}
            | {"argocd.argoproj.io/tracking-id": "x"},
        },
        "spec": {"rules": [{"backendRefs": [{"name": "greeter", "port": 8080}]}]},
        "status": {"parents": list(parents)},
    }


def parent(name: str = "public", /, **conditions: tuple[str, int]) -> dict[str, Any]:
    return {
        "parentRef": {"name": name},
        "controllerName": "example.com/gateway",
        "conditions": [
            {
                "type": kind,
                "status": status,
                "observedGeneration": generation,
                "reason": "BackendNotFound" if status == "False" else "Accepted",
                "message": "no such service",
            }
            for kind, (status, generation) in conditions.items()
        ],
    }


def test_a_route_of_a_person_belongs_to_no_agent() -> None:
    """It is known by its name alone, and its rules are kept as they are."""
    view = RouteView.of(raw())

    assert (view.namespace, view.name, view.uid, view.version) == ("default", "shop", "u1", 42)
    assert (view.workload, view.owner, view.applied, view.concerned("Agent")) == ("", None, "", ())
    assert refers(view.rules, "greeter", namespace=view.namespace)


def test_a_route_tells_which_agents_have_to_do_with_it() -> None:
    """The one that owns it, and those that have a canary in it."""
    own = RouteView.of(raw(labels={"agentherd.dev/agent": "greeter"}))
    shared = RouteView.of(raw(canary="writer, greeter"))

    assert own.concerned("Agent") == ("greeter",)
    assert shared.concerned("Agent") == ("greeter", "writer")
    assert shared.annotations == {"agentherd.dev/canary": "writer, greeter"}


@pytest.mark.parametrize(
    ("parents", "accepted"),
    [
        ([], None),
        ([parent()], None),
        ([parent(Accepted=("True", 2), ResolvedRefs=("True", 2))], None),
        ([parent(Accepted=("False", 2))], None),
        ([parent(Accepted=("Unknown", 3))], None),
        ([parent(Accepted=("True", 3), ResolvedRefs=("True", 3))], True),
        ([parent(Accepted=("True", 3), ResolvedRefs=("False", 3))], False),
        ([parent(Accepted=("True", 3)), parent("internal", Accepted=("True", 2))], True),
        ([parent(Accepted=("True", 3)), parent("internal", Accepted=("False", 3))], False),
        ([parent(Accepted=("True", 3), Programmed=("False", 3))], True),
    ],
    ids=[
        "nobody",
        "nothing",
        "an earlier generation",
        "an earlier refusal",
        "not known yet",
        "accepted",
        "backends not found",
        "by one of two",
        "not by one of two",
        "other conditions",
    ],
)
def test_a_route_is_accepted_when_a_gateway_says_so_of_what_it_is_now(
    parents: list[dict[str, Any]], accepted: bool | None
) -> None:
    """A single refusal counts more than any number of parents that accept it."""
    assert RouteView.of(raw(*parents)).accepted is accepted


def test_a_refusal_says_who_and_why() -> None:
    """In the words of the Gateway's controller."""
    parents = (parent(Accepted=("True", 3)), parent("internal", ResolvedRefs=("False", 3)))

    view = RouteView.of(raw(*parents))

    assert view.refusal == "internal: BackendNotFound: no such service"
    assert view.reported == (False, False, view.refusal)


def test_a_route_nobody_has_seen_yet_has_a_view() -> None:
    """No status, and for a GRPCRoute not even rules."""
    fresh = raw()
    del fresh["status"], fresh["spec"]["rules"]

    view = RouteView.of(fresh)

    assert (view.rules, view.accepted, view.refusal) == ([], None, "")
