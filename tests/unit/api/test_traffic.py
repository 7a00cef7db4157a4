"""How requests reach an agent: what a Gateway would refuse is refused before it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agentherd.api import Metrics, ParentRef, RouteKind, RouteProtocol, Traffic

OWN: dict[str, Any] = {"parentRefs": [{"name": "public"}]}


def test_a_gateway_is_enough() -> None:
    """Everything else has a default or means something when it is absent."""
    traffic = Traffic.model_validate(OWN)

    assert traffic.parent_refs == (ParentRef(name="public"),)
    assert traffic.path == "/"
    assert traffic.protocol is RouteProtocol.HTTP
    assert traffic.settle_seconds == 2
    assert traffic.testers is None


def test_a_route_that_exists_is_an_http_route_unless_it_says_otherwise() -> None:
    """Most are."""
    found = Traffic.model_validate({"routeRef": {"name": "greeter"}}).route_ref

    assert found is not None
    assert found.kind is RouteKind.HTTP


@pytest.mark.parametrize("port", [8080, "http"])
def test_a_port_is_a_number_or_a_name(port: int | str) -> None:
    """Neither is turned into the other."""
    found = Traffic.model_validate({**OWN, "port": port}).port

    assert found == port
    assert type(found) is type(port)


@pytest.mark.parametrize("path", ["/", "/greeter", "/a/b.c/", "/%C3%BC", "/~me/(x)"])
def test_paths_are_accepted(path: str) -> None:
    """The forms that a Gateway takes for a prefix."""
    assert Traffic.model_validate({**OWN, "path": path}).path == path


@pytest.mark.parametrize("host", ["greeter", "greeter.example.com", "*.example.com"])
def test_names_of_hosts_are_accepted(host: str) -> None:
    """With a wildcard in place of the first part."""
    assert Traffic.model_validate({**OWN, "hostnames": [host]}).hostnames == (host,)


@pytest.mark.parametrize(
    "fields",
    [
        {"parentRefs": [{}]},
        {"parentRefs": [{"name": "Public"}]},
        {"parentRefs": [{"name": "p", "port": 0}]},
        {"parentRefs": [{"name": "p"}] * 9},
        {"hostnames": ["Greeter.example.com"]},
        {"hostnames": ["a.*.com"]},
        {"hostnames": [f"h{n}" for n in range(17)]},
        {"path": "greeter"},
        {"path": "//"},
        {"path": "/a//b"},
        {"path": "/a?b"},
        {"path": "/a b"},
        {"path": "/" + "a" * 1024},
        {"protocol": "TCP"},
        {"routeRef": {"name": "r", "kind": "TCPRoute"}},
        {"routeRef": {}},
        {"testers": {"headers": {f"h{n}": "a" for n in range(9)}}},
        {"testers": {"headers": {"h": ""}}},
        {"testers": {"cookie": "tester"}},
        {"testers": {"cookie": "tester="}},
        {"testers": {"cookie": "a=b; c=d"}},
        {"settleSeconds": 61},
        {"settleSeconds": -1},
    ],
)
def test_values_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    """Where the schema has a bound, so has the model."""
    with pytest.raises(ValidationError):
        Traffic.model_validate({**OWN, **fields})


def test_metrics_have_the_usual_names() -> None:
    """`metrics: {}` does for most agents."""
    metrics = Metrics.model_validate({})

    assert metrics.path == "/metrics"
    assert metrics.requests == "http_requests_total"
    assert metrics.in_flight == "http_requests_in_flight"


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a{b='c'}", "x" * 201])
def test_a_metric_is_named_and_not_described(name: str) -> None:
    """A name, and neither labels nor a query."""
    with pytest.raises(ValidationError):
        Metrics(requests=name)
