"""From the store to what `decide` is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar, cast

from agentherd.api import Agent, AgentUpgrade, ModelDeployment
from agentherd.domain.dependencies import circle_of_upgrades
from agentherd.domain.faults import mount_fault
from agentherd.domain.judging.metrics import Measured
from agentherd.domain.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    JOB,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Key,
    spec_upgrade_name,
)
from agentherd.domain.observation import (
    AgentObservation,
    Dependency,
    Leftovers,
    SeenUpgrade,
)
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.readings import Checks, Reading
from agentherd.domain.revision import FollowedModel
from agentherd.domain.upgrades.approval import is_unchecked
from agentherd.domain.upgrades.change import is_running
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults
from agentherd.domain.views import JobView, PodView, ReplicaSetView, RevisionView
from agentherd.engine.mounts import MountFailures
from agentherd.engine.store import Store, Workload

S = TypeVar("S", covariant=True)

Seen = AgentObservation | Leftovers
FindUpgrade = Callable[[Key], AgentUpgrade | None]
FindModel = Callable[[Key], ModelDeployment | None]
ObserveAgent = Callable[[Key, Mapping[Ref, Failure]], Seen | None]


class Readings(Protocol):
    """Where the latest measurements of pods are."""

    def readings(self, key: Key) -> Mapping[str, Reading]:
        """The readings of an Agent's pods, by uid."""
        ...

    def checks(self, key: Key) -> Mapping[str, Checks]:
        """The checks of an Agent's pods, by uid."""
        ...


class Answers(Protocol):
    """Where the latest answers of other sources are."""

    def measurements(self, key: Key) -> Mapping[str, Measured]:
        """What was answered for an Agent, by the names of metrics."""
        ...


class Observer(Protocol[S]):
    """A function that makes one that observes the workloads of a store."""

    def __call__(
        self,
        store: Store,
        mounts: MountFailures,
        readings: Readings,
        *,
        answers: Answers,
        routes_known: Callable[[], bool],
        jobs_known: Callable[[], bool],
        approvals_checked: Callable[[Key], bool | None],
        find_upgrade: FindUpgrade,
        find_model: FindModel,
        defaults: Defaults,
    ) -> Callable[[Key, Mapping[Ref, Failure]], S | None]:
        """See `agent_observer`."""
        ...


def _itself(workload: Workload) -> Agent:
    return cast("Agent", workload)


def agent_observer(
    store: Store,
    mounts: MountFailures,
    readings: Readings,
    *,
    answers: Answers | None = None,
    routes_known: Callable[[], bool] = lambda: True,
    jobs_known: Callable[[], bool] = lambda: True,
    approvals_checked: Callable[[Key], bool | None] = lambda _agent: None,
    find_upgrade: FindUpgrade | None = None,
    find_model: FindModel = lambda _model: None,
    agent_of: Callable[[Workload], Agent] = _itself,
    defaults: Defaults = DEFAULTS,
) -> ObserveAgent:
    """A function that observes the workloads of `store`; it returns None where nothing is left.

    `agent_of` tells which Agent another workload would be. `find_upgrade` finds upgrades of
    whatever kind of workload, which may depend on each other, and `find_model` the models that
    Agents use.
    `routes_known` and `jobs_known` tell whether the API server has been asked for these,
    `approvals_checked` whether it refuses forged approvals, and `defaults` what holds for
    strategies that leave something open. `answers` are those of other sources than pods.
    """

    def observe(key: Key, failures: Mapping[Ref, Failure]) -> Seen | None:
        record = store.subjects(store.kind).get(key)
        find = find_upgrade or store.upgrade
        upgrades = _upgrades(store, key, find, approvals_checked)
        if record is None:
            routes = store.routes.of(key)
            if not upgrades and not routes:
                return None
            left = Leftovers(key=key, kind=store.kind, upgrades=upgrades, routes=routes)
            return replace(left, failures=_about(failures, left.generation))
        agent = _with_model(agent_of(cast("Workload", record.subject)), store, find_model)
        generation = agent.metadata.generation
        named = find(Key(key.namespace, spec_upgrade_name(key.name, generation)))
        return AgentObservation(
            agent=agent,
            defaults=defaults,
            version=record.version,
            writer=record.writer,
            author=record.author,
            unreadable=record.unreadable or _unreadable(upgrades),
            upgrades=upgrades,
            routes=store.routes.of(key),
            routes_known=routes_known(),
            gateways=store.gateways.seen,
            readings=readings.readings(key),
            checks=readings.checks(key),
            measurements=answers.measurements(key) if answers is not None else {},
            config_maps=store.children(key, CONFIG_MAP),
            disruption_budgets=store.children(key, DISRUPTION_BUDGET),
            jobs=cast("Mapping[str, JobView]", store.children(key, JOB)),
            jobs_known=jobs_known(),
            pods=_pods(store, mounts, key),
            replica_sets=cast("Mapping[str, ReplicaSetView]", store.children(key, REPLICA_SET)),
            revisions=cast("Mapping[str, RevisionView]", store.children(key, CONTROLLER_REVISION)),
            service_accounts=store.children(key, SERVICE_ACCOUNT),
            services=store.children(key, SERVICE),
            dependencies=(
                *(_dependency(store, key, name) for name in agent.spec.depends_on),
                *_needed_model(agent, find_model),
            ),
            failures=_about(failures, generation),
            name_taken=named is not None and named.metadata.name not in upgrades,
        )

    return observe


def _about(failures: Mapping[Ref, Failure], generation: int) -> Mapping[Ref, Failure]:
    """The refusals that a change of the spec has not made obsolete."""
    return {ref: each for ref, each in failures.items() if each.generation == generation}


def _unreadable(upgrades: Mapping[str, SeenUpgrade]) -> str:
    """What is not understood of an upgrade that runs, or may: it cannot be gone on with in part."""
    for name, each in upgrades.items():
        may_run = each.unreadable.startswith("status") or is_running(each.upgrade)
        if each.unreadable and may_run:
            return f"AgentUpgrade {name}: {each.unreadable}"
    return ""


def _upgrades(
    store: Store,
    key: Key,
    find_upgrade: FindUpgrade,
    approvals_checked: Callable[[Key], bool | None],
) -> Mapping[str, SeenUpgrade]:
    def find(name: str) -> AgentUpgrade | None:
        return find_upgrade(Key(key.namespace, name))

    found = {}
    for name, record in store.upgrades(key).items():
        upgrade = cast("AgentUpgrade", record.subject)
        needed = {n: find(n) for n in upgrade.spec.depends_on}
        found[name] = SeenUpgrade(
            upgrade=upgrade,
            writer=record.writer,
            unreadable=record.unreadable,
            needs={n: one.status.phase if one else None for n, one in needed.items()},
            circle=circle_of_upgrades(name, find),
            approvals_checked=approvals_checked(key) if is_unchecked(upgrade) else None,
        )
    return found


def _pods(store: Store, mounts: MountFailures, key: Key) -> Mapping[str, PodView]:
    pods = cast("Mapping[str, PodView]", store.children(key, POD))
    failed = {
        name: replace(pod, fault=mount_fault(name, message))
        for name, pod in pods.items()
        if pod.creating and pod.fault is None and (message := mounts.message(pod.uid))
    }
    return {**pods, **failed} if failed else pods


def _dependency(store: Store, dependent: Key, name: str) -> Dependency:
    agent = store.workload(Key(dependent.namespace, name))
    if agent is None:
        return Dependency(name, exists=False, available=False)
    return Dependency(
        name, exists=True, available=_available(agent), needs=_needs(store, dependent, name)
    )


def _needed_model(agent: Agent, find: FindModel) -> Iterator[Dependency]:
    """The model without which an Agent is not started for the first time."""
    reference = agent.spec.model_ref
    if reference is None:
        return
    model = find(Key(agent.metadata.namespace, reference.name))
    exists = model is not None
    available = model is not None and _available(model)
    yield Dependency(f"ModelDeployment {reference.name}", exists=exists, available=available)


def _with_model(agent: Agent, store: Store, find: FindModel) -> Agent:
    """The Agent, with the active version of the model where a swap is a revision of its own.

    While nobody knows that version, it is the one that was known last: a model that is gone for a
    moment restarts nobody. Of a new model the first pods serve before the version has proved itself
    with all of them, and what is started then is not started anew for that.
    """
    reference = agent.spec.model_ref
    if reference is None or not reference.restart_on_swap:
        return agent
    key = Key(agent.metadata.namespace, agent.metadata.name)
    model = find(Key(key.namespace, reference.name))
    version = model.status.active_version if model is not None else None
    if version is None:
        kept = cast("Mapping[str, RevisionView]", store.children(key, CONTROLLER_REVISION))
        target = agent.status.target_revision
        found = next((view for view in kept.values() if view.revision == target), None)
        version = found.data.get("modelVersion") if found is not None else None
    if version is None and model is not None and _available(model):
        version = model.spec.active_version
    followed = FollowedModel(**reference.model_dump(mode="python"), version=version)
    return agent.model_copy(update={"spec": agent.spec.model_copy(update={"model_ref": followed})})


def _available(agent: Workload) -> bool:
    return any(
        condition.type == "Available" and condition.status == "True"
        for condition in agent.status.conditions
    )


def _needs(store: Store, dependent: Key, name: str) -> frozenset[str]:
    """All that an Agent depends on, directly or not."""
    found: set[str] = set()
    unseen = [name]
    while unseen:
        agent = store.workload(Key(dependent.namespace, unseen.pop()))
        for needed in agent.spec.depends_on if isinstance(agent, Agent) else ():
            if needed not in found:
                found.add(needed)
                unseen.append(needed)
    return frozenset(found)
