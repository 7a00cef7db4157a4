"""The warm-up of pods: which ones are asked, and what is written about what they have answered.

    containers ready ─▶ request ─▶ 2xx ─▶ condition true ─▶ the kubelet calls the pod ready
                          ▲   ├─▶ else ─▶ condition false, and after so many failures a fault
                          │   └─▶ nobody listens ─▶ condition false
                          └─ again, a second later

So whatever waits for ready pods waits for warm ones. A pod whose warm-up has failed is asked on:
where nothing else serves, one that becomes warm late is better than one that never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agentherd.api import WarmUp
from agentherd.domain.kinds import POD
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import WriteCondition
from agentherd.domain.views import TIME_FORMAT, PodView
from agentherd.domain.warmth import Told, Warmth, WarmUpAnswer, WarmUpRequest

SHOWN: Final = 200
"""Characters of a path that are repeated to people."""


def requests(warm_up: WarmUp | None, seen: AgentObservation) -> tuple[WarmUpRequest, ...]:
    """What is to be asked of the pods that are cold and could answer."""
    if warm_up is None:
        return ()
    return tuple(
        WarmUpRequest(
            uid=pod.uid,
            start=warmth.start,
            url=pod.url(port, warm_up.path),
            body=warm_up.body,
            content_type=warm_up.content_type,
            timeout=float(warm_up.timeout_seconds),
            failures=warmth.present.failures if warmth.present else 0,
        )
        for pod, warmth in _gated(seen)
        if pod.ip and _waits(warmth) and (port := warmth.port(warm_up.port)) is not None
    )


def written(
    warm_up: WarmUp | None,
    seen: AgentObservation,
    answers: Mapping[str, WarmUpAnswer],
    now: datetime,
) -> Iterator[WriteCondition]:
    """What is to be told of pods; `answers` are by uid.

    How often a pod has failed is told up to the threshold, and its words only together with that.
    Pods that have the gate although nobody asks for a warm-up any more are ready with their
    containers.
    """
    for pod, warmth in _gated(seen):
        told = _told(warm_up, warmth, answers.get(pod.uid))
        if told is None or _is_told(told, warmth.told):
            continue
        write = _write(pod, told, warmth.told, now)
        refused = seen.failures.get(write.ref)
        if refused is None or refused.retry_at <= now:
            yield write


def _gated(seen: AgentObservation) -> Iterator[tuple[PodView, Warmth]]:
    for _, pod in sorted(seen.pods.items()):
        if pod.warmth is not None and not pod.deleting and not pod.finished:
            yield pod, pod.warmth


def _waits(warmth: Warmth) -> bool:
    return warmth.ready and not warmth.warm


def _told(warm_up: WarmUp | None, warmth: Warmth, answer: WarmUpAnswer | None) -> Told | None:
    """What is to be told of a pod; None where nothing is known that it does not tell itself."""
    start = warmth.start
    if warm_up is None:
        said = "no warm-up request is asked for"
        return Told(warm=True, said=said, start=start) if _waits(warmth) else None
    if warmth.cold_again:
        said = "a container was started again, so the pod has to be warmed up again"
        return Told(warm=False, said=said, start=start)
    if not _waits(warmth):
        return None
    request = f"{'GET' if warm_up.body is None else 'POST'} {warm_up.path[:SHOWN]}"
    if warmth.port(warm_up.port) is None:
        said = f"{request} cannot be sent, since the first container has no port"
        said += f" {warm_up.port}" if warm_up.port is not None else ""
        return Told(warm=False, said=said, start=start, failed=True)
    if answer is None or answer.start != start:
        return None
    told = Told(warm=answer.warm, said=f"{request} {answer.said}", start=start)
    if not answer.failures:
        return told
    threshold = warm_up.failure_threshold
    return replace(
        told,
        failed=answer.failures >= threshold,
        failures=min(answer.failures, threshold),
        threshold=threshold,
    )


def _is_told(told: Told, known: Told | None) -> bool:
    """Whether the pod tells this already, though perhaps in other words."""
    return known is not None and told == replace(known, said=told.said)


def _write(pod: PodView, told: Told, known: Told | None, now: datetime) -> WriteCondition:
    at = now.strftime(TIME_FORMAT)
    unchanged = known is not None and known.warm is told.warm and known.since
    since = known.since if known is not None and unchanged else at
    condition = replace(told, since=since, at=at).condition()
    return WriteCondition(kind=POD, name=pod.name, uid=pod.uid, condition=condition)
