"""What an Agent and a ModelDeployment have in common: how their pods are looked after, and how far
the way to the wanted revision is.

The texts speak of neither, since both show them.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from agentherd.api.markers import (
    ATOMIC,
    Clip,
    Count,
    Int32,
    ObjectName,
    ObservedGeneration,
    Port,
    Revision,
    Time,
    is_empty,
)
from agentherd.api.meta import WireModel

MAX_FORMER_REVISIONS: Final = 20


class HTTPCheck(WireModel):
    """An HTTP request that a healthy container answers with a status from 200 to 399."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern="^/")] = (
        "/healthz"
    )
    """Path of the request, starting with `/`. Defaults to `/healthz`."""

    port: Port
    """Port of the request: a number from 1 to 65535, or the name of a port of the first container.
    Required."""


class Health(WireModel):
    """How a pod tells that it is able to work."""

    http: HTTPCheck
    """HTTP request that tells whether a pod is healthy, made by the kubelet to the first container.
    Any answer from 200 to 399 in time is healthy. Required."""

    interval_seconds: Annotated[Int32, Field(ge=1, le=3600)] = 30
    """Seconds between two checks of a running pod. Defaults to 30. While a pod starts it is checked
    every second, and while an upgrade runs the operator asks the pods of the new version every
    second too: after `failureThreshold` failing answers in a row it is rolled back."""

    timeout_seconds: Annotated[Int32, Field(ge=1, le=300)] = 3
    """Seconds within which a pod has to answer; no answer counts as a failure. Defaults to 3."""

    failure_threshold: Annotated[Int32, Field(ge=1, le=100)] = 3
    """Number of failures in a row after which a pod is unhealthy and gets no requests until it
    answers again. Defaults to 3."""


class Drain(WireModel):
    """How a pod is brought to its end."""

    timeout_seconds: Annotated[Int32, Field(ge=1, le=3600)] = 30
    """Seconds a pod has, from SIGTERM on, to finish the work it has begun; whatever still runs then
    is killed. Defaults to 30. Choose it longer than the longest task."""

    delay_seconds: Annotated[Int32, Field(ge=0, le=300)] = 0
    """Seconds between the moment a pod is taken out of the endpoints of its Service and SIGTERM, so
    that clients which have not noticed yet are still served. They become the preStop hook of every
    container, which the template must not set then. Absent or 0: SIGTERM comes at once, and
    requests that are just being sent may be refused."""


class LastError(WireModel):
    """The last error, kept after it is over."""

    reason: Annotated[str, Clip(256)]
    """What went wrong, as one CamelCase word, the same as in the conditions."""

    message: Annotated[str, Clip(4096)]
    """What went wrong, as a sentence with the names and messages needed to act on it."""

    at: Time
    """Time at which the error was first seen."""


class WorkloadStatus(WireModel):
    """How far the pods are, and which revision of them serves."""

    observed_generation: ObservedGeneration = None
    """Generation this status was decided for; -1: none. Smaller than that of the object until the
    latest change is taken in."""

    phase_since: Time | None = None
    """Time at which the current phase began."""

    progress_since: Time | None = None
    """Time from which `spec.progressDeadlineSeconds` counts: the beginning of the
    attempt with the wanted revision, after waiting for others has ended."""

    replicas: Count = 0
    """Number of pods that exist, of all revisions."""

    ready_replicas: Count = 0
    """Number of pods that are ready, of all revisions."""

    available_replicas: Count = 0
    """Number of pods that are available, which means ready to serve, of all revisions."""

    updated_replicas: Count = 0
    """Number of pods of the wanted revision, `targetRevision`."""

    selector: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Label selector of the pods as text, for the scale subresource and autoscalers."""

    stable_revision: Revision | None = None
    """Revision that last became fully available; it serves until another one is. The ReplicaSet
    and the ControllerRevision of a revision are called `<name>-<revision>`."""

    target_revision: Revision | None = None
    """Revision the current spec asks for. Equal to `stableRevision` when nothing is rolled out."""

    upgrade: ObjectName | None = None
    """Name of the AgentUpgrade that brings, or has brought, the pods to the wanted revision; look
    there for steps, weights and reasons. Absent: there has been none, as after the creation."""

    former_revisions: Annotated[
        tuple[Revision, ...],
        Field(max_length=MAX_FORMER_REVISIONS, exclude_if=is_empty),
        ATOMIC,
    ] = ()
    """Revisions that were stable before, the latest first, at most 20. One that is still kept can
    be gone back to with an AgentUpgrade whose `to.revision` names it."""

    last_error: LastError | None = None
    """The last error, kept after it is over. Absent: there has been none."""

    error_count: Annotated[Int32, Field(ge=0)] = 0
    """Number of times it has entered the phase of an error."""
