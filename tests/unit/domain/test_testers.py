"""Jobs that try a new version: made once, heard once, and gone when nobody waits for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, set_view

from agentherd.api import AgentUpgrade, Verdict
from agentherd.api.analysis import Measurement
from agentherd.domain.judging.metrics import Measured
from agentherd.domain.judging.testers import (
    RUNS,
    answers,
    asked,
    asked_at,
    is_addressed,
    trials,
    useless,
)
from agentherd.domain.kinds import JOB, job_name
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Failure, Ref
from agentherd.domain.reasons import Reason
from agentherd.domain.views import JobView

from .samples import seen_upgrade, upgraded

OLD, NEW = "0123456789", "abcdef0123"
NAME = "greeter-2-smoke-1"
SMOKE = {"name": "smoke", "job": {"template": {"spec": {"containers": [{"name": "try"}]}}}}
QUALITY = {"name": "quality", "minimum": 0.8, "http": {"url": "http://judge/$(CANARY_REVISION)"}}

STRATEGY = {
    "type": "Canary",
    "steps": [{"weight": 10}],
    "maxSurge": "25%",
    "progressDeadlineSeconds": 600,
    "scaleDownDelaySeconds": 30,
    "abortScaleDownDelaySeconds": 30,
    "rollbackWindow": 3,
}


def attempt(*metrics: dict[str, Any], **status: Any) -> AgentUpgrade:
    """An attempt at its first step, which began at noon."""
    known = {
        "phase": "Progressing",
        "attempt": 1,
        "fromRevision": OLD,
        "toRevision": NEW,
        "startedAt": NOON,
        "steps": 1,
        "step": 1,
        "weight": 10,
        "weightSince": NOON,
        "strategy": STRATEGY | {"analysis": {"metrics": metrics}},
    }
    return seen_upgrade("greeter-2", status=known | status).upgrade


def view(upgrade: AgentUpgrade, *, ready: int = 1, **fields: Any) -> AgentObservation:
    sets = {each.name: each for each in (set_view(OLD), set_view(NEW, wanted=ready))}
    one = upgraded(agent(), seen_upgrade("greeter-2"), stable=OLD, replica_sets=sets)
    return replace(one, **fields)


def job(name: str = NAME, **fields: Any) -> JobView:
    known = {
        "namespace": "default",
        "name": name,
        "uid": f"uid-of-{name}",
        "version": 1,
        "workload": "greeter",
        "owner": "uid-of-greeter",
        "applied": "",
        "touched": False,
        "deleting": False,
        "upgrade": "uid-of-greeter-2",
        "verdict": None,
        "ended_at": None,
        "message": "",
    }
    return JobView(**known | fields)


def made(seen: AgentObservation, upgrade: AgentUpgrade, *, moving: bool = True) -> list[Any]:
    return list(trials(seen, upgrade, upgrade.status, moving=moving))


def test_a_job_is_made_as_soon_as_a_pod_can_be_tried() -> None:
    upgrade = attempt(SMOKE)

    (early, late) = made(view(upgrade, ready=0), upgrade), made(view(upgrade), upgrade)

    assert not early
    assert [(type(each), each.kind, each.ref) for each in late] == [
        (Apply, JOB, Ref("Job", NAME)),
    ]


def test_a_job_is_told_what_to_try() -> None:
    container = {"name": "try", "env": [{"name": "LEVEL", "value": "9"}]}
    template = {"metadata": {"labels": {"team": "a"}}, "spec": {"containers": [container]}}
    upgrade = attempt({"name": "smoke", "job": {"template": template, "timeoutSeconds": 60}})

    (intent,) = made(view(upgrade), upgrade)

    spec = intent.manifest["spec"]
    (found,) = spec["template"]["spec"]["containers"]
    assert {each["name"]: each["value"] for each in found["env"]} == {
        "AGENTHERD_NAMESPACE": "default",
        "AGENTHERD_AGENT": "greeter",
        "AGENTHERD_UPGRADE": "greeter-2",
        "AGENTHERD_CANARY_REVISION": NEW,
        "AGENTHERD_STABLE_REVISION": OLD,
        "AGENTHERD_CANARY_SERVICE": f"greeter-{NEW}",
        "LEVEL": "9",
    }
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (60, 0)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert spec["template"]["metadata"]["labels"] == {"team": "a"}


def test_the_pod_of_a_job_is_no_pod_of_the_agent() -> None:
    """With labels of the Agent it would be sent requests, and counted."""
    ours = {
        "agentherd.dev/agent": "greeter",
        "agentherd.dev/traffic": "on",
        "app.kubernetes.io/managed-by": "agentherd",
    }
    template = {"metadata": {"labels": ours}, "spec": {"containers": [{"name": "try"}]}}
    upgrade = attempt({"name": "smoke", "job": {"template": template}})

    (intent,) = made(view(upgrade), upgrade)

    assert not intent.manifest["spec"]["template"]["metadata"]["labels"]


def test_a_job_that_starts_its_containers_again_has_no_policy_that_excludes_that() -> None:
    pod = {"restartPolicy": "OnFailure", "containers": [{"name": "try"}]}
    upgrade = attempt({"name": "smoke", "job": {"template": {"spec": pod}}})

    (intent,) = made(view(upgrade), upgrade)

    assert "podFailurePolicy" not in intent.manifest["spec"]


@pytest.mark.parametrize(
    "fields",
    [
        {"jobs": {NAME: job()}},
        {"jobs": {NAME: job(verdict=Verdict.PASS)}},
        {"jobs_known": False},
    ],
    ids=["it runs", "it has ended", "whether there is one is not known yet"],
)
def test_a_job_is_made_once(fields: dict[str, Any]) -> None:
    upgrade = attempt(SMOKE)

    assert not made(view(upgrade, **fields), upgrade)


@pytest.mark.parametrize("verdict", ["Pass", "Fail"])
def test_a_job_that_is_gone_after_its_word_is_not_made_again(verdict: str) -> None:
    known = {"metrics": [{"name": "smoke", "verdict": verdict}], "verdict": "Pass", "since": NOON}
    upgrade = attempt(SMOKE, analysis=known)

    assert not made(view(upgrade), upgrade)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (job(), None),
        (
            job(verdict=Verdict.PASS, ended_at=NOON),
            Measured(at=NOON, verdict=Verdict.PASS),
        ),
        (
            job(verdict=Verdict.FAIL, ended_at=NOON, message="DeadlineExceeded: too late"),
            Measured(
                at=NOON,
                verdict=Verdict.FAIL,
                message=f"Job {NAME} has failed: DeadlineExceeded: too late; its log says more",
            ),
        ),
        (job(verdict=Verdict.FAIL, ended_at=NOON, upgrade="uid-of-another"), None),
    ],
    ids=["runs", "passed", "failed", "of an upgrade of long ago"],
)
def test_the_end_of_a_job_is_its_word(known: JobView, said: Measured | None) -> None:
    upgrade = attempt(SMOKE)

    assert answers(view(upgrade, jobs={NAME: known}), upgrade).get("smoke") == said


def test_a_job_that_is_refused_has_said_nothing() -> None:
    """The new version is neither good nor bad because of it; the reason is told."""
    failure = Failure(
        reason=Reason.INVALID_CHILD, message="Job: bad", generation=1, retry_at=NOON, at=NOON
    )
    upgrade = attempt(SMOKE)

    said = answers(view(upgrade, failures={Ref("Job", NAME): failure}), upgrade)

    assert said == {"smoke": Measured(at=NOON, message="Job: bad")}


@pytest.mark.parametrize("template", [{}, {"spec": []}, {"spec": {"containers": "x"}}])
def test_a_template_that_is_none_makes_no_job_and_is_told(template: dict[str, Any]) -> None:
    upgrade = attempt({"name": "smoke", "job": {"template": template}})
    seen = view(upgrade)

    assert not made(seen, upgrade)
    assert "template of the Job cannot be used" in answers(seen, upgrade)["smoke"].message


def test_containers_of_a_job_may_name_their_ports_alike() -> None:
    """No Service leads to them."""
    containers = [
        {"name": str(port), "ports": [{"containerPort": port, "name": "http"}]}
        for port in (8080, 9090)
    ]
    upgrade = attempt({"name": "smoke", "job": {"template": {"spec": {"containers": containers}}}})

    assert made(view(upgrade), upgrade)


def test_jobs_that_nobody_waits_for_are_ended_and_others_are_kept_to_be_looked_at() -> None:
    upgrade = attempt(SMOKE, attempt=2)
    jobs = {
        each.name: each
        for each in (
            job("greeter-2-smoke-1"),
            job("greeter-2-old-1", verdict=Verdict.FAIL, ended_at=NOON),
            job("greeter-2-smoke-2"),
            job("gone-smoke-1", verdict=Verdict.PASS, upgrade="uid-of-gone"),
            job("theirs", owner="uid-of-another"),
        )
    }

    deleted = [i.name for i in made(view(upgrade, jobs=jobs), upgrade) if isinstance(i, Delete)]
    at_the_end = [i.name for i in made(view(upgrade, jobs=jobs), upgrade, moving=False)]

    assert deleted == ["gone-smoke-1", "greeter-2-smoke-1"]
    assert at_the_end == ["gone-smoke-1", "greeter-2-smoke-1", "greeter-2-smoke-2"]
    assert [i.name for i in useless(view(upgrade, jobs=jobs))] == at_the_end


def test_a_job_of_another_upgrade_makes_room_for_one_of_the_same_name() -> None:
    """Else nobody would ever try the new version, and nobody know why."""
    other = seen_upgrade("greeter")
    in_the_way = job(verdict=Verdict.PASS, ended_at=NOON, upgrade=other.upgrade.metadata.uid)
    upgrade = attempt(SMOKE)
    seen = view(upgrade, jobs={NAME: in_the_way})
    seen = replace(seen, upgrades={**seen.upgrades, "greeter": other})

    assert [(type(each), each.ref) for each in made(seen, upgrade)] == [(Delete, Ref("Job", NAME))]


@pytest.mark.parametrize(
    ("status", "ready", "is_asked"),
    [
        ({}, 1, True),
        ({}, 0, False),
        ({"weightSince": None}, 1, False),
        ({"weightSince": None, "steps": 2, "step": 2}, 1, True),
        ({"weightSince": None, "steps": 0}, 1, True),
    ],
    ids=["at a step", "no pod", "no weight yet", "on its way to the next step", "without steps"],
)
def test_sources_are_asked_while_the_new_version_serves(
    status: dict[str, Any], ready: int, is_asked: bool
) -> None:
    upgrade = attempt(QUALITY, SMOKE, **status)

    questions = asked(view(upgrade, ready=ready), upgrade, upgrade.status, NOON)

    assert [getattr(q.source, "url", "") for q in questions] == [f"http://judge/{NEW}"] * is_asked


def test_a_metric_is_asked_again_after_its_interval_and_at_once_in_a_new_attempt() -> None:
    measurement = {"at": NOON, "verdict": "Pass", "value": 1.0}
    known = {
        "metrics": [{"name": "quality", "verdict": "Pass", "measurements": [measurement]}],
        "verdict": "Pass",
        "since": NOON,
    }
    upgrade = attempt(QUALITY, analysis=known)
    anew = upgrade.status.model_copy(
        update={"attempt": 2, "started_at": NOON + timedelta(seconds=5), "analysis": None}
    )
    seen = view(upgrade)

    assert not asked(seen, upgrade, upgrade.status, NOON + timedelta(seconds=9))
    assert asked_at(seen, upgrade, upgrade.status, NOON) == NOON + timedelta(seconds=10)
    assert [q.attempt for q in asked(seen, upgrade, anew, NOON + timedelta(seconds=9))] == [2]


@pytest.mark.parametrize(
    ("metric", "needs"),
    [
        (SMOKE, True),
        (QUALITY, False),
        ({"name": "own", "minimum": 1, "http": {"url": "http://$(CANARY_SERVICE):80/q"}}, True),
    ],
)
def test_who_tries_the_new_version_needs_its_address(metric: dict[str, Any], needs: bool) -> None:
    assert is_addressed(attempt(metric).status) is needs


def test_names_of_jobs_are_short_and_apart() -> None:
    """They are labels of their pods."""
    long = "shop-" + "x" * 80
    names = {job_name(f"{long}{n}", metric, 100) for n in (1, 2) for metric in ("a", "b" * 63)}

    assert len(names) == 4
    assert all(len(name) <= 63 and name.endswith("-100") for name in names)
    assert job_name("shop-2", "smoke", 1) == "shop-2-smoke-1"


# A Job that never ran


STARTED = NOON + timedelta(seconds=1)
LATE: dict[str, Any] = {
    "verdict": Verdict.FAIL,
    "began_at": STARTED,
    "ended_at": NOON + timedelta(minutes=10),
    "message": "DeadlineExceeded: Job was active longer than specified deadline",
    "timed_out": True,
}


def running(*messages: str) -> AgentUpgrade:
    """An attempt whose tester has been noted so."""
    notes = [{"at": STARTED, "verdict": "Inconclusive", "message": each} for each in messages]
    metric = {"name": "smoke", "verdict": "Inconclusive", "measurements": notes}
    return attempt(SMOKE, analysis={"verdict": "Inconclusive", "metrics": [metric]})


def said(upgrade: AgentUpgrade, **fields: Any) -> Measured | None:
    return answers(view(upgrade, jobs={NAME: job(**fields)}), upgrade).get("smoke")


def test_that_a_job_runs_is_noted() -> None:
    """So that a process that is started later knows it."""
    assert said(attempt(SMOKE), began_at=STARTED, runs=True) == Measured(at=STARTED, message=RUNS)
    assert said(attempt(SMOKE), began_at=STARTED) is None


def test_a_job_that_never_ran_has_found_out_nothing() -> None:
    """It is held, and not held against the version."""
    found = said(attempt(SMOKE), **LATE)

    assert found is not None
    assert found.verdict is None
    assert "has had no running pod within 600 s" in found.message


def test_what_to_do_about_a_job_that_never_ran_fits_into_the_status() -> None:
    """Whatever the names."""
    template = SMOKE["job"] | {"timeoutSeconds": 86400}
    upgrade = attempt({"name": "m" * 63, "job": template})
    name = job_name("greeter-2", "m" * 63, 1)
    live = job(**LATE | {"name": name})

    (found,) = answers(view(upgrade, jobs={name: live}), upgrade).values()
    note = Measurement(at=NOON, verdict=Verdict.INCONCLUSIVE, message=found.message)

    assert note.message.endswith("put it right and delete the Job")


def test_a_job_that_ran_for_too_long_has_failed() -> None:
    found = said(running(RUNS), **LATE)

    assert found is not None
    assert found.verdict is Verdict.FAIL


def test_a_job_that_was_made_again_is_another_one() -> None:
    """Somebody deleted the first, which ran; the pod of the second never has."""
    again = STARTED + timedelta(minutes=1)

    found = said(running(RUNS), **LATE | {"began_at": again})

    assert found is not None
    assert found.verdict is None


def test_a_job_that_failed_by_itself_has_failed_whoever_saw_it_run() -> None:
    found = said(attempt(SMOKE), **LATE | {"timed_out": False})

    assert found is not None
    assert found.verdict is Verdict.FAIL
