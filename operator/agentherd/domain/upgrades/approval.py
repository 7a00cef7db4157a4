"""Which moves of an upgrade a person has to approve, and whether somebody has.

    Manual     waits before it begins
    SemiAuto   waits before the new version gets all requests; without steps, before it begins
    Auto       waits for nobody

An approval is a user name in the spec. That it is the name of who wrote it, and that they may
approve, only the API server can tell: it refuses all others by a ValidatingAdmissionPolicy. So a
name counts for nothing until the server has shown that it does, and then stands in the status with
the revision it was given for, and for no other one. Ways back are not asked about here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentherd.api import (
    AgentUpgrade,
    AgentUpgradeStatus,
    Approval,
    ApprovalRecord,
    Automation,
    EffectiveStrategy,
    StrategyType,
    UpgradePhase,
    UpgradePolicy,
)
from agentherd.domain.observation import SeenUpgrade
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.phases import ENDED

POLICY_SAYS: Final = "agentupgrades/approval"
"""What the API server's answer to a forged approval names: the permission that is missing."""

UNAPPROVED: Final = frozenset(
    {
        Reason.APPROVAL_REQUIRED,
        Reason.APPROVAL_OUTDATED,
        Reason.APPROVAL_UNCHECKED,
        Reason.POLICY_MISSING,
    }
)
"""Why an upgrade waits for approval, although it can be made as it is written."""

ALL_REQUESTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether what is still ahead of an upgrade is approved, and if not, what to do.

    `free` is the number of steps that may be taken without; None where nothing needs approval.
    `by` and `revision` are of the approval that counts, also where it is for another revision.
    """

    free: int | None
    reason: Reason
    message: str
    by: str | None = None
    revision: str | None = None

    @property
    def given(self) -> bool:
        """Whether there is an approval of what the upgrade leads to."""
        return self.reason is Reason.APPROVED

    def bars(self, taken: int) -> bool:
        """Whether a move after so many steps waits for an approval; 0 is the beginning."""
        return self.free is not None and taken >= self.free and not self.given

    def record(self, before: ApprovalRecord | None, now: datetime) -> ApprovalRecord | None:
        """What the status keeps of it: the record from before where it says the same."""
        if self.by is None or self.revision is None:
            return None
        if before is not None and (before.by, before.revision) == (self.by, self.revision):
            return before
        return ApprovalRecord(by=self.by, at=now, revision=self.revision)


def automation_of(policy: UpgradePolicy | None, approval: Approval | None) -> Automation:
    """How far an upgrade goes by itself; its own spec can only ask for more care."""
    if approval is not None and approval.required:
        return Automation.MANUAL
    return policy.automation if policy is not None else Automation.AUTO


def free_steps(strategy: EffectiveStrategy, *, steps: int) -> int | None:
    """How many of its `steps` an upgrade takes without approval; None where it needs none at all.

    A step that gives the new version all requests is one that has to be approved.
    """
    if strategy.automation is Automation.AUTO:
        return None
    if strategy.automation is Automation.MANUAL or not steps:
        return 0
    if strategy.type is not StrategyType.CANARY:
        return steps
    everything = (n for n, step in enumerate(strategy.steps) if step.weight >= ALL_REQUESTS)
    return next(everything, steps)


def approval_ahead(seen: SeenUpgrade) -> Standing | None:
    """The approval of an upgrade that has begun and comes to it yet; None where it does not."""
    status = seen.upgrade.status
    return approval_of(seen, status) if _is_ahead(status) else None


def approval_of(seen: SeenUpgrade, status: AgentUpgradeStatus) -> Standing | None:
    """The approval of an upgrade as its attempt is settled in `status`."""
    if status.strategy is None or status.to_revision is None:
        return None
    return standing(
        seen.upgrade,
        status.strategy,
        steps=status.steps,
        goal=status.to_revision,
        checked=seen.approvals_checked,
    )


def is_unchecked(upgrade: AgentUpgrade) -> bool:
    """Whether an approval is claimed of which nobody knows yet whether the API server checks it."""
    approval, status = upgrade.spec.approval, upgrade.status
    if approval is None or approval.approved_by is None or _is_recorded(upgrade):
        return False
    again = upgrade.spec.attempt > (status.attempt or 1)
    waits = status.phase in {None, UpgradePhase.PENDING} or (status.phase in ENDED and again)
    return waits or _is_ahead(status)


def standing(
    upgrade: AgentUpgrade,
    strategy: EffectiveStrategy,
    *,
    steps: int,
    goal: str,
    checked: bool | None,
) -> Standing:
    """How it stands with the approval of an upgrade that leads to revision `goal`.

    `checked` says whether the API server refuses forged approvals, None while that is not known.
    """
    free = free_steps(strategy, steps=steps)
    approval, record = upgrade.spec.approval, upgrade.status.approval
    if approval is None or approval.approved_by is None:
        ask = f"{_needs(goal, free)}; {_how(upgrade, goal)}"
        return Standing(free=free, reason=Reason.APPROVAL_REQUIRED, message=ask)
    by = approval.approved_by
    revision = approval.revision or goal
    if record is not None and _is_recorded(upgrade):
        revision = record.revision
    elif checked is None:
        wait = f"approved by {by}; waits until the API server has shown that it checks such names"
        return Standing(free=free, reason=Reason.APPROVAL_UNCHECKED, message=wait)
    elif not checked:
        return Standing(free=free, reason=Reason.POLICY_MISSING, message=_unprotected(by))
    if revision == goal:
        told = f"{by} has approved revision {goal}"
        return Standing(free=free, reason=Reason.APPROVED, message=told, by=by, revision=revision)
    told = f"{by} has approved revision {revision}, but {_needs(goal, free)}; {_how(upgrade, goal)}"
    return Standing(
        free=free, reason=Reason.APPROVAL_OUTDATED, message=told, by=by, revision=revision
    )


def _is_ahead(status: AgentUpgradeStatus) -> bool:
    """Whether what has begun is at a step still and has to be approved before the last move."""
    if status.phase not in {UpgradePhase.PROGRESSING, UpgradePhase.PAUSED} or not status.steps:
        return False
    return status.strategy is not None and status.strategy.automation is Automation.SEMI_AUTO


def _is_recorded(upgrade: AgentUpgrade) -> bool:
    """Whether the status has the very approval that stands in the spec."""
    approval, record = upgrade.spec.approval, upgrade.status.approval
    if approval is None or record is None or approval.approved_by != record.by:
        return False
    return approval.revision in {None, record.revision}


def _needs(goal: str, free: int | None) -> str:
    before = "before it gets all requests" if free else "before the upgrade begins"
    return f"revision {goal} needs approval {before}"


def _how(upgrade: AgentUpgrade, goal: str) -> str:
    name, namespace = upgrade.metadata.name, upgrade.metadata.namespace
    patch = f'{{"spec":{{"approval":{{"approvedBy":"YOU","revision":"{goal}"}}}}}}'
    return (
        f"kubectl agentherd approve {name} -n {namespace}, or with your own user name for YOU: "
        f"kubectl patch agup {name} -n {namespace} --type merge -p '{patch}'"
    )


def _unprotected(by: str) -> str:
    return (
        f"approvedBy is {by}, but anybody may have written that: the API server lets a forged "
        "approval pass. Install the ValidatingAdmissionPolicies of Agentherd"
    )
