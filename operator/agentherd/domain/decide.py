"""Everything that follows from what was seen of an Agent.

    revision ─▶ rollout ─▶ facts ─▶ verdict ─▶ status
        └──────────┴──▶ children: Service, ConfigMap, ReplicaSets, …

Read it from `decide` downwards: what is wanted, how far it is, what has to be written. A child
whose last write was refused is left alone until it is due for another try.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from agentherd.api import Agent, AgentStatus, ConfigUpdate, Phase
from agentherd.domain import children
from agentherd.domain.conditions import not_understood, unmanaged
from agentherd.domain.dependencies import circle, waits_for
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import (
    CONFIG_ANNOTATION,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    companion_name,
    revision_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.phase import Facts, Verdict, judge
from agentherd.domain.plan import (
    Annotate,
    Apply,
    Delete,
    Emit,
    Failure,
    Intent,
    Manifest,
    Plan,
    Scale,
    Stage,
    WriteStatus,
    digest,
)
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import (
    Revision,
    obsolete_revisions,
    revision_number,
    revision_of,
)
from agentherd.domain.rollout import Rollout, roll_out
from agentherd.domain.status import next_status, write_status
from agentherd.domain.template import check
from agentherd.domain.views import Child, ReplicaSetView


def decide(seen: AgentObservation, now: datetime) -> Plan:
    """The plan for one Agent."""
    agent = seen.agent
    if agent.metadata.deletion_timestamp is not None:
        return Plan()
    if seen.unmanaged or seen.unreadable:
        return Plan.of(_hands_off(seen, now))
    revision = revision_of(agent.spec)
    started = any(view.wanted for view in _own_sets(seen))
    ran = started or agent.status.stable_revision is not None
    waiting_for = waits_for(seen.dependencies, ran=ran)
    rollout = roll_out(
        target=revision.hash,
        stable=agent.status.stable_revision,
        wanted=0 if waiting_for else seen.wanted,
        sets=_own_sets(seen),
    )
    manifest, conflict = _replica_set(agent, revision, now)
    failure = conflict or _worst(seen)
    facts = _facts(seen, revision, rollout, waiting_for=waiting_for, failure=failure, now=now)
    verdict = judge(facts)
    if waiting_for and (name := circle(agent.metadata.name, seen.dependencies)):
        message = f"{agent.metadata.name} and {name} depend on each other; remove one dependency"
        verdict = Verdict(Phase.ERROR, Reason.DEPENDENCY_CYCLE, message)
    status = next_status(seen, facts, verdict, rollout, target=revision.hash)
    intents = [
        *_children(seen, revision, rollout, manifest, stable=status.stable_revision),
        *_annotated_pods(seen, status),
        *_obsolete(seen, revision, status),
    ]
    tried = [
        i for i in intents if i.ref not in seen.failures or seen.failures[i.ref].retry_at <= now
    ]
    told: list[Intent] = [*_news(agent, status, verdict, now)]
    if write := write_status(agent.status, status):
        told.append(write)
    return Plan.of([*tried, *told], wake_at=_wake_at(seen, facts, now))


# What is wanted and how far it is


def _own_sets(seen: AgentObservation) -> list[ReplicaSetView]:
    return [view for view in seen.replica_sets.values() if seen.own(view) and not view.deleting]


def _replica_set(
    agent: Agent, revision: Revision, now: datetime
) -> tuple[Manifest | None, Failure | None]:
    try:
        check(agent.spec.template)
        return children.replica_set(agent, revision), None
    except (InvalidTemplate, TemplateConflict) as error:
        generation = agent.metadata.generation
        return None, Failure(
            reason=error.reason, message=str(error), generation=generation, retry_at=now
        )


def _worst(seen: AgentObservation) -> Failure | None:
    """The failure to tell: that of the pods if there is one, else any."""
    ordered = sorted(seen.failures.items(), key=lambda item: (item[0][0] != REPLICA_SET.name, item))
    return next((failure for _, failure in ordered), None)


def _facts(
    seen: AgentObservation,
    revision: Revision,
    rollout: Rollout,
    *,
    waiting_for: tuple[str, ...],
    failure: Failure | None,
    now: datetime,
) -> Facts:
    spec, status = seen.agent.spec, seen.agent.status
    return Facts(
        mode=spec.operating_mode,
        mode_reason=spec.operating_mode_reason,
        wanted=seen.wanted,
        pods=sum(not pod.finished for pod in seen.pods.values()),
        serving=rollout.serving,
        available=rollout.available,
        complete=rollout.complete,
        settled=status.stable_revision == revision.hash,
        observed=status.observed_generation == seen.agent.metadata.generation,
        waiting_for=waiting_for,
        fault=_fault(seen, revision),
        failure=failure,
        error=_last_error(status),
        phase=status.phase,
        since=_progress_since(status, target=revision.hash, now=now),
        deadline=timedelta(seconds=spec.progress_deadline_seconds),
        now=now,
    )


def _progress_since(status: AgentStatus, *, target: str, now: datetime) -> datetime | None:
    """When the attempt that is under way began: with its revision, after any waiting."""
    waited = any(c.reason == Reason.WAITING_FOR_DEPENDENCIES for c in status.conditions)
    if waited or status.target_revision not in {None, target}:
        return now
    return status.progress_since or status.phase_since


def _last_error(status: AgentStatus) -> Fault | None:
    error = status.last_error
    if error is None or error.reason not in _REASONS:
        return None
    return Fault(Reason(error.reason), error.message)


_REASONS = frozenset(Reason)


def _fault(seen: AgentObservation, revision: Revision) -> Fault | None:
    """The first fault of the wanted revision, by the names of its pods."""
    for view in _own_sets(seen):
        if view.revision == revision.hash and view.fault is not None:
            return view.fault
    for name in sorted(seen.pods):
        pod = seen.pods[name]
        if pod.deleting or pod.finished:
            continue
        if pod.revision == revision.hash and pod.fault is not None:
            return pod.fault
    return None


def _wake_at(seen: AgentObservation, facts: Facts, now: datetime) -> datetime | None:
    times = [failure.retry_at for failure in seen.failures.values()]
    if facts.deadline_at is not None:
        times.append(facts.deadline_at)
    return min((time for time in times if time > now), default=None)


# What has to be written


def _children(
    seen: AgentObservation,
    revision: Revision,
    rollout: Rollout,
    pods: Manifest | None,
    *,
    stable: str | None,
) -> Iterator[Apply | Delete | Scale]:
    agent = seen.agent
    name = agent.metadata.name
    yield from _scale(seen, rollout)
    if pods is None:
        return  # nothing follows from a template that is refused
    yield from _keep(
        seen, SERVICE, name, children.service(agent), seen.services, stage=Stage.TRAFFIC
    )
    account = children.service_account(agent)
    if account is not None or _alone(seen, revision, stable=stable):
        accounts = seen.service_accounts
        yield from _keep(seen, SERVICE_ACCOUNT, companion_name(name), account, accounts)
    yield from _config_map(seen, revision, stable=stable)
    number = revision_number(revision.hash, seen.revisions.values())
    record = children.controller_revision(agent, revision, number)
    own_name = revision_name(name, revision.hash)
    yield from _keep(seen, CONTROLLER_REVISION, own_name, record, seen.revisions)
    yield from _keep(
        seen,
        REPLICA_SET,
        own_name,
        pods,
        seen.replica_sets,
        unhashed={"spec": {"replicas": rollout.sizes[revision.hash]}},
    )
    budget = children.disruption_budget(agent)
    yield from _keep(seen, DISRUPTION_BUDGET, companion_name(name), budget, seen.disruption_budgets)


def _keep(
    seen: AgentObservation,
    kind: Kind,
    name: str,
    manifest: Manifest | None,
    live: Mapping[str, Child],
    *,
    stage: Stage = Stage.SCALE,
    unhashed: Manifest | None = None,
) -> Iterator[Apply | Delete]:
    """Bring one child to its manifest, or remove it when there is none."""
    child = live.get(name)
    if child is not None and (child.deleting or not seen.own(child)):
        return  # its end wakes us
    if manifest is None:
        if child is not None and child.owner == seen.agent.metadata.uid:
            yield Delete(kind=kind, name=name, uid=child.uid, stage=stage)
        return
    wanted = digest(manifest)
    if child is not None and child.applied == wanted and child.owner and not child.touched:
        return
    yield Apply(
        stage=stage,
        kind=kind,
        manifest=manifest,
        digest=wanted,
        uid=child.uid if child else None,
        claimed=name in {seen.agent.metadata.name, companion_name(seen.agent.metadata.name)},
        unhashed=unhashed,
    )


def _config_map(
    seen: AgentObservation, revision: Revision, *, stable: str | None
) -> Iterator[Apply | Delete]:
    """The config of the wanted revision; the shared one goes once no pod can mount it any more."""
    agent = seen.agent
    manifest = children.config_map(agent, revision)
    in_place = companion_name(agent.metadata.name)
    if manifest is not None:
        yield from _keep(seen, CONFIG_MAP, manifest["metadata"]["name"], manifest, seen.config_maps)
    unused = agent.spec.config_update is not ConfigUpdate.IN_PLACE or manifest is None
    if unused and _alone(seen, revision, stable=stable):
        yield from _keep(seen, CONFIG_MAP, in_place, None, seen.config_maps)


def _alone(seen: AgentObservation, revision: Revision, *, stable: str | None) -> bool:
    """Whether no pod of another revision runs any more that might need what all share."""
    others = (view for view in _own_sets(seen) if view.revision != revision.hash)
    return stable == revision.hash and not any(v.replicas or v.wanted for v in others)


def _scale(seen: AgentObservation, rollout: Rollout) -> Iterator[Scale]:
    for view in _own_sets(seen):
        size = rollout.sizes.get(view.revision)
        if size is not None and view.wanted != size:
            yield Scale(kind=REPLICA_SET, name=view.name, uid=view.uid, replicas=size)


def _annotated_pods(seen: AgentObservation, status: AgentStatus) -> Iterator[Annotate]:
    """Make the kubelet bring a config that is reloaded in place to the pods now.

    It looks at mounted ConfigMaps about once a minute, and at once when the pod itself changes.
    Pods that were made after the change have it already.
    """
    if seen.agent.spec.config_update is not ConfigUpdate.IN_PLACE or not status.config_history:
        return
    changed = status.config_history[-1].at.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name in sorted(seen.pods):
        pod = seen.pods[name]
        if pod.deleting or pod.created >= changed or pod.config == status.config_hash:
            continue
        yield Annotate(
            kind=POD,
            name=name,
            uid=pod.uid,
            annotation=CONFIG_ANNOTATION,
            value=status.config_hash or "",
        )


def _obsolete(seen: AgentObservation, revision: Revision, status: AgentStatus) -> Iterator[Delete]:
    """Remove the revisions beyond the history limit, with all that belongs to them."""
    agent = seen.agent
    serving = {view.revision for view in _own_sets(seen) if view.replicas or view.wanted}
    gone = obsolete_revisions(
        (view for view in seen.revisions.values() if seen.own(view)),
        in_use={revision.hash, status.stable_revision, *serving},
        limit=agent.spec.revision_history_limit,
    )
    kinds: Iterable[tuple[Kind, Mapping[str, Child]]] = (
        (REPLICA_SET, seen.replica_sets),
        (CONFIG_MAP, seen.config_maps),
        (CONTROLLER_REVISION, seen.revisions),
    )
    for old in gone:
        name = revision_name(agent.metadata.name, old)
        for kind, live in kinds:
            if name in live and not live[name].deleting:
                yield Delete(kind=kind, name=name, uid=live[name].uid)


# What people are told


def _news(agent: Agent, status: AgentStatus, verdict: Verdict, now: datetime) -> Iterator[Emit]:
    """Few Events: errors and their end, a new revision, a mode that somebody set."""
    before = agent.status
    if status.phase == before.phase and status.stable_revision == before.stable_revision:
        return
    if status.phase is Phase.ERROR:
        if before.phase is not Phase.ERROR:
            yield Emit(reason=verdict.reason, message=verdict.message, warning=True, at=now)
        return
    if before.stable_revision is not None and status.stable_revision != before.stable_revision:
        message = f"revision {status.stable_revision} replaces {before.stable_revision}"
        yield Emit(reason=Reason.REVISION_PROMOTED, message=message, warning=False, at=now)
    elif before.phase is Phase.ERROR or (verdict.done and before.phase not in _FIRST_PHASES):
        yield Emit(reason=verdict.reason, message=verdict.message, warning=False, at=now)


_FIRST_PHASES = frozenset({None, Phase.DEPLOYING})


def _hands_off(seen: AgentObservation, now: datetime) -> Iterator[WriteStatus]:
    """Say why nothing is done, and do nothing."""
    before, generation = seen.agent.status, seen.agent.metadata.generation
    if seen.unreadable:
        told = not_understood(before.conditions, seen.unreadable, generation=generation, now=now)
    else:
        told = unmanaged(before.conditions, generation=generation, now=now)
    after = before.model_copy(update={"conditions": told, "observed_generation": generation})
    write = write_status(before, after)
    if write is not None:
        yield write
