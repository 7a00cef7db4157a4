"""What runs in a cluster beside the operator, as steps that a test takes when it wants to."""

from __future__ import annotations

from itertools import count

from tests.twin.cluster import Twin
from tests.twin.merging import Raw

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    DELETION_COST_ANNOTATION,
    JOB,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    ROUTE_KINDS,
    Kind,
)


class Controllers:
    """Garbage collector, ReplicaSet controller and kubelet of a twin.

    `sick_images` says why the containers of an image wait (a reason of the kubelet), or "" for
    containers that run and are never ready. `restarts` tells by uid how often the containers of a
    pod were started again.
    """

    def __init__(self, twin: Twin) -> None:
        self.sick_images: dict[str, str] = {}
        self.restarts: dict[str, int] = {}
        self._twin = twin

    def settle(self) -> bool:
        """One turn of each; whether anything changed."""
        before = self._twin.version
        self.collect()
        for owner in self._twin.all(REPLICA_SET):
            self._run(owner)
        return self._twin.version != before

    def collect(self) -> None:
        """Delete whatever is owned by an object that does not exist any more."""
        while orphans := self.orphans():
            for kind, metadata in orphans:
                self._twin.remove(kind, metadata["name"], namespace=metadata["namespace"])

    def orphans(self) -> list[tuple[Kind, Raw]]:
        """What is owned by an object that does not exist any more: kind and metadata."""
        found = [
            (kind, raw["metadata"])
            for kind in (AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT, JOB, *CHILD_KINDS, *ROUTE_KINDS)
            for raw in self._twin.all(kind)
        ]
        alive = {metadata["uid"] for _, metadata in found}
        return [
            (kind, metadata)
            for kind, metadata in found
            if (owners := {owner["uid"] for owner in metadata.get("ownerReferences", ())})
            and not owners & alive
        ]

    def _run(self, owner: Raw) -> None:
        """Give a ReplicaSet its pods, and both their status."""
        wanted = owner["spec"].get("replicas", 1)
        pods = self._claimed(owner)
        pods.sort(key=self._worth, reverse=True)
        for pod in pods[wanted:]:
            metadata = pod["metadata"]
            self._twin.remove(POD, metadata["name"], namespace=metadata["namespace"])
        pods = pods[:wanted]
        taken = set(self._twin.names(POD))
        names = (f"{owner['metadata']['name']}-{number}" for number in count())
        while len(pods) < wanted:
            if (name := next(names)) not in taken:
                pods.append(self._twin.put(POD, _pod(owner, name), manager="rs"))
        for pod in pods:
            self._report(POD, pod, self._pod_status(pod))
        ready = sum(self._ready(pod) for pod in pods)
        status = {
            "replicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": owner["metadata"]["generation"],
        }
        self._report(REPLICA_SET, owner, status)

    def _claimed(self, owner: Raw) -> list[Raw]:
        """The pods of a ReplicaSet: it takes those nobody has, and lets others go."""
        metadata, selector = owner["metadata"], owner["spec"]["selector"]["matchLabels"]
        pods: list[Raw] = []
        for pod in self._twin.all(POD):
            found, had = pod["metadata"], _controller(pod)
            near = found["namespace"] == metadata["namespace"]
            matches = near and selector.items() <= found.get("labels", {}).items()
            mine = had == metadata["uid"]
            if matches != mine and (mine or had is None):
                others = [o for o in found.get("ownerReferences", ()) if not o.get("controller")]
                ours = [{"uid": metadata["uid"], "controller": True}] if matches else []
                self._edit(pod, {"metadata": {"ownerReferences": [*others, *ours]}})
            if matches and (mine or had is None):
                pods.append(pod)
        return pods

    def _edit(self, pod: Raw, patch: Raw) -> None:
        found = pod["metadata"]
        self._twin.edit(POD, found["name"], patch, manager="rs", namespace=found["namespace"])

    def _worth(self, pod: Raw) -> tuple[bool, int, int]:
        """Who stays: the ready, of those the ones with the higher deletion cost, then the older."""
        cost = pod["metadata"].get("annotations", {}).get(DELETION_COST_ANNOTATION, "0")
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        return self._ready(pod), int(cost), -number

    def _report(self, kind: Kind, raw: Raw, status: Raw) -> None:
        metadata = raw["metadata"]
        if raw.get("status") != status:
            self._twin.edit(
                kind,
                metadata["name"],
                {"status": status},
                manager="kubelet",
                namespace=metadata["namespace"],
            )

    def _sick(self, pod: Raw) -> bool:
        return any(c["image"] in self.sick_images for c in pod["spec"]["containers"])

    def _ready(self, pod: Raw) -> bool:
        """Whether the containers are ready and all gates are open, which others tell."""
        told = {each["type"]: each["status"] for each in _others(pod)}
        return not self._sick(pod) and all(told.get(gate) == "True" for gate in _gates(pod))

    def _pod_status(self, pod: Raw) -> Raw:
        created = pod["metadata"]["creationTimestamp"]
        sick = self._sick(pod)
        states = {"Ready": self._ready(pod)}
        if _gates(pod):
            states["ContainersReady"] = not sick
        own = [
            {"type": name, "status": str(state), "lastTransitionTime": created}
            for name, state in states.items()
        ]
        return {
            "phase": "Pending" if sick else "Running",
            "podIP": _ip(pod["metadata"]["uid"]),
            "conditions": [*own, *_others(pod)],
            "containerStatuses": [
                self._container_status(container, created, pod["metadata"]["uid"])
                for container in pod["spec"]["containers"]
            ],
        }

    def _container_status(self, container: Raw, created: str, uid: str) -> Raw:
        reason = self.sick_images.get(container["image"])
        waiting = {"waiting": {"reason": reason}}
        return {
            "name": container["name"],
            "state": waiting if reason else {"running": {"startedAt": created}},
            "ready": reason is None,
            "restartCount": self.restarts.get(uid, 0),
            "containerID": f"twin://{uid}/{self.restarts.get(uid, 0)}",
        }


def _gates(pod: Raw) -> list[str]:
    return [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]


def _others(pod: Raw) -> list[Raw]:
    """The conditions that are not the kubelet's."""
    conditions = pod.get("status", {}).get("conditions", ())
    return [each for each in conditions if each["type"] not in {"Ready", "ContainersReady"}]


def _controller(pod: Raw) -> str | None:
    owners = pod["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _ip(uid: str) -> str:
    number = int(uid.rpartition("-")[2])
    return f"10.0.{number // 250}.{number % 250 + 1}"


def _pod(owner: Raw, name: str) -> Raw:
    template = owner["spec"]["template"]
    return {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
        },
        "spec": template["spec"],
    }
