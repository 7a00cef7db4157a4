"""`explain`: why an upgrade is where it is, with all that the judgement has to go on.

The sentences are the operator's own; what is added are the numbers behind them: what was compared,
how much of it was seen, how far each test is on its way to a verdict, and who has said what.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from agentherd.api import AgentUpgrade, UpgradePhase, Verdict
from agentherd.api.analysis import Analysis, Metric, MetricStatus
from agentherd.domain.judging.evidence import error_strength, latency_strength
from agentherd.plugin.overview import upgrade_block, upgrade_data
from agentherd.plugin.terminal import coloured, grid
from agentherd.plugin.words import clock, condition, duration, has_ended, number

BAR: Final = 10
MEASUREMENTS: Final = 5
"""How many of the last measurements of each metric are shown."""


def explanation(upgrade: AgentUpgrade, *, now: datetime) -> RenderableType:
    """All of it, for people."""
    parts: list[RenderableType] = [upgrade_block(upgrade, now=now)]
    for title, lines in (
        ("How it was judged", [*_judged(upgrade)]),
        ("Evidence", [*_evidence(upgrade)]),
        ("Metrics", [*_metrics(upgrade)]),
        ("Feedback", [*_feedback(upgrade)]),
        ("Rollback", [*_rollback(upgrade)]),
        ("Approval", [*_approval(upgrade)]),
        ("What people did", [*_controls(upgrade)]),
        ("What you can do", [*_choices(upgrade)]),
    ):
        if lines:
            parts += ["", Text(title, "bold"), *lines]
    return Group(*parts)


def explanation_data(upgrade: AgentUpgrade) -> dict[str, Any]:
    """The same for programs: the status where it has the numbers, and the strengths beside."""
    dumped = upgrade.status.model_dump(by_alias=True, exclude_none=True)
    analysis = upgrade.status.analysis
    settings = _settings(upgrade)
    strengths = analysis and {
        "errors": error_strength(analysis.evidence),
        "latency": latency_strength(analysis.evidence),
    }
    feedback = [each.model_dump(by_alias=True, exclude_none=True) for each in upgrade.spec.feedback]
    return upgrade_data(upgrade) | {
        "settings": settings and settings.model_dump(by_alias=True, exclude_none=True),
        "analysis": dumped.get("analysis"),
        "strengths": strengths,
        "feedback": feedback,
        "conditions": dumped.get("conditions", []),
        "controls": dumped.get("controls", []),
    }


def _settings(upgrade: AgentUpgrade) -> Analysis | None:
    strategy = upgrade.status.strategy
    return strategy.analysis if strategy is not None else None


def _judged(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    settings = _settings(upgrade)
    if upgrade.status.strategy is None:
        yield Text("Nothing was judged: it has not begun.")
        return
    if settings is None:
        yield Text(
            "By the health of its pods alone. Errors and latency are compared where the Agent has "
            "spec.metrics, but not in Maintenance, nor on the way back to a revision that has "
            "served before."
        )
        return
    yield Text(
        f"Errors may be {settings.error_margin:g} times as frequent as in the old version, "
        f"requests {100 * settings.performance_impact:g} % slower. Each step needs "
        f"{settings.minimum_requests} requests; the first {settings.warm_up_seconds} s do not "
        f"count. Looked at every {settings.interval_seconds} s"
        + (", without consequences (dryRun)." if settings.dry_run else ".")
    )
    analysis = upgrade.status.analysis
    if analysis is None:
        yield Text("The new version has had no requests yet.")
        return
    if not (analysis.canary.requests or analysis.stable.requests):
        yield Text("No request was counted of either version.")
    if analysis.looked_at is not None:
        yield Text(f"Last look {clock(analysis.looked_at)}.", "dim")
    if not has_ended(upgrade) and upgrade.status.weight:
        yield Text(
            f"At this step the new version has answered {analysis.step_requests} of the "
            f"{settings.minimum_requests} requests that are needed."
        )


def _evidence(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    analysis, settings = upgrade.status.analysis, _settings(upgrade)
    if analysis is None or settings is None:
        return
    table = grid()
    for name, strength in (
        ("more errors", error_strength(analysis.evidence)),
        ("slower", latency_strength(analysis.evidence)),
    ):
        table.add_row(name, _bar(strength), _share(strength))
    yield table
    yield Text("At 100 % a test has failed: the new version is worse.", "dim")
    score = analysis.score
    weight = settings.feedback_weight
    yield Text(
        f"rollback score {score.total / 1000:.3f}: {1 - weight:g} × {score.system / 1000:.3f} "
        f"measured + {weight:g} × {score.feedback / 1000:.3f} feedback; rolled back from "
        f"{settings.rollback_threshold:g} on"
    )


def _metrics(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    analysis, settings = upgrade.status.analysis, _settings(upgrade)
    if settings is None:
        return
    seen = {each.name: each for each in analysis.metrics} if analysis else {}
    for metric in settings.metrics:
        yield from _metric(metric, seen.get(metric.name))


def _metric(metric: Metric, seen: MetricStatus | None) -> Iterator[RenderableType]:
    verdict = seen.verdict if seen else Verdict.INCONCLUSIVE
    line = Text.assemble((metric.name, "bold"), "  ", coloured(verdict), f"  {_limits(metric)}")
    if seen is not None and seen.failures and metric.job is None:
        line.append(f"  {seen.failures} of {metric.failure_limit} bad in a row", "red")
    if metric.dry_run:
        line.append("  dryRun", "dim")
    yield line
    for each in seen.measurements[-MEASUREMENTS:] if seen else ():
        value = "–" if each.value is None else number(each.value)
        told = Text.assemble(f"  {clock(each.at)}  ", coloured(each.verdict), f"  {value}")
        if each.message:
            told.append(f"  {each.message}")
        yield told


def _limits(metric: Metric) -> str:
    if metric.job is not None:
        return "a Job that has to succeed"
    bounds = []
    if metric.minimum is not None:
        bounds.append(f"at least {number(metric.minimum)}")
    if metric.maximum is not None:
        bounds.append(f"at most {number(metric.maximum)}")
    return " and ".join(bounds)


def _feedback(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    for each in upgrade.spec.feedback:
        comment = f": {each.comment}" if each.comment else ""
        yield Text(f"{each.from_}  {each.rating} of 5{comment}")


def _rollback(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    record = upgrade.status.rollback
    if record is None:
        return
    end = "not finished yet"
    if record.duration_seconds is not None:
        end = f"all requests back after {duration(record.duration_seconds)}"
    yield Text(f"asked for by {record.requested_by} at {clock(record.at)}, {end}")


def _approval(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    record, approved = upgrade.status.approval, condition(upgrade, "Approved")
    if record is not None:
        yield Text(f"approved by {record.by} at {clock(record.at)}, revision {record.revision}")
    if approved is not None:
        yield Text(f"{approved.reason}: {approved.message}")


def _controls(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    for each in upgrade.status.controls:
        detail = f"  {each.detail}" if each.detail else ""
        yield Text(f"{clock(each.at)}  {each.verb}  by {each.by}{detail}")


def _choices(upgrade: AgentUpgrade) -> Iterator[RenderableType]:
    """The verbs that have an effect now."""
    phase = upgrade.status.phase
    verbs: tuple[str, ...] = ("abort", "pause", "promote", "feedback")
    if phase in {None, UpgradePhase.PENDING}:
        verbs = ("approve", "abort")
    elif phase is UpgradePhase.ROLLED_BACK:
        verbs = ("retry",)
    elif phase is UpgradePhase.SUCCEEDED:
        verbs = ("rollback",)
    elif phase in {UpgradePhase.SUPERSEDED, UpgradePhase.ROLLING_BACK}:
        return
    elif upgrade.spec.paused:
        verbs = ("resume", *verbs)
    approved = condition(upgrade, "Approved")
    if approved is not None and approved.status != "True" and "approve" not in verbs:
        verbs = ("approve", *verbs)
    yield Text(f"kubectl agentherd {'|'.join(verbs)} {upgrade.metadata.name}")


def _bar(strength: int) -> Text:
    filled = BAR * strength // 1000
    style = "bold red" if strength == 1000 else "yellow"
    return Text.assemble(("█" * filled, style), ("·" * (BAR - filled), "dim"))


def _share(strength: int) -> str:
    return f"{strength / 10:.1f} %"
