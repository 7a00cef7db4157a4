"""The conditions of an Agent, as kubectl, Helm, Flux and Argo CD read them.

`Ready` says whether the Agent is as its spec wants it, which a suspended one is; `Available`
says whether it serves. `Reconciling` and `Stalled` are abnormal and exist only while they are
true (kstatus: the one means "in progress", the other "failed").
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from agentherd.api import Condition, ConditionStatus, OperatingMode, Phase
from agentherd.domain.phase import Facts, Verdict
from agentherd.domain.reasons import Reason

CONDITION_TYPES: Final = frozenset(
    {"Available", "Healthy", "Managed", "Ready", "Reconciling", "Stalled"}
)

Said = tuple[str, ConditionStatus, Reason, str]
"""Type, status, reason and message of a condition."""

_FINAL_FAULTS: Final = frozenset(
    {
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        Reason.DEPENDENCY_CYCLE,
        Reason.ROLLED_BACK,
        Reason.SUPERSEDED,
        Reason.UPGRADE_DELETED,
    }
)


def conditions(
    facts: Facts, verdict: Verdict, *, ready: int, generation: int, before: Iterable[Condition]
) -> tuple[Condition, ...]:
    """All conditions; a time of transition is kept from `before` while the status is the same."""
    before = tuple(before)
    # An error may end by itself, but whoever waits for that has waited long enough, also where a
    # deployment was late before it became one.
    stalled_before = any(
        c.type == "Stalled" and c.observed_generation == generation for c in before
    )
    lasting = verdict.phase is facts.phase is Phase.ERROR and facts.observed
    lasting = lasting and (facts.late or stalled_before)
    stalled = facts.failure is not None or verdict.reason in _FINAL_FAULTS or lasting
    said: list[Said] = [
        ("Ready", _status(verdict.done), verdict.reason, verdict.message),
        _available(facts, verdict),
        _healthy(facts, verdict, ready=ready),
    ]
    if stalled:
        said.append(("Stalled", "True", verdict.reason, verdict.message))
    elif not verdict.done:
        said.append(("Reconciling", "True", verdict.reason, verdict.message))
    return dated(said, generation=generation, before=before, now=facts.now)


def unmanaged(
    before: Iterable[Condition], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions as they were, and `Managed` that says why they stay so."""
    kept = tuple(c for c in before if c.type != "Managed")
    message = "the annotation agentherd.dev/unmanaged is true: nothing is changed or put right"
    said: list[Said] = [("Managed", "False", Reason.UNMANAGED, message)]
    return kept + dated(said, generation=generation, before=before, now=now)


def not_understood(
    before: Iterable[Condition], what: str, *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions of an Agent that a newer version of the API has written."""
    kept = tuple(c for c in before if c.type not in {"Ready", "Reconciling", "Stalled"})
    message = (
        f"this version of the operator cannot read {what}; upgrade the operator, or choose a "
        "value that it knows. Until then nothing of this Agent is changed"
    )
    said: list[Said] = [
        ("Ready", "False", Reason.NOT_UNDERSTOOD, message),
        ("Stalled", "True", Reason.NOT_UNDERSTOOD, message),
    ]
    return kept + dated(said, generation=generation, before=before, now=now)


def _available(facts: Facts, verdict: Verdict) -> Said:
    if facts.mode is OperatingMode.RUNNING and facts.serving:
        share = f"{min(facts.serving, facts.wanted)} of {facts.wanted} wanted pods are available"
        return ("Available", "True", Reason.ALL_AVAILABLE, share)
    if facts.mode is OperatingMode.MAINTENANCE:
        return ("Available", "False", Reason.MAINTENANCE, verdict.message)
    return ("Available", "False", verdict.reason, verdict.message)


def _healthy(facts: Facts, verdict: Verdict, *, ready: int) -> Said:
    if not facts.wanted:
        return ("Healthy", "Unknown", Reason.NO_PODS, "there are no pods to check")
    if facts.fault is not None:
        return ("Healthy", "False", facts.fault.reason, facts.fault.message)
    if ready >= facts.wanted:
        return ("Healthy", "True", Reason.PROBES_SUCCEED, "all pods pass their checks")
    if verdict.phase is Phase.ERROR and facts.pods:
        return ("Healthy", "False", verdict.reason, verdict.message)
    message = f"{ready} of {facts.wanted} pods have passed their checks"
    return ("Healthy", "Unknown", Reason.NOT_READY_YET, message)


def _status(value: bool) -> ConditionStatus:  # noqa: FBT001  (a conversion)
    return "True" if value else "False"


def dated(
    said: Iterable[Said], *, generation: int, before: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    """The conditions that are said; a time of transition is kept while the status is the same."""
    known = {condition.type: condition for condition in before}
    dated = []
    for kind, status, reason, message in said:
        old = known.get(kind)
        since = old.last_transition_time if old is not None and old.status == status else now
        dated.append(
            Condition(
                type=kind,
                status=status,
                observed_generation=generation,
                last_transition_time=since,
                reason=reason,
                message=message[:32768],
            )
        )
    return tuple(dated)
