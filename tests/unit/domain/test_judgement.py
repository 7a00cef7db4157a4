"""What of an attempt is judged: from its first request on, up to its end, and nothing before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, pod_view
from tests.unit.domain.runs import NEW, OLD, SETTLED, begun, found, fresh, seen_with

from agentherd.api import Analysis, AnalysisStatus, Evidence, Metrics, UpgradePhase, Verdict
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import digest
from agentherd.domain.readings import Reading, Totals
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.upgrades.run import Run

EAGER = {"intervalSeconds": 1, "warmUpSeconds": 0}
LATER = NOON + timedelta(seconds=30)
STEP = {"weight": 50, "weightSince": NOON, "readySince": NOON, "step": 2}
SINCE = {"verdict": "Inconclusive", "since": NOON}
METRICS: dict[str, Any] = {"metrics": {}}
COUNTERS = digest(Metrics().model_dump(mode="json"))


def strategy(*, judged: bool = True, **differs: Any) -> dict[str, Any]:
    """A settled strategy of two steps, the second of which gives half of the requests."""
    steps = [{"weight": 0}, {"weight": 50, "pause": {"seconds": 1}}]
    known = SETTLED | {"steps": steps} | differs
    return known | ({"analysis": EAGER} if judged else {})


def told(requests: int, errors: int | None = 0) -> Reading:
    totals = Totals(requests=requests, errors=errors)
    return Reading(recent=0, in_flight=0, at=NOON, seconds=0, since_last=0, totals=totals)


def timed(requests: int) -> Reading:
    """The same of a version that also tells how long they took."""
    totals = Totals(requests=requests, errors=0, timed=requests, microseconds=requests * 1000)
    return replace(told(requests), totals=totals)


def at_step_two(
    status: dict[str, Any] | None = None,
    *,
    readings: dict[str, Reading] | None = None,
    judged: bool = True,
    **fields: Any,
) -> AgentObservation:
    """An upgrade that gives the new version half of the requests since noon."""
    known = {"steps": 2, "strategy": strategy(judged=judged), **STEP, **(status or {})}
    views = (pod_view("new", revision=NEW.hash), pod_view("old", revision=OLD.hash))
    return seen_with(
        begun(status=known, **fields.pop("upgrade", {})),
        pods={view.name: view for view in views},
        readings={f"uid-of-{name}": each for name, each in (readings or {}).items()},
        **METRICS | fields,
    )


def analysis(run: Run) -> AnalysisStatus:
    assert run.status.analysis is not None
    return run.status.analysis


# By what


@pytest.mark.parametrize(
    ("upgrade", "agent", "expected"),
    [
        ({}, {}, None),
        ({}, METRICS, Analysis()),
        ({}, {"upgradePolicy": {"analysis": EAGER}}, Analysis.model_validate(EAGER)),
        (
            {"analysis": {"dryRun": True}},
            METRICS | {"upgradePolicy": {"analysis": EAGER}},
            Analysis(dry_run=True),
        ),
    ],
    ids=["nothing said", "metrics", "the Agent's", "its own"],
)
def test_how_an_attempt_is_judged_is_settled_when_it_begins(
    upgrade: dict[str, Any], agent: dict[str, Any], expected: Analysis | None
) -> None:
    """By its own analysis, the Agent's, or what pods tell by default."""
    status = found(seen_with(fresh(**upgrade), **agent)).status

    assert status.strategy is not None
    assert status.strategy.analysis == expected


def test_what_leads_back_to_a_former_revision_is_not_judged() -> None:
    """It has proved itself."""
    seen = seen_with(fresh(), **METRICS)
    former = seen.agent.status.model_copy(update={"former_revisions": (NEW.hash,)})
    agent = seen.agent.model_copy(update={"status": former})

    status = found(replace(seen, agent=agent)).status

    assert status.steps == 0
    assert status.strategy is not None
    assert status.strategy.analysis is None


# From when on


def test_an_analysis_begins_with_the_weight() -> None:
    """In the same patch, so that the warm-up counts from then."""
    waiting = {"weight": 0, "weightSince": None}

    before = found(at_step_two(waiting), now=NOON)
    after = found(at_step_two(waiting), now=LATER)

    assert (before.status.weight, before.status.analysis) == (0, None)
    assert (after.status.weight, analysis(after).since) == (50, LATER)


def test_without_anything_to_judge_by_there_is_no_analysis() -> None:
    assert found(at_step_two(judged=False), now=LATER).status.analysis is None


def test_what_people_say_is_told_where_nothing_is_measured() -> None:
    """It makes up a part of a score, which it does not reach alone; and it holds nothing."""
    feedback = {"upgrade": {"feedback": [{"from": "me", "rating": 1}]}}

    run = found(at_step_two(judged=False, metrics=None, **feedback), now=LATER)

    assert analysis(run).score.total == 300
    assert analysis(run).message.startswith("nothing has been measured yet: feedback 1 of 5")
    assert run.status.phase is UpgradePhase.PROMOTING


def test_what_people_say_has_nothing_compared_that_is_not_to_be() -> None:
    """As a way back to a former revision, which is judged by nothing else."""
    feedback = {"upgrade": {"feedback": [{"from": "me", "rating": 5}]}}
    readings = {"new": told(200, 100), "old": told(1000, 0)}

    seen = at_step_two({"analysis": look(0)}, judged=False, readings=readings, **feedback)
    run = found(seen, now=LATER)

    assert run.status.phase is UpgradePhase.PROMOTING
    assert (analysis(run).canary.requests, analysis(run).evidence) == (0, Evidence())
    assert analysis(run).message.startswith("nothing has been measured yet: feedback 5 of 5")


def test_feedback_that_was_withdrawn_is_told_no_more() -> None:
    """Where nothing else is judged, nothing is left to be said."""
    word = {"verdict": "Inconclusive", "message": "nothing has been measured yet: feedback 1 of 5"}
    withdrawn = at_step_two({"analysis": word}, judged=False, metrics=None)

    run = found(withdrawn, now=LATER)

    assert run.status.analysis is None


def test_a_new_attempt_forgets_the_analysis_of_the_one_before() -> None:
    status = {"phase": "RolledBack", "analysis": SINCE, "rollback": None, "attempt": 1}
    again = begun(status=status, attempt=2)

    assert found(seen_with(again, **METRICS)).status.analysis is None


def test_pods_replaced_one_by_one_are_compared_from_the_first_new_one_on() -> None:
    """There are no weights then."""
    rolling = {"steps": 0, "step": 0, "strategy": strategy(type="RollingUpdate"), "weight": 0}

    run = found(at_step_two({"phase": "Promoting", **rolling}), now=LATER)

    assert analysis(run).since == LATER


# What is seen


def look(requests: int, errors: int = 0) -> dict[str, Any]:
    """A state that has noted 100 requests of each pod."""
    notes = [{"uid": f"uid-of-{name}", "requests": 100, "errors": 0} for name in ("new", "old")]
    known = {"lookedAt": NOON, "pods": notes, "counters": COUNTERS}
    return SINCE | known | {"stepRequests": requests}


def test_what_pods_have_added_is_of_their_version() -> None:
    readings = {"new": told(110, 1), "old": told(190, 0)}

    counted = analysis(found(at_step_two({"analysis": look(0)}, readings=readings), now=LATER))

    assert (counted.canary.requests, counted.canary.errors) == (10, 1)
    assert (counted.stable.requests, counted.stable.errors) == (90, 0)
    assert (counted.step_requests, counted.looked_at) == (10, LATER)


def test_too_little_holds_the_step() -> None:
    """And says which pods do not tell."""
    run = found(at_step_two({"analysis": look(3)}, readings={"old": told(190)}), now=LATER)

    assert (run.move.phase, run.move.reason) == (UpgradePhase.PAUSED, Reason.INCONCLUSIVE)
    assert "has answered 3 of the 20 requests that step 2 needs" in run.move.message
    assert "the metrics of 1 of 1 pods of the new version cannot be read" in run.move.message
    assert analysis(run).message in run.move.message


def test_who_gets_no_requests_is_named() -> None:
    """The new one answers, the stable one has nothing to do: as with a single connection."""
    readings = {"new": told(5000), "old": told(100)}

    run = found(at_step_two({"analysis": look(3)}, readings=readings), now=LATER)

    assert "counted once the stable version gets requests too" in run.move.message


def test_a_version_that_is_not_read_any_more_is_not_promoted() -> None:
    """However much was seen before: nobody knows what it does now."""
    run = found(at_step_two({"analysis": look(900)}, readings={"old": told(190)}), now=LATER)

    assert run.move.reason is Reason.INCONCLUSIVE
    assert "of the new version cannot be read" in run.move.message


@pytest.mark.parametrize(
    ("new", "old", "missing"),
    [
        (told(190, None), told(190), "which requests ended in errors (no http_requests_total has"),
        (
            told(190),
            timed(190),
            "how long requests took (there is no http_request_duration_seconds), as the stable",
        ),
        (told(190, None), told(190, None), ""),
        (told(190), told(190, None), ""),
    ],
    ids=["errors", "durations", "neither does", "the stable one does not"],
)
def test_a_version_that_stops_to_tell_what_the_stable_one_tells_is_held(
    new: Reading, old: Reading, missing: str
) -> None:
    """It passed by what is left, in silence."""
    state = look(30) | {"canary": {"requests": 30}, "stable": {"requests": 30}}

    run = found(at_step_two({"analysis": state}, readings={"new": new, "old": old}), now=LATER)

    assert ("the new version does not tell" in run.move.message) is bool(missing)
    assert missing in run.move.message
    assert run.status.rollback is None


@pytest.mark.parametrize("how", ["restarted", "not ready", "deleted"])
@pytest.mark.parametrize("who", ["new", "old"])
def test_while_no_pod_could_tell_the_step_is_held(who: str, how: str) -> None:
    """One that was replaced tells nothing for a moment, in which what is held must not pass."""
    state = look(30) | {"canary": {"requests": 30}, "stable": {"requests": 30}}
    readings = {"new": told(190), "old": told(190)}
    seen = at_step_two({"analysis": state}, readings=readings)
    differs: dict[str, Any] = {"not ready": {"ready": False}, "deleted": {"deleting": True}}
    pod = replace(seen.pods[who], **differs.get(how, {}))
    known = {f"uid-of-{who}": told(0)} if how == "restarted" else {}

    run = found(
        replace(seen, pods={**seen.pods, who: pod}, readings={**seen.readings, **known}), now=LATER
    )

    version = {"new": "new", "old": "stable"}[who]
    assert f"no ready pod of the {version} version has answered a request" in run.move.message
    assert "promote the step" in run.move.message
    assert analysis(run).verdict is Verdict.INCONCLUSIVE


def test_beside_a_version_that_has_all_requests_nobody_is_waited_for() -> None:
    """The stable one has none to answer then."""
    all_of_them = strategy(steps=[{"weight": 0}, {"weight": 100}])
    seen = at_step_two(
        {"analysis": look(30), "strategy": all_of_them, "weight": 100},
        readings={"new": told(190), "old": told(0)},
    )

    assert found(seen, now=LATER).status.phase is UpgradePhase.PROMOTING


def test_a_version_whose_metrics_are_gone_has_no_good_verdict() -> None:
    """The step is held, and the sentence says why."""
    run = found(at_step_two({"analysis": look(900)}, readings={"old": told(190)}), now=LATER)

    assert analysis(run).verdict is Verdict.INCONCLUSIVE
    assert "cannot be read, while the stable version tells what it does" in analysis(run).message


def test_where_nobody_is_served_nothing_is_waited_for() -> None:
    """In Maintenance there are no requests to be had."""
    seen = at_step_two({"analysis": look(3)}, operatingMode="Maintenance")

    assert found(seen, now=LATER).status.phase is UpgradePhase.PROMOTING


def test_enough_is_of_one_step() -> None:
    """What was seen at one does not count at the next."""
    readings = {"new": told(130), "old": told(190)}
    run = found(at_step_two({"analysis": look(0), "steps": 2}, readings=readings), now=LATER)
    three = strategy(steps=[{"weight": 0}, {"weight": 50}, {"weight": 60}])
    further = found(
        at_step_two(
            {"analysis": look(0), "steps": 3, "strategy": three, "progressSince": NOON},
            readings=readings,
        ),
        now=LATER,
    )

    assert (run.status.phase, analysis(run).step_requests) == (UpgradePhase.PROMOTING, 30)
    assert (further.status.step, analysis(further).step_requests) == (3, 0)
    assert analysis(further).message.startswith("the new version has answered 0 of the 20")


def bad(at: datetime) -> Run:
    """What follows from a state in which the new version fails each request, time after time."""
    state = look(0)
    readings = {"new": told(100), "old": told(100)}
    for second in range(1, 12):
        readings = {"new": told(100 + 20 * second, 20 * second), "old": told(100 + 80 * second)}
        seen = at_step_two({"analysis": state}, readings=readings, upgrade={"paused": True})
        run = found(seen, now=at + timedelta(seconds=second))
        if run.status.phase is UpgradePhase.ROLLING_BACK:
            return run
        state = analysis(run).model_dump(by_alias=True, exclude_none=True)
    raise AssertionError("it was never found out")


def test_what_is_worse_goes_back_with_the_evidence_in_the_same_status() -> None:
    """Also while it is paused."""
    run = bad(LATER)

    record = run.status.rollback
    assert record is not None
    assert (record.trigger, record.reason) == ("ErrorRate", analysis(run).message)
    assert analysis(run).score.total == 700
    assert run.status.weight == 0


def test_what_is_worse_does_not_take_over() -> None:
    """Though all its pods are there."""
    state = analysis(bad(LATER)).model_dump(by_alias=True, exclude_none=True)
    promoting = {"phase": "Promoting", "analysis": state}

    run = found(at_step_two(promoting), now=LATER + timedelta(minutes=1))

    assert (run.serving, run.status.phase) == (OLD.hash, UpgradePhase.ROLLING_BACK)


@pytest.mark.parametrize(
    ("answer", "steering", "serving"),
    [
        ({"verdict": "Pass", "value": 0.9}, {}, NEW),
        ({"verdict": "Inconclusive", "message": "judge is down"}, {}, OLD),
        ({"verdict": "Inconclusive", "message": "0.1 is below"}, {}, OLD),
        (
            {"verdict": "Inconclusive", "message": "judge is down"},
            {"promote": {"full": True}},
            NEW,
        ),
    ],
    ids=["good", "source down", "bad once", "promoted"],
)
def test_no_version_takes_over_while_a_metric_says_nothing_good(
    answer: dict[str, Any], steering: dict[str, Any], serving: Revision
) -> None:
    """All steps were done before, and its last pods came after that."""
    quality = {"name": "quality", "minimum": 0.8, "http": {"url": "http://judge"}}
    measured = {"name": "quality", "verdict": answer["verdict"]}
    measured["measurements"] = [{"at": NOON} | answer]
    promoting = {
        "phase": "Promoting",
        "analysis": look(30) | {"metrics": [measured]},
        "strategy": strategy(judged=False, analysis=EAGER | {"metrics": [quality]}),
    }

    run = found(at_step_two(promoting, upgrade=steering), now=LATER)

    assert run.serving == serving.hash
    assert run.status.phase is UpgradePhase.PROMOTING
    assert ("the metric quality" in run.move.message) is (serving is OLD)


def test_no_version_takes_over_on_which_suspicion_has_fallen() -> None:
    """It fails each request since the last step was left; the next looks decide."""
    readings = {"new": told(120, 20), "old": told(180)}
    promoting = {"phase": "Promoting", "analysis": look(30)}

    run = found(at_step_two(promoting, readings=readings), now=LATER)

    assert (run.serving, run.status.phase) == (OLD.hash, UpgradePhase.PROMOTING)
    assert "more has to be seen" in run.move.message


# Up to when


@pytest.mark.parametrize("phase", ["RollingBack", "RolledBack", "Succeeded"])
def test_after_the_end_it_stays_as_it_is(phase: str) -> None:
    record = {"trigger": "Requested", "reason": "no", "requestedBy": "kubectl", "at": NOON}
    before = look(7)
    ended = {"phase": phase, "analysis": before, "rollback": record}
    readings = {"new": told(900, 900), "old": told(900)}
    stable = NEW.hash if phase == "Succeeded" else OLD.hash

    run = found(at_step_two(ended, readings=readings, stable=stable), now=LATER)

    assert run.status.analysis == AnalysisStatus.model_validate(before)
