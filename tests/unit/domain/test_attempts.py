"""What went wrong before an attempt began does not count in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON, pod_view, set_view
from tests.unit.domain.runs import CRASH, NEW, OLD, ROLLBACK, begun, found, pods, refused, seen_with

from agentherd.api import UpgradePhase
from agentherd.domain.decide import decide
from agentherd.domain.faults import Fault
from agentherd.domain.plan import Apply, Failure, Stage
from agentherd.domain.pods import replaced
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.run import is_asked_anew
from agentherd.domain.views import PodView

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
