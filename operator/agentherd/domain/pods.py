"""Which pods leave and which are looked at: sizes become writes, gently.

A ReplicaSet grows at once. It shrinks only as its pods may go: first they are taken out of traffic,
then they finish what they have begun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from agentherd.domain.drain import Mark, Shrinking, shrink
from agentherd.domain.kinds import (
    DELETION_COST_ANNOTATION,
    DRAINING_ANNOTATION,
    POD,
    REPLICA_SET,
    TRAFFIC_LABEL,
    TRAFFIC_OFF,
    TRAFFIC_ON,
    revision_service_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Delete, Merge, Scale, Stage
from agentherd.domain.readings import Counters, Target
from agentherd.domain.revision import Revision
from agentherd.domain.routing.handover import left_at
from agentherd.domain.template import container_ports, probed_paths, probed_port
from agentherd.domain.upgrades.attempt import stale_pods
from agentherd.domain.upgrades.run import Run
from agentherd.domain.views import TIME_FORMAT, PodView, ReplicaSetView

DRAIN_TIMEOUT: Final = timedelta(seconds=30)
"""How long a pod may finish its work when its revision does not say; Kubernetes' own default."""

LOOK_AGAIN: Final = timedelta(seconds=1)
"""When to look at pods again that were just marked; not at once, since a mark may be refused."""


SELDOM: Final = 10
"""Seconds between two looks at pods of which nothing is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """The sizes to ask for now, the writes that belong to them, and when to look again.

    `fresh` are those of baselines.
    """

    sizes: Mapping[str, int]
    fresh: Mapping[str, int]
    intents: tuple[Merge | Scale, ...]
    wake_at: datetime | None


def sized(
    seen: AgentObservation,
    sizes: Mapping[str, int],
    revisions: Mapping[str, Revision],
    *,
    fresh: Mapping[str, int] = MappingProxyType({}),
    settle: timedelta,
    now: datetime,
) -> Sized:
    """Bring the ReplicaSets that exist to `sizes`; `revisions` are their contents, if known.

    `fresh` are the sizes of baselines.
    """
    result, baselines = dict(sizes), dict(fresh)
    intents: list[Merge | Scale] = []
    times: list[datetime] = []
    for view in (*seen.sets(), *seen.baselines()):
        wanted, found = (fresh, baselines) if view.baseline else (sizes, result)
        size = wanted.get(view.revision, 0)
        service = revision_service_name(seen.agent.metadata.name, view.revision)
        left = left_at(seen, service, settle=settle)
        going = seen.wanted and view.wanted and not (size or view.baseline)
        if going and (left is None or left > now):
            # The route is on its way; who passes requests on is not to learn of the pods first.
            size = view.wanted
            times += [left] if left is not None else []
        shrinking = _shrink(seen, view, size, revisions, settle=settle, now=now)
        found[view.revision] = shrinking.size
        intents += _writes(seen, view, shrinking)
        if shrinking.mark or shrinking.unmark:
            # Nobody tells us of our own marks, and what follows from them is not known before.
            times.append(now + LOOK_AGAIN)
        if shrinking.wake_at is not None:
            times.append(shrinking.wake_at)
    wake_at = min(times, default=None)
    return Sized(sizes=result, fresh=baselines, intents=tuple(intents), wake_at=wake_at)


def replaced(seen: AgentObservation, under_way: Run | None) -> Iterator[Delete]:
    """Make the pods anew that failed in an earlier attempt; those that are well are kept.

    That is written before the status says that the attempt has begun, so whoever goes on after
    that finds them leaving.
    """
    if under_way is None or not under_way.moving:
        return
    upgrade = under_way.governing.upgrade
    for pod in stale_pods(seen, under_way.new.hash, upgrade, under_way.status):
        yield Delete(kind=POD, name=pod.name, uid=pod.uid, stage=Stage.RECORD)


def measured(
    seen: AgentObservation, revisions: Mapping[str, Revision], under_way: Run | None
) -> Iterator[Target]:
    """The pods that are looked at.

    Metrics are needed of both sides of an upgrade, while it runs, and of all pods that drain; the
    health of those of its new version. What is monitored is looked at all the time, but seldom.
    """
    moving = under_way if under_way is not None and under_way.moving else None
    if moving is None and seen.agent.spec.metrics is None:
        return
    canary = moving.new.hash if moving else None
    sides = {canary, moving.serving} if moving else set()
    for _, pod in sorted(seen.pods.items()):
        revision = revisions.get(pod.revision)
        if revision is None or not pod.ip or pod.finished:
            continue
        decides = pod.revision in sides or pod.draining_since is not None
        counted = decides or (seen.monitored is not None and pod.ready)
        counters = _counters(seen, pod, revision) if counted else None
        health = _health(pod, revision) if pod.revision == canary else None
        if counters or health:
            every = 1 if decides else SELDOM
            yield Target(uid=pod.uid, counters=counters, health=health, every=every)


def _counters(seen: AgentObservation, pod: PodView, revision: Revision) -> Counters | None:
    metrics = seen.agent.spec.metrics
    port = _port(metrics.port, revision) if metrics else None
    if metrics is None or port is None:
        return None
    return Counters(
        url=pod.url(port, metrics.path),
        requests=metrics.requests,
        in_flight=metrics.in_flight,
        error_label=metrics.error_label,
        error_values=metrics.error_values,
        latency=metrics.latency,
        probed=_probed(metrics.path, revision),
        figures=seen.monitored is not None,
        accuracy=seen.monitored.accuracy if seen.monitored is not None else None,
    )


def _probed(metrics: str, revision: Revision) -> tuple[str, ...]:
    """The paths that only we and the kubelet ask for; `/` may be everybody's."""
    health = {revision.health.http.path} if revision.health is not None else set()
    return tuple(sorted(({metrics} | health | probed_paths(revision.template)) - {"/"}))


def _health(pod: PodView, revision: Revision) -> str | None:
    """The URL of the readiness probe of a pod that is to stay and is ready.

    One that starts is asked by the kubelet every second, and may say no as long as it likes.
    """
    if revision.health is None or not pod.ready or pod.deleting or pod.draining_since is not None:
        return None
    check = revision.health.http
    port = probed_port(revision.template, check.port)
    return pod.url(port, check.path) if port is not None else None


def _shrink(
    seen: AgentObservation,
    view: ReplicaSetView,
    size: int,
    revisions: Mapping[str, Revision],
    *,
    settle: timedelta,
    now: datetime,
) -> Shrinking:
    pods = seen.pods_of(view.revision, baseline=view.baseline)
    if not _is_served(seen):
        return Shrinking(size=size, mark={}, unmark=(), wake_at=None)
    revision = revisions.get(view.revision)
    drain = revision.drain if revision else None
    return shrink(
        current=view.wanted,
        size=size,
        pods=pods,
        readings=seen.readings,
        reports=seen.agent.spec.metrics is not None,
        settle=settle,
        timeout=timedelta(seconds=drain.timeout_seconds) if drain else DRAIN_TIMEOUT,
        now=now,
    )


def _is_served(seen: AgentObservation) -> bool:
    """Whether anything is sent to the pods, or they tell what they do."""
    return bool(seen.services) or seen.agent.spec.metrics is not None


def _writes(
    seen: AgentObservation, view: ReplicaSetView, shrinking: Shrinking
) -> Iterator[Merge | Scale]:
    """Marks before a smaller size, a larger size before marks are taken away."""
    pods = {pod.uid: pod for pod in seen.pods_of(view.revision, baseline=view.baseline)}
    for uid, mark in shrinking.mark.items():
        yield _marked(pods[uid], mark)
    if view.wanted != shrinking.size:
        yield Scale(kind=REPLICA_SET, name=view.name, uid=view.uid, replicas=shrinking.size)
    for uid in shrinking.unmark:
        yield _unmarked(pods[uid])


def _marked(pod: PodView, mark: Mark) -> Merge:
    metadata = {
        "labels": {TRAFFIC_LABEL: TRAFFIC_OFF},
        "annotations": {
            DRAINING_ANNOTATION: mark.since.strftime(TIME_FORMAT),
            DELETION_COST_ANNOTATION: mark.cost,
        },
    }
    return _merge(pod, metadata)


def _unmarked(pod: PodView) -> Merge:
    metadata = {
        "labels": {TRAFFIC_LABEL: TRAFFIC_ON},
        "annotations": {DRAINING_ANNOTATION: None, DELETION_COST_ANNOTATION: None},
    }
    return _merge(pod, metadata)


def _merge(pod: PodView, metadata: Mapping[str, object]) -> Merge:
    return Merge(
        kind=POD, name=pod.name, uid=pod.uid, patch={"metadata": metadata}, stage=Stage.SCALE
    )


def _port(wanted: int | str | None, revision: Revision) -> int | None:
    """The number of the port that is named, else the first of the first container."""
    for port in container_ports(revision.template):
        if wanted is None or wanted in {port["name"], port["port"]}:
            number: int = port["port"]
            return number
    return wanted if isinstance(wanted, int) else None
