"""Everything that follows from what was seen of a ModelDeployment.

    the version asked for ─▶ decide, as for an Agent ─▶ its intents, in words of the ModelDeployment
                                                   └──▶ versions, swaps, what has been promoted

The engine knows nothing of versions; what it says of revisions is told of versions here. Two
writes are ours: a canary that has taken over becomes the active version of the spec, and a canary
that a person has made the active version is promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from agentherd.api import AgentStatus, AgentUpgrade, AgentUpgradeStatus
from agentherd.domain.decide import decide
from agentherd.domain.kinds import AGENT_UPGRADE, MODEL_DEPLOYMENT, TRIES_ANNOTATION
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.models.status import model_status, write_model_status
from agentherd.domain.observation import Leftovers
from agentherd.domain.plan import Create, Intent, Merge, Plan, Stage, WriteStatus
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import is_running


def decide_model(seen: ModelObservation | Leftovers, now: datetime) -> Plan:
    """The plan for one ModelDeployment and all that belongs to it."""
    if isinstance(seen, Leftovers):
        return decide(seen, now)
    if seen.model.metadata.deletion_timestamp is not None:
        return Plan()
    before = seen.workload.agent.status
    if seen.asked.version is None:
        status = model_status(seen, before, None, None, now)
        return Plan.of(filter(None, [write_model_status(seen, status)]))
    plan = decide(seen.workload, now)
    after = _status_in(plan) or before
    governing = seen.workload.upgrades.get(after.upgrade or "")
    upgrade = governing.upgrade if governing is not None else None
    upgrade_status = _upgrade_status_in(plan, upgrade)
    status = model_status(seen, after, upgrade, upgrade_status, now)
    intents = [
        *(told for intent in plan.intents if (told := _told(seen, intent)) is not None),
        *_adopted(seen, after),
        *_promoted(seen, upgrade),
    ]
    if write := write_model_status(seen, status):
        intents.append(write)
    return Plan.of(intents, wake_at=plan.wake_at, measure=plan.measure, ask=plan.ask)


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
            tried = {TRIES_ANNOTATION: seen.asked.canary.version}
            metadata["annotations"] = {**metadata.get("annotations", {}), **tried}
            return replace(intent, manifest={**intent.manifest, "metadata": metadata})
    return intent


def _activation(version: str) -> dict[str, dict[str, str | None]]:
    return {"spec": {"activeVersion": version, "canary": None}}


def _adopted(seen: ModelObservation, after: AgentStatus) -> Iterator[Merge]:
    """A canary that has taken over is what the spec asks for from now on."""
    canary = seen.asked.canary
    if canary is None or after.stable_revision != revision_of(seen.workload.agent.spec).hash:
        return
    yield Merge(
        kind=MODEL_DEPLOYMENT,
        name=seen.model.metadata.name,
        uid=seen.model.metadata.uid,
        version=seen.workload.version,
        patch=_activation(canary.version),
        stage=Stage.RECORD,
    )


def _promoted(seen: ModelObservation, upgrade: AgentUpgrade | None) -> Iterator[Merge]:
    """A canary that a person makes the active version does not wait at its weight any longer."""
    if upgrade is None or not is_running(upgrade) or seen.asked.canary is not None:
        return
    tried = upgrade.metadata.annotations.get(TRIES_ANNOTATION)
    skips = upgrade.spec.promote is not None and upgrade.spec.promote.full
    if tried != seen.model.spec.active_version or skips:
        return
    yield Merge(
        kind=AGENT_UPGRADE,
        name=upgrade.metadata.name,
        uid=upgrade.metadata.uid,
        patch={"spec": {"promote": {"full": True}}},
        stage=Stage.RECORD,
    )


def _status_in(plan: Plan) -> AgentStatus | None:
    for intent in plan.intents:
        if isinstance(intent, WriteStatus) and intent.target.kind == MODEL_DEPLOYMENT:
            return AgentStatus.model_validate(intent.status)
    return None


def _upgrade_status_in(plan: Plan, upgrade: AgentUpgrade | None) -> AgentUpgradeStatus | None:
    """The status of the upgrade after the plan."""
    if upgrade is None:
        return None
    for intent in plan.intents:
        if isinstance(intent, WriteStatus) and intent.target.uid == upgrade.metadata.uid:
            return AgentUpgradeStatus.model_validate(intent.status)
    return upgrade.status
