"""What is wrong with a pod is said in words that a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agentherd.domain.faults import check_fault, last_crash, pod_fault
from agentherd.domain.reasons import Reason


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "greeter-1-x"}, "status": {"phase": "Running"} | status}


def container(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "agent", "ready": False, "restartCount": 0, "state": state} | fields


def waiting(reason: str, message: str = "", **fields: Any) -> dict[str, Any]:
    return container({"waiting": {"reason": reason, "message": message}}, **fields)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("ErrImagePull", Reason.IMAGE_UNAVAILABLE),
        ("ErrImageNeverPull", Reason.IMAGE_UNAVAILABLE),
        ("ImagePullBackOff", Reason.IMAGE_UNAVAILABLE),
        ("ImageInspectError", Reason.IMAGE_UNAVAILABLE),
        ("InvalidImageName", Reason.IMAGE_UNAVAILABLE),
        ("CreateContainerConfigError", Reason.CONTAINER_NOT_CREATED),
        ("CreateContainerError", Reason.CONTAINER_NOT_CREATED),
        ("RunContainerError", Reason.CONTAINER_NOT_CREATED),
    ],
)
def test_a_container_that_cannot_start_says_why(word: str, reason: Reason) -> None:
    """Our reason counts fleets, the kubelet's own words stay in the message."""
    fault = pod_fault(pod(containerStatuses=[waiting(word, "the kubelet's words")]))

    assert fault is not None
    assert fault.reason is reason
    assert fault.message == f"pod greeter-1-x, container agent: {word}: the kubelet's words"


def test_a_reason_without_a_message_has_no_loose_end() -> None:
    """The kubelet does not always explain itself."""
    fault = pod_fault(pod(containerStatuses=[waiting("ImagePullBackOff")]))

    assert fault is not None
    assert fault.message == "pod greeter-1-x, container agent: ImagePullBackOff"


def test_a_crash_loop_tells_the_exit_code_and_the_last_words() -> None:
    """What the container itself said is worth more than `back-off 5m0s`."""
    last = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no model\n"}}
    status = waiting("CrashLoopBackOff", "back-off", lastState=last, restartCount=4)

    fault = pod_fault(pod(containerStatuses=[status]))

    assert fault is not None
    assert fault.reason is Reason.CRASHING
    assert (
        fault.message == "pod greeter-1-x, container agent exited with code 3, 4 restarts: no model"
    )


@pytest.mark.parametrize("state", ["between restarts", "at the end"])
def test_a_container_that_used_too_much_memory_says_so(state: str) -> None:
    """OOMKilled is not merely a crash: the limit has to change."""
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    status = (
        waiting("CrashLoopBackOff", lastState=killed) if "between" in state else container(killed)
    )

    fault = pod_fault(pod(containerStatuses=[status]))

    assert fault is not None
    assert fault.reason is Reason.OUT_OF_MEMORY
    assert "more memory than its limit" in fault.message


def test_a_failed_init_container_counts() -> None:
    """Init containers run first and are told first."""
    failed = container({"terminated": {"exitCode": 1, "reason": "Error"}}, name="prepare")
    starting = waiting("PodInitializing")

    fault = pod_fault(pod(initContainerStatuses=[failed], containerStatuses=[starting]))

    assert fault is not None
    assert "container prepare exited with code 1" in fault.message


@pytest.mark.parametrize("word", ["ContainerCreating", "PodInitializing", ""])
def test_a_pod_that_is_starting_has_no_fault(word: str) -> None:
    """Waiting is the normal way to begin."""
    assert pod_fault(pod(containerStatuses=[waiting(word)])) is None


def test_an_init_container_that_is_done_has_no_fault() -> None:
    """Exit code 0 is what it is for."""
    done = container({"terminated": {"exitCode": 0, "reason": "Completed"}})

    assert pod_fault(pod(initContainerStatuses=[done])) is None


def test_a_pod_that_fits_no_node_says_what_the_scheduler_said() -> None:
    """The scheduler's sentence names what is short."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }

    fault = pod_fault(pod(phase="Pending", conditions=[condition]))

    assert fault is not None
    assert fault.reason is Reason.UNSCHEDULABLE
    assert "Insufficient cpu" in fault.message


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"message": "The node was low on memory.", "reason": "Evicted"}, "low on memory"),
        ({"reason": "DeadlineExceeded"}, "DeadlineExceeded"),
        ({}, "it has failed"),
    ],
)
def test_a_pod_that_failed_tells_the_best_it_knows(status: dict[str, str], said: str) -> None:
    """Message before reason before nothing."""
    fault = pod_fault(pod(phase="Failed", **status))

    assert fault is not None
    assert fault.reason is Reason.CRASHING
    assert said in fault.message


def probed(*, ready_changed: str, status: str = "False", started: bool = True) -> dict[str, Any]:
    running = container({"running": {"startedAt": "2026-11-21T12:00:00Z"}}, started=started)
    condition = {"type": "Ready", "status": status, "lastTransitionTime": ready_changed}
    return pod(conditions=[condition], containerStatuses=[running])


def test_a_pod_that_was_ready_and_fails_its_probe_has_a_fault() -> None:
    """Ready changed after the container started: it has been ready in between."""
    fault = pod_fault(probed(ready_changed="2026-11-21T12:05:00Z"))

    assert fault is not None
    assert fault.reason is Reason.PROBES_FAIL


def test_a_container_beside_the_others_that_fails_its_probe_is_a_fault_too() -> None:
    """The pod is no more ready than it is."""
    beside = {"initContainers": [{"name": "agent", "restartPolicy": "Always"}]}
    seen = probed(ready_changed="2026-11-21T12:05:00Z") | {"spec": beside}
    seen["status"]["initContainerStatuses"] = seen["status"].pop("containerStatuses")

    fault = pod_fault(seen)

    assert fault is not None
    assert fault.reason is Reason.PROBES_FAIL


@pytest.mark.parametrize(
    "raw",
    [
        probed(ready_changed="2026-11-21T11:59:59Z"),
        probed(ready_changed="2026-11-21T12:05:00Z", started=False),
        probed(ready_changed="2026-11-21T12:05:00Z", status="True"),
        pod(conditions=[]),
        pod(),
        {"metadata": {"name": "just-made"}},
    ],
    ids=["never ready", "startup probe runs", "ready", "no condition", "no status", "bare"],
)
def test_a_pod_that_does_well_or_has_not_begun_has_no_fault(raw: dict[str, Any]) -> None:
    """How long a start may take is judged by the progress deadline alone."""
    assert pod_fault(raw) is None


@pytest.mark.parametrize(("failures", "said"), [(1, "503"), (3, "503, 3 times in a row")])
def test_a_pod_that_answers_its_probe_badly_says_how(failures: int, said: str) -> None:
    """For the kubelet it may be ready still, and the fault is the same."""
    fault = check_fault("greeter-1-x", failures=failures, status=503)

    assert fault.reason is Reason.PROBES_FAIL
    assert fault.message == (
        f"pod greeter-1-x was ready and now answers its readiness probe with status {said}"
    )


def test_conditions_that_are_told_late_are_no_failing_probe() -> None:
    """A busy kubelet tells of a pod for the first time when its container runs already."""
    late = "2026-11-21T12:00:05Z"
    conditions = [
        {"type": "Initialized", "status": "True", "lastTransitionTime": late},
        {"type": "Ready", "status": "False", "lastTransitionTime": late},
    ]
    container = {
        "name": "agent",
        "ready": False,
        "started": True,
        "state": {"running": {"startedAt": "2026-11-21T12:00:04Z"}},
    }
    status = {"conditions": conditions, "containerStatuses": [container]}

    assert pod_fault({"metadata": {"name": "p"}, "status": status}) is None


# What is over


def crashed(at: str = "2026-01-01T12:00:00Z", **ended: Any) -> dict[str, Any]:
    """A container that runs again since it ended so."""
    last = {"exitCode": 1, "reason": "Error", "finishedAt": at} | ended
    return container({"running": {}}, ready=True, restartCount=1, lastState={"terminated": last})


def test_a_crash_that_is_over_is_no_fault_and_is_not_forgotten() -> None:
    """The kubelet has started the container again; how it ended stays in the pod."""
    seen = pod(containerStatuses=[crashed(exitCode=3, message="no model")])

    crash = last_crash(seen)

    assert pod_fault(seen) is None
    assert crash is not None
    assert crash.reason is Reason.CRASHING
    assert crash.at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert crash.message == (
        "pod greeter-1-x, container agent exited with code 3, 1 restarts: no model"
    )


def test_a_container_that_was_killed_for_its_memory_still_says_so() -> None:
    """Its limit has to change, also when it runs again."""
    crash = last_crash(pod(containerStatuses=[crashed(exitCode=137, reason="OOMKilled")]))

    assert crash is not None
    assert crash.reason is Reason.OUT_OF_MEMORY


@pytest.mark.parametrize(
    "status",
    [
        container({"running": {}}),
        container({"running": {}}, restartCount=1),
        crashed(exitCode=0, reason="Completed"),
        crashed() | {"restartCount": 0},
        crashed(exitCode=255, reason="Unknown"),
        crashed(exitCode=137, reason="ContainerStatusUnknown"),
    ],
    ids=["never", "nothing told", "by itself", "not restarted", "node restarted", "lost"],
)
def test_what_is_no_crash_is_none_afterwards(status: dict[str, Any]) -> None:
    """Neither an end without an error, nor one that nobody saw."""
    assert last_crash(pod(containerStatuses=[status])) is None


def test_the_latest_of_several_crashes_counts() -> None:
    """An attempt may have begun between two of them."""
    early, late = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
    states = [crashed(early) | {"name": "a"}, crashed(late) | {"name": "b"}, crashed(early)]

    crash = last_crash(pod(containerStatuses=states))

    assert crash is not None
    assert "container b" in crash.message


@pytest.mark.parametrize(("policy", "counts"), [(None, False), ("Always", True)])
def test_an_init_container_may_fail_until_it_succeeds(policy: str | None, *, counts: bool) -> None:
    """Unless it is one that runs beside the others."""
    one = {"name": "agent"} | ({"restartPolicy": policy} if policy else {})
    seen = pod(initContainerStatuses=[crashed()]) | {"spec": {"initContainers": [one]}}

    assert (last_crash(seen) is not None) is counts


# Since when

CREATED = "2026-01-01T11:00:00Z"
LATER = "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("status", "at"),
    [
        ({"containerStatuses": [waiting("ErrImagePull")]}, CREATED),
        (
            {
                "containerStatuses": [
                    container({"terminated": {"exitCode": 1, "finishedAt": LATER}})
                ]
            },
            LATER,
        ),
        ({"containerStatuses": [container({"terminated": {"exitCode": 1}})]}, CREATED),
        (
            {
                "containerStatuses": [
                    waiting("CrashLoopBackOff")
                    | {"lastState": {"terminated": {"exitCode": 1, "finishedAt": LATER}}}
                ]
            },
            LATER,
        ),
        ({"phase": "Failed"}, CREATED),
    ],
    ids=["no image", "ended", "ended some time", "crash loop", "failed"],
)
def test_a_fault_is_as_old_as_what_is_told_of_it(status: dict[str, Any], at: str) -> None:
    """Or as its pod, where nothing else is told."""
    seen = pod(**status)
    seen["metadata"]["creationTimestamp"] = CREATED

    fault = pod_fault(seen)

    assert fault is not None
    assert fault.at == datetime.fromisoformat(at)


def test_faults_that_differ_only_in_their_age_are_the_same() -> None:
    """Nobody is woken for it."""
    ended = {"exitCode": 1, "finishedAt": LATER}
    again = ended | {"finishedAt": CREATED}

    first, second = (
        pod_fault(pod(containerStatuses=[container({"terminated": each})]))
        for each in (ended, again)
    )

    assert first == second
