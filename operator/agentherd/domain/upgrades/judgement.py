"""How the version that an upgrade leads to is judged: by what of it, from when on, up to when.

The analysis is that of one attempt. It begins when there is something to judge, which for errors
and latency is the first request, and stays as it is once the attempt has ended. What was decided
stands in the same status as what it was decided by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentherd.api import (
    AgentUpgrade,
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    Analysis,
    AnalysisStatus,
    OperatingMode,
    StrategyType,
    UpgradePhase,
    Verdict,
)
from agentherd.api.analysis import Baseline
from agentherd.domain.faults import Fault
from agentherd.domain.judging.analysis import CountedPod, looked, waits_for_stable
from agentherd.domain.judging.metrics import judged as measured
from agentherd.domain.judging.testers import answers
from agentherd.domain.judging.verdict import NOTHING, Judgement, Situation, judged
from agentherd.domain.kinds import REPLICA_SET, baseline_name
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Failure, Ref, digest
from agentherd.domain.readings import Totals
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.upgrades.strategy import Course
from agentherd.domain.views import PodView


def analysis_of(seen: AgentObservation, upgrade: AgentUpgrade) -> Analysis | None:
    """How an upgrade is judged if it begins now: as it says, or the Agent, or by what pods tell."""
    spec = seen.agent.spec
    policy = spec.upgrade_policy.analysis if spec.upgrade_policy is not None else None
    default = Analysis() if spec.metrics is not None else None
    return upgrade.spec.analysis or policy or default


def judgement_of(
    seen: AgentObservation, governing: SeenUpgrade, course: Course, *, now: datetime
) -> tuple[AnalysisStatus | None, Judgement]:
    """The state of the analysis after a look at what is seen now, and what follows from it."""
    upgrade = governing.upgrade
    status = upgrade.status
    settings = settings_of(upgrade.spec, status)
    if not _is_under_way(seen, status):
        return status.analysis, NOTHING
    if settings is None:  # all that was said has been taken back
        return None, NOTHING
    analysis = status.analysis
    if analysis is None:
        if not settings.metrics and not upgrade.spec.feedback:
            return None, NOTHING
        analysis = _nothing_yet(seen)
    if _settled(status) is not None:
        analysis = looked(
            analysis,
            settings,
            canary=_counted_of(seen, status.to_revision),
            stable=_counted_of(seen, status.from_revision, baseline=_is_fresh(settings, status)),
            weight=status.weight,
            counters=_counters(seen),
            now=now,
        )
    known = measured(analysis.metrics, settings.metrics, answers(seen, upgrade))
    analysis = analysis.model_copy(update={"metrics": known})
    situation = _situation(seen, status, course, analysis, settings)
    return judged(analysis, settings, upgrade.spec.feedback, situation)


def carried_on(
    seen: AgentObservation,
    governing: SeenUpgrade,
    course: Course,
    after: AgentUpgradeStatus,
    *,
    now: datetime,
) -> AnalysisStatus | None:
    """The analysis beside the status `after` a move: what a step has seen is of that step."""
    settings, analysis = settings_of(governing.upgrade.spec, after), after.analysis
    if settings is None or not _is_under_way(seen, after):
        return analysis
    if analysis is None:
        if not _has_requests(seen, after, course):
            return None
        analysis = _nothing_yet(seen)
    if analysis.since is None and _has_requests(seen, after, course):
        analysis = analysis.model_copy(update={"since": now})
    if after.weight_since is None:
        analysis = analysis.model_copy(update={"step_requests": 0})
    feedback = governing.upgrade.spec.feedback
    situation = _situation(seen, after, course, analysis, settings)
    return judged(analysis, settings, feedback, situation)[0]


def settings_of(spec: AgentUpgradeSpec, status: AgentUpgradeStatus) -> Analysis | None:
    """How the attempt is judged, as it was settled when it began; what people say counts always.

    That alone has nothing compared.
    """
    return _settled(status) or (Analysis() if spec.feedback else None)


def _settled(status: AgentUpgradeStatus) -> Analysis | None:
    return status.strategy.analysis if status.strategy is not None else None


def _nothing_yet(seen: AgentObservation) -> AnalysisStatus:
    return AnalysisStatus(verdict=Verdict.INCONCLUSIVE, counters=_counters(seen))


def _counters(seen: AgentObservation) -> str:
    """A name for where the Agent says its metrics are; it may say so anew while it is judged."""
    metrics = seen.agent.spec.metrics
    return digest(metrics.model_dump(mode="json")) if metrics is not None else ""


def _is_under_way(seen: AgentObservation, status: AgentUpgradeStatus) -> bool:
    """Whether the new version may be sent requests and the old one is still the stable one."""
    return status.phase in MOVING and seen.agent.status.stable_revision == status.from_revision


def _has_requests(seen: AgentObservation, status: AgentUpgradeStatus, course: Course) -> bool:
    """Whether both versions are sent requests; without steps, as soon as both have pods."""
    if status.steps or course.type is not StrategyType.ROLLING_UPDATE:
        return status.weight > 0
    return any(view.available for view in seen.sets() if view.revision == status.to_revision)


def _situation(
    seen: AgentObservation,
    status: AgentUpgradeStatus,
    course: Course,
    analysis: AnalysisStatus,
    settings: Analysis,
) -> Situation:
    at_a_step = 0 < status.step <= len(course.steps)
    weight = course.steps[status.step - 1].weight if at_a_step else 0
    served = seen.agent.spec.operating_mode is OperatingMode.RUNNING
    fresh = _is_fresh(settings, status)
    # Once all steps are done nothing is held for what is not told, and fresh pods are gone.
    stepping = status.phase is not UpgradePhase.PROMOTING
    new = _side_of(seen, "new", status.to_revision)
    stable = _side_of(seen, "stable", status.from_revision, baseline=fresh)
    return Situation(
        compared=seen.agent.spec.metrics is not None and _settled(status) is not None,
        step=status.step,
        weight=weight if served else 0,
        last=at_a_step and status.step == len(course.steps),
        unread="; ".join(filter(None, (new.unread, stable.unread)))
        or (_no_baseline(seen) if fresh and not stable.pods and weight < 100 else ""),
        blind=stepping and (new.is_silent or stable.is_silent),
        untold=_untold(seen, new, stable)
        or _unanswered(seen, new, stable, weight if stepping else 0, fresh=fresh),
        lonely=waits_for_stable(
            analysis,
            canary=_counted_of(seen, status.to_revision),
            stable=_counted_of(seen, status.from_revision, baseline=fresh),
        ),
    )


_PROMOTE: Final = "; to go on without, promote the step"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What those pods of a version tell that should: `told` has the totals of those that do."""

    version: str
    pods: int
    told: tuple[Totals, ...]

    @property
    def is_silent(self) -> bool:
        """Whether none of them tells anything."""
        return bool(self.pods) and not self.told

    @property
    def asked(self) -> list[Totals]:
        """Those of pods that have answered somebody; the others have nothing to tell."""
        return [totals for totals in self.told if totals.requests]

    @property
    def unread(self) -> str:
        """In words, how many are not read; "" for none."""
        silent = self.pods - len(self.told)
        what = f"of {self.pods} pods of the {self.version} version cannot be read"
        return f"the metrics of {silent} {what}" if silent else ""


def _is_fresh(settings: Analysis, status: AgentUpgradeStatus) -> bool:
    """Whether the new version is compared with fresh pods only; without steps there are none."""
    return settings.baseline is Baseline.FRESH and status.steps > 0


def _no_baseline(seen: AgentObservation) -> str:
    """That nobody is there yet to compare with, and why as far as it is told."""
    stable = seen.agent.status.stable_revision or ""
    made = Ref(REPLICA_SET.name, baseline_name(seen.agent.metadata.name, stable))
    faults: list[Fault | Failure | None] = [seen.failures.get(made)]
    faults += [view.fault for view in seen.baselines()]
    faults += [pod.fault for _, pod in sorted(seen.pods.items()) if pod.baseline]
    why = next((f": {fault.message}" for fault in faults if fault is not None), "")
    return f"no fresh pod of the stable version is ready yet{why}"


def _side_of(
    seen: AgentObservation, version: str, revision: str | None, *, baseline: bool = False
) -> _Side:
    found = seen.pods_of(revision or "", baseline=baseline)
    pods = [pod for pod in found if pod.ready and not pod.deleting]
    told = (_counted(seen, pod).totals for pod in pods)
    return _Side(version=version, pods=len(pods), told=tuple(t for t in told if t is not None))


def _untold(seen: AgentObservation, new: _Side, stable: _Side) -> str:
    """What the new version keeps to itself though the stable one tells it; "" for nothing."""
    metrics = seen.agent.spec.metrics
    if metrics is None or not stable.told:
        return ""
    if new.is_silent:
        return f"{new.unread}, while the stable version tells what it does"
    asked, usual = new.asked, stable.asked
    silent = [
        f"{what} ({where})"
        for what, where, tells in (
            (
                "which requests ended in errors",
                f"no {metrics.requests} has the label {metrics.error_label}",
                lambda totals: totals.errors is not None,
            ),
            (
                "how long requests took",
                f"there is no {metrics.latency}",
                lambda totals: totals.timed is not None,
            ),
        )
        if any(map(tells, usual)) and not all(map(tells, asked))
    ]
    if not silent:
        return ""
    return f"the new version does not tell {' nor '.join(silent)}, as the stable version does"


def _unanswered(
    seen: AgentObservation, new: _Side, stable: _Side, weight: int, *, fresh: bool
) -> str:
    """Of which version nobody is there now that could tell what it does; "" for none.

    As when a pod was just replaced, is not ready for a moment, or has begun to count at 0: what is
    not told is not to be known then. Where the new version gets all requests, the stable one has
    none to answer.
    """
    if seen.agent.spec.metrics is None or not weight or new.is_silent or stable.is_silent:
        return ""
    if fresh and not stable.pods and weight < 100:
        return f"{_no_baseline(seen)}{_PROMOTE}"
    for side in (new, stable) if weight < 100 else (new,):
        if not side.asked:
            return (
                f"no ready pod of the {side.version} version has answered a request yet{_PROMOTE}"
            )
    return ""


def _counted_of(
    seen: AgentObservation, revision: str | None, *, baseline: bool = False
) -> list[CountedPod]:
    return [_counted(seen, pod) for pod in seen.pods_of(revision or "", baseline=baseline)]


def _counted(seen: AgentObservation, pod: PodView) -> CountedPod:
    reading = seen.readings.get(pod.uid)
    totals = reading.totals if reading is not None else None
    return CountedPod(uid=pod.uid, totals=totals, ready=pod.ready)
