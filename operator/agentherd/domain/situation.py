"""The situation of an Agent: the facts on which its phase depends, gathered from what is seen.

What is looked at is the revision that serves, or the first one that is to. Troubles of a new
version are its upgrade's to tell, as long as the old one serves.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from agentherd.api import AgentStatus, UpgradePhase
from agentherd.domain import children
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import (
    AGENT,
    BASELINE_ENDING,
    JOB,
    MODEL_DEPLOYMENT,
    REPLICA_SET,
    revision_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.phase import Facts
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.template import check
from agentherd.domain.upgrades.change import Choice
from agentherd.domain.upgrades.phases import ENDED
from agentherd.domain.upgrades.rollout import is_complete
from agentherd.domain.upgrades.run import Run, fault_of, is_made_of


def facts_of(
    seen: AgentObservation,
    choice: Choice,
    under_way: Run | None,
    *,
    stable: str | None,
    lost: bool,
    waiting_for: tuple[str, ...],
    failure: Failure | None,
    now: datetime,
) -> Facts:
    """What the phase depends on: the revision that serves, or the first one that is to.

    `lost` says that nobody knows the content of what serves any more.
    """
    spec, status = seen.agent.spec, seen.agent.status
    judged = stable or choice.goal.hash
    sets = {view.revision: view for view in seen.sets()}
    view = sets.get(judged)
    return Facts(
        mode=spec.operating_mode,
        mode_reason=spec.operating_mode_reason,
        wanted=seen.wanted,
        pods=sum(not pod.finished for pod in seen.pods.values()),
        serving=sum(each.available for each in sets.values()),
        available=view.available if view else 0,
        complete=is_complete(view, seen.wanted),
        settled=status.stable_revision == judged,
        observed=status.observed_generation == seen.generation,
        waiting_for=waiting_for,
        fault=_lost(seen, judged) if lost and view is None else fault_of(seen, judged),
        failure=failure,
        error=_last_error(status),
        upgrade=_with_loss(
            _account(seen, choice, under_way, stable), _lost(seen, judged) if lost else None
        ),
        phase=status.phase,
        since=_progress_since(status, target=judged, now=now),
        deadline=timedelta(seconds=spec.progress_deadline_seconds),
        now=now,
    )


def _account(
    seen: AgentObservation, choice: Choice, under_way: Run | None, stable: str | None
) -> Fault | None:
    """What the Agent has to say of its upgrade: that it runs, or why its spec is not followed."""
    if stable is None or not seen.wanted:
        return None
    if choice.make:
        return Fault(Reason.ROLLING_OUT, f"upgrade {choice.name} is made")
    if under_way is not None and under_way.status.phase not in ENDED:
        what = f"upgrade {choice.name} {under_way.status.phase}: {under_way.move.message}"
        return Fault(Reason.ROLLING_OUT, what)
    if choice.asked.hash == stable:
        return None
    if under_way is not None and (record := under_way.status.rollback) is not None:
        return Fault(
            Reason.ROLLED_BACK,
            f"upgrade {choice.name} was rolled back ({record.trigger}: {record.reason}); revision "
            f"{stable} serves. {_TO_GO_ON[seen.agent.KIND]}",
        )
    governing = seen.upgrades.get(choice.name or "")
    if governing is not None and governing.upgrade.status.phase is UpgradePhase.SUCCEEDED:
        return Fault(
            Reason.SUPERSEDED,
            f"upgrade {choice.name} has put revision {stable} in the place of "
            f"{choice.asked.hash}, which the spec asks for. Change the spec, or create an "
            "AgentUpgrade without spec.to",
        )
    if governing is not None:
        objection = choice.objections.get(choice.name or "")
        why = f": {objection.message}" if objection else ""
        return Fault(Reason.ROLLING_OUT, f"upgrade {choice.name} has not begun{why}")
    return Fault(
        Reason.UPGRADE_DELETED,
        f"the upgrade to revision {choice.asked.hash} was deleted; revision {stable} serves. "
        "Change the spec, or create an AgentUpgrade without spec.to",
    )


_TO_GO_ON: Final = {
    AGENT.name: "Change the spec, or raise spec.attempt of the upgrade",
    # Another field may ask for the version now, which is no reason to try it again.
    MODEL_DEPLOYMENT.name: "Neither spec.activeVersion nor spec.canary has the same version tried "
    "again: name another one, or raise spec.attempt of the upgrade",
}


def _with_loss(account: Fault | None, lost: Fault | None) -> Fault | None:
    """What is said of an upgrade, and that what serves could not be made again."""
    if account is None or lost is None:
        return account
    return Fault(account.reason, f"{account.message}; {lost.message}")


def _lost(seen: AgentObservation, revision: str) -> Fault:
    name = revision_name(seen.agent.metadata.name, revision)
    return Fault(
        Reason.REVISION_NOT_FOUND,
        f"ControllerRevision {name} was deleted, so nobody could make its pods again; set the "
        "spec to what they are, or to something new",
    )


def _progress_since(status: AgentStatus, *, target: str, now: datetime) -> datetime | None:
    """When the attempt that is under way began: with its revision, after any waiting."""
    waited = any(c.reason == Reason.WAITING_FOR_DEPENDENCIES for c in status.conditions)
    if waited or (status.stable_revision is None and status.target_revision not in {None, target}):
        return now
    return status.progress_since or status.phase_since


def _last_error(status: AgentStatus) -> Fault | None:
    error = status.last_error
    if error is None or error.reason not in _REASONS:
        return None
    return Fault(Reason(error.reason), error.message)


_REASONS = frozenset(Reason)


def failure_of(
    seen: AgentObservation, choice: Choice, stable: str | None, now: datetime
) -> Failure | None:
    """The failure to tell of the Agent: that of its pods if there is one, else any.

    What is refused of a new version, or of what it is compared with or tried by, is its upgrade's
    to tell.
    """
    judged = choice.goal if stable is None else None
    if judged is not None and (found := malformed(seen, judged, now)) is not None:
        return found
    name = seen.agent.metadata.name
    others = {choice.goal.hash, choice.asked.hash} - {stable} if stable else set()
    ordered = sorted(seen.failures.items(), key=lambda item: (item[0][0] != REPLICA_SET.name, item))
    return next(
        (
            failure
            for ref, failure in ordered
            if not _judges(ref) and not any(is_made_of(ref, name, each) for each in others)
        ),
        None,
    )


def _judges(ref: Ref) -> bool:
    """Whether a new version is judged by it, and nobody is served: fresh pods, and testers."""
    kind, name = ref
    return kind == JOB.name or (kind == REPLICA_SET.name and name.endswith(BASELINE_ENDING))


def malformed(seen: AgentObservation, revision: Revision, now: datetime) -> Failure | None:
    """Why no pods can be made of a revision, found without asking the API server."""
    if not revision.known:
        if revision.hash == seen.agent.status.stable_revision:
            return None  # it serves, and goes on doing so
        lost = _lost(seen, revision.hash)
        return Failure(
            reason=lost.reason, message=lost.message, generation=seen.generation, retry_at=now
        )
    try:
        check(revision.template)
        children.replica_set(seen.agent, revision)
    except (InvalidTemplate, TemplateConflict) as error:
        return Failure(
            reason=error.reason, message=str(error), generation=seen.generation, retry_at=now
        )
    return None
