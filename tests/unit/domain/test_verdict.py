"""What is said of a new version, and what follows: a rollback, a wait, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON

from agentherd.api import (
    Analysis,
    AnalysisStatus,
    Evidence,
    Feedback,
    Look,
    Measurement,
    MetricStatus,
    PodCounters,
    Side,
    Verdict,
)
from agentherd.domain.judging.evidence import error_strength, latency_strength, observe
from agentherd.domain.judging.verdict import Judgement, Situation, judged, reason_of
from agentherd.domain.reasons import Reason


def evidence(canary: Side, stable: Side, *, enough: Callable[[Evidence], bool]) -> Evidence:
    """What has been found when both versions do this at each look, until it is enough."""
    found = Evidence()
    while not enough(found):
        found = observe(found, canary, stable, error_margin=2, performance_impact=0.2)
    return found


CERTAIN = evidence(
    Side(requests=20, errors=20), Side(requests=80), enough=lambda e: error_strength(e) == 1000
)
HALF = evidence(
    Side(requests=10, errors=1), Side(requests=90), enough=lambda e: error_strength(e) > 580
)
SLOWER = evidence(
    Side(requests=20, timed=20, microseconds=3_000_000),
    Side(requests=80, timed=80, microseconds=8_000_000),
    enough=lambda e: latency_strength(e) == 1000,
)

PODS = (PodCounters(uid="c", requests=1, errors=0, timed=1, microseconds=1),)
ENOUGH: dict[str, Any] = {
    "since": NOON,
    "looked_at": NOON + timedelta(seconds=9),
    "step_requests": 240,
    "canary": Side(requests=240, errors=12, timed=240, microseconds=7_440_000),
    "stable": Side(requests=4560, errors=3, timed=4560, microseconds=136_800_000),
    "pods": PODS,
}
STEP = Situation(compared=True, step=1, weight=20)
QUALITY = {"name": "quality", "http": {"url": "http://judge/"}, "minimum": 7}
TESTER = {"name": "smoke", "job": {"template": {"spec": {}}}}


def state(**fields: Any) -> AnalysisStatus:
    """An analysis that has seen enough."""
    return AnalysisStatus(**{"verdict": Verdict.INCONCLUSIVE} | ENOUGH | fields)


def found(
    status: AnalysisStatus,
    *,
    ratings: tuple[int, ...] = (),
    situation: Situation = STEP,
    **settings: Any,
) -> tuple[AnalysisStatus, Judgement]:
    feedback = [Feedback(**{"from": f"person {n}"}, rating=r) for n, r in enumerate(ratings)]
    return judged(status, Analysis.model_validate(settings), feedback, situation)


def measured(name: str, verdict: Verdict, message: str = "") -> MetricStatus:
    last = Measurement(at=NOON, verdict=verdict, message=message)
    return MetricStatus(name=name, verdict=verdict, measurements=(last,))


# What follows


@pytest.mark.parametrize(
    ("fields", "settings", "trigger"),
    [
        ({}, {}, None),
        ({"evidence": CERTAIN}, {}, Reason.ERROR_RATE),
        ({"evidence": SLOWER}, {}, Reason.PERFORMANCE_IMPACT),
        (
            {"metrics": (measured("quality", Verdict.FAIL),)},
            {"metrics": [QUALITY]},
            Reason.METRIC_FAILED,
        ),
        (
            {"metrics": (measured("smoke", Verdict.FAIL),)},
            {"metrics": [TESTER]},
            Reason.TEST_FAILED,
        ),
        ({"evidence": CERTAIN}, {"dryRun": True}, None),
        (
            {"metrics": (measured("quality", Verdict.FAIL),)},
            {"metrics": [{**QUALITY, "dryRun": True}]},
            None,
        ),
        ({"evidence": CERTAIN}, {"rollbackThreshold": 0.8}, None),
        ({}, {"rollbackThreshold": 0}, None),
    ],
    ids=[
        "well",
        "errors",
        "latency",
        "a metric",
        "a tester",
        "errors in a dry run",
        "a metric in a dry run",
        "a threshold above what is measured",
        "a threshold of 0",
    ],
)
def test_what_is_worse_is_a_trigger(
    fields: dict[str, Any], settings: dict[str, Any], trigger: Reason | None
) -> None:
    assert found(state(**fields), **settings)[1].trigger is trigger


def test_bad_feedback_alone_takes_nothing_back() -> None:
    """300 of the 700 that a rollback takes."""
    status, judgement = found(state(), ratings=(1, 1))

    assert (status.score.total, judgement.trigger) == (300, None)


def test_errors_take_back_what_everybody_praises() -> None:
    """Exactly 700, which is enough."""
    status, judgement = found(state(evidence=CERTAIN), ratings=(5,))

    assert (status.score.total, judgement.trigger) == (700, Reason.ERROR_RATE)


def test_bad_feedback_and_half_a_proof_together_take_it_back() -> None:
    """Neither alone would, so neither alone is named."""
    status, judgement = found(state(evidence=HALF), ratings=(1,))

    assert status.score.total >= 700
    assert judgement.trigger is Reason.FEEDBACK


@pytest.mark.parametrize(
    ("canary", "settings", "holds"),
    [
        (Side(requests=20, errors=10), {}, True),
        (Side(requests=20, errors=1), {}, False),
        (Side(requests=20, errors=10), {"dryRun": True}, False),
        (Side(requests=20, errors=10), {"minimumRequests": 0}, True),
    ],
)
def test_a_step_is_not_left_over_a_look_that_speaks_for_itself(
    canary: Side, settings: dict[str, Any], holds: bool
) -> None:
    """However short the step is: no look decides alone, so there has to be another."""
    look = Look(at=NOON, weight=20, canary=canary, stable=Side(requests=20))

    status, judgement = found(state(looks=(look,)), **settings)

    assert (judgement.missing != "") is holds
    assert ("10 of 20 (50 %) have failed, against 0 of 20 (0 %)" in judgement.missing) is holds
    assert (status.verdict is Verdict.PASS) is (canary.errors == 1)


def test_feedback_that_nobody_gave_takes_nothing_back() -> None:
    """With a low threshold half a proof is enough, and then it is the reason."""
    status, judgement = found(state(evidence=HALF), rollbackThreshold=0.4)

    assert judgement.trigger is Reason.ERROR_RATE
    assert reason_of(status, Analysis(rollback_threshold=0.4)) is Reason.ERROR_RATE
    assert status.message.startswith("the new version fails more often: ")


@pytest.mark.parametrize(
    ("fields", "situation", "settings", "holds"),
    [
        ({"step_requests": 3}, STEP, {}, True),
        ({"step_requests": 20}, STEP, {}, False),
        ({"step_requests": 20}, STEP, {"minimumRequests": 21}, True),
        ({"step_requests": 0}, STEP, {"minimumRequests": 0}, False),
        ({"step_requests": 3}, Situation(compared=True, step=1, weight=0), {}, False),
        ({"step_requests": 3}, Situation(compared=False, step=1, weight=20), {}, False),
        ({"step_requests": 3}, STEP, {"dryRun": True}, False),
        ({"pods": (PodCounters(uid="c", requests=9),)}, STEP, {}, True),
        ({"pods": (PodCounters(uid="c", requests=9, errors=1),)}, STEP, {}, False),
        ({}, STEP, {"metrics": [QUALITY]}, True),
        (
            {"metrics": (measured("quality", Verdict.INCONCLUSIVE),)},
            STEP,
            {"metrics": [QUALITY]},
            True,
        ),
        ({"metrics": (measured("quality", Verdict.PASS),)}, STEP, {"metrics": [QUALITY]}, False),
        ({}, STEP, {"metrics": [{**QUALITY, "dryRun": True}]}, False),
        ({}, Situation(compared=False, step=1, weight=0), {"metrics": [QUALITY]}, False),
        ({}, Situation(compared=False, step=1, weight=0, last=True), {"metrics": [QUALITY]}, True),
        (
            {"metrics": (measured("quality", Verdict.FAIL),)},
            Situation(compared=False, step=1, weight=0, last=True),
            {"metrics": [QUALITY], "feedbackWeight": 0.5},
            True,
        ),
        ({"evidence": CERTAIN}, STEP, {"rollbackThreshold": 0.8}, True),
        ({"evidence": HALF}, STEP, {}, True),
        ({"evidence": HALF}, STEP, {"dryRun": True}, False),
    ],
)
def test_a_step_is_held_while_something_has_to_be_seen_yet(
    fields: dict[str, Any], situation: Situation, settings: dict[str, Any], holds: bool
) -> None:
    """Only one that gives the new version requests, and only for what counts."""
    judgement = found(state(**fields), situation=situation, **settings)[1]

    assert judgement.trigger is None
    assert bool(judgement.missing) is holds


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [(None, True), (Verdict.INCONCLUSIVE, True), (Verdict.PASS, False)],
)
def test_a_tester_is_waited_for_before_a_promotion(verdict: Verdict | None, waits: bool) -> None:
    """At no step before."""
    metrics = (measured("smoke", verdict),) if verdict else ()

    judgement = found(state(metrics=metrics), metrics=[TESTER])[1]

    assert (judgement.missing, bool(judgement.awaited)) == ("", waits)


# What is said


def test_a_failure_says_what_was_compared_and_how_sure_it_is() -> None:
    status, _ = found(state(evidence=CERTAIN))

    assert status.verdict is Verdict.FAIL
    assert status.message == (
        "the new version fails more often: errors 12 of 240 (5 %) against 3 of 4,560 (0.066 %), "
        "evidence 100 % of what a rollback needs; latency 31 ms against 30 ms, evidence 0 %"
    )


def test_too_little_says_what_is_needed() -> None:
    status, judgement = found(state(step_requests=3, canary=Side(), stable=Side()))

    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message == judgement.missing
    assert status.message == "the new version has answered 3 of the 20 requests that step 1 needs"


SILENT = replace(STEP, untold="the new version does not tell which requests ended in errors")


def test_a_version_that_tells_less_than_the_stable_one_is_held() -> None:
    """It might hide what it fails; but that nothing is known of it is no proof that it is bad."""
    status, judgement = found(state(), situation=SILENT)

    assert (status.verdict, judgement.trigger) == (Verdict.INCONCLUSIVE, None)
    assert judgement.missing == SILENT.untold
    assert status.message.startswith(f"{SILENT.untold}: errors 12 of 240")


def test_where_nothing_can_be_held_less_is_still_no_pass() -> None:
    """As while pods are replaced one by one."""
    status, judgement = found(state(), situation=replace(SILENT, step=0, weight=0))

    assert (status.verdict, judgement.missing) == (Verdict.INCONCLUSIVE, "")


@pytest.mark.parametrize("settings", [{"dryRun": True}, {"minimumRequests": 0}])
def test_who_asks_for_nothing_waits_for_nothing_that_is_not_told(settings: dict[str, Any]) -> None:
    """The verdict is honest all the same."""
    status, judgement = found(state(), situation=SILENT, **settings)

    assert (status.verdict, judgement.missing) == (Verdict.INCONCLUSIVE, "")


def test_a_version_that_has_fallen_silent_is_no_change_of_the_phase() -> None:
    """It may be that this process has not looked at it yet, which `blind` waits for."""
    unread = {"blind": True, "unread": "the metrics of 1 of 1 pods cannot be read"}

    status, judgement = found(state(), situation=replace(SILENT, **unread))

    assert (status.verdict, judgement.missing) == (Verdict.INCONCLUSIVE, "")
    assert judgement.blind == unread["unread"]


def test_nobody_is_called_good_beside_a_version_that_cannot_be_read() -> None:
    """Whatever both did before, there is nothing to compare with now."""
    unread = "the metrics of 1 of 1 pods of the stable version cannot be read"

    status, _ = found(state(), situation=replace(STEP, blind=True, unread=unread))

    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message.startswith(unread)


def test_a_warm_up_says_when_it_ends() -> None:
    warming = (PodCounters(uid="c", warms_since=NOON),)
    status, _ = found(state(step_requests=0, pods=warming, canary=Side()), warmUpSeconds=5)

    assert status.message.endswith("which count from 12:00:05 UTC on")


def test_requests_that_are_compared_with_none_are_told() -> None:
    """Who says that none was answered would send people to look at the wrong version."""
    situation = replace(STEP, lonely=True)

    assert "once the stable version gets requests" in (
        found(state(step_requests=0), situation=situation)[1].missing
    )
    assert found(state(), situation=situation)[1].missing == ""


def test_pods_that_do_not_tell_are_named_where_requests_are_missing() -> None:
    unread = "the metrics of 1 of 2 pods of the stable version cannot be read"
    situation = Situation(compared=True, step=2, weight=20, unread=unread)

    assert unread in found(state(step_requests=3), situation=situation)[0].message
    assert unread not in found(state(), situation=situation)[0].message
    assert unread in found(state(), situation=replace(situation, blind=True))[1].blind


def test_a_dry_run_says_the_same_and_that_nothing_follows() -> None:
    status, judgement = found(state(evidence=CERTAIN), dryRun=True)

    assert judgement.trigger is None
    assert (status.verdict, status.score.total) == (Verdict.FAIL, 0)
    assert status.message.startswith(
        "in a dry run, so that nothing follows, the new version fails more often: errors 12"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"canary": Side()},
        {"stable": Side()},
        {"looks": (Look(at=NOON, weight=100, canary=Side(requests=9, errors=9), stable=Side()),)},
    ],
    ids=["no requests", "nothing to compare with", "nothing any more"],
)
def test_where_nothing_was_compared_nothing_is_passed(fields: dict[str, Any]) -> None:
    """Even where nothing is asked for."""
    status, judgement = found(state(**fields), minimumRequests=0)

    assert status.verdict is Verdict.INCONCLUSIVE
    assert judgement.missing == ""


def test_what_has_failed_is_never_called_good() -> None:
    """Where pods are replaced one by one there is no step to hold."""
    bad = measured("quality", Verdict.FAIL, "5 is below the minimum of 7")
    situation = Situation(compared=False, step=0, weight=0)

    status, judgement = found(
        state(metrics=(bad,)), situation=situation, metrics=[QUALITY], feedbackWeight=0.5
    )

    assert (judgement.trigger, judgement.missing) == (None, "")
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message.startswith("a metric has found the new version bad, but its score of 500")


@pytest.mark.parametrize("compared", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_where_nothing_can_be_held_silence_is_no_pass(compared: bool, known: bool) -> None:
    """As while pods are replaced one by one, or at a step of weight 0."""
    silent = measured("quality", Verdict.INCONCLUSIVE, "nobody answers")
    situation = Situation(compared=compared, step=0, weight=0)

    status, judgement = found(
        state(metrics=(silent,) if known else ()), situation=situation, metrics=[QUALITY]
    )

    assert (status.verdict, judgement.missing) == (Verdict.INCONCLUSIVE, "")
    why = "nobody answers" if known else "not measured yet"
    assert status.message.startswith(f"the metric quality: {why}")


def test_where_nothing_can_be_held_suspicion_is_no_pass() -> None:
    status, judgement = found(
        state(evidence=HALF), situation=Situation(compared=True, step=0, weight=0)
    )

    assert (status.verdict, judgement.missing) == (Verdict.INCONCLUSIVE, "")
    assert "speaks against the new version" in status.message


def test_a_metric_speaks_in_its_own_words() -> None:
    bad = measured("quality", Verdict.FAIL, "5 is below the minimum of 7")

    status, _ = found(state(metrics=(bad,)), metrics=[QUALITY])

    assert "quality: 5 is below the minimum of 7" in status.message


def test_the_sentence_is_never_too_long() -> None:
    metrics = tuple(measured(f"metric-{n}", Verdict.FAIL, "bad " * 60) for n in range(10))
    settings = [{**QUALITY, "name": each.name} for each in metrics]

    status, judgement = found(state(metrics=metrics), metrics=settings, ratings=(1,) * 50)

    assert len(status.message) == len(judgement.message) == 512


def test_the_same_state_is_said_in_the_same_words() -> None:
    """Or it would be written anew each time it is looked at."""
    once, _ = found(state(), ratings=(3,))

    assert found(once, ratings=(3,))[0] == once


@pytest.mark.parametrize(
    ("fields", "settings", "reason"),
    [
        ({}, {}, Reason.NO_WORSE),
        ({"step_requests": 0}, {}, Reason.INCONCLUSIVE),
        ({"evidence": CERTAIN}, {}, Reason.ERROR_RATE),
        ({"evidence": SLOWER}, {"dryRun": True}, Reason.PERFORMANCE_IMPACT),
    ],
)
def test_each_verdict_has_its_word(
    fields: dict[str, Any], settings: dict[str, Any], reason: Reason
) -> None:
    status, _ = found(state(**fields), **settings)

    assert reason_of(status, Analysis.model_validate(settings)) is reason
