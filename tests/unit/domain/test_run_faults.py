"""What ends an upgrade: a fault of the new version, a failing check, a refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, pod_view
from tests.unit.domain.runs import (
    CRASH,
    NEW,
    NO_NODE,
    OLD,
    begun,
    found,
    pods,
    refused,
    seen_with,
    sets,
)
from tests.unit.domain.samples import seen_upgrade, upgraded

from agentherd.api import UpgradePhase
from agentherd.domain.faults import Fault
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.readings import Checks
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.run import fault_of, is_made_of


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
