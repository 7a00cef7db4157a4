"""How requests reach an Agent through a Gateway, so that a part of them can go to a new version.

There are two owners a route can have. With `parentRefs` the operator makes the route and may
shape it; with `routeRef` a person did, and only the weights of the Agent's own backends are
touched. What only the first can do is refused beside the second.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from agentherd.api.enums import RouteKind, RouteProtocol
from agentherd.api.markers import (
    ATOMIC,
    DNS_LABEL,
    RULES,
    SET,
    Int32,
    ObjectName,
    Port,
    Rule,
)
from agentherd.api.meta import WireModel

_HOSTNAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_PATH = r"^(/[-A-Za-z0-9._~!$&'()*+,;=:@%]+)*/?$"
_COOKIE = r"^[-_.~a-zA-Z0-9]+=[-_.~%a-zA-Z0-9]+$"

Headers = Annotated[
    dict[str, Annotated[str, StringConstraints(min_length=1, max_length=1024)]],
    Field(max_length=8),
    Rule(
        "self.all(name, name.matches('^[-_.a-zA-Z0-9]{1,256}$'))",
        "names of headers consist of letters, digits, '-', '_' and '.', at most 256 of them",
    ),
]


class ParentRef(WireModel):
    """A Gateway, or one of its listeners, that passes requests on to the agent."""

    name: ObjectName
    """Name of the Gateway. Required."""

    namespace: (
        Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_LABEL)] | None
    ) = None
    """Namespace of the Gateway, whose listener must allow routes from the namespace of the Agent.
    Absent: the namespace of the Agent."""

    section_name: ObjectName | None = None
    """Name of the one listener of the Gateway to use. Absent: all that fit."""

    port: Annotated[Int32, Field(ge=1, le=65535)] | None = None
    """Port of the listeners of the Gateway to use. Absent: all that fit."""


class RouteRef(WireModel):
    """A route that exists already, in the namespace of the Agent."""

    kind: RouteKind = RouteKind.HTTP
    """Kind of the route: `HTTPRoute` or `GRPCRoute`. Defaults to `HTTPRoute`."""

    name: ObjectName
    """Name of the route. One of its backends must be the Service of the Agent. Required."""


class Testers(WireModel):
    """Requests that reach a new version before others do."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "has(self.cookie) || (has(self.headers) && self.headers.size() > 0)",
                    "must have headers or a cookie, because otherwise every request would be a "
                    "tester's",
                ).keywords()
            ]
        }
    )

    headers: Headers = Field(default_factory=dict)
    """Headers, each with its exact value, that a request must all have to be a tester's, for
    example `x-tester: "yes"`. At most 8. Absent: only the cookie counts."""

    cookie: Annotated[str, StringConstraints(max_length=256, pattern=_COOKIE)] | None = None
    """Cookie that makes a request a tester's, written as `name=value`, of letters, digits, `-`,
    `_`, `.` and `~`. Beside `headers`, one of both is enough. Absent: only the headers count."""


class Traffic(WireModel):
    """How requests reach the agent through a Gateway."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "(has(self.parentRefs) && self.parentRefs.size() > 0) != has(self.routeRef)",
                    "must have either parentRefs, for a route that the operator makes, or routeRef,"
                    " for one that exists",
                ).keywords(),
                Rule(
                    "!has(self.routeRef) || (self.path == '/' && self.protocol == 'HTTP'"
                    " && !has(self.testers)"
                    " && (!has(self.hostnames) || self.hostnames.size() == 0))",
                    "must leave out hostnames, path, protocol and testers with routeRef, because "
                    "the operator sets nothing but weights in a route it has not made",
                ).keywords(),
                Rule(
                    "self.protocol == 'HTTP' || self.path == '/'",
                    "must be left out with protocol GRPC, because a GRPCRoute has no paths",
                    field=".path",
                ).keywords(),
                Rule(
                    "self.protocol == 'HTTP' || !has(self.testers) || !has(self.testers.cookie)",
                    "must not have a cookie with protocol GRPC: use headers",
                    field=".testers",
                ).keywords(),
            ]
        }
    )

    parent_refs: Annotated[tuple[ParentRef, ...], Field(max_length=8), ATOMIC] = Field(
        default_factory=tuple
    )
    """Gateways that pass requests on to the agent, at most 8. The operator makes an HTTPRoute, or a
    GRPCRoute, of the name of the Agent for them. Absent: `routeRef` is needed."""

    hostnames: Annotated[
        tuple[
            Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=_HOSTNAME)], ...
        ],
        Field(max_length=16),
        SET,
    ] = Field(default_factory=tuple)
    """Names of hosts the agent answers for, for example `greeter.example.com` or `*.example.com`,
    at most 16. Only with `parentRefs`. Absent: those of the Gateway's listeners."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=_PATH)] = "/"
    """Beginning of the path of the requests that are the agent's, for example `/greeter`. The agent
    sees the whole path. Only with `parentRefs` and protocol `HTTP`. Defaults to `/`, which is every
    request."""

    protocol: RouteProtocol = RouteProtocol.HTTP
    """What the agent speaks: `HTTP` makes an HTTPRoute, `GRPC` a GRPCRoute. Only with
    `parentRefs`. Defaults to `HTTP`."""

    port: Port | None = None
    """Port of the agent that gets the requests: a number from 1 to 65535, or the name of a port of
    the first container. A change of the template has to keep it: with a name its number may change.
    With `routeRef` the numbers in that route count instead. Absent: the first port of the first
    container."""

    route_ref: RouteRef | None = None
    """Route that exists already and has the Service of the Agent as a backend. During an upgrade
    the operator adds the Service of the new version beside it and sets the weights of both;
    everything else in the route stays as it is. Absent: `parentRefs` is needed."""

    testers: Testers | None = None
    """Requests that go to a new version from its first ready pod on, whatever the weight. Only with
    `parentRefs`. Absent: all requests are treated alike."""

    settle_seconds: Annotated[Int32, Field(ge=0, le=60)] = 2
    """Seconds the Gateway may take to follow a change. They are awaited before a new version gets
    its first requests, and before a pod that gets no more requests is stopped. Defaults to 2.
    Raise it when requests are lost although the pods are healthy."""
