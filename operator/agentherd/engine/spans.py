"""A trace of each upgrade: one span for the whole, and one for each phase or step of it.

A span is made when what it is about has ended, from the times that the status has recorded, as
nothing may be remembered until then. So all identifiers follow from the upgrade: the trace has its
uid, and a span a digest of which part of which attempt it is. Whoever tells of a later part knows
by what name the whole will be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

from agentherd.api import AgentUpgrade, AgentUpgradeStatus, PhaseChange, UpgradePhase
from agentherd.domain.upgrades.phases import ENDED

FIRST_ATTEMPT: Final = 1
WHOLE: Final = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of an upgrade, or the whole of one attempt, which has no `parent_id`.

    Times are those of the status, in whole seconds. `failure` says why, "" where nothing failed.
    """

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start: datetime
    end: datetime
    attributes: Mapping[str, str | int]
    failure: str = ""


def ended_spans(was: AgentUpgradeStatus, upgrade: AgentUpgrade) -> Iterator[Span]:
    """What has ended between a status and that of `upgrade`, the parts before the whole."""
    now = upgrade.status
    history = now.history
    if not history or history[-1:] == was.history[-1:]:
        return
    start = _part_before(was, upgrade)
    if start is not None:
        yield _part(was, upgrade, start, end=history[-1].at)
    if now.phase in ENDED and was.phase not in ENDED and now.finished_at is not None:
        yield _whole(upgrade, end=now.finished_at)


def _part_before(was: AgentUpgradeStatus, upgrade: AgentUpgrade) -> PhaseChange | None:
    """What began the part that has ended now; None where an attempt begins that is not the first.

    The first one begins with waiting, from the creation of the upgrade on.
    """
    if was.history:
        before = was.history[-1]
        return None if before.phase in ENDED else before
    created = upgrade.metadata.creation_timestamp
    if created is None:
        return None
    return PhaseChange(phase=UpgradePhase.PENDING, reason="Created", message="", at=created)


def _part(
    was: AgentUpgradeStatus, upgrade: AgentUpgrade, start: PhaseChange, *, end: datetime
) -> Span:
    step = f" step {was.step}" if was.step and start.phase is not UpgradePhase.PENDING else ""
    back = upgrade.status.rollback
    failed = start.phase is UpgradePhase.ROLLING_BACK and back is not None
    mark = f"{start.at.isoformat()} {start.phase} {was.step} {was.weight}"
    return Span(
        name=f"{start.phase}{step}",
        trace_id=_trace_id(upgrade),
        span_id=_span_id(upgrade, mark),
        parent_id=_span_id(upgrade, WHOLE),
        start=start.at,
        end=max(start.at, end),
        attributes={
            "agentherd.phase": str(start.phase),
            "agentherd.reason": start.reason,
            "agentherd.message": start.message,
            "agentherd.step": was.step,
            "agentherd.weight": was.weight,
        },
        failure=f"{back.trigger}: {back.reason}" if failed and back else "",
    )


def _whole(upgrade: AgentUpgrade, *, end: datetime) -> Span:
    status, metadata, target = upgrade.status, upgrade.metadata, upgrade.spec.target_ref
    start = status.started_at or metadata.creation_timestamp or end
    if _attempt(upgrade) == FIRST_ATTEMPT:
        start = metadata.creation_timestamp or start
    back = status.rollback if status.phase is UpgradePhase.ROLLED_BACK else None
    return Span(
        name=f"upgrade {target.name}",
        trace_id=_trace_id(upgrade),
        span_id=_span_id(upgrade, WHOLE),
        parent_id=None,
        start=start,
        end=max(start, end),
        attributes={
            "k8s.namespace.name": metadata.namespace,
            "agentherd.upgrade": metadata.name,
            "agentherd.target.kind": target.kind.value,
            "agentherd.target.name": target.name,
            "agentherd.attempt": _attempt(upgrade),
            "agentherd.outcome": str(status.phase),
            "agentherd.revision.from": status.from_revision or "",
            "agentherd.revision.to": status.to_revision or "",
            "agentherd.version.from": status.from_version or "",
            "agentherd.version.to": status.to_version or "",
        },
        failure=f"{back.trigger}: {back.reason}" if back else "",
    )


def _attempt(upgrade: AgentUpgrade) -> int:
    return upgrade.status.attempt or FIRST_ATTEMPT


def _trace_id(upgrade: AgentUpgrade) -> int:
    """The uid, which is a number of as many bits as a trace id."""
    return UUID(upgrade.metadata.uid).int


def _span_id(upgrade: AgentUpgrade, mark: str) -> int:
    text = f"{upgrade.metadata.uid}/{_attempt(upgrade)}/{mark}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
