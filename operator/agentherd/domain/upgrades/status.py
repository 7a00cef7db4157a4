"""The status of an AgentUpgrade: what it says of itself to people and programs.

Every change of phase or step becomes an entry of the history, everything a person did to steer the
upgrade an entry of the controls, so that afterwards nobody has to remember. Both are bounded. An
attempt that is asked for in vain is taken note of, so that it does not begin by itself one day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from agentherd.api import (
    AgentUpgrade,
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    AnalysisStatus,
    ConditionStatus,
    Control,
    PhaseChange,
    UpgradePhase,
    Verdict,
)
from agentherd.api.upgrade import MAX_CONTROLS, MAX_UPGRADE_HISTORY
from agentherd.domain.conditions import Said, dated
from agentherd.domain.faults import Fault
from agentherd.domain.judging.verdict import reason_of
from agentherd.domain.kinds import AGENT_UPGRADE
from agentherd.domain.observation import SeenUpgrade
from agentherd.domain.plan import Identity, WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.approval import UNAPPROVED, Standing, approval_ahead, approval_of
from agentherd.domain.upgrades.change import Objection, is_asked_in_vain, is_running
from agentherd.domain.upgrades.judgement import settings_of
from agentherd.domain.upgrades.moves import OPERATOR, Move
from agentherd.domain.upgrades.phases import ENDED, MOVING

UPGRADE_CONDITIONS: Final = frozenset(
    {
        "Validated",
        "Progressing",
        "TrafficApplied",
        "Approved",
        "Analyzed",
        "Succeeded",
        "Ready",
        "Reconciling",
        "Stalled",
    }
)


def identity_of(upgrade: AgentUpgrade) -> Identity:
    """Exactly this AgentUpgrade."""
    metadata = upgrade.metadata
    return Identity(kind=AGENT_UPGRADE, name=metadata.name, uid=metadata.uid)


def running_status(
    seen: SeenUpgrade,
    move: Move,
    status: AgentUpgradeStatus,
    *,
    traffic: Fault,
    applied: bool,
    now: datetime,
) -> AgentUpgradeStatus:
    """The status of an upgrade that governs, after a move. `traffic` says who splits and how."""
    validated: Said = ("Validated", "True", Reason.VALID, "it can be made as it is written")
    routed: Said = ("TrafficApplied", _status(applied), traffic.reason, traffic.message)
    # What begins was approved as it stands now, if it had to be.
    begins = not is_running(seen.upgrade) and status.phase in MOVING
    approval = approval_of(seen, status) if begins else approval_ahead(seen)
    return _finished(seen, status, move, (validated, routed), approval, now=now)


def waiting_status(
    seen: SeenUpgrade,
    objection: Objection | None,
    *,
    approval: Standing | None = None,
    now: datetime,
) -> AgentUpgradeStatus:
    """The status of an upgrade that has not begun; `approval` is None where it cannot be told."""
    before = seen.upgrade.status
    if objection is None:
        kind = seen.upgrade.spec.target_ref.kind
        reason = Reason.QUEUED
        message = f"waits until no other upgrade of the {kind} runs and its pods are wanted"
    else:
        reason, message = objection.reason, objection.message
    valid = objection is None or objection.reason is Reason.PAUSED or objection.reason in UNAPPROVED
    validated: Said = (
        ("Validated", "True", Reason.VALID, "it can be made as it is written")
        if valid
        else ("Validated", "False", reason, message)
    )
    # An upgrade that is asked for again keeps telling how its last attempt ended until it begins.
    phase = before.phase or UpgradePhase.PENDING
    move = Move(phase=phase, reason=reason, message=message, changes={})
    status = before.model_copy(update={"phase": phase})
    return _finished(seen, status, move, (validated,), approval, now=now)


def superseded_status(seen: SeenUpgrade, message: str, *, now: datetime) -> AgentUpgradeStatus:
    """The status of an upgrade whose place a later change has taken."""
    status = seen.upgrade.status.model_copy(
        update={"phase": UpgradePhase.SUPERSEDED, "finished_at": now, "weight": 0}
    )
    move = Move(
        phase=UpgradePhase.SUPERSEDED, reason=Reason.SUPERSEDED, message=message, changes={}
    )
    return _finished(seen, status, move, (), None, now=now)


def succeeded_status(seen: SeenUpgrade, *, now: datetime) -> AgentUpgradeStatus:
    """The status of an upgrade that had just taken over when a later change took its place."""
    status = seen.upgrade.status.model_copy(
        update={"phase": UpgradePhase.SUCCEEDED, "finished_at": now, "weight": 100}
    )
    message = f"revision {status.to_revision} serves"
    move = Move(
        phase=UpgradePhase.SUCCEEDED, reason=Reason.UPGRADE_SUCCEEDED, message=message, changes={}
    )
    return _finished(seen, status, move, (), None, now=now)


def overtaken_status(seen: SeenUpgrade, *, now: datetime) -> AgentUpgradeStatus:
    """The status of an upgrade that was steered after its end, when others have followed it."""
    status = seen.upgrade.status
    phase = status.phase or UpgradePhase.SUPERSEDED
    kind = seen.upgrade.spec.target_ref.kind
    message = (
        f"it has ended and a later change governs the {kind}, so this has no effect; to go back to "
        f"revision {status.from_revision}, create an AgentUpgrade with spec.to.revision"
    )
    reason = ENDED.get(phase, Reason.SUPERSEDED)
    move = Move(phase=phase, reason=reason, message=message, changes={})
    return _finished(seen, status, move, (), None, now=now)


def write_upgrade_status(upgrade: AgentUpgrade, after: AgentUpgradeStatus) -> WriteStatus | None:
    """The intent to write `after`; None when nothing of ours differs."""
    ours = tuple(c for c in upgrade.status.conditions if c.type in UPGRADE_CONDITIONS)
    before = upgrade.status.model_copy(update={"conditions": ours})
    if after == before:
        return None
    return WriteStatus(
        target=identity_of(upgrade),
        status=after.model_dump(by_alias=True, exclude_none=True),
        urgent=_essence(after) != _essence(before),
    )


def _finished(
    seen: SeenUpgrade,
    status: AgentUpgradeStatus,
    move: Move,
    said: tuple[Said, ...],
    approval: Standing | None,
    *,
    now: datetime,
) -> AgentUpgradeStatus:
    before = seen.upgrade.status
    generation = seen.upgrade.metadata.generation
    history = before.history
    if (status.phase, status.step, status.weight) != (before.phase, before.step, before.weight):
        entry = PhaseChange(phase=move.phase, reason=move.reason, message=move.message, at=now)
        history = (*history, entry)[-MAX_UPGRADE_HISTORY:]
    if is_asked_in_vain(seen.upgrade):
        status = status.model_copy(update={"attempt": seen.upgrade.spec.attempt})
    if approval is not None:
        status = status.model_copy(update={"approval": approval.record(before.approval, now)})
        said = (*said, *_approved(approval))
    said = (*said, *_analyzed(seen.upgrade.spec, status))
    kept = {c.type: c for c in before.conditions}
    told = {name for name, *_ in said}
    lasting = ("Validated", "TrafficApplied", *(() if approval else ("Approved",)))
    rest = tuple(kept[name] for name in lasting if name in kept and name not in told)
    conditions = dated(
        (*said, *_conditions(status, move)),
        generation=generation,
        before=before.conditions,
        now=now,
    )
    return status.model_copy(
        update={
            "observed_generation": generation,
            "history": history,
            "controls": (
                *before.controls,
                *_controls(seen, move, now),
                *_approvals(seen, status, now),
            )[-MAX_CONTROLS:],
            "conditions": (*rest, *conditions),
        }
    )


def _approved(approval: Standing) -> Iterator[Said]:
    if approval.free is None:
        return
    held: ConditionStatus = "Unknown" if approval.reason is Reason.APPROVAL_UNCHECKED else "False"
    verdict = "True" if approval.given else held
    yield ("Approved", verdict, approval.reason, approval.message)


def _analyzed(spec: AgentUpgradeSpec, status: AgentUpgradeStatus) -> Iterator[Said]:
    """Whether the new version is as good as the stable one, once there is anything to say."""
    analysis, settings = status.analysis, settings_of(spec, status)
    if analysis is None or settings is None:
        return
    verdict = _VERDICTS[analysis.verdict]
    yield ("Analyzed", verdict, reason_of(analysis, settings), analysis.message)


_VERDICTS: Final[Mapping[Verdict, ConditionStatus]] = {
    Verdict.PASS: "True",
    Verdict.FAIL: "False",
    Verdict.INCONCLUSIVE: "Unknown",
}


def _conditions(status: AgentUpgradeStatus, move: Move) -> Iterator[Said]:
    phase, reason, message = move.phase, move.reason, move.message
    if phase in ENDED and not message:
        kept = next((c for c in status.conditions if c.type == "Progressing"), None)
        message = kept.message if kept else ""
    moving = phase in {UpgradePhase.PROGRESSING, UpgradePhase.PROMOTING, UpgradePhase.ROLLING_BACK}
    yield ("Progressing", _status(moving), reason, message)
    verdict: ConditionStatus = "Unknown"
    if phase is UpgradePhase.SUCCEEDED:
        verdict = "True"
    elif phase in {UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK, UpgradePhase.SUPERSEDED}:
        verdict = "False"
    # A success is one, whatever is asked for afterwards and not to be had.
    outcome = ENDED[phase] if verdict == "True" else reason
    yield ("Succeeded", verdict, outcome, message)
    yield ("Ready", _status(verdict == "True"), outcome, message)
    if (verdict == "False" and phase in ENDED) or outcome in _STUCK:
        yield ("Stalled", "True", reason, message)
    elif verdict == "Unknown" or phase is UpgradePhase.ROLLING_BACK:
        yield ("Reconciling", "True", reason, message)


_STUCK: Final = frozenset(
    {
        Reason.DEPENDENCY_CYCLE,
        Reason.DOWNGRADE,
        Reason.INVALID_TEMPLATE,
        Reason.NOT_SUPPORTED,
        Reason.NOT_UNDERSTOOD,
        Reason.PORT_NOT_FOUND,
        Reason.REVISION_NOT_FOUND,
        Reason.TARGET_NOT_FOUND,
        Reason.TEMPLATE_CONFLICT,
    }
)


def _controls(seen: SeenUpgrade, move: Move, now: datetime) -> Iterator[Control]:
    """What a person has done since the spec was last seen, as far as it can be told apart."""
    spec, status = seen.upgrade.spec, seen.upgrade.status
    if status.observed_generation is None:
        return
    done = [(c.verb, c.detail) for c in status.controls]
    by = seen.writer or OPERATOR
    for verb, detail in _verbs(spec, move, done, in_vain=is_asked_in_vain(seen.upgrade)):
        control = Control(verb=verb, by=by, at=now, detail=detail)
        # Compared as it is kept, since a long reason loses its end there.
        if verb != "RollbackRequested" or (verb, control.detail) not in done:
            yield control


def _approvals(seen: SeenUpgrade, after: AgentUpgradeStatus, now: datetime) -> Iterator[Control]:
    """An approval, by the name that the API server has checked, and one that is taken back."""
    before, given = seen.upgrade.status.approval, after.approval
    if given is not None and given != before:
        yield Control(verb="Approved", by=given.by, at=now, detail=f"revision {given.revision}")
    if before is not None and given is None:
        detail = f"revision {before.revision}, approved by {before.by}"
        yield Control(verb="ApprovalWithdrawn", by=seen.writer or OPERATOR, at=now, detail=detail)


def _verbs(
    spec: AgentUpgradeSpec, move: Move, done: list[tuple[str, str]], *, in_vain: bool
) -> Iterator[tuple[str, str]]:
    pausing = next((verb for verb, _ in reversed(done) if verb in {"Paused", "Resumed"}), None)
    if spec.paused and pausing != "Paused":
        yield "Paused", ""
    if not spec.paused and pausing == "Paused":
        yield "Resumed", ""
    retried = ("Retried", f"attempt {spec.attempt}")
    vainly = ("Retried", f"attempt {spec.attempt}: no effect, it was not rolled back")
    in_this_attempt = done
    if retried in done:
        in_this_attempt = done[done.index(retried) + 1 :]
    elif in_vain:
        yield vainly
    elif spec.attempt > 1 and vainly not in done:
        in_this_attempt = []
        yield retried
    if spec.promote is not None:
        said = "full" if spec.promote.full else f"through step {spec.promote.step}"
        if ("Promoted", said) not in in_this_attempt and (spec.promote.full or spec.promote.step):
            yield "Promoted", said
    if spec.rollback is not None and spec.rollback.requested:
        yield "RollbackRequested", _of(spec, move)


def _of(spec: AgentUpgradeSpec, move: Move) -> str:
    reason = spec.rollback.reason if spec.rollback else None
    effect = f": no effect, {move.in_vain}" if move.in_vain else ""
    return f"attempt {spec.attempt}{effect}" + (f": {reason}" if reason else "")


def _status(value: bool) -> ConditionStatus:  # noqa: FBT001  (a conversion)
    return "True" if value else "False"


def _essence(status: AgentUpgradeStatus) -> tuple[object, ...]:
    return (
        status.observed_generation,
        status.phase,
        status.attempt,
        status.to_revision,
        status.step,
        status.weight,
        status.ready_since,
        status.weight_since,
        status.progress_since is None,
        status.rollback,
        status.approval,
        status.finished_at,
        status.preview,
        len(status.controls),
        _measured(status.analysis),
        tuple((c.type, c.status, c.reason) for c in status.conditions),
    )


def _measured(analysis: AnalysisStatus | None) -> tuple[object, ...]:
    """What has been taken into account: that has to be written before more of it is."""
    if analysis is None:
        return ()
    latest = (each.measurements[-1].at for each in analysis.metrics if each.measurements)
    return (analysis.since, analysis.looked_at, *latest)
