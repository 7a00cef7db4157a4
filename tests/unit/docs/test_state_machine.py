"""The state machine of an upgrade that the concepts draw is the one that the rules make.

There is no table of transitions in the code; there are rules. So the edges are found by letting the
rules go on from the beginning of an attempt, whatever may be seen of the cluster and asked for by a
person at each move, until no state is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from agentherd.api import (
    AgentUpgrade,
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    BlueGreen,
    Canary,
    EffectiveStrategy,
    Pause,
    Promote,
    RollbackRequest,
    Step,
    Strategy,
    StrategyType,
    UpgradePhase,
)
from agentherd.domain.faults import Fault
from agentherd.domain.judging.verdict import Judgement
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.change import is_asked_again, is_running
from agentherd.domain.upgrades.moves import Facts
from agentherd.domain.upgrades.rules import advance, begin
from agentherd.domain.upgrades.strategy import DEFAULTS, course, settled

CONCEPTS = Path(__file__).parents[3] / "docs/concepts.md"

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
LONG: Final = timedelta(hours=1)
TIMES: Final = ("ready_since", "weight_since", "progress_since", "started_at", "finished_at")

STRATEGIES: Final = (
    Strategy(
        canary=Canary(
            steps=(Step(weight=0), Step(weight=20, pause=Pause(seconds=5)), Step(weight=50))
        )
    ),
    Strategy(canary=Canary(steps=(Step(weight=20, pause=Pause()),))),
    Strategy(type=StrategyType.BLUE_GREEN, blue_green=BlueGreen(pause=Pause())),
    Strategy(type=StrategyType.ROLLING_UPDATE),
)

STABLE: Final = "0" * 10
OTHER: Final = "1" * 10

Edge = tuple[str, str]

QUIET: Final[dict[str, Any]] = {
    "wanted": 2,
    "canary": 2,
    "stable": 2,
    "fault": None,
    "refusal": None,
    "obstacle": None,
    "promoted": False,
    "shifted": True,
    "returnable": True,
    "now": NOW,
    "asked": {},
}
"""All is well, and no time has passed since the last move."""

NEWS: Final[tuple[dict[str, Any], ...]] = (
    {"wanted": 0},
    {"canary": 0},
    {"stable": 0},
    {"fault": Fault(Reason.CRASHING, "exited with code 1")},
    {"refusal": Failure(reason=Reason.INVALID_TEMPLATE, message="no", generation=1, retry_at=NOW)},
    {"obstacle": Fault(Reason.ROUTE_NOT_FOUND, "no route")},
    {"promoted": True},
    {"shifted": False},
    {"returnable": False},
    {"now": NOW + LONG},
    {"judgement": Judgement(trigger=Reason.ERROR_RATE)},
    {"judgement": Judgement(missing="requests", awaited="a tester")},
    {"asked": {"paused": True}},
    {"asked": {"promote": Promote(full=True)}},
    {"asked": {"promote": Promote(step=1)}},
    {"asked": {"rollback": RollbackRequest(requested=True)}},
)
"""What may be different; two of them at a time are enough for every rule to speak."""


def situations() -> Iterator[dict[str, Any]]:
    for number in range(3):
        for news in combinations(NEWS, number):
            asked = {key: value for each in news for key, value in each.get("asked", {}).items()}
            merged = {key: value for each in news for key, value in each.items()}
            yield {**QUIET, **merged, "asked": asked}


def effective(strategy: Strategy) -> EffectiveStrategy:
    return settled(strategy, DEFAULTS, progress_deadline_seconds=600)


def facts_in(
    situation: dict[str, Any], status: AgentUpgradeStatus, strategy: Strategy
) -> Facts | None:
    """The facts of a situation; None where it cannot be in this state."""
    # Only an upgrade that promotes makes its version the stable one, unless it is that already.
    takers = {UpgradePhase.PROMOTING, UpgradePhase.ROLLING_BACK, UpgradePhase.SUCCEEDED}
    same = status.from_revision is not None and status.from_revision == status.to_revision
    if situation["promoted"] != same and (same or status.phase not in takers):
        return None
    values = {name: value for name, value in situation.items() if name != "asked"}
    spec = AgentUpgradeSpec(target_ref={"name": "hello"}, **situation["asked"])
    return Facts(
        spec=spec,
        status=status,
        course=course(effective(strategy), direct=False),
        asked=situation["wanted"],
        by_gateway=True,
        settle=timedelta(seconds=2),
        writer="kubectl",
        **values,
    )


def forgotten(status: AgentUpgradeStatus) -> AgentUpgradeStatus:
    """The status with all its times the same, as only whether they are set tells states apart."""
    times = {name: NOW for name in TIMES if getattr(status, name) is not None}
    record = status.rollback
    if record is not None:
        record = record.model_copy(update={"trigger": "", "reason": "", "requested_by": ""})
        record = record.model_copy(update={"at": NOW, "finished_at": None})
    return status.model_copy(update={**times, "rollback": record})


def moved(status: AgentUpgradeStatus, facts: Facts) -> AgentUpgradeStatus:
    move = advance(facts)
    return forgotten(status.model_copy(update={"phase": move.phase, **move.changes}))


def explored(strategy: Strategy, *, to: str) -> set[Edge]:
    """Every change of the phase that the rules make, from the beginning of an attempt on."""
    all_situations = list(situations())
    quiet = facts_in(QUIET, AgentUpgradeStatus(), strategy)
    assert quiet is not None
    first = begin(
        quiet, effective(strategy), from_revision=STABLE, to_revision=to, versions=(None, None)
    )
    start = forgotten(AgentUpgradeStatus(phase=first.phase, **first.changes))
    edges: set[Edge] = {(UpgradePhase.PENDING.value, first.phase.value)}
    seen, todo = {start.model_dump_json()}, [start]
    while todo:
        status = todo.pop()
        for situation in all_situations:
            facts = facts_in(situation, status, strategy)
            if facts is None:
                continue
            after = moved(status, facts)
            assert status.phase is not None
            assert after.phase is not None
            if after.phase != status.phase:
                edges.add((status.phase.value, after.phase.value))
            if (found := after.model_dump_json()) not in seen:
                seen.add(found)
                todo.append(after)
    return edges


def in_phase(phase: UpgradePhase, *, attempt: int = 1) -> AgentUpgrade:
    return AgentUpgrade.model_validate(
        {
            "metadata": {"name": "hello-2", "namespace": "default", "uid": "u"},
            "spec": {"targetRef": {"name": "hello"}, "attempt": attempt},
            "status": {"phase": phase.value, "attempt": 1},
        }
    )


@cache
def derived() -> set[Edge]:
    """What the rules of an upgrade allow, and what the choice between upgrades does beside them."""
    edges = {
        edge
        for strategy in STRATEGIES
        for to in (OTHER, STABLE)
        for edge in explored(strategy, to=to)
    }
    beginnings = {after for before, after in edges if before == UpgradePhase.PENDING}
    for phase in UpgradePhase:
        if is_running(in_phase(phase)):
            edges.add((phase.value, UpgradePhase.SUPERSEDED.value))
        if is_asked_again(in_phase(phase, attempt=2)):
            edges |= {(phase.value, after) for after in beginnings}
    return edges


def drawn() -> set[Edge]:
    page = CONCEPTS.read_text(encoding="utf-8")
    pictures = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", page, re.DOTALL)
    [picture] = [each for each in pictures if UpgradePhase.ROLLING_BACK.value in each]
    edges = re.findall(r"^ *(\w+) --> (\w+)", picture, re.MULTILINE)
    return {(before, after) for before, after in edges}


def test_the_picture_has_every_transition_that_the_rules_make() -> None:
    """Nobody sees an upgrade go a way that is not drawn."""
    assert derived() - drawn() == set()


def test_the_picture_has_no_other_transition() -> None:
    """Nobody waits for a way that does not exist."""
    assert drawn() - derived() == set()
