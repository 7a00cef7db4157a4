"""Where requests go: the Services of an Agent and its route, for one split between two versions.

The Service of the Agent always sends to the version that is stable, and to both only while the
number of pods is the weight. Where a route does the splitting, the new version has a Service of its
own, so that no selector has to change under a request: what leaves the route keeps its address
until its pods have gone. A route is written before the Service that a rollback depends on would be,
since it is the route that sends people there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agentherd.api import Traffic
from agentherd.domain import children
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import (
    ADMITTED,
    ADMITTED_LABEL,
    CANARY_ANNOTATIONS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    POD,
    SERVICE,
    Key,
    Kind,
    is_revision_service,
    revision_service_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Failure, Manifest, Merge, Ref, Stage, digest
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.routing.gateways import mirror_fault
from agentherd.domain.routing.handover import Handover, handover, left_at
from agentherd.domain.routing.ports import served_port, unreferred, unresolved, unshared
from agentherd.domain.routing.routes import RouteView, own_route
from agentherd.domain.routing.weights import (
    Backend,
    RouteConflict,
    ports_of,
    refers,
    safe_weight,
    sends_to,
    weight_in,
    weighted,
)
from agentherd.domain.template import container_ports
from agentherd.domain.upkeep import keep
from agentherd.domain.views import PodView

Place = tuple[Kind, Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How requests are to be divided.

    `weight` percent go to `canary`, if there is one; when it is `routed` it takes part in the
    route, from weight 0 on, and gets copies of `mirror` percent. With a `preview` it has a Service
    of its own. `selected` is the revision to which the Agent's Service sends; None for all. With a
    `handover` the stable version is on its way to another port. `lasting` are Services of revisions
    that stay, since requests may still be sent there. The counts are of ready pods.
    """

    stable: Revision
    canary: Revision | None = None
    weight: int = 0
    selected: str | None = None
    preview: bool = False
    stable_ready: int = 0
    canary_ready: int = 0
    routed: bool = False
    mirror: int = 0
    handover: Handover | None = None
    lasting: frozenset[str] = frozenset()


Intents = Iterator[Apply | Merge | Delete]


def timely(seen: AgentObservation, split: Split, *, settle: timedelta, now: datetime) -> Split:
    """The split with what it has to wait for, so that nobody is sent where nobody answers."""
    traffic, name = seen.agent.spec.traffic, seen.agent.metadata.name
    over = None
    if traffic is not None and traffic.route_ref is None:
        over = handover(
            seen,
            split.stable,
            route=_own(seen.routes.get(place_of(seen.key, traffic))),
            service=_service(seen, split),
            settle=settle,
            now=now,
        )
    services = (service for service in seen.services if is_revision_service(name, service))
    lasting = frozenset(
        service
        for service in services
        if (left := left_at(seen, service, settle=settle)) is None or left > now
    )
    return replace(split, handover=over, lasting=lasting)


def timely_again(
    seen: AgentObservation, split: Split, *, settle: timedelta, now: datetime
) -> datetime | None:
    """When time alone changes what the split has to wait for."""
    name = seen.agent.metadata.name
    needed = {revision_service_name(name, revision.hash) for revision in _addressed(split)}
    # Nobody wakes us for our own write of the route.
    times: list[datetime | None] = [
        left_at(seen, service, settle=settle) or now + settle + timedelta(seconds=1)
        for service in split.lasting - needed
    ]
    times.append(split.handover.until if split.handover else None)
    return min((time for time in times if time is not None and time > now), default=None)


def traffic_intents(seen: AgentObservation, split: Split) -> Intents:
    """The writes that bring Services and routes to the split, in their order."""
    yield from _revision_services(seen, split)
    yield from _admissions(seen, split)
    yield from route_intents(seen, split)
    service = _service(seen, split)
    name = seen.agent.metadata.name
    if service is None and seen.agent.spec.traffic is not None:
        return  # a route sends to it, or did until just now
    yield from keep(seen, SERVICE, name, service, seen.services, stage=Stage.TRAFFIC)


def _service(seen: AgentObservation, split: Split) -> Manifest | None:
    """The Service of the Agent; None without one, or while it is left as it is."""
    if split.handover is not None:
        return split.handover.service
    return children.service(seen.agent, split.stable, selected=split.selected)


def route_intents(seen: AgentObservation, split: Split) -> Intents:
    """The writes that bring the route of the Agent to the split, and free those it has left."""
    traffic = seen.agent.spec.traffic
    wanted = place_of(seen.key, traffic) if traffic else None
    if traffic is not None and wanted is not None and seen.routes_known:
        if traffic.route_ref is None:
            yield from _own_route(seen, traffic, wanted, split)
        elif (view := seen.routes.get(wanted)) is not None:
            yield from _shared_route(seen, view, wanted[0], split)
    for place, view in seen.routes.items():
        if place == wanted or (traffic is not None and _is_all_there_is(seen, traffic, split)):
            continue
        if _is_left(seen, view) and not view.deleting:
            yield Delete(kind=place[0], name=view.name, uid=view.uid, stage=Stage.SCALE)
        elif seen.agent.metadata.name in view.canaries(seen.agent.KIND):
            yield restored(place[0], view, seen.identity.ref)


def port_fault(
    seen: AgentObservation, stable: Revision, new: Revision, *, shared: bool
) -> Fault | None:
    """Why requests could not go on when `new` takes the place of `stable`, or None.

    `shared` says that the pods of both stand behind one Service meanwhile.
    """
    traffic = seen.agent.spec.traffic
    found = None
    if traffic is not None and traffic.route_ref is None:
        serves = f"revision {stable.hash}, which serves"
        found = unresolved(traffic, stable, serves)
        if found is None and new.hash != stable.hash:
            found = unresolved(traffic, new, "the new version")
    elif traffic is not None and new.hash != stable.hash:
        kind, key = place_of(seen.key, traffic)
        if (view := seen.routes.get((kind, key))) is not None:
            referred = ports_of(view.rules, seen.agent.metadata.name, namespace=view.namespace)
            found = unreferred(referred, new, f"{kind.name} {key.name}")
    return found or (unshared(stable, new) if shared else None)


def obstacle(seen: AgentObservation, split: Split) -> Fault | None:
    """Why the route does not do as it is told, or None."""
    if (service := _refused_service(seen)) is not None:
        return service
    traffic = seen.agent.spec.traffic
    portless = port_fault(seen, split.stable, split.canary or split.stable, shared=traffic is None)
    if portless is not None or traffic is None:
        return portless
    kind, key = place_of(seen.key, traffic)
    if not seen.routes_known:
        return Fault(Reason.ROUTE_NOT_FOUND, "the routes have not been read yet")
    if (refused := seen.failures.get(Ref(kind.name, key.name))) is not None:
        return Fault(refused.reason, refused.message)
    view = seen.routes.get((kind, key))
    what = f"{kind.name} {key.name}"
    if view is None:
        return Fault(Reason.ROUTE_NOT_FOUND, f"{what} does not exist")
    if view.accepted is False:
        return Fault(Reason.ROUTE_NOT_ACCEPTED, f"{what} is not accepted: {view.refusal}")
    if cannot := mirror_fault(seen.gateways, seen.key, traffic, split.mirror):
        return cannot
    if traffic.route_ref is None:
        return None
    name = seen.agent.metadata.name
    if not refers(view.rules, name, namespace=view.namespace):
        whose = f"the Service of the {seen.agent.KIND}"
        return Fault(Reason.ROUTE_CONFLICT, f"{what} has no backend {name}, {whose}")
    try:
        _weighted(seen, view, split)
    except RouteConflict as error:
        return Fault(Reason.ROUTE_CONFLICT, f"{what}: {error}")
    return None


def unreachable(seen: AgentObservation, serving: Revision, now: datetime) -> Failure | None:
    """Why the Agent's own route cannot lead to what serves, whether an upgrade runs or not."""
    traffic = seen.agent.spec.traffic
    if traffic is None or traffic.route_ref is not None:
        return None
    found = unresolved(traffic, serving, f"revision {serving.hash}, which serves")
    if found is None:
        return None
    return Failure(
        reason=found.reason, message=found.message, generation=seen.generation, retry_at=now
    )


def is_taken_back(seen: AgentObservation, split: Split) -> bool:
    """Whether all requests are seen to go to the stable version of the split.

    A route that is missing takes them nowhere, unless it is a person's.
    """
    return _leads_back(seen, split) and _sends(seen, split)


def keeps_people(seen: AgentObservation, stable: Revision, new: Revision) -> tuple[bool, bool]:
    """Whether people are seen to be sent to `new`: by a route, and by the Service of both."""
    name = seen.agent.metadata.name
    service = revision_service_name(name, new.hash)
    by_route = any(
        weight_in(view.rules, namespace=view.namespace, stable=name, canary=service)
        for view in seen.routes.values()
    )
    return by_route, is_shared(seen, stable)


def is_shared(seen: AgentObservation, stable: Revision) -> bool:
    """Whether the Service of the Agent is seen to send to the pods of all versions."""
    return seen.agent.metadata.name in seen.services and _sends(seen, Split(stable=stable))


def _leads_back(seen: AgentObservation, split: Split) -> bool:
    traffic, name = seen.agent.spec.traffic, seen.agent.metadata.name
    ways = {name, revision_service_name(name, split.stable.hash)} if split.handover else {name}
    if traffic is not None and not seen.routes_known:
        return False
    if traffic is not None and traffic.route_ref is None:
        own = seen.routes.get(place_of(seen.key, traffic))
        if own is None or own.deleting:
            return False
        if not any(refers(own.rules, way, namespace=own.namespace) for way in ways):
            return False
    return not any(
        sends_to(
            view.rules,
            namespace=view.namespace,
            ours=lambda to: is_revision_service(name, to) and to not in ways,
        )
        for view in seen.routes.values()
        if not view.deleting
    )


def _sends(seen: AgentObservation, split: Split) -> bool:
    """Whether the Service of the Agent, if it is to have one, is seen to be as in this split."""
    manifest = _service(seen, split)
    if manifest is None:
        return True
    live = seen.services.get(seen.agent.metadata.name)
    if live is None or live.deleting or live.touched:
        return False
    return live.applied == digest(manifest)


def _refused_service(seen: AgentObservation) -> Fault | None:
    """Why the API server does not want a Service as it should be."""
    for ref, failure in sorted(seen.failures.items()):
        if ref[0] == SERVICE.name:
            return Fault(failure.reason, failure.message)
    return None


def place_of(agent: Key, traffic: Traffic) -> Place:
    """The route through which an Agent is served: its own, or the one its spec refers to."""
    reference = traffic.route_ref
    if reference is not None:
        return _kind(reference.kind.value), Key(agent.namespace, reference.name)
    return (GRPC_ROUTE if traffic.protocol.value == "GRPC" else HTTP_ROUTE), agent


def restored(kind: Kind, view: RouteView, workload: Ref) -> Merge:
    """The write after which a route that a person wrote holds nothing of a workload's canary."""
    name = workload[1]
    rules = weighted(
        view.rules,
        namespace=view.namespace,
        stable=Backend(name, 0),
        canary=None,
        weight=0,
        ours=lambda service: is_revision_service(name, service),
    )
    return _merge(kind, view, workload, rules, marked=False)


def _revision_services(seen: AgentObservation, split: Split) -> Intents:
    """Those of versions that need one; those of others stay until their pods have gone."""
    agent = seen.agent
    wanted = set()
    for revision in _addressed(split):
        name = revision_service_name(agent.metadata.name, revision.hash)
        wanted.add(name)
        manifest = children.revision_service(agent, revision)
        yield from keep(
            seen, SERVICE, name, manifest, seen.services, stage=Stage.TRAFFIC, claimed=True
        )
    serving = {view.revision for view in seen.sets() if view.replicas or view.wanted}
    if serving <= {split.stable.hash}:
        serving = set()  # nobody needs another way to the only version there is
    for name, child in seen.services.items():
        if name in wanted | split.lasting or not is_revision_service(agent.metadata.name, name):
            continue
        if name.rpartition("-")[2] in serving or child.deleting:
            continue
        if seen.made(child):
            yield Delete(kind=SERVICE, name=name, uid=child.uid, stage=Stage.SCALE)


def _addressed(split: Split) -> tuple[Revision, ...]:
    """The revisions that have a Service of their own: the new one, one on its way to a port."""
    canary = split.canary if split.preview else None
    stable = split.stable if split.handover is not None else None
    return tuple(revision for revision in (stable, canary) if revision is not None)


def _admissions(seen: AgentObservation, split: Split) -> Intents:
    """Let pods be reached by the Service of their version, each from the moment it is ready.

    One that is deleted stays reachable until it is gone, as long as no other could answer: only
    then is the weight on its way back to the old version.
    """
    for revision in _addressed(split):
        pods = [pod for pod in seen.pods_of(revision.hash) if not pod.finished]
        for pod in pods:
            if pod.ready and not (pod.admitted or pod.deleting):
                yield _admission(pod, ADMITTED)
        if any(pod.ready and pod.admitted and not pod.deleting for pod in pods):
            for pod in pods:
                if pod.admitted and pod.deleting:
                    yield _admission(pod, None)


def _admission(pod: PodView, value: str | None) -> Merge:
    return Merge(
        kind=POD,
        name=pod.name,
        uid=pod.uid,
        patch={"metadata": {"labels": {ADMITTED_LABEL: value}}},
        stage=Stage.TRAFFIC,
    )


def given_weight(seen: AgentObservation, split: Split) -> int:
    """The percentage that the route is told to give the new version."""
    return _backends(seen, split)[2]


def _own_route(seen: AgentObservation, traffic: Traffic, place: Place, split: Split) -> Intents:
    if split.mirror and not seen.gateways.known:
        return  # whoever has just begun to lead does not take away what may stay
    stable, canary, weight = _backends(seen, split)
    if stable is None:
        return  # told as an obstacle, or soon over; what is there may still lead somewhere
    spec = own_route(
        traffic,
        stable=stable,
        canary=canary,
        weight=weight,
        open_to_testers=split.canary_ready > 0,
        mirror=_mirror(seen, traffic, split),
    )
    manifest = children.route(seen.agent, place[0], spec)
    view = seen.routes.get(place)
    # One of that name that a person wrote is not to be taken over: it counts as missing, and the
    # claim to the name is refused.
    own = _own(view)
    live = {own.name: own} if own is not None else {}
    yield from keep(seen, place[0], place[1].name, manifest, live, stage=Stage.TRAFFIC)


def _own(view: RouteView | None) -> RouteView | None:
    return view if view is not None and (view.owner or view.applied) else None


def _is_left(seen: AgentObservation, view: RouteView) -> bool:
    """Whether a route is one of the Agent's own; of nobody's only the one of its name is."""
    return seen.made(view) and (view.owner is not None or view.name == seen.agent.metadata.name)


def _mirror(seen: AgentObservation, traffic: Traffic, split: Split) -> int:
    """Copies are asked for only where all Gateways make them; that they do not is an obstacle."""
    cannot = mirror_fault(seen.gateways, seen.key, traffic, split.mirror)
    return 0 if cannot else split.mirror


def _shared_route(seen: AgentObservation, view: RouteView, kind: Kind, split: Split) -> Intents:
    try:
        rules = _weighted(seen, view, split)
    except RouteConflict:
        return  # told as an obstacle
    name = seen.agent.metadata.name
    marked = split.canary is not None and split.routed
    if rules != view.rules or marked != (name in view.canaries(seen.agent.KIND)):
        yield _merge(kind, view, seen.identity.ref, rules, marked=marked)


def _weighted(seen: AgentObservation, view: RouteView, split: Split) -> list[Any]:
    name = seen.agent.metadata.name
    stable, canary, weight = _backends(seen, split)
    return weighted(
        view.rules,
        namespace=view.namespace,
        stable=stable or Backend(name, 0),
        canary=canary,
        weight=weight,
        ours=lambda service: is_revision_service(name, service),
    )


def _backends(seen: AgentObservation, split: Split) -> tuple[Backend | None, Backend | None, int]:
    name = seen.agent.metadata.name
    over = split.handover
    stable = over.backend if over is not None else _backend(seen, name, split.stable)
    canary = None
    if split.canary is not None and split.routed and stable is not None:
        service = revision_service_name(name, split.canary.hash)
        canary = _backend(seen, service, split.canary)
    weight = safe_weight(
        split.weight, stable_ready=split.stable_ready, canary_ready=split.canary_ready
    )
    return stable, canary, weight if canary else 0


def _backend(seen: AgentObservation, service: str, revision: Revision) -> Backend | None:
    """The port of a revision that requests go to.

    While `spec.traffic.port` leads nowhere it is the one that the route has, so that a weight can
    be taken back all the same.
    """
    traffic = seen.agent.spec.traffic
    by_person = traffic is None or traffic.route_ref is not None  # whose route has the numbers
    number = served_port(None if by_person else traffic, revision)
    if number is not None or traffic is None:
        return Backend(service, number) if number is not None else None
    view = seen.routes.get(place_of(seen.key, traffic))
    if view is None:
        return None
    there = ports_of(view.rules, service, namespace=view.namespace)
    kept = [port["port"] for port in container_ports(revision.template) if port["port"] in there]
    return Backend(service, kept[0]) if kept else None


def _is_all_there_is(seen: AgentObservation, traffic: Traffic, split: Split) -> bool:
    """Whether a route that was left still is the only one, since another cannot be made."""
    missing = place_of(seen.key, traffic) not in seen.routes
    return missing and traffic.route_ref is None and served_port(traffic, split.stable) is None


def _merge(kind: Kind, view: RouteView, workload: Ref, rules: list[Any], *, marked: bool) -> Merge:
    of_kind, name = workload
    marks = set(view.canaries(of_kind)) - {name}
    note = ",".join(sorted(marks | {name} if marked else marks)) or None
    annotations = {CANARY_ANNOTATIONS[of_kind]: note}
    return Merge(
        kind=kind,
        name=view.name,
        uid=view.uid,
        version=view.version,
        patch={"metadata": {"annotations": annotations}, "spec": {"rules": rules}},
        stage=Stage.TRAFFIC,
    )


def _kind(name: str) -> Kind:
    return GRPC_ROUTE if name == GRPC_ROUTE.name else HTTP_ROUTE
