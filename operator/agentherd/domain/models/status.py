"""The status of a ModelDeployment: what the engine says of revisions, told of versions.

A version is found by the content of its revisions, which name it. What has ended is told once: a
swap is known by its upgrade and the time at which it began, so a process that is killed between the
two statuses it writes tells nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from agentherd.api import (
    AgentStatus,
    AgentUpgradeStatus,
    Condition,
    LastRollback,
    ModelDeploymentStatus,
    ModelPhase,
    Swap,
    SwapOutcome,
    UpgradePhase,
    VersionPerformance,
    VersionState,
    VersionStatus,
    WorkloadStatus,
)
from agentherd.domain.conditions import CONDITION_TYPES, Said, dated
from agentherd.domain.kinds import MODEL_LABEL, REVISION_LABEL
from agentherd.domain.models.figures import performance
from agentherd.domain.models.objectives import broken_promise
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.models.registry import incompatibilities, version_named
from agentherd.domain.models.workload import model_phase, serves_in_error
from agentherd.domain.plan import WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.views import PodView, ReplicaSetView

SWAPS: Final = 20
VERSIONS: Final = 20

MODEL_CONDITION_TYPES: Final = CONDITION_TYPES | {"Compatible", "ObjectivesMet", "TrafficApplied"}

_LATER: Final = ("outcome", "reason", "finished_at", "duration_seconds")
"""What of a swap that was told may change."""

_OUTCOMES: Final = {
    UpgradePhase.SUCCEEDED: SwapOutcome.PROMOTED,
    UpgradePhase.ROLLED_BACK: SwapOutcome.ROLLED_BACK,
    UpgradePhase.SUPERSEDED: SwapOutcome.SUPERSEDED,
}


def model_status(
    seen: ModelObservation,
    after: AgentStatus,
    upgrades: Mapping[str, AgentUpgradeStatus],
    now: datetime,
) -> ModelDeploymentStatus:
    """The status that follows from what the engine says: `after` of the workload, and its upgrades.

    `upgrades` are the statuses after the plan, by name.
    """
    before = seen.model.status
    names = version_names(seen)
    active = names.get(after.stable_revision or "")
    if active is None and after.stable_revision == before.stable_revision:
        active = before.active_version  # somebody has deleted the record of its revision
    upgrade_status = upgrades.get(after.upgrade or "")
    phase = _phase(seen, after)
    moving = upgrade_status is not None and upgrade_status.phase in MOVING
    tried = names.get(upgrade_status.to_revision or "") if upgrade_status and moving else None
    fields = {name: getattr(after, name) for name in WorkloadStatus.model_fields}
    return ModelDeploymentStatus(
        **fields
        | {
            "observed_generation": seen.generation,
            "replicas": _replicas(seen, after.stable_revision),
            "selector": _selector(seen, after.stable_revision),
        }
        | ({"phase_since": before.phase_since} if phase is before.phase else {}),
        phase=phase,
        active_version=active,
        canary_version=tried,
        versions=tuple(_versions(seen, names, after, upgrade_status, now)),
        swaps=_swaps(seen, names, upgrades),
        last_rollback=_last_rollback(seen, names, upgrade_status),
        conditions=_conditions(seen, after, active, upgrade_status if moving else None, now),
    )


def write_model_status(seen: ModelObservation, after: ModelDeploymentStatus) -> WriteStatus | None:
    """The intent to write `after`; None when nothing of ours differs."""
    before = seen.model.status
    ours = tuple(c for c in before.conditions if c.type in MODEL_CONDITION_TYPES)
    before = before.model_copy(update={"conditions": ours})
    if after == before:
        return None
    return WriteStatus(
        target=seen.workload.identity,
        status=after.model_dump(by_alias=True, exclude_none=True),
        urgent=_essence(after) != _essence(before),
    )


def version_names(seen: ModelObservation) -> Mapping[str, str]:
    """The names of versions by revision."""
    workload = seen.workload
    names = {
        view.revision: str(view.data["version"])
        for view in workload.revisions.values()
        if workload.own(view) and "version" in view.data
    }
    if seen.asked.version is not None:
        names[revision_of(workload.agent.spec).hash] = seen.asked.version.name
    return names


def _phase(seen: ModelObservation, after: AgentStatus) -> ModelPhase | None:
    if seen.asked.version is None:
        return ModelPhase.FAILED
    return model_phase(after)


def _selector(seen: ModelObservation, stable: str | None) -> str:
    """The pods of the version that serves, which are those that are scaled."""
    whole = f"{MODEL_LABEL}={seen.model.metadata.name}"
    return f"{whole},{REVISION_LABEL}={stable}" if stable is not None else whole


def _replicas(seen: ModelObservation, stable: str | None) -> int:
    sets = seen.workload.sets()
    return sum(view.replicas for view in sets if stable is None or view.revision == stable)


# Versions


def _versions(
    seen: ModelObservation,
    names: Mapping[str, str],
    after: AgentStatus,
    upgrade: AgentUpgradeStatus | None,
    now: datetime,
) -> Iterator[VersionStatus]:
    """The registered versions in their order, then those that still have pods."""
    sets = {view.revision: view for view in seen.workload.sets()}
    registered = [version.name for version in seen.model.spec.versions]
    lasting = {
        names[view.revision]
        for view in sets.values()
        if view.revision in names and (view.wanted or view.replicas)
    }
    known = {each.name: each for each in seen.model.status.versions}
    for name in [*registered, *sorted(lasting - set(registered))][:VERSIONS]:
        revisions = [revision for revision, version in names.items() if version == name]
        found = _version(seen, name, revisions, sets, after, upgrade, now)
        old = known.get(name)
        since = old.since if old is not None and old.state == found.state else now
        yield found.model_copy(update={"since": since})


def _version(
    seen: ModelObservation,
    name: str,
    revisions: list[str],
    sets: Mapping[str, ReplicaSetView],
    after: AgentStatus,
    upgrade: AgentUpgradeStatus | None,
    now: datetime,
) -> VersionStatus:
    views = [sets[revision] for revision in revisions if revision in sets]
    version = version_named(seen.model, name)
    missing = incompatibilities(seen.model, version) if version is not None else ()
    revision = _current(revisions, after, upgrade)
    pods = [pod for each in revisions for pod in seen.workload.pods_of(each) if not pod.finished]
    state, message = _state(views, pods, revision, after, upgrade)
    weight, weight_seen = _weight(revision, after, upgrade)
    return VersionStatus(
        name=name,
        state=state,
        since=now,
        revision=revision,
        compatible=not missing,
        message="; ".join(missing) or message,
        replicas=sum(view.replicas for view in views),
        ready_replicas=sum(view.ready for view in views),
        weight=weight,
        weight_seen=weight_seen,
        performance=_performance(seen, name, revision),
    )


def _current(
    revisions: list[str], after: AgentStatus, upgrade: AgentUpgradeStatus | None
) -> str | None:
    """Of the revisions of a version that of which most is to be told."""
    telling = (after.stable_revision, upgrade.to_revision if upgrade else None)
    found = next((each for each in telling if each in revisions), None)
    return found or next(reversed(revisions), None)


def _state(
    views: list[ReplicaSetView],
    pods: list[PodView],
    revision: str | None,
    after: AgentStatus,
    upgrade: AgentUpgradeStatus | None,
) -> tuple[VersionState, str]:
    """What a version is doing, and why it was given up if it was."""
    ready = any(view.ready for view in views)
    if revision is not None and revision == after.stable_revision:
        return VersionState.ACTIVE, ""
    if upgrade is not None and revision is not None and revision == upgrade.to_revision:
        if upgrade.rollback is not None:
            return VersionState.FAILED, f"{upgrade.rollback.trigger}: {upgrade.rollback.reason}"
        if upgrade.phase in MOVING:
            if upgrade.weight > 0:
                return VersionState.CANARY, ""
            return (VersionState.READY if ready else VersionState.LOADING), ""
    stays = any(not pod.deleting and pod.draining_since is None for pod in pods)
    if any(view.wanted for view in views) and (stays or not pods):
        first = after.stable_revision is None
        return (VersionState.LOADING if first else VersionState.STANDBY), ""
    return (VersionState.DRAINING if pods else VersionState.PENDING), ""


def _weight(
    revision: str | None, after: AgentStatus, upgrade: AgentUpgradeStatus | None
) -> tuple[int, int | None]:
    """The percentage a version was given, and the one it was seen to get."""
    moving = upgrade is not None and upgrade.phase in MOVING
    if revision is None:
        return 0, None
    if revision == after.stable_revision:
        if upgrade is None or not moving or upgrade.to_revision == revision:
            return 100, None
        other = upgrade.weight_seen
        return 100 - upgrade.weight, None if other is None else 100 - other
    if upgrade is not None and moving and revision == upgrade.to_revision:
        return upgrade.weight, upgrade.weight_seen
    return 0, None


def _performance(
    seen: ModelObservation, name: str, revision: str | None
) -> VersionPerformance | None:
    """How a version did when it last had requests; nothing is told of one without pods."""
    figures = seen.figures.get(revision or "")
    if not seen.model.spec.monitoring.enabled or figures is None:
        return None
    known = next((each for each in seen.model.status.versions if each.name == name), None)
    if not figures.requests and known is not None and known.performance is not None:
        return known.performance
    return performance(figures)


# What has ended


def _swaps(
    seen: ModelObservation, names: Mapping[str, str], upgrades: Mapping[str, AgentUpgradeStatus]
) -> tuple[Swap, ...]:
    """Those that were told, and those that have ended since the last of them.

    One that was promoted may be taken back later, and why one was may become clearer.
    """
    before = seen.model.status.swaps
    last = max((swap.finished_at for swap in before), default=None)
    found = filter(None, (_swap(name, status, names) for name, status in upgrades.items()))
    ended = {(swap.upgrade, swap.started_at): swap for swap in found}
    kept = []
    for swap in before:
        known = ended.pop((swap.upgrade, swap.started_at), swap)
        kept.append(swap.model_copy(update={name: getattr(known, name) for name in _LATER}))
    new = [swap for swap in ended.values() if last is None or swap.finished_at >= last]
    return (*kept, *sorted(new, key=lambda swap: swap.finished_at))[-SWAPS:]


def _swap(name: str, status: AgentUpgradeStatus, names: Mapping[str, str]) -> Swap | None:
    """The swap that an upgrade was; None before its end, and where it never began."""
    outcome = _OUTCOMES.get(status.phase) if status.phase is not None else None
    to = status.to_version or names.get(status.to_revision or "")
    if to is None or outcome is None or not status.started_at or not status.finished_at:
        return None
    rollback = status.rollback
    return Swap(
        from_=status.from_version or names.get(status.from_revision or ""),
        to=to,
        upgrade=name,
        outcome=outcome,
        reason=f"{rollback.trigger}: {rollback.reason}" if rollback is not None else "",
        started_at=status.started_at,
        finished_at=status.finished_at,
        duration_seconds=max(0, int((status.finished_at - status.started_at).total_seconds())),
    )


def _last_rollback(
    seen: ModelObservation, names: Mapping[str, str], status: AgentUpgradeStatus | None
) -> LastRollback | None:
    record = status.rollback if status is not None else None
    version = names.get(status.to_revision or "") if status is not None else None
    if record is None or version is None:
        return seen.model.status.last_rollback
    return LastRollback(
        version=version,
        trigger=record.trigger,
        reason=record.reason,
        at=record.at,
        duration_seconds=record.duration_seconds,
    )


# Conditions


def _conditions(
    seen: ModelObservation,
    after: AgentStatus,
    active: str | None,
    moving: AgentUpgradeStatus | None,
    now: datetime,
) -> tuple[Condition, ...]:
    """Those of the workload, whether what is asked for is compatible, and the promises kept.

    `moving` is the upgrade that divides the requests, which tells whether they are divided so.
    """
    complaint = seen.asked.complaint
    said: list[Said] = [*_objectives(seen, after.stable_revision, active)]
    said += [
        (told.type, told.status, Reason(told.reason), told.message)
        for told in (moving.conditions if moving is not None else ())
        if told.type == "TrafficApplied"
    ]
    hidden: set[str] = set()
    if complaint is None:
        said.append(("Compatible", "True", Reason.COMPATIBLE, "it does what users need"))
    else:
        said.append(("Compatible", "False", complaint.reason, complaint.message))
    if complaint is not None and not serves_in_error(after):
        said += [
            ("Ready", "False", complaint.reason, complaint.message),
            ("Stalled", "True", complaint.reason, complaint.message),
        ]
        hidden = {"Ready", "Stalled", "Reconciling"}
    kept = [c for c in after.conditions if c.type in CONDITION_TYPES and c.type not in hidden]
    before = seen.model.status.conditions
    return (*kept, *dated(said, generation=seen.generation, before=before, now=now))


def _objectives(seen: ModelObservation, stable: str | None, active: str | None) -> Iterator[Said]:
    """Whether the active version keeps what is promised, where something is."""
    promises = seen.model.spec.slo
    if promises is None or active is None:
        return
    figures = seen.figures.get(stable or "")
    broken = broken_promise(active, promises, figures)
    if broken is not None:
        yield ("ObjectivesMet", "False", broken.reason, broken.message)
    elif figures is None or not (figures.requests or figures.accuracy is not None):
        yield ("ObjectivesMet", "Unknown", Reason.NOT_READY_YET, "its pods tell nothing yet")
    else:
        yield ("ObjectivesMet", "True", Reason.OBJECTIVES_MET, "it keeps what is promised")


def _essence(status: ModelDeploymentStatus) -> tuple[object, ...]:
    """What must not wait: everything but counters, figures and wordings."""
    return (
        status.observed_generation,
        status.phase,
        status.active_version,
        status.canary_version,
        status.stable_revision,
        status.target_revision,
        status.former_revisions,
        status.upgrade,
        status.swaps,
        status.last_rollback,
        tuple((v.name, v.state, v.compatible, v.weight) for v in status.versions),
        tuple((c.type, c.status, c.reason) for c in status.conditions),
    )
