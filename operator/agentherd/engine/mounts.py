"""What the kubelet cannot mount: the one fault of a pod that its status does not tell.

A pod that names a ConfigMap or Secret which does not exist waits without a word; only an Event of
the kubelet says why. Just these Events are watched, and kept by the uid of their pod for as long
as the API server keeps them. A busy kubelet also fails to mount what exists and succeeds a moment
later, so what is not missing has to fail repeatedly to count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from agentherd.domain.kinds import Key, Kind

MOUNT_EVENTS: Final = "involvedObject.kind=Pod,reason=FailedMount"

REPEATEDLY: Final = 5
"""Failures of one volume, of which the kubelet has about four in eight seconds."""


class MountFailures:
    """The latest failure of every pod; calls `wake(pod)` with the key of the pod concerned."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._messages: dict[str, str] = {}
        self._pods: dict[Key, str] = {}

    def message(self, pod_uid: str) -> str | None:
        """What the kubelet said about the volumes of a pod, if it could not mount one."""
        return self._messages.get(pod_uid)

    def put(self, _kind: Kind, raw: Mapping[str, Any]) -> None:
        """Take in an Event."""
        metadata, pod = raw["metadata"], raw["involvedObject"]
        missing = "not found" in raw.get("message", "")
        if not missing and (raw.get("count") or 1) < REPEATEDLY:
            return
        uid = pod.get("uid", "")
        self._pods[Key(metadata["namespace"], metadata["name"])] = uid
        self._messages[uid] = raw.get("message", "")
        self._wake(Key(metadata["namespace"], pod.get("name", "")))

    def drop(self, _kind: Kind, key: Key, _version: int) -> None:
        """The API server has forgotten an Event."""
        self._messages.pop(self._pods.pop(key, ""), None)

    def replace(
        self,
        kind: Kind,
        raws: Iterable[Mapping[str, Any]],
        version: int,
        namespace: str | None,
    ) -> None:
        """Take in all Events (of a namespace)."""
        for key in [key for key in self._pods if namespace in {None, key.namespace}]:
            self.drop(kind, key, version)
        for raw in raws:
            self.put(kind, raw)
