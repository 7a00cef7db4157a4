"""HTTPRoutes and GRPCRoutes: what is kept of them, and what one that is ours looks like.

A route is written by the operator as a whole or by a person of whose backends we set the weights
(`weights`); its view is the same. Whether a Gateway took it is said in its status, by
one controller for each parent and for one generation, so that an answer to an earlier generation
counts as none: weight is never raised on a route that was accepted as it used to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from agentherd.api import RouteProtocol, Testers, Traffic
from agentherd.domain.kinds import CANARY_ANNOTATIONS, GROUP
from agentherd.domain.routing.weights import Backend, Rule
from agentherd.domain.views import Child, Raw, written

Spec = dict[str, Any]

_TOLD: Final = ("Accepted", "ResolvedRefs")
"""The conditions by which a controller says that it took a route."""

_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What means something in every dialect of regular expressions that Gateways use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteView(Child):
    """A route, of ours or of a person's; the `workload` of the latter is "".

    `accepted` is None while no controller has said anything about this generation; `refusal` tells
    in words who does not accept it and why.
    """

    rules: list[Rule]
    annotations: Mapping[str, str]
    accepted: bool | None
    refusal: str

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep the rules as they are, since what is foreign in them is written back."""
        child = replace(Child.of(raw), written=written(raw))
        annotations = raw["metadata"].get("annotations", {})
        told = tuple(_told(raw))
        refusals = [words for accepted, words in told if not accepted]
        return cls(
            **{field.name: getattr(child, field.name) for field in fields(child)},
            rules=raw.get("spec", {}).get("rules") or [],
            annotations={k: v for k, v in annotations.items() if k.startswith(f"{GROUP}/")},
            accepted=not refusals if told else None,
            refusal="; ".join(refusals),
        )

    def canaries(self, kind: str) -> tuple[str, ...]:
        """The workloads of a kind that have a canary in the route.

        They are named in an annotation for each kind, separated by commas.
        """
        names = self.annotations.get(CANARY_ANNOTATIONS[kind], "").split(",")
        return tuple(sorted({name.strip() for name in names} - {""}))

    def concerned(self, kind: str) -> tuple[str, ...]:
        """The workloads of a kind that have to do with the route: its owner, and canaries."""
        owner = {self.workload} - {""} if self.workload_kind == kind else set()
        return tuple(sorted(owner.union(self.canaries(kind))))

    @property
    def reported(self) -> tuple[object, ...]:
        """What the Gateways say."""
        return (self.deleting, self.accepted, self.refusal)


def own_route(
    traffic: Traffic,
    *,
    stable: Backend,
    canary: Backend | None = None,
    weight: int = 0,
    open_to_testers: bool = False,
    mirror: int = 0,
) -> Spec:
    """The spec of the HTTPRoute or GRPCRoute of an Agent with `parentRefs`.

    `weight` percent of the requests go to `canary`, and copies of `mirror` percent. When it is
    `open_to_testers`, their requests go to it whatever the weight, by a rule that is more specific
    and therefore wins.
    """
    every = _every(traffic)
    rules: list[Spec] = []
    if canary is not None and open_to_testers and traffic.testers is not None:
        matches = [{**every, "headers": headers} for headers in _headers(traffic.testers)]
        rules.append({"matches": matches, "backendRefs": [_ref(canary)]})
    main = {"matches": [every]} if every else {}
    copies = {"filters": [_mirror(canary, mirror)]} if canary is not None and mirror else {}
    rules.append({**main, **copies, "backendRefs": _refs(stable, canary, weight)})
    parents = [
        parent.model_dump(by_alias=True, exclude_none=True) for parent in traffic.parent_refs
    ]
    hostnames = {"hostnames": list(traffic.hostnames)} if traffic.hostnames else {}
    return {"parentRefs": parents, **hostnames, "rules": rules}


def _every(traffic: Traffic) -> Spec:
    """What all requests of the Agent have in common; a GRPCRoute takes all without a match."""
    if traffic.protocol is RouteProtocol.GRPC:
        return {}
    return {"path": {"type": "PathPrefix", "value": traffic.path}}


def _refs(stable: Backend, canary: Backend | None, weight: int) -> list[Spec]:
    if canary is None:
        return [_ref(stable)]
    return [_ref(stable) | {"weight": 100 - weight}, _ref(canary) | {"weight": weight}]


def _mirror(canary: Backend, percent: int) -> Spec:
    """The filter for copies; all of them are asked for in the way that more Gateways know."""
    part = {"percent": percent} if percent < 100 else {}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": _ref(canary), **part}}


def _ref(backend: Backend) -> Spec:
    return {"name": backend.service, "port": backend.port}


def _headers(testers: Testers) -> Iterator[list[Spec]]:
    """The headers of a tester's request: all of those named, or else the cookie."""
    if testers.headers:
        yield [
            {"type": "Exact", "name": name, "value": value}
            for name, value in sorted(testers.headers.items())
        ]
    if testers.cookie is not None:
        yield [{"type": "RegularExpression", "name": "Cookie", "value": _cookie(testers.cookie)}]


def _cookie(cookie: str) -> str:
    """An expression for a Cookie header with exactly this cookie among others.

    Some Gateways look for an expression anywhere in the value and some compare it with all of it;
    one that begins at the beginning and ends at the end means the same to both.
    """
    literal = _SPECIAL.sub(r"\\\g<0>", cookie)
    return rf"^(.*;[ \t]*)?{literal}([ \t]*;.*)?$"


def _told(raw: Raw) -> Iterator[tuple[bool, str]]:
    """What the controllers say of this generation, each with who says why, in words."""
    generation = raw["metadata"].get("generation", 0)
    for parent in raw.get("status", {}).get("parents") or ():
        name = parent.get("parentRef", {}).get("name", "")
        for condition in parent.get("conditions") or ():
            current = condition.get("observedGeneration", generation) >= generation
            if current and condition["type"] in _TOLD and condition["status"] != "Unknown":
                words = f"{name}: {condition.get('reason', '')}: {condition.get('message', '')}"
                yield condition["status"] == "True", words
