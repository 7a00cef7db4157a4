"""What is wrong with a pod, in the words a person needs.

The kubelet's and the scheduler's own reasons are kept in the message; the reason is one of ours,
so that a fleet can be counted by it. A pod that is merely starting has no fault. What is over is
told apart from what is: a crash of long ago says nothing about an Agent that runs well, and much
about a version that is being tried, whoever was looking at the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from agentherd.domain.reasons import Reason

_WAITING: Final[Mapping[str, Reason]] = {
    "CrashLoopBackOff": Reason.CRASHING,
    "ErrImagePull": Reason.IMAGE_UNAVAILABLE,
    "ErrImageNeverPull": Reason.IMAGE_UNAVAILABLE,
    "ImagePullBackOff": Reason.IMAGE_UNAVAILABLE,
    "ImageInspectError": Reason.IMAGE_UNAVAILABLE,
    "InvalidImageName": Reason.IMAGE_UNAVAILABLE,
    "CreateContainerConfigError": Reason.CONTAINER_NOT_CREATED,
    "CreateContainerError": Reason.CONTAINER_NOT_CREATED,
    "RunContainerError": Reason.CONTAINER_NOT_CREATED,
}


_NOBODY_KNOWS: Final = frozenset({"ContainerStatusUnknown", "Unknown"})
"""How the kubelet calls the end of a container that it did not see, as when its node restarted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and its explanation for people.

    `at` is when it began, as far as that is told; two faults that differ in it alone are the same.
    """

    reason: Reason
    message: str
    at: datetime | None = field(default=None, compare=False)


def pod_fault(pod: Mapping[str, Any]) -> Fault | None:
    """The first fault of a pod as the API server gives it, or None while it does well."""
    fault = _fault(pod)
    if fault is None or fault.at is not None:
        return fault
    return replace(fault, at=_time(pod["metadata"].get("creationTimestamp")))


def last_crash(pod: Mapping[str, Any]) -> Fault | None:
    """The latest crash of a container that has been started again, whatever it does now.

    Init containers may fail until what they wait for is there; those that run beside the others
    are like them.
    """
    name = pod["metadata"]["name"]
    crashes = (_past_crash(name, container) for container in _lasting(pod))
    return max((c for c in crashes if c is not None), key=_moment, default=None)


def _fault(pod: Mapping[str, Any]) -> Fault | None:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for container in _containers(status):
        if fault := _container_fault(name, container):
            return fault
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Fault(
                Reason.UNSCHEDULABLE, f"pod {name} fits no node: {condition.get('message', '')}"
            )
    if status.get("phase") == "Failed":
        why = status.get("message") or status.get("reason") or "it has failed"
        return Fault(Reason.CRASHING, f"pod {name}: {why}")
    return _probe_fault(pod)


def is_creating(pod: Mapping[str, Any]) -> bool:
    """Whether a container waits for what it needs before it can start, such as its volumes."""
    states = [c.get("state", {}).get("waiting", {}) for c in _containers(pod.get("status", {}))]
    return any(state.get("reason") in {"ContainerCreating", "PodInitializing"} for state in states)


def mount_fault(pod: str, message: str) -> Fault:
    """The fault of a pod whose volumes the kubelet cannot mount, with what it says."""
    return Fault(Reason.VOLUME_NOT_MOUNTED, f"pod {pod} cannot start: {message}")


def check_fault(pod: str, *, failures: int, status: int) -> Fault:
    """The fault of a pod that is ready and has answered that it is not, more often than it may."""
    times = f", {failures} times in a row" if failures > 1 else ""
    return Fault(
        Reason.PROBES_FAIL,
        f"pod {pod} was ready and now answers its readiness probe with status {status}{times}",
    )


def _containers(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _lasting(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The containers that are to run as long as the pod."""
    inits = pod.get("spec", {}).get("initContainers", ())
    beside = {each["name"] for each in inits if each.get("restartPolicy") == "Always"}
    status = pod.get("status", {})
    yield from (c for c in status.get("initContainerStatuses", ()) if c["name"] in beside)
    yield from status.get("containerStatuses", ())


def _past_crash(pod: str, container: Mapping[str, Any]) -> Fault | None:
    last = container.get("lastState", {}).get("terminated")
    restarts = container.get("restartCount", 0)
    if not last or not restarts or last.get("exitCode", 0) == 0:
        return None
    if last.get("reason") in _NOBODY_KNOWS:
        return None
    return _exit_fault(f"pod {pod}, container {container['name']}", last, restarts=restarts)


def _moment(fault: Fault) -> float:
    return fault.at.timestamp() if fault.at is not None else 0


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _container_fault(pod: str, container: Mapping[str, Any]) -> Fault | None:
    state = container.get("state", {})
    where = f"pod {pod}, container {container['name']}"
    if waiting := state.get("waiting"):
        word = waiting.get("reason", "")
        if word not in _WAITING:
            return None
        if _WAITING[word] is Reason.CRASHING:
            last = container.get("lastState", {}).get("terminated", {})
            return _exit_fault(where, last, restarts=container.get("restartCount", 0))
        return Fault(_WAITING[word], f"{where}: {word}: {waiting.get('message', '')}".rstrip(": "))
    terminated = state.get("terminated")
    if terminated and terminated.get("exitCode", 0) != 0:
        return _exit_fault(where, terminated, restarts=container.get("restartCount", 0))
    return None


def _exit_fault(where: str, terminated: Mapping[str, Any], *, restarts: int) -> Fault:
    times = f", {restarts} restarts" if restarts else ""
    at = _time(terminated.get("finishedAt"))
    if terminated.get("reason") == "OOMKilled":
        return Fault(
            Reason.OUT_OF_MEMORY,
            f"{where} was killed because it used more memory than its limit (OOMKilled){times}",
            at,
        )
    code = terminated.get("exitCode")
    last_words = terminated.get("message", "").strip()
    said = f": {last_words}" if last_words else ""
    return Fault(Reason.CRASHING, f"{where} exited with code {code}{times}{said}", at)


def _probe_fault(pod: Mapping[str, Any]) -> Fault | None:
    """A pod that was ready and is not any more.

    One that never was ready is starting, however long it takes: the progress deadline judges
    that. An unready pod keeps the time at which its conditions were first told until it becomes
    ready for the first time, so its Ready condition is no younger than its Initialized one. A busy
    kubelet tells them only after the containers have started.
    """
    name, status = pod["metadata"]["name"], pod.get("status", {})
    ready = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), None)
    if ready is None or ready["status"] == "True":
        return None
    told = [c for c in status["conditions"] if c["type"] == "Initialized"]
    first = max((c.get("lastTransitionTime") or "" for c in told), default="")
    for container in _lasting(pod):
        running = container.get("state", {}).get("running")
        if (
            running
            and container.get("started")
            and not container.get("ready")
            and (ready.get("lastTransitionTime") or "") > max(running.get("startedAt") or "", first)
        ):
            return Fault(
                Reason.PROBES_FAIL,
                f"pod {name}, container {container['name']} was ready and now fails its "
                "readiness probe",
                _time(ready.get("lastTransitionTime")),
            )
    return None
