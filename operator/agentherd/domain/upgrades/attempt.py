"""What an attempt of an upgrade is judged by: all that happens in it, and nothing that is older.

Pods of a version that was given up are kept to be looked at, and what the API server refuses is
remembered for a while; neither says anything about the next try. What is older is told by times,
and those are of several clocks: that of the operator says when an attempt began, that of the API
server when a pod was made, that of a kubelet when a container ended. So the pods of a first attempt
are held against the time at which the upgrade itself was made, which the API server says too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from agentherd.api import AgentUpgrade, AgentUpgradeStatus
from agentherd.domain.faults import Fault
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.way_back import TRIGGERS
from agentherd.domain.views import TIME_FORMAT, PodView


def lasting_pods(seen: AgentObservation, revision: str) -> Iterable[PodView]:
    """The pods of a revision that are to stay, by name."""
    return (pod for pod in seen.pods_of(revision) if not pod.deleting and not pod.finished)


def stale_pods(
    seen: AgentObservation, revision: str, upgrade: AgentUpgrade, status: AgentUpgradeStatus
) -> Iterable[PodView]:
    """The pods that failed before the attempt that `status` tells of.

    One that was kept because it was well, and fails now, is like any other.
    """
    since = _since(upgrade, status)
    return (pod for pod in lasting_pods(seen, revision) if _is_older(pod.fault, pod, since))


def past_crash(
    seen: AgentObservation, revision: str, upgrade: AgentUpgrade, status: AgentUpgradeStatus
) -> Fault | None:
    """The first crash in this attempt of a container that runs again by now.

    The kubelet keeps it in the pod, so a process that was away meanwhile decides the same.
    """
    since = _since(upgrade, status)
    for pod in lasting_pods(seen, revision):
        at = pod.crash.at if pod.crash else None
        if at is None or status.started_at is None or at < status.started_at:
            continue
        if not _is_older(pod.crash, pod, since):
            return pod.crash
    return None


def out_of_memory(
    seen: AgentObservation, revision: str, upgrade: AgentUpgrade, status: AgentUpgradeStatus
) -> Fault | None:
    """That a container was killed in this attempt for want of memory, whatever became of its pod.

    A probe tells sooner that it is gone than the kubelet why.
    """
    since = _since(upgrade, status)
    for pod in seen.pods_of(revision):
        for fault in (pod.fault, pod.crash):
            if fault is None or fault.reason is not Reason.OUT_OF_MEMORY or fault.at is None:
                continue
            if status.started_at is None or fault.at < status.started_at:
                continue
            if not _is_older(fault, pod, since):
                return fault
    return None


def is_outdated(failure: Failure, status: AgentUpgradeStatus) -> bool:
    """Whether a refusal is one of an earlier attempt."""
    since = status.started_at
    return failure.at is not None and since is not None and failure.at < since


def _since(upgrade: AgentUpgrade, status: AgentUpgradeStatus) -> datetime | None:
    first = (status.attempt or 1) == 1
    return upgrade.metadata.creation_timestamp if first else status.started_at


def _is_older(fault: Fault | None, pod: PodView, since: datetime | None) -> bool:
    """Whether a fault that would end an attempt was there before, as was its pod."""
    if fault is None or fault.reason not in TRIGGERS or since is None:
        return False
    return pod.created < since.strftime(TIME_FORMAT) and (fault.at is None or fault.at <= since)
