"""A trace of each upgrade, made of what its status has recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from tests.twin import NOON, raw_upgrade

from agentherd.api import AgentUpgrade, AgentUpgradeStatus
from agentherd.engine.spans import Span, ended_spans

UID: Final = "6c3e0c1e-6f0a-4b4e-9d5b-1a2b3c4d5e6f"

GOOD: Final = (
    ("Progressing", "UpgradeStarted", 1, 0),
    ("Progressing", "StepReached", 1, 50),
    ("Promoting", "Promoting", 1, 50),
    ("Succeeded", "UpgradeSucceeded", 1, 100),
)
BAD: Final = (
    ("Progressing", "UpgradeStarted", 1, 0),
    ("RollingBack", "Crash", 1, 0),
    ("RolledBack", "RolledBack", 1, 0),
)


def at(minute: int) -> str:
    return (NOON + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def life(*places: tuple[str, str, int, int], attempt: int = 1) -> list[AgentUpgrade]:
    """An upgrade after each of its moves, which come a minute apart."""
    statuses: list[dict[str, Any]] = [{}]
    history: list[dict[str, str]] = []
    for minute, (phase, reason, step, weight) in enumerate(places, start=1):
        history = [*history, {"phase": phase, "reason": reason, "message": "", "at": at(minute)}]
        status: dict[str, Any] = {
            "phase": phase,
            "step": step,
            "weight": weight,
            "attempt": attempt,
            "startedAt": at(1),
            "history": history,
        }
        if phase in {"Succeeded", "RolledBack"}:
            status["finishedAt"] = at(minute)
        if phase in {"RollingBack", "RolledBack"}:
            back = {"trigger": "Crash", "reason": "exit 1", "requestedBy": "agentherd"}
            status["rollback"] = {**back, "at": at(minute)}
        statuses.append(status)
    metadata = {"uid": UID, "creationTimestamp": at(0)}
    return [
        AgentUpgrade.model_validate(raw_upgrade(status=status, metadata=metadata))
        for status in statuses
    ]


def told(lives: list[AgentUpgrade]) -> list[Span]:
    return [span for before, after in pairwise(lives) for span in ended_spans(before.status, after)]


def test_every_phase_and_step_is_a_span_that_ends_where_the_next_begins() -> None:
    """From the creation on, with the waiting before the beginning."""
    *parts, whole = told(life(*GOOD))

    assert [part.name for part in parts] == [
        "Pending",
        "Progressing step 1",
        "Progressing step 1",
        "Promoting step 1",
    ]
    assert [(part.start, part.end) for part in parts] == [
        (NOON + timedelta(minutes=n), NOON + timedelta(minutes=n + 1)) for n in range(4)
    ]
    assert (whole.start, whole.end) == (parts[0].start, parts[-1].end)


def test_the_trace_is_found_by_the_uid_of_the_upgrade() -> None:
    """Which is the correlation id of the log; all spans belong to the whole."""
    *parts, whole = told(life(*GOOD))

    assert {f"{span.trace_id:032x}" for span in (*parts, whole)} == {UID.replace("-", "")}
    assert {part.parent_id for part in parts} == {whole.span_id}
    assert len({span.span_id for span in (*parts, whole)}) == len(parts) + 1


def test_a_rollback_is_a_failure_with_its_cause() -> None:
    """Of the whole and of the way back; what was before it has gone well."""
    *parts, whole = told(life(*BAD))

    assert [span.failure for span in (*parts, whole)] == ["", "", "Crash: exit 1", "Crash: exit 1"]
    assert whole.attributes["agentherd.outcome"] == "RolledBack"


def test_another_attempt_is_another_span_of_the_same_trace() -> None:
    """It begins when it begins: the time since the last one was nobody's."""
    first = life(*BAD)
    ended = first[-1].status
    spans = told(life(*GOOD, attempt=2))
    again = list(ended_spans(ended, life(*GOOD, attempt=2)[1]))

    assert again == []
    assert spans[-1].span_id != told(first)[-1].span_id
    assert spans[-1].trace_id == told(first)[-1].trace_id
    assert spans[-1].start == datetime(2026, 11, 21, 12, 1, tzinfo=UTC)


def test_what_is_written_without_a_move_ends_nothing() -> None:
    """Most writes of a status are counters."""
    upgrade = life(*GOOD)[2]
    before = upgrade.status.model_copy(update={"weight_seen": 12})

    assert list(ended_spans(before, upgrade)) == []
    assert list(ended_spans(AgentUpgradeStatus(), life()[0])) == []
