"""What the analysis says of the new version, in one sentence, and what follows from it.

What follows is a rollback, once the score is reached, or that a step is held as long as too little
was seen. No data is not bad data: what could not be compared or measured takes nothing back, and
lets nothing go on either. In a dry run the same is said, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agentherd.api import (
    Analysis,
    AnalysisStatus,
    Evidence,
    Feedback,
    OnInconclusive,
    Score,
    Side,
    Verdict,
)
from agentherd.api.analysis import Baseline
from agentherd.api.markers import Clip
from agentherd.domain.judging.analysis import counts_from, tells_errors, tells_latency
from agentherd.domain.judging.evidence import error_strength, latency_strength, observe
from agentherd.domain.judging.metrics import awaited, failed, inconclusive, told
from agentherd.domain.judging.score import WORST, is_reached, score
from agentherd.domain.reasons import Reason

SUSPICIOUS: Final = 500
"""Strength from which on a step is held, though nothing is proved. By Ville's inequality a good
version gets as far with a probability of at most √α, and comes back as it answers more requests."""


LOUD: Final = 250
"""Strength of one look alone from which on a step is held until the next one. No look decides by
itself; a step that is shorter than two of them must not be left over requests that all failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the state of an analysis has to be enough for.

    `compared` says that pods are to tell what they do. `step` is the present one, and `weight` what
    it gives the new version; 0 where the strategy has no step that could be held. `last` says that
    the new version gets all requests after it. `unread` says which pods do not tell, in words;
    `blind` that of one version none does. `untold` is, in words, what the new version does not tell
    and the stable one does. `lonely` says that only the new one has had requests since both were
    last compared.
    """

    compared: bool
    step: int
    weight: int
    last: bool = False
    unread: str = ""
    blind: bool = False
    untold: str = ""
    lonely: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows, and the sentence that says why.

    `trigger` is why the upgrade is rolled back. `missing` is what has to be seen before the present
    step is left, unless it `proceeds` without, and `awaited` which testers have to succeed before a
    promotion. `doubt` is what speaks against a promotion that has begun. `blind` says that of one
    version nothing is known now, as when all its pods have just stopped to tell, or before a
    process that was just started has looked. All are "" for nothing.
    """

    trigger: Reason | None = None
    missing: str = ""
    doubt: str = ""
    proceeds: bool = False
    awaited: str = ""
    blind: str = ""
    message: str = ""


NOTHING: Final = Judgement()
"""What follows where nothing is judged."""


def judged(
    status: AnalysisStatus,
    settings: Analysis,
    feedback: Sequence[Feedback],
    situation: Situation,
) -> tuple[AnalysisStatus, Judgement]:
    """The state with its score, verdict and sentence, and what follows."""
    earnest = _in_earnest(settings)
    said = _found(status, earnest, feedback, situation)
    found = _found(status, settings, feedback, situation)
    verdict, lead = Verdict.PASS, _NO_WORSE
    if said.trigger is not None:
        verdict, lead = Verdict.FAIL, LEADS[said.trigger]
    elif untold := said.missing or said.awaited or _unsure(status, earnest, feedback, situation):
        verdict, lead = Verdict.INCONCLUSIVE, untold
    elif said.blind:
        verdict, lead = Verdict.INCONCLUSIVE, said.blind
    counted = _scored(status, settings, feedback)
    details = "; ".join(_details(status, earnest, feedback, counted, situation))
    dry = "in a dry run, so that nothing follows, " if said != found else ""
    message = _SENTENCE.clip(f"{dry}{lead}: {details}" if details else f"{dry}{lead}")
    after = status.model_copy(update={"score": counted, "verdict": verdict, "message": message})
    return after, replace(found, message=message)


def reason_of(status: AnalysisStatus, settings: Analysis) -> Reason:
    """The word for a verdict."""
    match status.verdict:
        case Verdict.PASS:
            return Reason.NO_WORSE
        case Verdict.FAIL:
            return _worst(_strengths(status, _in_earnest(settings)), status.score)
        case Verdict.INCONCLUSIVE:
            return Reason.INCONCLUSIVE


def _in_earnest(settings: Analysis) -> Analysis:
    """The same, if it were no dry run."""
    metrics = tuple(each.model_copy(update={"dry_run": False}) for each in settings.metrics)
    return settings.model_copy(update={"dry_run": False, "metrics": metrics})


# What follows


def _found(
    status: AnalysisStatus,
    settings: Analysis,
    feedback: Sequence[Feedback],
    situation: Situation,
) -> Judgement:
    strengths, counted = _strengths(status, settings), _scored(status, settings, feedback)
    reached = is_reached(counted, threshold=settings.rollback_threshold)
    if counted.total and reached:  # a threshold of 0 takes nothing back that nobody complains of
        return Judgement(trigger=_worst(strengths, counted))
    counts = situation.compared and not settings.dry_run and settings.minimum_requests
    return Judgement(
        blind=situation.unread if situation.blind and situation.weight and counts else "",
        proceeds=settings.on_inconclusive is OnInconclusive.PROCEED,
        missing="; ".join(_missing(status, settings, situation, strengths, counted)),
        doubt="; ".join(_doubts(status, settings, situation, strengths, counted)),
        awaited=told(
            status.metrics,
            awaited(status.metrics, settings.metrics),
            untold="its Job has not ended yet",
        ),
    )


def _scored(status: AnalysisStatus, settings: Analysis, feedback: Sequence[Feedback]) -> Score:
    return score(
        ratings=[each.rating for each in feedback],
        strengths=_strengths(status, settings).values(),
        feedback_weight=settings.feedback_weight,
    )


def _strengths(status: AnalysisStatus, settings: Analysis) -> Mapping[Reason, int]:
    """How far each thing that speaks against the new version is on its way, in thousandths."""
    testers = {metric.name for metric in settings.metrics if metric.job is not None}
    bad = set(failed(status.metrics, settings.metrics))
    return {
        Reason.ERROR_RATE: 0 if settings.dry_run else error_strength(status.evidence),
        Reason.PERFORMANCE_IMPACT: 0 if settings.dry_run else latency_strength(status.evidence),
        Reason.TEST_FAILED: WORST if bad & testers else 0,
        Reason.METRIC_FAILED: WORST if bad - testers else 0,
    }


def _measured_strength(strengths: Mapping[Reason, int]) -> int:
    return max(strengths[Reason.ERROR_RATE], strengths[Reason.PERFORMANCE_IMPACT])


def _worst(strengths: Mapping[Reason, int], counted: Score) -> Reason:
    """What is proved; else it takes feedback as well, or a threshold below that of a proof."""
    strongest = max(strengths, key=lambda reason: strengths[reason])
    proved = strengths[strongest] == WORST
    return strongest if proved or not counted.feedback else Reason.FEEDBACK


def _missing(
    status: AnalysisStatus,
    settings: Analysis,
    situation: Situation,
    strengths: Mapping[Reason, int],
    counted: Score,
) -> Iterator[str]:
    """What has to be seen before a step is left that gives the new version requests."""
    counts = situation.compared and not settings.dry_run and settings.minimum_requests
    if situation.weight and counts:
        yield from _requests_missing(status, settings, situation)
    if situation.weight or situation.last:
        yield from _unmeasured(status, settings)
    if situation.weight:
        yield from _suspicions(status, settings, strengths)
    if situation.weight or situation.last:
        yield from _unpunished(settings, strengths, counted)


def _doubts(
    status: AnalysisStatus,
    settings: Analysis,
    situation: Situation,
    strengths: Mapping[Reason, int],
    counted: Score,
) -> Iterator[str]:
    """What of it speaks against a promotion for which the last pods are started."""
    if situation.weight or situation.last:
        yield from _unmeasured(status, settings)
        yield from _unpunished(settings, strengths, counted)
    # Fresh pods are gone by then, so nothing more will be seen beside them.
    if situation.weight and settings.baseline is Baseline.STABLE:
        yield from _suspicions(status, settings, strengths)


def _unmeasured(status: AnalysisStatus, settings: Analysis) -> Iterator[str]:
    """What people measure by themselves, which has to be known before it gets all requests."""
    for name in inconclusive(status.metrics, settings.metrics):
        yield f"the metric {told(status.metrics, [name])}"


def _suspicions(
    status: AnalysisStatus, settings: Analysis, strengths: Mapping[Reason, int]
) -> Iterator[str]:
    """What was seen lately that proves nothing yet."""
    if SUSPICIOUS <= (evidence := _measured_strength(strengths)) < WORST:
        yield (
            "what was seen speaks against the new version, with "
            f"{evidence // 10} % of the evidence that a rollback needs, so more has to be seen"
        )
    elif evidence < WORST and not settings.dry_run and _is_loud(status, settings):
        latest = status.looks[-1]
        yield (
            f"of the latest requests of the new version {_part(latest.canary)} have failed, "
            f"against {_part(latest.stable)}, so more has to be seen"
        )


def _is_loud(status: AnalysisStatus, settings: Analysis) -> bool:
    """Whether the latest look by itself speaks against the new version."""
    if not status.looks or not tells_errors(status):
        return False
    latest = status.looks[-1]
    alone = observe(
        Evidence(),
        latest.canary,
        latest.stable,
        error_margin=settings.error_margin,
        performance_impact=settings.performance_impact,
    )
    return error_strength(alone) >= LOUD


def _unpunished(
    settings: Analysis, strengths: Mapping[Reason, int], counted: Score
) -> Iterator[str]:
    """What has failed, where the settings make too little of it for a rollback."""
    if WORST in strengths.values():
        threshold = round(WORST * settings.rollback_threshold)
        yield (
            f"{LEADS[_worst(strengths, counted)]}, but its score of {counted.total} is below the "
            f"{threshold} that a rollback takes"
        )


def _requests_missing(
    status: AnalysisStatus, settings: Analysis, situation: Situation
) -> Iterator[str]:
    needed = settings.minimum_requests
    if status.step_requests < needed:
        few = (
            f"the new version has answered {status.step_requests:,} of the {needed:,} requests "
            f"that step {situation.step} needs"
        )
        if (begins := counts_from(status, settings)) is not None:
            few += f", which count from {begins:%H:%M:%S} UTC on"
        elif situation.lonely:
            few += "; what it answers is counted once the stable version gets requests too"
        yield few
        if situation.unread:
            yield situation.unread
    elif situation.untold and not situation.blind:
        yield situation.untold
    elif not tells_errors(status) and not tells_latency(status):
        yield (
            "the pods tell neither which requests ended in errors nor how long they took, which "
            "spec.metrics of the Agent says how to find"
        )


# What is said


_SENTENCE: Final = Clip(512)

_NO_WORSE: Final = "the new version is no worse"

LEADS: Final[Mapping[Reason, str]] = {
    Reason.ERROR_RATE: "the new version fails more often",
    Reason.PERFORMANCE_IMPACT: "the new version is slower",
    Reason.TEST_FAILED: "a tester has found the new version bad",
    Reason.METRIC_FAILED: "a metric has found the new version bad",
    Reason.FEEDBACK: "feedback speaks against the new version",
}
"""What is said of a version that is given up, by why it is."""


def _unsure(
    status: AnalysisStatus,
    settings: Analysis,
    feedback: Sequence[Feedback],
    situation: Situation,
) -> str:
    """Why it cannot be called good, though nothing is waited for; "" where it can."""
    strengths, counted = _strengths(status, settings), _scored(status, settings, feedback)
    # All of this holds a step, and there is none that could be held.
    unsettled = (
        *_unpunished(settings, strengths, counted),
        *_unmeasured(status, settings),
        *_suspicions(status, settings, strengths),
    )
    return "; ".join(unsettled) or _unseen(status, settings, situation)


def _unseen(status: AnalysisStatus, settings: Analysis, situation: Situation) -> str:
    """Why nothing can be said, though nothing is waited for; "" where something can."""
    if not situation.compared:
        measured = any(metric.measurements for metric in status.metrics)
        return "" if measured else "nothing has been measured yet"
    if situation.untold:
        return situation.untold
    if not status.canary.requests:
        return "nothing has been compared yet"
    if not status.stable.requests:
        return "the stable version has had no requests to compare with"
    if _is_alone(status):
        return "the new version has all requests, so there is nothing to compare it with now"
    if not situation.weight and status.canary.requests < settings.minimum_requests:
        return (
            f"the new version has answered {status.canary.requests:,} requests, fewer than the "
            f"{settings.minimum_requests:,} that a verdict needs"
        )
    return ""


def _is_alone(status: AnalysisStatus) -> bool:
    """Whether only the new version had requests lately, as it is to have all of them."""
    latest = status.looks[-1] if status.looks else None
    return latest is not None and latest.weight == 100 and not latest.stable.requests


def _details(
    status: AnalysisStatus,
    settings: Analysis,
    feedback: Sequence[Feedback],
    counted: Score,
    situation: Situation,
) -> Iterator[str]:
    if situation.compared and status.canary.requests:
        yield _errors(status)
        yield _latency(status)
    if bad := failed(status.metrics, settings.metrics):
        yield told(status.metrics, bad)
    if feedback:
        mean = sum(each.rating for each in feedback) / len(feedback)
        threshold = round(WORST * settings.rollback_threshold)
        yield (
            f"feedback {mean:.2g} of 5 from {len(feedback)}, score {counted.total} of the "
            f"{threshold} that a rollback takes"
        )


def _errors(status: AnalysisStatus) -> str:
    if not tells_errors(status):
        return "errors are not told"
    share = error_strength(status.evidence) // 10
    return (
        f"errors {_part(status.canary)} against {_part(status.stable)}, "
        f"evidence {share} % of what a rollback needs"
    )


def _latency(status: AnalysisStatus) -> str:
    canary, stable = status.canary, status.stable
    if not canary.timed or not stable.timed:
        return "latency is not told"
    return (
        f"latency {_mean(canary)} against {_mean(stable)}, "
        f"evidence {latency_strength(status.evidence) // 10} %"
    )


def _part(side: Side) -> str:
    """Errors of all requests, as numbers and in percent with two digits that count."""
    if not side.requests:
        return "none answered"
    percent = 100 * side.errors / side.requests
    digits = f"{percent:.0f}" if percent >= 9.5 or not percent else f"{max(percent, 0.01):.2g}"
    return f"{side.errors:,} of {side.requests:,} ({digits} %)"


def _mean(side: Side) -> str:
    milliseconds = side.microseconds / side.timed / 1000
    if milliseconds >= 10_000:
        return f"{milliseconds / 1000:,.0f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 9.5 else f"{milliseconds:.2g} ms"
