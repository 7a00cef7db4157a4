"""Everything that follows from what was seen of a ModelDeployment.

    the version asked for ─▶ decide, as for an Agent ─▶ its intents, in words of the ModelDeployment
                                                   └──▶ versions, swaps, what has been promoted

The engine knows nothing of versions; what it says of revisions is told of versions here. Two
writes are ours: a canary that is to take over becomes the active version of the spec, before it
does, since the version before would be asked for as long as that is refused; and a canary that a
person has made the active version is promoted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from agentherd.api import AgentStatus, AgentUpgrade, AgentUpgradeStatus
from agentherd.domain.decide import decide
from agentherd.domain.kinds import (
    AGENT_UPGRADE,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    TRIES_ANNOTATION,
)
from agentherd.domain.models.objectives import broken_promise
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.models.status import (
    MODEL_CONDITION_TYPES,
    model_status,
    version_names,
    write_model_status,
)
from agentherd.domain.models.steering import steering, tried
from agentherd.domain.models.warm_up import requests, written
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.plan import Create, Delete, Intent, Merge, Plan, Scale, Stage, WriteStatus
from agentherd.domain.pods import LOOK_AGAIN
from agentherd.domain.upgrades.change import is_running


def decide_model(seen: ModelObservation | Leftovers, now: datetime) -> Plan:
    """The plan for one ModelDeployment and all that belongs to it."""
    if isinstance(seen, Leftovers):
        return decide(seen, now)
    if seen.model.metadata.deletion_timestamp is not None:
        return Plan()
    if seen.workload.unreadable:
        return _not_understood(seen, now)
    plan, warm_up = _plan(seen, now), seen.model.spec.warm_up
    return Plan.of(
        [*plan.intents, *written(warm_up, seen.workload, seen.answers, now)],
        wake_at=plan.wake_at,
        measure=plan.measure,
        ask=plan.ask,
        warm=requests(warm_up, seen.workload),
    )


def _not_understood(seen: ModelObservation, now: datetime) -> Plan:
    """Say so, and leave all as it is: what of the spec was read may mean something else."""
    told = _status_in(decide(seen.workload, now))
    if told is None:
        return Plan()
    conditions = tuple(c for c in told.conditions if c.type in MODEL_CONDITION_TYPES)
    update = {"conditions": conditions, "observed_generation": told.observed_generation}
    after = seen.model.status.model_copy(update=update)
    return Plan.of(filter(None, [write_model_status(seen, after)]))


def _plan(seen: ModelObservation, now: datetime) -> Plan:
    """What there is to do besides the warm-up, which nobody else can see to."""
    before = seen.workload.agent.status
    if seen.asked.version is None:
        status = model_status(seen, before, {}, now)
        return _nothing_runs(seen, write_model_status(seen, status), now)
    steered = _steered(seen, now)
    plan = decide(steered, now)
    after = _status_in(plan) or before
    adopts = [*_adopted(seen, after)]
    if adopts and after.stable_revision != before.stable_revision:
        waiting = replace(steered.steering, waits=True)
        plan = decide(replace(steered, steering=waiting), now)
        after = _status_in(plan) or before
    governing = seen.workload.upgrades.get(after.upgrade or "")
    upgrade = governing.upgrade if governing is not None else None
    status = model_status(seen, after, _upgrades_after(seen, plan), now)
    intents = [told for intent in plan.intents if (told := _told(seen, intent)) is not None]
    if not seen.workload.unmanaged:
        ours = (*adopts, *_promoted(seen, upgrade, after))
        intents += [merge for merge in ours if _is_due(seen, merge, now)]
    if write := write_model_status(seen, status):
        intents.append(write)
    return Plan.of(intents, wake_at=plan.wake_at, measure=plan.measure, ask=plan.ask)


def _nothing_runs(seen: ModelObservation, write: WriteStatus | None, now: datetime) -> Plan:
    """No version may run: the pods of one that was loading go, and nothing else is done.

    One that serves stays, though it is not registered any more.
    """
    found = [write] if write is not None else []
    if seen.model.status.stable_revision is not None:
        return Plan.of(found)
    plan = decide(seen.workload, now)
    # The rest is about a version that there is not.
    leaving = [i for i in plan.intents if isinstance(i, Scale | Merge | Delete) and _is_of_pods(i)]
    again = max(plan.wake_at or now, now + LOOK_AGAIN) if seen.workload.pods else None
    return Plan.of([*leaving, *found], wake_at=again)


def _is_of_pods(intent: Scale | Merge | Delete) -> bool:
    return intent.kind in {POD, REPLICA_SET}


def _steered(seen: ModelObservation, now: datetime) -> AgentObservation:
    """The workload as the engine is to see it: steered, and with the promises that are broken."""
    workload = seen.workload
    governing = workload.upgrades.get(seen.model.status.upgrade or "")
    pods = workload.pods
    if governing is not None and is_running(governing.upgrade):
        to, stable = governing.upgrade.status.to_revision, workload.agent.status.stable_revision
        name = version_names(seen).get(to or "", "")
        broken = broken_promise(name, seen.model.spec.slo, seen.figures.get(to or ""))
        if broken is not None and to != stable:
            pods = {
                pod_name: replace(pod, fault=pod.fault or broken) if pod.revision == to else pod
                for pod_name, pod in pods.items()
            }
    return replace(workload, steering=steering(seen, now), pods=pods)


def _told(seen: ModelObservation, intent: Intent) -> Intent | None:
    """An intent of the engine in words of the ModelDeployment; None where there are none for it."""
    match intent:
        case WriteStatus() if intent.target.kind == MODEL_DEPLOYMENT:
            return None  # it is written as part of a status of our own
        case Merge() if intent.kind == MODEL_DEPLOYMENT:
            version = intent.patch["spec"].get("version")
            return replace(intent, patch=_activation(version)) if version is not None else None
        case Create() if intent.kind == AGENT_UPGRADE and seen.asked.canary is not None:
            metadata = dict(intent.manifest["metadata"])
            tries = {TRIES_ANNOTATION: seen.asked.canary.version}
            metadata["annotations"] = {**metadata.get("annotations", {}), **tries}
            return replace(intent, manifest={**intent.manifest, "metadata": metadata})
    return intent


def _activation(version: str) -> dict[str, dict[str, str | None]]:
    return {"spec": {"activeVersion": version, "canary": None}}


def _adopted(seen: ModelObservation, after: AgentStatus) -> Iterator[Merge]:
    """A canary that takes over is what the spec asks for from now on, and is none any more."""
    canary = seen.model.spec.canary
    serving = version_names(seen).get(after.stable_revision or "")
    if canary is None or canary.version != serving:
        return
    if seen.asked.canary is None and seen.model.spec.active_version != serving:
        return  # it serves still, and another version is to take over
    yield Merge(
        kind=MODEL_DEPLOYMENT,
        name=seen.model.metadata.name,
        uid=seen.model.metadata.uid,
        version=seen.workload.version,
        patch=_activation(canary.version),
        stage=Stage.RECORD,
    )


def _promoted(
    seen: ModelObservation, upgrade: AgentUpgrade | None, after: AgentStatus
) -> Iterator[Merge]:
    """A canary that a person makes the active version does not wait at its weight any longer."""
    if upgrade is None or not is_running(upgrade) or seen.asked.canary is not None:
        return
    skips = upgrade.spec.promote is not None and upgrade.spec.promote.full
    takes_over = after.stable_revision == upgrade.status.to_revision
    if tried(upgrade) != seen.model.spec.active_version or skips or takes_over:
        return
    yield Merge(
        kind=AGENT_UPGRADE,
        name=upgrade.metadata.name,
        uid=upgrade.metadata.uid,
        patch={"spec": {"promote": {"full": True}}},
        stage=Stage.RECORD,
    )


def _is_due(seen: ModelObservation, merge: Merge, now: datetime) -> bool:
    """Whether it was not refused lately; the status is written meanwhile, and tells of it."""
    refused = seen.workload.failures.get(merge.ref)
    return refused is None or refused.retry_at <= now


def _status_in(plan: Plan) -> AgentStatus | None:
    for intent in plan.intents:
        if isinstance(intent, WriteStatus) and intent.target.kind == MODEL_DEPLOYMENT:
            return AgentStatus.model_validate(intent.status)
    return None


def _upgrades_after(seen: ModelObservation, plan: Plan) -> Mapping[str, AgentUpgradeStatus]:
    """The statuses of the upgrades after the plan, by name."""
    written = {
        intent.target.uid: AgentUpgradeStatus.model_validate(intent.status)
        for intent in plan.intents
        if isinstance(intent, WriteStatus) and intent.target.kind == AGENT_UPGRADE
    }
    upgrades = [each.upgrade for each in seen.workload.upgrades.values()]
    return {each.metadata.name: written.get(each.metadata.uid, each.status) for each in upgrades}
