"""What is kept of every object that is watched.

The API server's objects are large and a fleet has many; a view keeps what the rules ask for and
nothing else. Whether somebody changed fields that are ours is not found by comparing values,
which the server normalises and defaults, but from managedFields: a child is `touched` when
another writer than us has been at it since our last apply. Who only removes a field becomes the
owner of nothing and leaves no such trace; `fields` tells then that we own less than before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import intern
from typing import Any, Final, Self
from zlib import compress, decompress

from agentherd.api import Verdict
from agentherd.domain.drain import RELEASED_COST
from agentherd.domain.faults import Fault, is_creating, last_crash, pod_fault
from agentherd.domain.kinds import (
    ADMITTED,
    ADMITTED_LABEL,
    AGENT,
    APPLIED_ANNOTATION,
    BASELINE,
    BASELINE_ENDING,
    BASELINE_LABEL,
    CONFIG_ANNOTATION,
    DELETION_COST_ANNOTATION,
    DRAINING_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    REVISION_LABEL,
    TRAFFIC_LABEL,
    TRAFFIC_ON,
    UPGRADE_ANNOTATION,
    workload_in,
)
from agentherd.domain.reasons import Reason
from agentherd.domain.warmth import Warmth

FIELD_MANAGER: Final = "agentherd"
SCALE_MANAGER: Final = "agentherd-scale"
STATUS_MANAGER: Final = "agentherd-status"
CONDITION_MANAGER: Final = "agentherd-warm"

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A child of an Agent or a ModelDeployment, whatever its own kind.

    `workload` is the name of the one it belongs to by its label, "" without one, and
    `workload_kind` the name of the kind of that. `written` is when we have changed it last, in
    whole seconds by the API server's clock; it is kept only where something waits for it.
    """

    namespace: str
    name: str
    uid: str
    version: int
    workload: str
    owner: str | None
    applied: str
    touched: bool
    deleting: bool
    fields: int = 0
    workload_kind: str = AGENT.name
    written: datetime | None = None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep what is needed of an object as the API server gives it."""
        return cls(**_common(raw))

    @property
    def reported(self) -> tuple[object, ...]:
        """What others say of the object and we never write."""
        return (self.deleting,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView(Child):
    """A ControllerRevision: what a revision is, and which one is newer.

    The content is kept compressed: it is read only while something is rolled out.
    """

    revision: str
    number: int
    content: bytes = b""

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep hash, number and content."""
        return cls(
            **_common(raw),
            revision=_revision(raw),
            number=raw["revision"],
            content=compress(json.dumps(raw.get("data"), separators=(",", ":")).encode()),
        )

    @property
    def data(self) -> Mapping[str, Any]:
        """The content of the revision, as `agentherd.domain.revision` reads it."""
        data: Mapping[str, Any] = json.loads(decompress(self.content))
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSetView(Child):
    """The ReplicaSet of one revision: replicas asked for and seen.

    That of a `baseline` has the fresh pods with which another revision is compared.
    """

    revision: str
    wanted: int
    replicas: int
    ready: int
    available: int
    current: bool
    fault: Fault | None
    baseline: bool = False

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep the counts; `current` tells whether they are of the spec as it stands."""
        status = raw.get("status", {})
        return cls(
            **_common(raw),
            revision=_revision(raw),
            wanted=raw["spec"].get("replicas", 1),
            replicas=status.get("replicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            current=status.get("observedGeneration", 0) >= raw["metadata"].get("generation", 0),
            fault=_replica_failure(raw),
            baseline=raw["metadata"]["name"].endswith(BASELINE_ENDING),
        )

    @property
    def reported(self) -> tuple[object, ...]:
        """What the controller of ReplicaSets says."""
        return (self.deleting, self.replicas, self.ready, self.available, self.fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView(Child):
    """A pod: whether its containers are still being created, whether it is ready, what is wrong.

    A `finished` pod has ended and stays as a record; one that is being deleted will be gone soon.
    `crash` is the latest one that is over: the container has been started again.
    One that is `draining_since` a time is out of traffic and finishes what it has begun. `warmth`
    is None of one that need not be warmed up.
    """

    revision: str
    ready: bool
    creating: bool
    finished: bool
    created: str
    config: str
    fault: Fault | None
    crash: Fault | None = None
    ip: str = ""
    in_traffic: bool = True
    admitted: bool = False
    draining_since: datetime | None = None
    released: bool = False
    warmth: Warmth | None = None
    baseline: bool = False

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep readiness and the fault in words."""
        warmth = Warmth.of(raw)
        annotations = raw["metadata"].get("annotations", {})
        conditions = raw.get("status", {}).get("conditions", ())
        return cls(
            **_common(raw),
            revision=_label(raw, REVISION_LABEL),
            ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
            creating=is_creating(raw),
            finished="deletionTimestamp" not in raw["metadata"]
            and raw.get("status", {}).get("phase") in {"Failed", "Succeeded"},
            created=raw["metadata"].get("creationTimestamp", ""),
            config=annotations.get(CONFIG_ANNOTATION, ""),
            fault=pod_fault(raw) or (warmth.fault(raw["metadata"]["name"]) if warmth else None),
            crash=last_crash(raw),
            ip=raw.get("status", {}).get("podIP", ""),
            in_traffic=_label(raw, TRAFFIC_LABEL) == TRAFFIC_ON,
            admitted=_label(raw, ADMITTED_LABEL) == ADMITTED,
            draining_since=_time(annotations.get(DRAINING_ANNOTATION)),
            released=annotations.get(DELETION_COST_ANNOTATION) == RELEASED_COST,
            warmth=warmth,
            baseline=_label(raw, BASELINE_LABEL) == BASELINE,
            written=written(raw) if _label(raw, ADMITTED_LABEL) == ADMITTED else None,
        )

    @property
    def reported(self) -> tuple[object, ...]:
        """What the kubelet and the scheduler say."""
        warmth = self.warmth.reported if self.warmth is not None else ()
        return (self.deleting, self.ready, self.fault, self.crash, *warmth)

    def url(self, port: int, path: str) -> str:
        """Where a program in the pod is reached."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"http://{host}:{port}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView(Child):
    """A Job that tries the new version of the `upgrade` with that uid, and how it ended.

    Until it has ended its `verdict` is None; then it is also known when, and what is told of it.
    `runs` says that a pod of it is ready now, and `timed_out` that it has ended because its time
    was over.
    """

    upgrade: str
    verdict: Verdict | None
    ended_at: datetime | None
    message: str
    began_at: datetime | None = None
    runs: bool = False
    timed_out: bool = False

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep the condition that cannot be taken back any more."""
        end, status = _end(raw), raw.get("status", {})
        return cls(
            **_common(raw),
            upgrade=raw["metadata"].get("annotations", {}).get(UPGRADE_ANNOTATION, ""),
            verdict=_ENDS[end["type"]] if end else None,
            ended_at=_time(end.get("lastTransitionTime")) if end else None,
            message=": ".join(filter(None, (end.get("reason"), end.get("message")))) if end else "",
            began_at=_time(status.get("startTime")),
            runs=status.get("ready", 0) > 0,
            timed_out=end is not None and end.get("reason") == "DeadlineExceeded",
        )

    @property
    def reported(self) -> tuple[object, ...]:
        """What the controller of Jobs says."""
        return (self.deleting, self.verdict, self.runs)


_ENDS: Final[Mapping[str, Verdict]] = {
    "FailureTarget": Verdict.FAIL,
    "Failed": Verdict.FAIL,
    "SuccessCriteriaMet": Verdict.PASS,
    "Complete": Verdict.PASS,
}
"""Conditions that decide how a Job ends, two of them while its last pods still end."""


def last_writer(raw: Raw) -> str:
    """The field manager that wrote the spec last, if only its replicas; "" when unknown.

    The API server stamps it on every write, so it is as true as the client is honest about its
    own name. The stamps have whole seconds: of several writers in one second it is the one that
    set the operating mode, which is what people are named for, and else one that did not scale.
    """
    return _latest(raw, aside=frozenset({"status"}))


def author(raw: Raw) -> str:
    """The last one whose word it is what runs: not an autoscaler that has scaled it since."""
    return _latest(raw, aside=frozenset({"status", "scale"}))


def _latest(raw: Raw, *, aside: frozenset[str]) -> str:
    writes = [
        (
            entry.get("time", ""),
            "f:operatingMode" in entry["fieldsV1"].get("f:spec", {}),
            entry.get("subresource") != "scale",
            entry.get("manager", ""),
        )
        for entry in raw["metadata"].get("managedFields", ())
        if entry.get("subresource", "") not in aside and _has_a_say(entry.get("fieldsV1", {}))
    ]
    return max(writes, default=("", False, False, ""))[-1]


def _has_a_say(fields: Raw) -> bool:
    """Whether somebody has a part in the spec, or in the note for whom an upgrade was made.

    A label or an annotation is no change, but a note that somebody else has written is not ours.
    """
    annotations = fields.get("f:metadata", {}).get("f:annotations", {})
    return "f:spec" in fields or f"f:{REQUESTED_BY_ANNOTATION}" in annotations


def written(raw: Raw) -> datetime | None:
    """When we have changed the object last, its status left aside."""
    return max(
        (
            time
            for entry in raw["metadata"].get("managedFields", ())
            if entry.get("manager") == FIELD_MANAGER and entry.get("subresource") != "status"
            if (time := _time(entry.get("time"))) is not None
        ),
        default=None,
    )


def _common(raw: Raw) -> dict[str, Any]:
    metadata = raw["metadata"]
    owner = next((o for o in metadata.get("ownerReferences", ()) if o.get("controller")), None)
    kind, workload = workload_in(metadata.get("labels", {}))
    return {
        # What all children of a workload share is kept once; every object brings its own copy.
        "namespace": intern(metadata["namespace"]),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": int(metadata["resourceVersion"]),
        "workload": intern(workload),
        "workload_kind": kind,
        "owner": intern(owner["uid"]) if owner else None,
        "applied": metadata.get("annotations", {}).get(APPLIED_ANNOTATION, ""),
        "touched": _touched(metadata),
        "deleting": "deletionTimestamp" in metadata,
        "fields": _fields(metadata),
    }


def _label(raw: Raw, label: str) -> str:
    value: str = raw["metadata"].get("labels", {}).get(label, "")
    return value


def _time(text: str | None) -> datetime | None:
    """A time that we have written; somebody's own words count as none."""
    try:
        return datetime.strptime(text or "", TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _end(raw: Raw) -> Raw | None:
    conditions = raw.get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] in _ENDS and c["status"] == "True"), None)


def _revision(raw: Raw) -> str:
    """The revision by the object's name, which nobody can take away as they can a label."""
    name: str = raw["metadata"]["name"].removesuffix(BASELINE_ENDING)
    return intern(name.rpartition("-")[2])


def _touched(metadata: Mapping[str, Any]) -> bool:
    """Whether somebody else wrote the object, its status left aside, since our last apply.

    managedFields has times in whole seconds; a foreign write in the same second counts, at the
    price of one apply that changes nothing.
    """
    ours = ""
    foreign = ""
    for entry in metadata.get("managedFields", ()):
        if entry.get("subresource") == "status":
            continue
        if entry.get("manager") == FIELD_MANAGER:
            ours = max(ours, entry.get("time", ""))
        elif entry.get("manager") != SCALE_MANAGER:
            foreign = max(foreign, entry.get("time", ""))
    return foreign >= ours and bool(foreign)


def _fields(metadata: Mapping[str, Any]) -> int:
    """A number that changes when the set of fields that are ours does."""
    return hash(
        tuple(
            repr(entry.get("fieldsV1"))
            for entry in metadata.get("managedFields", ())
            if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
        )
    )


def _replica_failure(raw: Raw) -> Fault | None:
    for condition in raw.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = condition.get("message", "")
            quota = "exceeded quota" in message
            return Fault(Reason.QUOTA_EXCEEDED if quota else Reason.PODS_REFUSED, message)
    return None
