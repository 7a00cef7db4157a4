"""A version that is reached at another port: how a route and the Service of the Agent get there.

Both are objects of their own, and whoever passes requests on may learn of either first. So neither
may need the other to have changed already, and one rule holds whichever way a change goes:

- As long as the route sends to the Service of the Agent, that keeps the number by which it does,
  whatever version it leads to.
- It gets the number of the stable version once the route has sent elsewhere for a time to settle:
  to the Service that the stable version has of its own.
- A route sends to a Service that has been right for such a time, its pods too.

What has come to be and when is read from the objects alone, so it does not matter which upgrade has
led there, who looks and when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentherd.domain.kinds import is_revision_service, revision_service_name
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Manifest, digest
from agentherd.domain.revision import Revision
from agentherd.domain.routing.ports import served_port
from agentherd.domain.routing.routes import RouteView
from agentherd.domain.routing.services import ServiceView
from agentherd.domain.routing.weights import Backend, ports_of, sends_to
from agentherd.domain.views import Child

_EVER: Final = datetime.min.replace(tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What holds on the way to another number, and when time alone brings it on.

    `backend` is where the stable version's part of the route goes; None leaves the route as it is.
    `service` is the Service of the Agent; None leaves it as it is.
    """

    backend: Backend | None
    service: Manifest | None
    until: datetime | None


def handover(
    seen: AgentObservation,
    stable: Revision,
    *,
    route: RouteView | None,
    service: Manifest | None,
    settle: timedelta,
    now: datetime,
) -> Handover | None:
    """How far the Agent's own route is on its way to the port of the stable version.

    None where it is there, or nobody can be on the way. `service` is the Service of the Agent as it
    is to be in the end, `settle` the time in which whoever passes requests on follows a change.
    """
    traffic, name = seen.agent.spec.traffic, seen.agent.metadata.name
    number = served_port(traffic, stable)
    if number is None or service is None or route is None or route.deleting or not seen.wanted:
        return None
    there = ports_of(route.rules, name, namespace=route.namespace)
    live = seen.services.get(name)
    if there == {number} or not isinstance(live, ServiceView) or live.deleting:
        return None
    soon = now + _SECOND + settle  # nobody wakes us for our own writes
    is_right = live.applied == digest(service) and not live.touched
    if is_right and settled_at(live, settle) <= now:
        return Handover(backend=Backend(name, number), service=service, until=soon)
    own = Backend(revision_service_name(name, stable.hash), number)
    reached_at = _reached_at(seen, stable, settle=settle, now=now)
    reached = reached_at is not None and reached_at <= now
    if there:
        at = min(there)
        if at not in live.names:
            return None  # it leads nowhere
        return Handover(
            backend=own if reached else Backend(name, at),
            service=_numbered(service, number, at=at, name=live.names[at]),
            until=soon if reached else reached_at,
        )
    if not _sends(route, lambda to: is_revision_service(name, to)):
        return None
    free_at = settled_at(route, settle)
    return Handover(
        backend=own if reached or _sends(route, own.service.__eq__) else None,
        service=service if is_right or free_at <= now else None,
        until=settled_at(live, settle) if is_right else max(free_at, now + _SECOND),
    )


def settled_at(child: Child, settle: timedelta) -> datetime:
    """When whoever passes requests on has followed our last write, whose time has whole seconds."""
    return child.written + _SECOND + settle if child.written is not None else _EVER


def left_at(seen: AgentObservation, service: str, *, settle: timedelta) -> datetime | None:
    """Since when nobody is sent to the Service of a revision; None while a route sends there."""
    routes = seen.routes.values()
    if any(_sends(view, service.__eq__) for view in routes if not view.deleting):
        return None
    if service not in seen.services:
        return _EVER
    return max((settled_at(view, settle) for view in routes), default=_EVER)


def _sends(route: RouteView, ours: Callable[[str], bool]) -> bool:
    return sends_to(route.rules, namespace=route.namespace, ours=ours)


def _reached_at(
    seen: AgentObservation, stable: Revision, *, settle: timedelta, now: datetime
) -> datetime | None:
    """When the stable version is reached by its own Service, with all its ready pods, if any."""
    service = seen.services.get(revision_service_name(seen.agent.metadata.name, stable.hash))
    pods = [pod for pod in seen.pods_of(stable.hash) if pod.ready and not pod.deleting]
    if not pods or (service is not None and service.deleting):
        return None
    soon = now + _SECOND + settle
    times = [settled_at(pod, settle) if pod.admitted else soon for pod in pods]
    return max(settled_at(service, settle) if service is not None else soon, *times)


def _numbered(service: Manifest, number: int, *, at: int, name: str) -> Manifest:
    """The Service with its port `number` at another number and name, which it has alone."""
    ports: list[dict[str, Any]] = service["spec"]["ports"]
    served = next(port for port in ports if port["port"] == number)
    others = [p for p in ports if p is not served and p["port"] != at and p["name"] != name]
    moved = [served | {"name": name, "port": at}, *others]
    return {**service, "spec": service["spec"] | {"ports": moved}}
