"""From the store to what `decide` is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from agentherd.api import Agent
from agentherd.domain.faults import mount_fault
from agentherd.domain.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Key,
)
from agentherd.domain.observation import AgentObservation, Dependency
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.views import PodView, ReplicaSetView, RevisionView
from agentherd.engine.mounts import MountFailures
from agentherd.engine.store import Store

ObserveAgent = Callable[[Key, Mapping[Ref, Failure]], AgentObservation | None]


def agent_observer(store: Store, mounts: MountFailures) -> ObserveAgent:
    """A function that observes Agents in `store`; it returns None for one that is gone."""

    def observe(key: Key, failures: Mapping[Ref, Failure]) -> AgentObservation | None:
        record = store.agents.get(key)
        if record is None:
            return None
        agent = record.agent
        generation = agent.metadata.generation
        return AgentObservation(
            agent=agent,
            writer=record.writer,
            unreadable=record.unreadable,
            config_maps=store.children(key, CONFIG_MAP),
            disruption_budgets=store.children(key, DISRUPTION_BUDGET),
            pods=_pods(store, mounts, key),
            replica_sets=cast("Mapping[str, ReplicaSetView]", store.children(key, REPLICA_SET)),
            revisions=cast("Mapping[str, RevisionView]", store.children(key, CONTROLLER_REVISION)),
            service_accounts=store.children(key, SERVICE_ACCOUNT),
            services=store.children(key, SERVICE),
            dependencies=tuple(_dependency(store, key, name) for name in agent.spec.depends_on),
            failures={r: f for r, f in failures.items() if f.generation == generation},
        )

    return observe


def _pods(store: Store, mounts: MountFailures, key: Key) -> Mapping[str, PodView]:
    pods = cast("Mapping[str, PodView]", store.children(key, POD))
    failed = {
        name: replace(pod, fault=mount_fault(name, message))
        for name, pod in pods.items()
        if pod.creating and pod.fault is None and (message := mounts.message(pod.uid))
    }
    return {**pods, **failed} if failed else pods


def _dependency(store: Store, dependent: Key, name: str) -> Dependency:
    record = store.agents.get(Key(dependent.namespace, name))
    if record is None:
        return Dependency(name, exists=False, available=False)
    return Dependency(
        name, exists=True, available=_available(record.agent), needs=_needs(store, dependent, name)
    )


def _available(agent: Agent) -> bool:
    return any(
        condition.type == "Available" and condition.status == "True"
        for condition in agent.status.conditions
    )


def _needs(store: Store, dependent: Key, name: str) -> frozenset[str]:
    """All that an Agent depends on, directly or not."""
    found: set[str] = set()
    unseen = [name]
    while unseen:
        record = store.agents.get(Key(dependent.namespace, unseen.pop()))
        for needed in record.agent.spec.depends_on if record else ():
            if needed not in found:
                found.add(needed)
                unseen.append(needed)
    return frozenset(found)
