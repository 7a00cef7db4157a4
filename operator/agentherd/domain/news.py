"""What people are told: the statuses of upgrades, and a few Events.

An Event tells of an end, an error or a mode that somebody set. Everything else stands in a status,
where it can be looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from agentherd.api import AgentStatus, AgentUpgradeStatus, Phase, UpgradePhase
from agentherd.domain import children
from agentherd.domain.faults import Fault
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.phase import Verdict
from agentherd.domain.plan import (
    Emit,
    Intent,
)
from agentherd.domain.reasons import Reason
from agentherd.domain.routing.traffic import Split, given_weight, obstacle
from agentherd.domain.upgrades.change import Choice, approval_before
from agentherd.domain.upgrades.run import Run, weight_seen
from agentherd.domain.upgrades.status import (
    identity_of,
    overtaken_status,
    running_status,
    succeeded_status,
    superseded_status,
    waiting_status,
    write_upgrade_status,
)


def upgrade_news(
    seen: AgentObservation, choice: Choice, under_way: Run | None, split: Split, now: datetime
) -> Iterator[Intent]:
    """The statuses of all upgrades, and an Event for a beginning and an end."""
    for name, each in seen.upgrades.items():
        if under_way is not None and name == choice.name:
            continue
        if name in choice.superseded and _has_taken_over(seen, each):
            after = succeeded_status(each, now=now)
        elif name in choice.superseded:
            message = f"a newer change has taken its place: {choice.name or 'the former spec'}"
            after = superseded_status(each, message, now=now)
        elif name in choice.objections:
            found = choice.objections[name]
            may = found is None or found.waits
            approval = approval_before(seen, each, choice.asked) if may else None
            after = waiting_status(each, found, approval=approval, now=now)
        elif _is_steered_too_late(each):
            after = overtaken_status(each, now=now)
        else:
            continue
        if write := write_upgrade_status(each.upgrade, after):
            yield write
    if under_way is None:
        return
    upgrade = under_way.governing.upgrade
    status = under_way.status
    seen_weight = None
    # A copy counts with the pod that gets it, so nothing is told while copies are made.
    if under_way.moving and not split.mirror:
        seen_weight = weight_seen(seen, new=under_way.new.hash, old=under_way.serving)
    preview = None
    if under_way.moving and split.preview:
        preview = _preview(seen, under_way)
    status = status.model_copy(update={"weight_seen": seen_weight, "preview": preview})
    hindrance = obstacle(seen, split)
    after = running_status(
        under_way.governing,
        under_way.move,
        status,
        traffic=hindrance or _splitter(seen, status, split),
        applied=hindrance is None,
        now=now,
    )
    if write := write_upgrade_status(upgrade, after):
        yield write
    before = upgrade.status.phase
    if status.phase != before and status.phase in _WORTH_AN_EVENT:
        yield Emit(
            target=identity_of(upgrade),
            reason=under_way.move.reason,
            message=under_way.move.message,
            warning=status.phase is UpgradePhase.ROLLING_BACK,
            at=now,
        )


def _has_taken_over(seen: AgentObservation, each: SeenUpgrade) -> bool:
    """Whether the Agent's status says that its version serves, and its own does not yet."""
    status = each.upgrade.status
    serves = status.to_revision == seen.agent.status.stable_revision
    return status.phase is UpgradePhase.PROMOTING and serves


def _is_steered_too_late(each: SeenUpgrade) -> bool:
    """Whether the spec was changed after the status was decided for the last time."""
    observed = each.upgrade.status.observed_generation
    return observed is not None and observed < each.upgrade.metadata.generation


_WORTH_AN_EVENT: Final = frozenset(
    {UpgradePhase.SUCCEEDED, UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK}
)


def _preview(seen: AgentObservation, under_way: Run) -> str | None:
    made = children.revision_service(seen.agent, under_way.new)
    name: str | None = made["metadata"]["name"] if made else None
    return name


def _splitter(seen: AgentObservation, status: AgentUpgradeStatus, split: Split) -> Fault:
    if status.phase is UpgradePhase.SUCCEEDED:
        return Fault(Reason.WEIGHT_APPLIED, "all requests go to the new version")
    if split.mirror:
        copies = f"all requests go to the old version, copies of {split.mirror} % to the new one"
        return Fault(Reason.WEIGHT_APPLIED, copies)
    if (weight := given_weight(seen, split)) == 100 and not split.stable_ready:
        alone = "all requests go to the new version, since no pod of the old one is ready"
        return Fault(Reason.WEIGHT_APPLIED, alone)
    if weight:
        return Fault(Reason.WEIGHT_APPLIED, f"the route gives the new version {weight} %")
    if split.selected is None and split.canary_ready:
        return Fault(Reason.SHARED_BY_REPLICAS, "requests are shared by the number of pods")
    return Fault(Reason.WEIGHT_APPLIED, "all requests go to the old version")


def agent_news(
    seen: AgentObservation, status: AgentStatus, verdict: Verdict, now: datetime
) -> Iterator[Intent]:
    """Few Events: errors and their end, a new revision, a mode that somebody set."""
    before = seen.agent.status
    if status.phase == before.phase and status.stable_revision == before.stable_revision:
        return
    tell = Emit(
        target=seen.identity,
        reason=verdict.reason,
        message=verdict.message,
        warning=status.phase is Phase.ERROR,
        at=now,
    )
    if status.phase is Phase.ERROR:
        if before.phase is not Phase.ERROR:
            yield tell
        return
    if before.stable_revision is not None and status.stable_revision != before.stable_revision:
        message = f"revision {status.stable_revision} replaces {before.stable_revision}"
        yield replace(tell, reason=Reason.REVISION_PROMOTED, message=message)
    elif before.phase is Phase.ERROR or (verdict.done and before.phase not in _FIRST_PHASES):
        yield tell


_FIRST_PHASES = frozenset({None, Phase.DEPLOYING})
