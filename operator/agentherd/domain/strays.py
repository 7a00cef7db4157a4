"""Pods with the labels of an Agent that no ReplicaSet counts any more.

A ReplicaSet lets a pod go when somebody changes a label by which it knows it, as people do to have
a closer look at one that is replaced meanwhile. To the Service, which asks for fewer labels, it
still is a pod of the Agent. So it is taken out of traffic and left to be looked at, and belongs to
the Agent from then on, so that it goes with it; it goes before when the Agent is to have no pods.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentherd.domain.kinds import POD, TRAFFIC_LABEL, TRAFFIC_OFF
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Delete, Merge, Stage
from agentherd.domain.revision import Revision
from agentherd.domain.views import PodView


def strays(seen: AgentObservation, goal: Revision) -> Iterator[Merge | Delete]:
    """The writes that take care of pods that nobody counts."""
    for _, pod in sorted(seen.pods.items()):
        if pod.deleting or not _is_stray(seen, pod, goal):
            continue
        if not seen.wanted:
            yield Delete(kind=POD, name=pod.name, uid=pod.uid)
        elif pod.in_traffic:
            yield _left(seen, pod)


def _is_stray(seen: AgentObservation, pod: PodView, goal: Revision) -> bool:
    """Whether no ReplicaSet has the pod, nor one that is made anew will take it over."""
    counted = {view.revision for view in seen.sets()}
    to_come = {goal.hash, seen.agent.status.stable_revision}
    return pod.owner is None and pod.revision not in counted | to_come


def _left(seen: AgentObservation, pod: PodView) -> Merge:
    """Out of traffic, and the Agent's; not as its controller, so that a ReplicaSet may come back.

    The owners are a list that is replaced as a whole, hence the version.
    """
    agent = seen.identity
    owner = {
        "apiVersion": agent.kind.api_version,
        "kind": agent.kind.name,
        "name": agent.name,
        "uid": agent.uid,
    }
    metadata = {"labels": {TRAFFIC_LABEL: TRAFFIC_OFF}, "ownerReferences": [owner]}
    return Merge(
        kind=POD,
        name=pod.name,
        uid=pod.uid,
        version=pod.version,
        patch={"metadata": metadata},
        stage=Stage.TRAFFIC,
    )
