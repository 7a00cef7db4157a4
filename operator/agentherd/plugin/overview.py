"""`status`: a row for each Agent, or all there is to know at a glance of one upgrade.

The same block tells of an upgrade in `status`, at the top of `explain` and in `watch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from agentherd.api import Agent, AgentUpgrade, UpgradePhase
from agentherd.api.analysis import AnalysisStatus
from agentherd.domain.judging.analysis import tells_errors
from agentherd.plugin.terminal import coloured, fitting, grid
from agentherd.plugin.words import condition, duration, has_ended, mean, share, step, version

BAR: Final = 20

_COLUMNS: Final[Mapping[str, int]] = {
    "namespace": 2,
    "agent": 0,
    "phase": 1,
    "ready": 4,
    "version": 8,
    "upgrade": 9,
    "progress": 3,
    "step": 7,
    "weight": 5,
    "seen": 10,
    "verdict": 6,
}


def governing_of(agent: Agent, upgrades: Sequence[AgentUpgrade]) -> AgentUpgrade | None:
    """The upgrade that governs an Agent, if it still exists."""
    return next(
        (
            each
            for each in upgrades
            if each.metadata.name == agent.status.upgrade
            and each.metadata.namespace == agent.metadata.namespace
        ),
        None,
    )


def serving(agent: Agent, upgrade: AgentUpgrade | None) -> str | None:
    """The version of the stable revision, as far as it is known; the spec may ask for another."""
    stable = agent.status.stable_revision
    if upgrade is not None and stable == upgrade.status.to_revision:
        return upgrade.status.to_version
    if upgrade is not None and stable == upgrade.status.from_revision:
        return upgrade.status.from_version
    return agent.spec.version if stable == agent.status.target_revision else None


def agents_table(
    agents: Sequence[Agent], upgrades: Sequence[AgentUpgrade], *, width: int, everywhere: bool
) -> RenderableType:
    """A row for each Agent, with the upgrade that governs it."""
    rows = [_row(agent, governing_of(agent, upgrades), everywhere) for agent in agents]
    return fitting(_COLUMNS, rows, width=width)


def agent_block(agent: Agent, upgrade: AgentUpgrade | None, *, now: datetime) -> Text:
    """Two lines about an Agent: what it does, and why it is ready or not."""
    status, ready = agent.status, condition(agent, "Ready")
    line = Text.assemble(
        ("Agent ", "dim"),
        (agent.metadata.name, "bold"),
        "  ",
        coloured(status.phase or "unseen"),
        f"  {_pods(agent)} pods available",
    )
    if version := serving(agent, upgrade):
        line.append(f"  serves {version}")
    if status.phase_since:
        line.append(f"  for {duration((now - status.phase_since).total_seconds())}")
    if ready is not None and ready.status != "True" and ready.message:
        line.append(f"\n{ready.reason}: {ready.message}")
    return line


def upgrade_block(upgrade: AgentUpgrade, *, now: datetime) -> RenderableType:
    """An upgrade at a glance: where it is, why, and what was counted of both versions."""
    parts: list[RenderableType] = [*_lines(upgrade, now)]
    if upgrade.status.analysis is not None:
        parts += _judgement(upgrade, upgrade.status.analysis)
    return Group(*parts)


def sides_table(analysis: AnalysisStatus) -> RenderableType:
    """What was counted of both versions, one below the other."""
    table = grid(gap=3)
    for align in ("left", "right", "right", "right", "right"):
        table.add_column(justify=align)
    dim = [Text(head, "dim") for head in ("", "requests", "errors", "", "mean")]
    table.add_row(*dim)
    told = tells_errors(analysis)
    for name, side in (("new", analysis.canary), ("old", analysis.stable)):
        errors = Text(str(side.errors), "red" if side.errors and name == "new" else "")
        table.add_row(
            name,
            str(side.requests),
            errors if told else "–",
            share(side.errors, side.requests) if told else "",
            mean(side),
        )
    return table


def weight_bar(upgrade: AgentUpgrade) -> Text:
    """The part of the requests that the new version was given, and the part it was seen to get."""
    status = upgrade.status
    filled = round(BAR * status.weight / 100)
    bar = Text.assemble(("█" * filled, "green"), ("·" * (BAR - filled), "dim"))
    bar.append(f" {status.weight} %")
    if status.weight_seen is not None:
        bar.append(f", seen {status.weight_seen} %")
    return bar


def agents_data(agents: Sequence[Agent], upgrades: Sequence[AgentUpgrade]) -> list[dict[str, Any]]:
    """The same as the table, for programs."""
    found = []
    for agent in agents:
        governing = governing_of(agent, upgrades)
        seen = {
            "stableVersion": serving(agent, governing),
            "upgrade": governing and upgrade_data(governing),
        }
        found.append(agent_data(agent) | seen)
    return found


def agent_data(agent: Agent) -> dict[str, Any]:
    """An Agent in short, for programs."""
    status, ready = agent.status, condition(agent, "Ready")
    return {
        "namespace": agent.metadata.namespace,
        "agent": agent.metadata.name,
        "phase": status.phase,
        "ready": ready is not None and ready.status == "True",
        "available": status.available_replicas,
        "replicas": agent.spec.replicas,
        "version": agent.spec.version,
        "stableRevision": status.stable_revision,
        "targetRevision": status.target_revision,
    }


def upgrade_data(upgrade: AgentUpgrade) -> dict[str, Any]:
    """An upgrade in short, for programs; times are as in the status."""
    status, progressing = upgrade.status, condition(upgrade, "Progressing")
    dumped = status.model_dump(by_alias=True, exclude_none=True)
    kept = (
        "attempt",
        "fromRevision",
        "toRevision",
        "fromVersion",
        "toVersion",
        "steps",
        "step",
        "weight",
        "weightSeen",
        "startedAt",
        "finishedAt",
        "rollback",
        "approval",
    )
    return {
        "namespace": upgrade.metadata.namespace,
        "upgrade": upgrade.metadata.name,
        "agent": upgrade.spec.target_ref.name,
        "phase": status.phase or UpgradePhase.PENDING,
        "ended": has_ended(upgrade),
        "reason": progressing.reason if progressing else "",
        "message": progressing.message if progressing else "",
        "verdict": status.analysis.verdict if status.analysis else None,
    } | {name: dumped[name] for name in kept if name in dumped}


def _row(agent: Agent, upgrade: AgentUpgrade | None, everywhere: bool) -> dict[str, Text]:  # noqa: FBT001
    row = dict.fromkeys(_COLUMNS, Text(""))
    row |= {
        "agent": Text(agent.metadata.name),
        "phase": coloured(agent.status.phase or "–"),
        "ready": Text(_pods(agent)),
        "version": Text(serving(agent, upgrade) or ""),
    }
    if everywhere:
        row["namespace"] = Text(agent.metadata.namespace)
    if upgrade is not None:
        status = upgrade.status
        row |= {
            "upgrade": Text(upgrade.metadata.name),
            "progress": coloured(status.phase or UpgradePhase.PENDING),
            "step": Text(step(upgrade)),
            "weight": Text(f"{status.weight} %"),
            "seen": Text("" if status.weight_seen is None else f"{status.weight_seen} %"),
            "verdict": coloured(status.analysis.verdict) if status.analysis else Text(""),
        }
    return row


def _pods(agent: Agent) -> str:
    return f"{agent.status.available_replicas}/{agent.spec.replicas}"


def _lines(upgrade: AgentUpgrade, now: datetime) -> Iterator[Text]:
    status = upgrade.status
    phase = status.phase or UpgradePhase.PENDING
    title = Text.assemble(
        ("upgrade ", "dim"), (upgrade.metadata.name, "bold"), "  ", coloured(phase)
    )
    if status.started_at is not None:
        end = status.finished_at or now
        span = duration((end - status.started_at).total_seconds())
        title.append(f"  {'after' if status.finished_at else 'for'} {span}")
    if (status.attempt or 1) > 1:
        title.append(f"  attempt {status.attempt}")
    yield title
    if status.to_revision:
        yield Text.assemble(
            version(status.from_revision, status.from_version),
            (" → ", "dim"),
            version(status.to_revision, status.to_version),
        )
    if not has_ended(upgrade) and status.phase not in {None, UpgradePhase.PENDING}:
        where = f"step {status.step} of {status.steps}  " if status.steps else ""
        yield Text.assemble(where, weight_bar(upgrade))
    yield from _reasons(upgrade)


def _reasons(upgrade: AgentUpgrade) -> Iterator[Text]:
    """Why it is where it is, in the words of the operator, each of them once."""
    status = upgrade.status
    said = condition(upgrade, "Progressing") or condition(upgrade, "Validated")
    message = said.message if said else ""
    if status.rollback is not None:
        took = status.rollback.duration_seconds
        back = "" if took is None else f" (back after {duration(took)})"
        yield Text.assemble(
            (status.rollback.trigger, "bold red"), f": {status.rollback.reason}{back}"
        )
    elif said is not None:
        yield Text.assemble((said.reason, "bold"), f": {said.message}" if said.message else "")
    approved = condition(upgrade, "Approved")
    if approved is not None and approved.status != "True" and approved.message != message:
        yield Text.assemble((approved.reason, "yellow"), f": {approved.message}")


def _judgement(upgrade: AgentUpgrade, analysis: AnalysisStatus) -> Iterator[RenderableType]:
    verdict = Text.assemble(("verdict ", "dim"), coloured(analysis.verdict))
    record = upgrade.status.rollback
    if analysis.message and (record is None or record.reason != analysis.message):
        verdict.append(f": {analysis.message}")
    yield verdict
    if analysis.canary.requests or analysis.stable.requests:
        yield sides_table(analysis)
    strategy = upgrade.status.strategy
    if analysis.score.total and strategy is not None and strategy.analysis is not None:
        limit = strategy.analysis.rollback_threshold
        yield Text(f"rollback score {analysis.score.total / 1000:.2f} of {limit:g}")
