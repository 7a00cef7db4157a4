"""The status of an Agent: from facts and a verdict to what is written.

History, errors and config versions are carried on from the status before and are bounded. A
status that differs from the one before only in counters or wording is not urgent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from agentherd.api import (
    AgentStatus,
    ConfigRecord,
    LastError,
    Phase,
    Transition,
)
from agentherd.domain.conditions import CONDITION_TYPES, conditions
from agentherd.domain.kinds import WORKLOAD_LABELS
from agentherd.domain.observation import AgentObservation
from agentherd.domain.phase import MAINTENANCE_REASON, Facts, Verdict
from agentherd.domain.plan import WriteStatus, digest
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.moves import OPERATOR

CONFIG_HISTORY: Final = 10
FORMER_REVISIONS: Final = 20

_BY_MODE: Final = frozenset({Phase.SUSPENDED, Phase.MAINTENANCE, Phase.OFFLINE})


def next_status(
    seen: AgentObservation,
    facts: Facts,
    verdict: Verdict,
    *,
    asked: str,
    stable: str | None,
    upgrade: str | None,
    undone: bool,
) -> AgentStatus:
    """The status that follows from what was seen.

    `stable` is the revision that is stable from now on, None while none has ever been; `undone`
    says that the one before has been given up and is no good to go back to.
    """
    agent, before = seen.agent, seen.agent.status
    sets = [view for view in seen.replica_sets.values() if seen.own(view)]
    changed = verdict.phase != before.phase
    whole = [view for view in sets if not view.baseline]
    updated = next((view for view in whole if view.revision == (stable or asked)), None)
    return AgentStatus(
        observed_generation=agent.metadata.generation,
        phase=verdict.phase,
        phase_since=facts.now if changed else before.phase_since,
        progress_since=_progress_since(facts, verdict, changed=changed),
        replicas=sum(view.replicas for view in sets),
        ready_replicas=sum(view.ready for view in sets),
        available_replicas=facts.serving,
        updated_replicas=next((view.replicas for view in whole if view.revision == asked), 0),
        selector=f"{WORKLOAD_LABELS[agent.KIND]}={agent.metadata.name}",
        stable_revision=stable,
        target_revision=asked,
        former_revisions=_former(before, stable, proven=facts.wanted > 0 and not undone),
        upgrade=upgrade,
        history=_history(seen, facts, verdict),
        **_errors(before, verdict, facts.now),
        **_config(seen, facts.now),
        conditions=conditions(
            facts,
            verdict,
            ready=updated.ready if updated else 0,
            generation=agent.metadata.generation,
            before=before.conditions,
        ),
    )


def _former(before: AgentStatus, stable: str | None, *, proven: bool) -> tuple[str, ...]:
    """The revisions that were stable before, the latest first.

    They are gone back to without steps, so one that is replaced while no pods are wanted is not
    among them: it may have become stable without ever having had one.
    """
    last = before.stable_revision
    known = before.former_revisions
    if last is not None and last != stable and proven:
        known = (last, *known)
    kept = dict.fromkeys(revision for revision in known if revision != stable)
    return tuple(kept)[:FORMER_REVISIONS]


def _progress_since(facts: Facts, verdict: Verdict, *, changed: bool) -> datetime | None:
    if verdict.phase is not Phase.DEPLOYING or facts.waiting_for:
        return None
    return facts.now if changed else facts.since


def write_status(seen: AgentObservation, after: AgentStatus) -> WriteStatus | None:
    """The intent to write `after`; None when nothing of ours differs.

    Conditions that others have added stay theirs.
    """
    before = seen.agent.status
    ours = tuple(c for c in before.conditions if c.type in CONDITION_TYPES)
    before = before.model_copy(update={"conditions": ours})
    if after == before:
        return None
    return WriteStatus(
        target=seen.identity,
        status=after.model_dump(by_alias=True, exclude_none=True),
        urgent=_essence(after) != _essence(before),
    )


def _history(seen: AgentObservation, facts: Facts, verdict: Verdict) -> tuple[Transition, ...]:
    before = seen.agent.status
    if verdict.phase == before.phase:
        return before.history[-seen.agent.spec.history_limit :]
    by_mode = verdict.phase in _BY_MODE or before.phase in _BY_MODE
    by_spec = "" if facts.observed else seen.writer
    entry = Transition(
        from_=before.phase,
        to=verdict.phase,
        reason=_history_reason(seen, verdict),
        triggered_by=(seen.author if by_mode else by_spec) or OPERATOR,
        at=facts.now,
    )
    return (*before.history, entry)[-seen.agent.spec.history_limit :]


def _history_reason(seen: AgentObservation, verdict: Verdict) -> str:
    """The person's own words where there are some, else the reason as it stands everywhere."""
    if verdict.phase in _BY_MODE and seen.agent.spec.operating_mode_reason:
        return seen.agent.spec.operating_mode_reason
    if verdict.phase is Phase.MAINTENANCE:
        return MAINTENANCE_REASON
    return verdict.reason


def _errors(before: AgentStatus, verdict: Verdict, now: datetime) -> dict[str, Any]:
    rolled_back = verdict.reason is Reason.ROLLED_BACK
    if verdict.phase is not Phase.ERROR and not rolled_back:
        return {"last_error": before.last_error, "error_count": before.error_count}
    told = {c.reason for c in before.conditions if c.type == "Ready"}
    entered = verdict.reason not in told if rolled_back else before.phase is not Phase.ERROR
    old = before.last_error
    new = entered or old is None or old.reason != verdict.reason
    return {
        "last_error": LastError(
            reason=verdict.reason,
            message=verdict.message[:4096],
            at=now if new or old is None else old.at,
        ),
        "error_count": before.error_count + (1 if entered else 0),
    }


def _config(seen: AgentObservation, now: datetime) -> dict[str, Any]:
    """Count the versions of the config, whichever way they reach the pods."""
    before = seen.agent.status
    config = seen.agent.spec.config
    known = {
        "config_version": before.config_version,
        "config_hash": before.config_hash,
        "config_history": before.config_history,
    }
    if not config and before.config_version is None:
        return known
    current = digest(config)
    if current == before.config_hash:
        return known
    version = (before.config_version or 0) + 1
    record = ConfigRecord(version=version, hash=current, at=now)
    return {
        "config_version": version,
        "config_hash": current,
        "config_history": (*before.config_history, record)[-CONFIG_HISTORY:],
    }


def _essence(status: AgentStatus) -> tuple[object, ...]:
    return (
        status.observed_generation,
        status.phase,
        status.stable_revision,
        status.target_revision,
        status.former_revisions,
        status.upgrade,
        status.config_hash,
        status.last_error.reason if status.last_error else None,
        tuple((c.type, c.status, c.reason) for c in status.conditions),
    )
