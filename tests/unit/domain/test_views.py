"""A view keeps of an object what the rules ask for, and knows who has been at it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import NOON

from agentherd.api import Verdict
from agentherd.domain.drain import RELEASED_COST
from agentherd.domain.kinds import REQUESTED_BY_ANNOTATION
from agentherd.domain.reasons import Reason
from agentherd.domain.views import (
    Child,
    JobView,
    PodView,
    ReplicaSetView,
    RevisionView,
    author,
    last_writer,
)

OWNER = {"uid": "uid-of-greeter", "controller": True}


def raw(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "default",
        "name": "greeter-1",
        "uid": "u1",
        "resourceVersion": "42",
        "generation": 2,
        "creationTimestamp": "2026-11-21T12:00:00Z",
        "labels": {"agentherd.dev/agent": "greeter", "agentherd.dev/revision": "1"},
        "annotations": {"agentherd.dev/applied": "abc", "agentherd.dev/config": "c1"},
        "ownerReferences": [{"uid": "other"}, OWNER],
        "managedFields": list(entries),
    }
    return {"metadata": metadata | fields.pop("metadata", {}), **fields}


def entry(manager: str, second: int, **fields: Any) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Apply",
        "time": f"2026-11-21T12:00:{second:02}Z",
    } | fields


def test_a_child_keeps_its_identity_and_whose_it_is() -> None:
    """The owner is the controller, not just any owner."""
    child = Child.of(raw())

    assert (child.uid, child.version, child.workload) == ("u1", 42, "greeter")
    assert (child.owner, child.applied, child.deleting) == ("uid-of-greeter", "abc", False)


def test_a_bare_object_has_a_view_too() -> None:
    """Labels, annotations and owners may have been taken away by anybody."""
    bare = {"namespace": "n", "name": "x", "uid": "u", "resourceVersion": "1"}

    child = Child.of({"metadata": bare | {"deletionTimestamp": "2026-11-21T12:00:00Z"}})

    assert (child.workload, child.owner, child.applied) == ("", None, "")
    assert child.deleting


@pytest.mark.parametrize(
    ("entries", "touched"),
    [
        ([entry("agentherd", 5)], False),
        ([entry("agentherd", 5), entry("kubectl", 6)], True),
        ([entry("agentherd", 5), entry("kubectl", 4)], False),
        ([entry("agentherd", 5), entry("kubectl", 5)], True),
        ([entry("agentherd", 5), entry("agentherd-scale", 6)], False),
        ([entry("agentherd", 5), entry("kubelet", 6, subresource="status")], False),
        ([entry("agentherd", 5), entry("hpa", 6, subresource="scale")], True),
        ([], False),
    ],
    ids=["ours", "after us", "before us", "same second", "our scaling", "status", "scale", "none"],
)
def test_touched_means_another_writer_since_our_last_apply(
    entries: list[dict[str, Any]], *, touched: bool
) -> None:
    """Stamps have whole seconds: in doubt it counts, at the price of one apply for nothing."""
    assert Child.of(raw(*entries)).touched is touched


def wrote(manager: str, second: int, *fields: str, **more: Any) -> dict[str, Any]:
    """An entry of somebody who owns these fields of the spec."""
    return entry(manager, second, fieldsV1={"f:spec": {f"f:{each}": {} for each in fields}}, **more)


def scaled(manager: str, second: int) -> dict[str, Any]:
    return wrote(manager, second, "replicas", operation="Update", subresource="scale")


def noted(manager: str, second: int, annotation: str) -> dict[str, Any]:
    fields = {"f:metadata": {"f:annotations": {f"f:{annotation}": {}}}}
    return entry(manager, second, operation="Update", fieldsV1=fields)


OF_STATUS = entry(
    "agentherd-status", 9, subresource="status", fieldsV1={"f:status": {}, "f:spec": {}}
)


@pytest.mark.parametrize(
    ("entries", "writer", "by"),
    [
        ([], "", ""),
        ([wrote("kubectl", 1, "template"), wrote("argocd", 2, "version")], "argocd", "argocd"),
        ([wrote("kubectl", 1, "template"), OF_STATUS], "kubectl", "kubectl"),
        ([wrote("a", 1, "operatingMode"), wrote("zzz", 1, "template")], "a", "a"),
        ([wrote("kubectl", 1, "version"), scaled("autoscaler", 2)], "autoscaler", "kubectl"),
        ([wrote("kubectl", 1, "replicas"), scaled("zzz", 1)], "kubectl", "kubectl"),
        ([wrote("kubectl", 1, "version"), noted("argocd", 2, "x/y")], "kubectl", "kubectl"),
        (
            [wrote("agentherd", 1, "to"), noted("mallory", 2, REQUESTED_BY_ANNOTATION)],
            "mallory",
            "mallory",
        ),
        ([entry("kubectl", 1)], "", ""),
    ],
    ids=[
        "unknown",
        "the latest",
        "status left aside",
        "the mode decides within a second",
        "an autoscaler is no author",
        "who scales comes second within a second",
        "a mark is no change",
        "a note in the name of another is one",
        "no fields",
    ],
)
def test_the_last_writer_is_read_from_managed_fields(
    entries: list[dict[str, Any]], writer: str, by: str
) -> None:
    """The one is named for what became of the Agent, the other for what was asked of it."""
    found = raw(*entries)

    assert (last_writer(found), author(found)) == (writer, by)


def test_a_replica_set_tells_its_counts() -> None:
    """What is missing is 0, except for what is wanted, which is 1 by default."""
    status = {"replicas": 3, "readyReplicas": 2, "availableReplicas": 1, "observedGeneration": 2}

    full = ReplicaSetView.of(raw(spec={"replicas": 4}, status=status))
    fresh = ReplicaSetView.of(raw(spec={}))

    assert (full.wanted, full.replicas, full.ready, full.available) == (4, 3, 2, 1)
    assert (fresh.wanted, fresh.replicas, fresh.revision) == (1, 0, "1")


@pytest.mark.parametrize(("observed", "current"), [(1, False), (2, True), (3, True)])
def test_counts_are_current_when_they_are_of_the_spec_as_it_stands(
    observed: int, *, current: bool
) -> None:
    """The ReplicaSet controller says which generation it has seen."""
    seen = ReplicaSetView.of(raw(spec={}, status={"observedGeneration": observed}))

    assert seen.current is current


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("pods is forbidden: exceeded quota: small", Reason.QUOTA_EXCEEDED),
        ('admission webhook "x" denied the request', Reason.PODS_REFUSED),
    ],
)
def test_pods_that_are_refused_are_a_fault_of_the_replica_set(message: str, reason: Reason) -> None:
    """There is no pod that could tell it."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": message}

    fault = ReplicaSetView.of(raw(spec={}, status={"conditions": [failure]})).fault

    assert fault is not None
    assert (fault.reason, fault.message) == (reason, message)


def test_a_refusal_that_is_over_is_no_fault() -> None:
    """The condition stays with status False, or is gone."""
    over = {"type": "ReplicaFailure", "status": "False"}

    assert ReplicaSetView.of(raw(spec={}, status={"conditions": [over]})).fault is None


def test_a_pod_tells_readiness_age_config_and_fault() -> None:
    """All that is asked of a pod."""
    status = {"phase": "Failed", "conditions": [{"type": "Ready", "status": "True"}]}

    pod = PodView.of(raw(status=status))

    assert pod.ready
    assert (pod.created, pod.config) == ("2026-11-21T12:00:00Z", "c1")
    assert pod.fault is not None


def test_a_pod_that_runs_again_tells_of_its_crash() -> None:
    """It does well, and it is news."""
    ended = {"exitCode": 1, "finishedAt": "2026-11-21T12:00:00Z"}
    container = {"name": "agent", "ready": True, "restartCount": 1, "state": {"running": {}}}
    crashed = {"containerStatuses": [container | {"lastState": {"terminated": ended}}]}

    well, pod = PodView.of(raw(status={})), PodView.of(raw(status=crashed))

    assert pod.fault is None
    assert pod.crash is not None
    assert pod.crash.at == NOON
    assert well.reported != pod.reported


def test_a_revision_tells_its_number_and_content() -> None:
    """The content is what a rollback needs; it is kept as it was written."""
    data = {"template": {"spec": {"containers": [{"name": "a", "image": "ä"}]}}, "version": "1.0.0"}

    seen = RevisionView.of(raw(revision=3, data=data))

    assert (seen.revision, seen.number, seen.data) == ("1", 3, data)


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ({"agentherd.dev/traffic": "on"}, {}, (True, None, False)),
        (
            {"agentherd.dev/traffic": "off"},
            {"agentherd.dev/draining-since": "2026-11-21T12:00:00Z"},
            (False, NOON, False),
        ),
        ({}, {"agentherd.dev/draining-since": "since lunch"}, (False, None, False)),
        ({}, {"controller.kubernetes.io/pod-deletion-cost": RELEASED_COST}, (False, None, True)),
    ],
    ids=["serves", "drains", "somebody's words", "released"],
)
def test_a_pod_tells_whether_it_is_in_traffic(
    labels: dict[str, str], annotations: dict[str, str], expected: tuple[Any, ...]
) -> None:
    """And since when it drains, so that no process has to remember."""
    pod = PodView.of(raw(metadata={"labels": labels, "annotations": annotations}))

    assert (pod.in_traffic, pod.draining_since, pod.released) == expected


def test_a_finished_pod_that_is_being_deleted_still_counts() -> None:
    """An Agent is Offline when its last pod is gone, not when that has ended."""
    evicted = {"status": {"phase": "Failed"}}

    kept = PodView.of(raw(**evicted))
    going = PodView.of(raw(**evicted, metadata={"deletionTimestamp": "2026-11-21T10:00:00Z"}))

    assert (kept.finished, going.finished) == (True, False)


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        (None, None),
        ({"type": "Suspended", "status": "True"}, None),
        ({"type": "Failed", "status": "False"}, None),
        ({"type": "Complete", "status": "True"}, Verdict.PASS),
        ({"type": "SuccessCriteriaMet", "status": "True"}, Verdict.PASS),
        ({"type": "Failed", "status": "True"}, Verdict.FAIL),
        ({"type": "FailureTarget", "status": "True"}, Verdict.FAIL),
    ],
)
def test_a_job_has_ended_as_soon_as_its_end_is_certain(
    condition: dict[str, Any] | None, verdict: Verdict | None
) -> None:
    """Its last pods may still be ending."""
    status = {"active": 1, "conditions": [condition]} if condition else {}

    assert JobView.of(raw(status=status)).verdict is verdict


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, (False, False)),
        ({"active": 1, "ready": 0}, (False, False)),
        ({"active": 1, "ready": 1}, (True, False)),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, (False, False)),
        (
            {
                "failed": 1,
                "conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}],
            },
            (False, True),
        ),
    ],
    ids=["just made", "its pod waits", "its pod runs", "failed", "out of time"],
)
def test_a_job_tells_how_far_it_got(status: dict[str, Any], expected: tuple[bool, bool]) -> None:
    job = JobView.of(raw(status=status))

    assert (job.runs, job.timed_out) == expected


def test_a_job_tells_when_and_why_it_failed() -> None:
    condition = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "was active longer than it may",
        "lastTransitionTime": NOON.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    annotations = {"agentherd.dev/upgrade": "uid-of-upgrade"}

    job = JobView.of(raw(status={"conditions": [condition]}, metadata={"annotations": annotations}))

    assert (job.upgrade, job.ended_at) == ("uid-of-upgrade", NOON)
    assert job.message == "DeadlineExceeded: was active longer than it may"
