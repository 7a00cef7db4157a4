"""From what is seen of an Agent to what the upgrade that governs it does next."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON, agent, pod_view, set_view
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.api import AgentUpgradeStatus, StrategyType, UpgradePhase
from agentherd.domain.decide import decide
from agentherd.domain.faults import Fault
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Apply, Failure, Merge, Ref, Stage
from agentherd.domain.pods import replaced
from agentherd.domain.readings import Checks, Reading
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import choose
from agentherd.domain.upgrades.run import (
    Run,
    fault_of,
    is_asked_anew,
    is_made_of,
    mirrored,
    run,
    stable_by_itself,
    weight_seen,
)
from agentherd.domain.upgrades.way_back import PATIENCE
from agentherd.domain.views import PodView

HEALTH = {"http": {"port": 8080}, "failureThreshold": 2}
BEFORE = agent(image="agent:1", replicas=2, version="1.0.0", health=HEALTH)
ASKED = {"image": "agent:2", "replicas": 2, "version": "2.0.0", "health": HEALTH}
OLD = revision_of(BEFORE.spec)
NEW = revision_of(agent(**ASKED).spec)
CRASH = Fault(Reason.CRASHING, "it crashed")
NO_NODE = Fault(Reason.UNSCHEDULABLE, "fits no node")
NO_ROUTE = Fault(Reason.ROUTE_NOT_FOUND, "HTTPRoute greeter does not exist")
ROLLBACK = {"trigger": "Requested", "reason": "no", "requestedBy": "kubectl", "at": NOON}
RECORDS = {f"greeter-{OLD.hash}": kept(BEFORE, 1), f"greeter-{NEW.hash}": kept(agent(**ASKED), 2)}


def begun(phase: str = "Progressing", **fields: Any) -> SeenUpgrade:
    """The upgrade from the old version to the new one, under way."""
    status = {
        "phase": phase,
        "fromRevision": OLD.hash,
        "toRevision": NEW.hash,
        "steps": 3,
        "step": 1,
        "startedAt": NOON,
        "progressSince": NOON,
    }
    known = {"owned": True, "to": {"revision": NEW.hash}, "status": status}
    return seen_upgrade(
        "greeter-2", **known | fields | {"status": status | fields.get("status", {})}
    )


def fresh(**fields: Any) -> SeenUpgrade:
    """The same before it has begun."""
    return seen_upgrade("greeter-2", **{"owned": True, "to": {"revision": NEW.hash}} | fields)


def sets(old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ReplicaSets of both versions, two pods each unless something else is said."""
    views = [set_view(OLD.hash, **(old or {})), set_view(NEW.hash, **(new or {}))]
    return {view.name: view for view in views}


def seen_with(
    *upgrades: SeenUpgrade, stable: str | None = OLD.hash, **fields: Any
) -> AgentObservation:
    spec = {name: fields.pop(name) for name in tuple(fields) if name not in SEEN}
    known = {"replica_sets": sets(), "revisions": RECORDS}
    one = agent(**ASKED | {"metadata": {"generation": 2}} | spec)
    return upgraded(
        one, *upgrades, stable=stable, target=NEW.hash, governing="greeter-2", **known | fields
    )


SEEN = set(AgentObservation.__dataclass_fields__)


def went(
    seen: AgentObservation,
    *,
    old: Any = OLD,
    obstacle: Fault | None = None,
    shifted: bool = False,
    refusal: Failure | None = None,
    now: datetime = NOON,
) -> Run | None:
    return run(
        seen,
        choose(seen),
        old=old,
        obstacle=obstacle,
        shifted=shifted,
        refusal=refusal,
        settle=timedelta(seconds=2),
        now=now,
    )


def found(seen: AgentObservation, **fields: Any) -> Run:
    result = went(seen, **fields)
    assert result is not None
    return result


# Whether it begins


@pytest.mark.parametrize(
    "seen",
    [
        seen_with(),
        seen_with(fresh(), stable=None),
        seen_with(begun("Superseded")),
        seen_with(fresh(paused=True)),
        seen_with(fresh(to={"revision": "0" * 10})),
        seen_with(fresh(), operatingMode="Offline"),
    ],
    ids=["not made", "never available", "superseded", "paused", "cannot be made", "no pods"],
)
def test_what_may_not_begin_does_not(seen: AgentObservation) -> None:
    """Nothing of the Agent moves for it."""
    assert went(seen) is None


def test_an_upgrade_that_is_still_to_be_made_does_not_begin() -> None:
    """It begins when it is there."""
    seen = seen_with()
    one = seen.agent.model_copy(
        update={"status": seen.agent.status.model_copy(update={"target_revision": OLD.hash})}
    )

    assert choose(replace(seen, agent=one)).make
    assert went(replace(seen, agent=one)) is None


def test_an_upgrade_begins_with_all_that_it_needs_to_know_later() -> None:
    """From where to where, by which strategy, since when."""
    status = found(seen_with(fresh())).status

    assert (status.phase, status.step, status.steps) == (UpgradePhase.PROGRESSING, 1, 3)
    assert (status.from_revision, status.to_revision) == (OLD.hash, NEW.hash)
    assert (status.from_version, status.to_version) == ("1.0.0", "2.0.0")


def test_another_attempt_begins_like_the_first() -> None:
    """What came of the former one is forgotten."""
    again = begun("RolledBack", attempt=2, status={"rollback": ROLLBACK, "attempt": 1, "step": 2})

    status = found(seen_with(again)).status

    assert (status.phase, status.step, status.attempt) == (UpgradePhase.PROGRESSING, 1, 2)
    assert status.rollback is None


def test_another_attempt_of_a_superseded_upgrade_does_not_begin() -> None:
    """The change that took its place stays there."""
    assert went(seen_with(begun("Superseded", attempt=2))) is None


@pytest.mark.parametrize("phase", ["Progressing", "Promoting", "Succeeded"])
def test_an_attempt_that_is_asked_for_too_early_changes_nothing(phase: str) -> None:
    """The one that runs goes on, and what has succeeded stays so."""
    stable = NEW.hash if phase == "Succeeded" else OLD.hash

    once = found(seen_with(begun(phase, status={"attempt": 1}), stable=stable))
    raised = found(seen_with(begun(phase, attempt=2, status={"attempt": 1}), stable=stable))

    assert (raised.move, raised.status, raised.serving) == (once.move, once.status, once.serving)


# Its course

BLUE = {"type": "BlueGreen"}
ONE_BY_ONE = {"type": "RollingUpdate"}


def test_the_own_strategy_of_an_upgrade_comes_before_that_of_the_agent() -> None:
    """And that before what holds everywhere."""
    own = found(seen_with(fresh(strategy=BLUE), upgradePolicy=ONE_BY_ONE))
    policy = found(seen_with(fresh(), upgradePolicy=ONE_BY_ONE))
    neither = found(seen_with(fresh()))

    assert own.course.type is StrategyType.BLUE_GREEN
    assert policy.course.type is StrategyType.ROLLING_UPDATE
    assert neither.course.type is StrategyType.CANARY


def test_a_strategy_holds_from_the_beginning_to_the_end() -> None:
    """What somebody changes in the Agent meanwhile is for the next upgrade."""
    first = found(seen_with(fresh(), upgradePolicy=BLUE))

    later = found(seen_with(fresh(status=first.status), upgradePolicy=ONE_BY_ONE))

    assert later.course == first.course


def former(seen: AgentObservation, *revisions: str) -> AgentObservation:
    status = seen.agent.status.model_copy(update={"former_revisions": revisions})
    return replace(seen, agent=seen.agent.model_copy(update={"status": status}))


@pytest.mark.parametrize(
    ("revisions", "steps"),
    [
        ((NEW.hash,), 0),
        (("a", "b", NEW.hash), 0),
        (("a", "b", "c", NEW.hash), 3),
        (("a",), 3),
    ],
    ids=["the one before", "the last in the window", "too long ago", "never"],
)
def test_what_has_proved_itself_lately_is_gone_back_to_without_steps(
    revisions: tuple[str, ...], steps: int
) -> None:
    """As a person does who needs the old version now."""
    assert found(former(seen_with(fresh()), *revisions)).status.steps == steps


def test_in_maintenance_there_are_no_steps() -> None:
    """Nobody is served who could suffer."""
    assert found(seen_with(fresh(), operatingMode="Maintenance")).status.steps == 0


@pytest.mark.parametrize("steps", [0, 3])
def test_a_course_that_was_begun_is_ended(steps: int) -> None:
    """Whatever the mode or the window are meanwhile."""
    one = begun(status={"steps": steps, "step": min(steps, 1)})

    for mode in ("Running", "Maintenance"):
        assert len(found(seen_with(one, operatingMode=mode)).course.steps) == steps


# What goes wrong


def pods(*views: Any) -> dict[str, Any]:
    return {view.name: view for view in views}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH))}, CRASH),
        ({"pods": pods(pod_view("p", revision=OLD.hash, fault=CRASH))}, None),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH, deleting=True))}, None),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH, finished=True))}, None),
        ({"replica_sets": sets(new={"fault": NO_NODE})}, NO_NODE),
        ({"replica_sets": sets(old={"fault": NO_NODE})}, None),
        (
            {
                "replica_sets": sets(new={"fault": NO_NODE}),
                "pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH)),
            },
            NO_NODE,
        ),
    ],
    ids=["its pod", "a pod of the old", "going", "ended", "its set", "the old set", "both"],
)
def test_the_fault_of_a_revision(fields: dict[str, Any], fault: Fault | None) -> None:
    """What its ReplicaSet says comes first, since without pods no pod says anything."""
    assert fault_of(seen_with(**fields), NEW.hash) == fault


def crashed(seconds: float, **fields: Any) -> dict[str, Any]:
    """A pod of the new version that runs again since it crashed so long after the beginning."""
    crash = replace(CRASH, at=NOON + timedelta(seconds=seconds))
    return pods(pod_view("p", **{"revision": NEW.hash, "crash": crash} | fields))


@pytest.mark.parametrize(
    ("fields", "fails"),
    [
        ({"pods": crashed(0)}, True),
        ({"pods": crashed(60)}, True),
        ({"pods": crashed(-1)}, False),
        ({"pods": crashed(60, revision=OLD.hash)}, False),
        ({"pods": crashed(60, deleting=True)}, False),
        ({"pods": crashed(60, finished=True)}, False),
    ],
    ids=["at once", "later", "before it began", "of the old version", "going", "ended"],
)
def test_a_crash_that_nobody_saw_fails_the_upgrade(fields: dict[str, Any], *, fails: bool) -> None:
    """A process that was away decides the same from what the kubelet has kept."""
    status = found(seen_with(begun(), **fields)).status

    assert (status.phase is UpgradePhase.ROLLING_BACK) is fails
    assert status.rollback is None or status.rollback.trigger == Reason.CRASH


def test_a_version_that_crashed_once_does_not_take_over() -> None:
    """Though all its pods are available."""
    result = found(seen_with(begun("Promoting", status={"step": 3}), pods=crashed(60)))

    assert (result.serving, result.status.phase) == (OLD.hash, UpgradePhase.ROLLING_BACK)


@pytest.mark.parametrize("phase", ["Succeeded", "RolledBack"])
def test_a_crash_after_the_end_ends_nothing(phase: str) -> None:
    """It is the Agent's to tell, if it lasts."""
    assert found(seen_with(begun(phase), pods=crashed(60))).status.phase == phase


# What went wrong before


def refused(kind: str, reason: Reason, revision: str = NEW.hash) -> dict[Ref, Failure]:
    failure = Failure(reason=reason, message="no", generation=2, retry_at=NOON)
    return {Ref(kind, f"greeter-{revision}"): failure}


AGAIN = {"attempt": 2, "status": {"attempt": 2, "startedAt": NOON}}
TRIGGERING = [
    Reason.CRASHING,
    Reason.OUT_OF_MEMORY,
    Reason.IMAGE_UNAVAILABLE,
    Reason.PROBES_FAIL,
]


def told(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def failed(
    created: float, at: float | None, reason: Reason = Reason.CRASHING, **fields: Any
) -> PodView:
    """A pod of the new version, made and failed so many seconds after the attempt began."""
    since = NOON + timedelta(seconds=at) if at is not None else None
    made = told(NOON + timedelta(seconds=created))
    known = {"revision": NEW.hash, "created": made, "fault": Fault(reason, "it failed", since)}
    return pod_view("p", **known | fields)


before = st.floats(-86400, 0)


@given(
    created=st.floats(-86400, -1),
    at=st.none() | before,
    reason=st.sampled_from(TRIGGERING),
    crash=st.none() | before,
    refused_at=st.floats(-300, -0.001),
)
def test_nothing_older_than_the_attempt_counts(
    created: float, at: float | None, reason: Reason, crash: float | None, refused_at: float
) -> None:
    """Neither pods that failed nor what the server refused; such pods are made anew."""
    over = Fault(Reason.CRASHING, "it failed", NOON + timedelta(seconds=crash)) if crash else None
    pod = failed(created, at, reason, crash=over)
    failures = {
        ref: replace(failure, at=NOON + timedelta(seconds=refused_at))
        for ref, failure in refused("ReplicaSet", Reason.INVALID_TEMPLATE).items()
    }

    result = found(seen_with(begun(**AGAIN), pods=pods(pod), failures=failures))

    assert result.status.phase is UpgradePhase.PROGRESSING
    assert [i.name for i in replaced(seen_with(pods=pods(pod)), result)] == ["p"]


@pytest.mark.parametrize(
    "pod",
    [
        failed(1, 2),
        failed(0, 0),
        failed(1, None),
        failed(-60, 1),
        failed(-60, -30, crash=replace(CRASH, at=NOON + timedelta(seconds=1)), fault=None),
    ],
    ids=["new", "at once", "no time is told", "kept and fails now", "kept and crashes now"],
)
def test_what_fails_in_the_attempt_counts(pod: PodView) -> None:
    """Also at a pod that was kept because it was well."""
    seen = seen_with(begun(**AGAIN), pods=pods(pod))

    assert found(seen).status.phase is UpgradePhase.ROLLING_BACK


def test_pods_that_are_well_are_kept_for_the_next_attempt() -> None:
    """They are warm, and their turn may come at once."""
    well = pod_view("well", revision=NEW.hash)
    waits = failed(-60, -30, reason=Reason.UNSCHEDULABLE)
    seen = seen_with(begun(**AGAIN), pods=pods(well, waits))

    assert list(replaced(seen, found(seen))) == []


def test_what_was_refused_in_the_last_attempt_is_written_once_more_in_the_next() -> None:
    """Long before a refusal would be tried again otherwise."""
    (ref,) = refused("ReplicaSet", Reason.INVALID_TEMPLATE)
    earlier, later = NOON - timedelta(minutes=1), NOON + timedelta(minutes=4)
    failure = Failure(
        reason=Reason.INVALID_TEMPLATE, message="no", generation=2, retry_at=later, at=earlier
    )
    over = {"rollback": ROLLBACK, "attempt": 1, "finishedAt": told(earlier)}
    only_old = {view.name: view for view in [set_view(OLD.hash)]}
    fields = {"failures": {ref: failure}, "replica_sets": only_old}

    kept = decide(seen_with(begun("RolledBack", status=over), **fields), NOON)
    anew = decide(seen_with(begun("RolledBack", attempt=2, status=over), **fields), NOON)

    assert ref not in {i.ref for i in kept.intents if isinstance(i, Apply)}
    assert ref in {i.ref for i in anew.intents if isinstance(i, Apply)}


@pytest.mark.parametrize(
    ("made", "fails"), [(-59, False), (-60, True), (0, False)], ids=["later", "before", "at once"]
)
def test_the_pods_of_a_first_attempt_are_those_made_since_there_is_the_upgrade(
    made: int, *, fails: bool
) -> None:
    """Pods of the version may be left of another upgrade, and the operator's clock may be wrong."""
    one = begun(metadata={"creationTimestamp": told(NOON + timedelta(seconds=made))})
    seen = seen_with(one, pods=pods(failed(-60, -59)))

    result = found(seen)

    assert (result.status.phase is UpgradePhase.ROLLING_BACK) is fails
    assert bool(list(replaced(seen, result))) is not fails


states = st.sampled_from(
    [
        {"running": {}},
        {"waiting": {"reason": "CrashLoopBackOff"}},
        {"waiting": {"reason": "ContainerCreating"}},
        {"terminated": {"exitCode": 1}},
        {"terminated": {"exitCode": 0}},
    ]
)


@given(
    state=states, code=st.integers(1, 255), restarts=st.integers(1, 99), seconds=st.integers(0, 600)
)
def test_who_looks_only_afterwards_decides_the_same(
    state: dict[str, Any], code: int, restarts: int, seconds: int
) -> None:
    """Whatever the container that crashed does by now."""
    last = {"exitCode": code, "finishedAt": told(NOON + timedelta(seconds=seconds))}
    container = {"name": "agent", "restartCount": restarts, "state": state}
    pod = PodView.of(
        {
            "metadata": {
                "name": "p",
                "namespace": "default",
                "uid": "p",
                "resourceVersion": "1",
                "creationTimestamp": told(NOON),
                "labels": {"agentherd.dev/revision": NEW.hash},
            },
            "status": {"containerStatuses": [container | {"lastState": {"terminated": last}}]},
        }
    )

    status = found(seen_with(begun(), pods=pods(pod))).status

    assert status.rollback is not None
    assert status.rollback.trigger == Reason.CRASH


def test_an_attempt_that_begins_makes_failed_pods_anew_before_it_says_so() -> None:
    """A process that is killed in between does it again."""
    again = begun("RolledBack", attempt=2, status={"rollback": ROLLBACK, "attempt": 1})
    seen = seen_with(again, pods=pods(failed(-60, -30)))

    deletes = list(replaced(seen, found(seen)))

    assert [(i.name, i.uid, i.stage < Stage.STATUS) for i in deletes] == [("p", "uid-of-p", True)]


@pytest.mark.parametrize("phase", ["RollingBack", "RolledBack", "Succeeded"])
def test_pods_to_look_at_are_left_alone(phase: str) -> None:
    """Only an attempt that goes on makes pods anew."""
    one = begun(phase, **AGAIN | {"status": AGAIN["status"] | {"rollback": ROLLBACK}})
    seen = seen_with(one, pods=pods(failed(-60, -30)))

    assert list(replaced(seen, found(seen))) == []
    assert list(replaced(seen, None)) == []


@pytest.mark.parametrize(
    ("seconds", "kind", "revision", "anew"),
    [
        (-1, "ReplicaSet", NEW.hash, True),
        (0, "ReplicaSet", NEW.hash, False),
        (1, "ReplicaSet", NEW.hash, False),
        (-1, "Service", NEW.hash, False),
        (-1, "ReplicaSet", OLD.hash, False),
    ],
    ids=["before", "at once", "later", "something else", "the old version"],
)
def test_the_server_is_asked_again_what_it_refused_before_the_attempt(
    seconds: int, kind: str, revision: str, *, anew: bool
) -> None:
    """Somebody may have changed what it allows; what it refuses now, it refuses."""
    [(ref, failure)] = refused(kind, Reason.INVALID_TEMPLATE, revision).items()
    failure = replace(failure, at=NOON + timedelta(seconds=seconds))

    under_way = found(seen_with(begun(**AGAIN)))

    assert is_asked_anew(failure, ref, "greeter", under_way) is anew
    assert not is_asked_anew(failure, ref, "greeter", None)


CHECKED = pod_view("p", revision=NEW.hash)


@pytest.mark.parametrize(
    ("pod", "checks", "fails"),
    [
        (CHECKED, Checks(failures=2, status=503), True),
        (CHECKED, Checks(failures=1, status=503), False),
        (replace(CHECKED, ready=False), Checks(failures=2, status=503), False),
        (replace(CHECKED, deleting=True), Checks(failures=2, status=503), False),
        (replace(CHECKED, ready=False, finished=True), Checks(failures=2, status=503), False),
        (CHECKED, None, False),
        (replace(CHECKED, revision=OLD.hash), Checks(failures=2, status=503), False),
    ],
    ids=["too often", "once", "not ready yet", "going", "ended", "not asked", "the old version"],
)
def test_a_pod_that_says_it_is_not_healthy_fails_the_upgrade(
    pod: Any, checks: Checks | None, fails: bool
) -> None:
    """Before the kubelet, which asks less often, takes its readiness away."""
    known = {pod.uid: checks} if checks else {}

    status = found(seen_with(begun(), pods=pods(pod), checks=known)).status

    assert (status.phase is UpgradePhase.ROLLING_BACK) is fails
    assert status.rollback is None or status.rollback.trigger == Reason.HEALTH_PROBE


def test_without_a_health_check_pods_are_not_judged_by_one() -> None:
    """What answers there may be anything."""
    one = agent(image="agent:2", replicas=2, metadata={"generation": 2})
    goal = revision_of(one.spec)
    pod = pod_view("p", revision=goal.hash)
    upgrade = seen_upgrade(
        "greeter-2",
        to={"revision": goal.hash},
        status=begun(status={"toRevision": goal.hash}).upgrade.status,
    )
    seen = upgraded(
        one,
        upgrade,
        stable=OLD.hash,
        target=goal.hash,
        governing="greeter-2",
        pods=pods(pod),
        checks={pod.uid: Checks(failures=9, status=503)},
    )

    assert found(seen).status.phase is UpgradePhase.PROGRESSING


@pytest.mark.parametrize(
    ("failures", "phase"),
    [
        (refused("ReplicaSet", Reason.INVALID_TEMPLATE), UpgradePhase.ROLLING_BACK),
        (refused("ConfigMap", Reason.INVALID_CHILD), UpgradePhase.ROLLING_BACK),
        (refused("ControllerRevision", Reason.INVALID_CHILD), UpgradePhase.ROLLING_BACK),
        (refused("ReplicaSet", Reason.FORBIDDEN), UpgradePhase.PROGRESSING),
        (refused("ReplicaSet", Reason.INVALID_TEMPLATE, OLD.hash), UpgradePhase.PROGRESSING),
        (refused("Service", Reason.INVALID_CHILD), UpgradePhase.PROGRESSING),
    ],
    ids=["pods", "config", "record", "for now", "of the old version", "something else"],
)
def test_what_the_server_does_not_want_as_it_is_ends_the_upgrade(
    failures: dict[Ref, Failure], phase: UpgradePhase
) -> None:
    """What it does not want now may go through later."""
    assert found(seen_with(begun(), failures=failures)).status.phase is phase


def test_a_manifest_that_cannot_be_made_ends_the_upgrade() -> None:
    """Nobody has to ask the server."""
    failure = Failure(reason=Reason.TEMPLATE_CONFLICT, message="no", generation=2, retry_at=NOON)

    status = found(seen_with(begun()), refusal=failure).status

    assert status.rollback is not None
    assert status.rollback.trigger == Reason.REFUSED


def test_what_a_revision_is_made_of() -> None:
    """Three objects of its name."""
    name = f"greeter-{NEW.hash}"

    assert is_made_of(Ref("ReplicaSet", name), "greeter", NEW.hash)
    assert not is_made_of(Ref("Service", name), "greeter", NEW.hash)
    assert not is_made_of(Ref("ReplicaSet", name), "greeter", OLD.hash)


# Which revision is stable


@pytest.mark.parametrize(
    ("stable", "complete", "wanted", "upgraded", "after"),
    [
        (None, True, 2, False, "new"),
        (None, False, 2, False, None),
        (None, True, 0, False, None),
        (None, True, 2, True, "new"),
        ("old", True, 2, False, "old"),
        ("old", False, 0, False, "new"),
        ("old", False, 0, True, "old"),
    ],
    ids=[
        "first",
        "not yet",
        "no pods",
        "whatever its upgrades",
        "left to an upgrade",
        "nobody served",
        "upgrade waits",
    ],
)
def test_a_revision_becomes_stable_by_itself_when_it_has_proved_itself(
    stable: str | None, *, complete: bool, wanted: int, upgraded: bool, after: str | None
) -> None:
    """Without pods nothing proves itself, unless another revision has before."""
    found = stable_by_itself(
        stable, asked="new", complete=complete, wanted=wanted, upgraded=upgraded
    )

    assert found == after


@pytest.mark.parametrize(
    ("fields", "context", "taken"),
    [
        ({}, {}, True),
        ({"replica_sets": sets(new={"available": 1})}, {}, False),
        ({"replica_sets": sets(new={"current": False})}, {}, False),
        ({"replica_sets": {}}, {}, False),
        ({"operatingMode": "Offline"}, {}, False),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=NO_NODE))}, {}, False),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH))}, {}, False),
        ({"failures": refused("ReplicaSet", Reason.INVALID_TEMPLATE)}, {}, False),
        ({}, {"obstacle": NO_ROUTE}, False),
    ],
    ids=[
        "all there",
        "one is missing",
        "not seen yet",
        "no pods known",
        "stopped",
        "a fault that may pass",
        "a fault",
        "refused",
        "the route",
    ],
)
def test_the_new_version_takes_over_when_all_its_pods_are_there(
    fields: dict[str, Any], context: dict[str, Any], taken: bool
) -> None:
    """And nothing speaks against it."""
    result = found(seen_with(begun("Promoting", status={"step": 3}), **fields), **context)

    assert result.serving == (NEW.hash if taken else OLD.hash)
    assert not taken or result.move.wake_at == NOON


@pytest.mark.parametrize("spec", [{"paused": True}, {"rollback": {"requested": True}}])
def test_people_keep_the_new_version_from_taking_over(spec: dict[str, Any]) -> None:
    """To the last moment."""
    assert found(seen_with(begun("Promoting"))).serving == NEW.hash
    assert found(seen_with(begun("Promoting", **spec))).serving == OLD.hash


@pytest.mark.parametrize("phase", ["Progressing", "Paused", "Succeeded", "RolledBack"])
def test_no_other_phase_changes_what_is_stable(phase: str) -> None:
    """There is one place for it."""
    assert found(seen_with(begun(phase))).serving == OLD.hash


@pytest.mark.parametrize(
    ("fields", "old", "back"),
    [
        ({}, OLD, True),
        ({"replica_sets": sets(old={"available": 1})}, OLD, False),
        ({"replica_sets": sets(old={"wanted": 0})}, OLD, False),
        ({}, None, False),
    ],
    ids=["all there", "one is missing", "still to be started", "nothing is known of it"],
)
def test_the_old_version_is_stable_again_when_all_its_pods_are_there(
    fields: dict[str, Any], old: Any, back: bool
) -> None:
    """After a rollback of what had succeeded."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})

    result = found(seen_with(one, stable=NEW.hash, **fields), old=old)

    assert result.serving == (OLD.hash if back else NEW.hash)


@pytest.mark.parametrize(
    ("available", "seconds", "back"),
    [(1, 9, False), (1, 10, True), (0, 3600, False)],
    ids=["still waited for", "waited for long enough", "none at all"],
)
def test_one_old_pod_that_never_gets_ready_keeps_nobody_at_the_new_version(
    available: int, seconds: int, back: bool
) -> None:
    """After ten seconds those that are there take over; that does not make it turn in circles."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})
    there = sets(old={"available": available})
    now = NOON + timedelta(seconds=seconds)

    result = found(seen_with(one, stable=NEW.hash, replica_sets=there), now=now)

    assert result.serving == (OLD.hash if back else NEW.hash)
    if not back:
        assert result.move.wake_at == (NOON + PATIENCE if seconds < 10 else None)


@pytest.mark.parametrize(
    ("one", "stable", "to"),
    [
        (begun("Promoting"), OLD, NEW),
        (begun("RollingBack", status={"rollback": ROLLBACK}), NEW, OLD),
    ],
    ids=["taken over", "undone"],
)
def test_nobody_takes_over_with_pods_that_are_out_of_traffic(
    one: SeenUpgrade, stable: Any, to: Any
) -> None:
    """As those of who was on its way out, where the process was killed before it brought them back.

    They are brought back first, and looked at again.
    """
    ready = [pod_view(f"a-{n}", revision=to.hash, in_traffic=False) for n in (1, 2)]
    back = [replace(pod, in_traffic=True) for pod in ready]
    away = seen_with(one, stable=stable.hash, pods=pods(*ready), metrics={})

    plan = decide(away, NOON)

    assert found(away).serving == stable.hash
    assert found(replace(away, pods=pods(*back))).serving == to.hash
    assert {i.name for i in plan.intents if isinstance(i, Merge)} == {"a-1", "a-2"}
    assert plan.wake_at is not None
    assert plan.wake_at <= NOON + timedelta(seconds=1)


def test_what_was_never_promoted_needs_no_way_back() -> None:
    """The old version is the stable one."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})

    result = found(seen_with(one), shifted=True)

    assert (result.serving, result.status.phase) == (OLD.hash, UpgradePhase.ROLLED_BACK)


def test_a_succeeded_upgrade_is_rolled_back_on_request_while_the_old_version_is_kept() -> None:
    """Without its record there is nothing to go back to."""
    one = begun("Succeeded", rollback={"requested": True})

    kept_still = found(seen_with(one, stable=NEW.hash))
    gone = found(seen_with(one, stable=NEW.hash), old=None)

    assert kept_still.status.phase is UpgradePhase.ROLLING_BACK
    assert gone.status.phase is UpgradePhase.SUCCEEDED


# Whether requests may be divided


@pytest.mark.parametrize(
    ("phase", "stable", "moving"),
    [
        ("Progressing", OLD.hash, True),
        ("Promoting", NEW.hash, False),
        ("RollingBack", OLD.hash, False),
        ("Succeeded", NEW.hash, False),
    ],
)
def test_requests_are_divided_only_on_the_way(phase: str, stable: str, *, moving: bool) -> None:
    """Never on the way back, nor once it has taken over."""
    one = begun(phase, status={"rollback": ROLLBACK} if phase == "RollingBack" else {})

    assert found(seen_with(one, stable=stable)).moving is moving


def test_pods_are_replaced_one_by_one_only_without_steps() -> None:
    """And only while it is on its way."""
    strategy = found(seen_with(fresh(strategy=ONE_BY_ONE))).status
    half = seen_with(
        fresh(status=strategy, strategy=ONE_BY_ONE), replica_sets=sets(new={"wanted": 1})
    )

    assert found(half).rolls
    assert not found(seen_with(begun())).rolls


# What is measured


def read(requests: float) -> Reading:
    return Reading(at=NOON, in_flight=0, recent=requests, seconds=10, since_last=requests)


def test_the_weight_that_is_seen_is_that_of_the_pods() -> None:
    """Whatever the route says."""
    views = [pod_view("new", revision=NEW.hash), pod_view("old", revision=OLD.hash)]
    other = pod_view("other", revision="x")
    readings = {"uid-of-new": read(25), "uid-of-old": read(75), "uid-of-other": read(900)}
    seen = seen_with(pods=pods(*views, other), readings=readings)

    assert weight_seen(seen, new=NEW.hash, old=OLD.hash) == 25
    assert weight_seen(replace(seen, readings={}), new=NEW.hash, old=OLD.hash) is None


# Copies

SETTLED = {
    "type": "Canary",
    "steps": [{"weight": 0, "mirror": 20}, {"weight": 50}],
    "maxSurge": 1,
    "progressDeadlineSeconds": 600,
    "scaleDownDelaySeconds": 0,
    "abortScaleDownDelaySeconds": 0,
    "rollbackWindow": 3,
}


@pytest.mark.parametrize(
    ("phase", "step", "percent"),
    [
        ("Progressing", 1, 20),
        ("Paused", 1, 20),
        ("Progressing", 0, 0),
        ("Progressing", 2, 0),
        ("Promoting", 1, 0),
        ("RollingBack", 1, 0),
        ("RolledBack", 1, 0),
        ("Superseded", 1, 0),
        ("Succeeded", 1, 0),
    ],
)
def test_copies_are_made_at_their_step_and_nowhere_else(
    phase: str, step: int, percent: int
) -> None:
    """Neither before the first step, nor on the way to an end."""
    status = {"phase": phase, "step": step, "steps": 2, "strategy": SETTLED}

    assert mirrored(AgentUpgradeStatus.model_validate(status)) == percent
    assert mirrored(AgentUpgradeStatus.model_validate(status | {"strategy": None})) == 0


# A process that is killed for want of memory


KILLED = Fault(Reason.OUT_OF_MEMORY, "used more memory", NOON + timedelta(seconds=9))
UNREADY = Fault(Reason.PROBES_FAIL, "fails its readiness probe", NOON + timedelta(seconds=10))


def leaking(**fields: Any) -> dict[str, Any]:
    """A pod of the new version that was killed nine seconds after the beginning."""
    return pods(pod_view("p", **{"revision": NEW.hash, "crash": KILLED} | fields))


@pytest.mark.parametrize("fault", [None, UNREADY], ids=["it runs again", "it is not ready yet"])
def test_a_container_that_was_killed_is_the_cause_and_not_its_probe(fault: Fault | None) -> None:
    record = found(seen_with(begun(), pods=leaking(fault=fault))).status.rollback

    assert record is not None
    assert (record.trigger, record.reason) == ("OutOfMemory", KILLED.message)


@pytest.mark.parametrize("phase", ["RollingBack", "RolledBack"])
@pytest.mark.parametrize(
    ("seconds", "trigger", "expected"),
    [
        (10, "HealthProbe", "OutOfMemory"),
        (3, "HealthProbe", "HealthProbe"),
        (10, "ErrorRate", "ErrorRate"),
    ],
    ids=["known later", "killed long after", "given up for something else"],
)
def test_why_a_probe_failed_is_told_once_it_is_known(
    phase: str, seconds: int, trigger: str, expected: str
) -> None:
    """The way back does not wait for it, and may be over before the kubelet tells."""
    at = NOON + timedelta(seconds=seconds)
    record = {"trigger": trigger, "reason": "no", "requestedBy": "agentherd", "at": at}
    back = begun(phase, status={"rollback": record})

    result = found(seen_with(back, pods=leaking(deleting=True)))
    told = result.status.rollback

    assert told is not None
    assert (told.trigger, told.at) == (expected, at)
    if expected != trigger:
        assert result.move.message.startswith(f"{expected}: {KILLED.message}")
