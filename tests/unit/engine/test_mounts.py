"""What counts as a volume that cannot be mounted."""

from __future__ import annotations

from typing import Any

from agentherd.domain.kinds import KUBELET_EVENT, Key
from agentherd.engine.mounts import REPEATEDLY, MountFailures

MISSING = 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found'
BUSY = 'MountVolume.SetUp failed for volume "config" : failed to sync configmap cache'


def event(name: str, message: str, *, count: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "team", "name": name},
        "involvedObject": {"name": "pod", "uid": "pod-uid"},
        "message": message,
        "count": count,
    }


def test_what_is_missing_is_told_at_once() -> None:
    """A ConfigMap or Secret that does not exist will not appear by itself."""
    woken: list[Key] = []
    mounts = MountFailures(woken.append)

    mounts.put(KUBELET_EVENT, event("e", MISSING))

    assert mounts.message("pod-uid") == MISSING
    assert woken == [Key("team", "pod")]


def test_what_exists_has_to_fail_repeatedly() -> None:
    """A busy kubelet fails to mount what exists and succeeds a moment later."""
    woken: list[Key] = []
    mounts = MountFailures(woken.append)

    mounts.put(KUBELET_EVENT, event("e", BUSY, count=REPEATEDLY - 1))
    before = mounts.message("pod-uid")
    mounts.put(KUBELET_EVENT, event("e", BUSY, count=REPEATEDLY))

    assert before is None
    assert mounts.message("pod-uid") == BUSY


def test_a_forgotten_event_is_forgotten() -> None:
    """The memory is bounded by what the API server keeps."""
    mounts = MountFailures(lambda _pod: None)
    mounts.put(KUBELET_EVENT, event("e", MISSING))

    mounts.replace(KUBELET_EVENT, [], 7, None)

    assert mounts.message("pod-uid") is None
