"""The ModelDeployment: versions of a model behind one address, of which another one takes over.

A version is registered once and never changes, so its name says what answers. What is asked for is
which of them serves (`activeVersion`) and which one is tried beside it (`canary`); what follows is
an AgentUpgrade, as it is for an Agent.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, StringConstraints

from agentherd.api.enums import ModelPhase, Routing, SwapOutcome, VersionState
from agentherd.api.markers import (
    ATOMIC,
    DNS_1035_LABEL,
    RULES,
    Clip,
    Count,
    DescribedBy,
    Int32,
    Int64,
    Keywords,
    ObjectName,
    Port,
    Revision,
    Rule,
    Time,
    is_empty,
    list_map,
)
from agentherd.api.meta import Condition, StoredObject, WireModel
from agentherd.api.metrics import MetricName, Metrics
from agentherd.api.strategy import MAX_STEPS, Step, UpgradePolicy
from agentherd.api.traffic import Traffic
from agentherd.api.workload import Drain, Health, WorkloadStatus

MAX_VERSIONS: Final = 16
MAX_SWAPS: Final = 20
MOST_BEFORE_PROMOTION: Final = 20
"""Percentage of the requests that a version may get at most before it is promoted."""

VersionName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Words = Annotated[dict[str, _Word], Field(max_length=32)]
_Percent = Annotated[Int32, Field(ge=0, le=MOST_BEFORE_PROMOTION)]
_Milliseconds = Annotated[float, Field(ge=0)]
_Fraction = Annotated[float, Field(ge=0, le=1)]

# Of anything else a rule that compares two would overlook that a key was replaced by another one.
_Anything = Annotated[
    Any, Keywords({"x-kubernetes-preserve-unknown-fields": True, "nullable": True})
]


def _immutable(field: str) -> Rule:
    """Refuse to change a field of a registered version, in or out of existence too."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    return Rule(
        f"has({new}) == has({old}) && (!has({new}) || {new} == {old})",
        "cannot be changed, because a registered version is what answers under its name: register "
        "another version and set activeVersion or canary to it",
        field=f".{field}",
    )


class Compatibility(WireModel):
    """What a version can do for its users, or what they need."""

    api: _Word | None = None
    """Interface, for example `openai/v1/embeddings`. As a requirement: it must be the same. Absent:
    nothing is said about it."""

    input_schema: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """What a request looks like: the name of a schema, its digest, or itself. As a requirement: it
    must be the same. Absent: nothing is said about it."""

    output_schema: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """What an answer looks like, as for `inputSchema`. Absent: nothing is said about it."""

    context_length: Annotated[Int64, Field(ge=1)] | None = None
    """Longest input, in tokens. As a requirement: it must be at least as long. Absent: nothing is
    said about it."""

    embedding_dimension: Annotated[Int32, Field(ge=1)] | None = None
    """Number of dimensions of an embedding. As a requirement: it must be the same. Absent: nothing
    is said about it."""

    other: _Words = Field(default_factory=dict)
    """Whatever else matters, for example `tokenizer: bert`, at most 32 entries. As a requirement:
    each entry must be the same. Absent: nothing else is said."""


class VersionTemplate(WireModel):
    """Pod template of a version; never parsed into."""

    metadata: _Anything = None
    """Labels and annotations of the pods. Absent: only those of the operator."""

    # No rule could ask for it, because none sees a field that has no type.
    spec: Annotated[Any, Keywords({"x-kubernetes-preserve-unknown-fields": True})]
    """Specification of the pods, any PodSpec of Kubernetes. The first container is the model: it
    gets `modelUri` and `resources`. Required."""


_Quantity = Annotated[
    int | str,
    Keywords({"x-kubernetes-int-or-string": True, "maxLength": 32}),
]
_Quantities = Annotated[dict[str, _Quantity], Field(max_length=16)]


class Resources(WireModel):
    """What a container may use, as in a pod."""

    requests: _Quantities = Field(default_factory=dict)
    """What is set aside for it, for example `memory: 512Mi`. Absent: as much as `limits`."""

    limits: _Quantities = Field(default_factory=dict)
    """What it may use at most, for example `nvidia.com/gpu: 1`. Absent: whatever the node has."""


class ModelVersion(WireModel):
    """A version of the model. Once registered it cannot be changed, only removed."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "has(self.image) != has(self.template)",
                    "must have either image, for pods that the operator makes up, or template",
                ).keywords(),
                *(
                    _immutable(field).keywords()
                    for field in ("image", "template", "modelUri", "resources", "compatibility")
                ),
            ]
        }
    )

    name: VersionName
    """Name of the version, unique in the list, for example `v2` or `2026-11-fp16`. Required."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Image of a model server, for pods with one container `model` that listens on port 8080, named
    `http`, runs as any user but root, and has no privileges. Absent: `template` is needed."""

    template: Annotated[dict[str, Any], DescribedBy(VersionTemplate)] | None = None
    """Pod template, as in a Deployment, where `image` is not enough. Absent: `image` is needed."""

    model_uri: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Where the weights are; the first container finds it in the variable `MODEL_URI`. Absent: the
    image knows."""

    resources: Resources | None = None
    """Resources of the first container. Absent: those of the template."""

    compatibility: Compatibility | None = None
    """What the version can do. A version that does not do what `spec.requires` says gets no pods.
    Absent: it says nothing of itself, so it fulfils no requirement."""

    metadata: _Words = Field(default_factory=dict)
    """What people want to know of the version, such as who trained it on what, at most 32 entries.
    It can be changed at any time. Absent: nothing."""


class ModelCanary(WireModel):
    """A registered version that is tried beside the active one."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "self.version != oldSelf.version || has(self.weight) == has(oldSelf.weight)",
                    "must not come or go while the version is tried, because either it stays at a "
                    "weight or it goes through steps: remove canary and set it again",
                    field=".weight",
                ).keywords(),
                Rule(
                    "!has(self.steps) || !has(self.weight)",
                    "must be left out with steps, which have weights of their own",
                    field=".weight",
                ).keywords(),
                Rule(
                    "!has(self.weight) || self.weight <= self.cap",
                    "must not be greater than cap: a version gets more only by its promotion",
                    field=".weight",
                ).keywords(),
                Rule(
                    "!has(self.steps) || self.steps.all(step, step.weight <= self.cap)",
                    "must not have a weight greater than cap: a version gets more only by its "
                    "promotion",
                    field=".steps",
                ).keywords(),
                Rule(
                    "self.minimumWeight <= self.cap",
                    "must not be greater than cap",
                    field=".minimumWeight",
                ).keywords(),
            ]
        }
    )

    version: VersionName
    """Name of the version that is tried, one of `spec.versions`. Required."""

    weight: _Percent | None = None
    """Percentage of the requests it gets, at most `cap`. It may be changed at any time, takes
    effect at once and stays until the version is promoted, by `spec.activeVersion` or `promote` of
    its AgentUpgrade, or this field `canary` is removed. Absent: `steps` count. A canary that is
    tried does not change between the two: remove it first."""

    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS), ATOMIC] | None = None
    """Steps of weight, none above `cap`, after which the version is promoted: it becomes
    `spec.activeVersion`, and this field `canary` is removed. Absent, as `weight` is: 5, 10 and 20
    percent for 30 seconds each, none above `cap`."""

    cap: Annotated[Int32, Field(ge=1, le=MOST_BEFORE_PROMOTION)] = MOST_BEFORE_PROMOTION
    """Percentage of the requests that the version never gets more of before its promotion. Without
    `spec.traffic` the part of a version is that of its pods, and one pod beside one is half. It may
    be changed at any time. Defaults to 20, which is the most."""

    minimum_weight: Annotated[Int32, Field(ge=1, le=MOST_BEFORE_PROMOTION)] = 1
    """Percentage of the requests that the version never gets less of with routing `Performance`, so
    that it goes on being measured. Defaults to 1."""


class WarmUp(WireModel):
    """A request that a pod must have answered before it gets others."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern="^/")]
    """Path of the request, for example `/v1/embeddings`. Required."""

    port: Port | None = None
    """Port of the request: a number from 1 to 65535, or the name of a port of the first container.
    Absent: the first port of the first container."""

    body: Annotated[str, StringConstraints(max_length=65536)] | None = None
    """Body that is sent with POST. Absent: the request is a GET without a body."""

    content_type: Annotated[str, StringConstraints(min_length=1, max_length=256)] = (
        "application/json"
    )
    """Type of the body. Defaults to `application/json`."""

    timeout_seconds: Annotated[Int32, Field(ge=1, le=600)] = 30
    """Seconds within which the request has to be answered. Defaults to 30."""

    failure_threshold: Annotated[Int32, Field(ge=1, le=100)] = 3
    """Number of answers in a row other than 200 to 299, a second apart, after which the warm-up of
    the pod has failed and its version with it. No answer counts from `timeoutSeconds` on; that
    nobody listens yet counts for nothing, and is bounded by the progress deadline. Defaults to
    3."""


class Objectives(WireModel):
    """What the model promises its users."""

    latency_milliseconds: Annotated[float, Field(ge=0)] | None = None
    """95 of 100 requests are answered within so many milliseconds. Absent: nothing is promised."""

    error_rate: _Fraction | None = None
    """Largest part of the requests that fails, from 0 to 1. Absent: nothing is promised."""

    accuracy: float | None = None
    """Smallest accuracy, as the gauge `monitoring.accuracy` tells it. A version that is below it is
    not promoted. Absent: nothing is promised."""


class Monitoring(WireModel):
    """How the versions are measured."""

    enabled: bool = True
    """Whether `status.versions` tells latency, throughput and errors of each version, from
    `spec.metrics` of the pods. `false`: they are not asked and what was told goes. Defaults to
    `true`."""

    accuracy: MetricName = "model_accuracy"
    """Name of a gauge that tells how good the answers are. Where several pods or series tell, it is
    their mean. Defaults to `model_accuracy`."""


class ModelDeploymentSpec(WireModel):
    """What is wanted of the ModelDeployment."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None
    """Name of the model as its users know it, for example `all-MiniLM-L6-v2`. Absent: it has none
    but that of the ModelDeployment."""

    versions: Annotated[
        tuple[ModelVersion, ...], Field(min_length=1, max_length=MAX_VERSIONS), list_map("name")
    ]
    """Versions of the model, at most 16. Pods run only of those that serve, are tried, or are kept
    warm. Required."""

    active_version: VersionName
    """Name of the version that serves, one of `versions`. A change is a swap: the new version is
    loaded and warmed up, gets a growing part of the requests as `upgradePolicy` says, and takes
    over; one that served before goes back at once. Required."""

    canary: ModelCanary | None = None
    """Another version that is tried beside the active one. Absent: there is none."""

    routing: Routing = Routing.WEIGHTED
    """How requests are divided while a canary with `weight` is tried. `Weighted`: as `weight` says.
    `Performance`: it begins so, then a version that is faster and fails less gets more, between
    `canary.minimumWeight` and `canary.cap`, and nothing as long as `weight` is 0; needs `metrics`.
    Defaults to `Weighted`."""

    replicas: Annotated[Int32, Field(ge=0, le=10000)] = 1
    """Number of pods of the active version. An autoscaler may set it, through the scale
    subresource. Defaults to 1."""

    requires: Compatibility | None = None
    """What the users of the model need. A version that does not declare to do so gets no pods and
    the condition `Compatible` says what is missing. Absent: what the version that serves declares
    is what users need, and one that has served before may always serve again."""

    warm_up: WarmUp | None = None
    """Request that every pod must have answered before it is ready. Absent: a pod is ready when its
    probes say so."""

    keep_warm: bool = False
    """Whether the pods of the version that served before keep running without requests after a
    swap, so that going back takes no time. They go when the next version is started. Defaults to
    `false`: they go when `upgradePolicy.scaleDownDelaySeconds` are over."""

    health: Health | None = None
    """How the operator tells that a pod is able to work. It becomes the readiness probe and the
    startup probe of the first container, which must not have these probes in a template then.
    Absent: the probes of the template count."""

    drain: Drain | None = None
    """How a pod is brought to its end: it gets no more requests, finishes what it has, and gets
    SIGTERM. Absent: what the template says counts."""

    traffic: Traffic | None = None
    """How requests reach the model through a Gateway, so that a version can be given an exact part
    of them. Absent: requests come through the Service of the ModelDeployment, and the part of a
    version is its part of the pods."""

    metrics: Metrics | None = None
    """Where pods tell how many requests they have had, how many failed and how long they took. With
    it a version that is worse is rolled back, and `status.versions` tells how each does. Absent:
    neither is measured."""

    monitoring: Monitoring = Field(default_factory=Monitoring)
    """How the versions are measured. Absent: all of it."""

    slo: Objectives | None = None
    """What the model promises its users. A version that is tried and breaks a promise is rolled
    back; for the active one the condition `ObjectivesMet` tells. Needs `metrics`. Absent: nothing
    is promised."""

    upgrade_policy: UpgradePolicy | None = None
    """How a change of `activeVersion` is made, and how versions are judged and approved. No weight
    may be above 20 percent. Absent: a canary with 5, 10 and 20 percent of the requests for 30
    seconds each."""

    revision_history_limit: Annotated[Int32, Field(ge=0, le=100)] = 5
    """Number of revisions that are kept besides those in use. Defaults to 5."""

    progress_deadline_seconds: Annotated[Int32, Field(ge=10, le=86400)] = 600
    """Seconds a version may take until its pods are loaded, warm and ready. Defaults to 600."""


class VersionPerformance(WireModel):
    """How a version did during the last seconds of being measured."""

    at: Time
    """Time of the measurement."""

    mean_milliseconds: _Milliseconds | None = None
    """Mean time of an answer. Absent: the pods tell nothing of it, or there was none."""

    p50_milliseconds: _Milliseconds | None = None
    """Time within which half of the answers came, interpolated in the buckets of the histogram.
    Absent: the pods tell no buckets, or there was no request."""

    p95_milliseconds: _Milliseconds | None = None
    """Time within which 95 of 100 answers came. Absent: as `p50Milliseconds`."""

    p99_milliseconds: _Milliseconds | None = None
    """Time within which 99 of 100 answers came. Absent: as `p50Milliseconds`."""

    requests_per_second: Annotated[float, Field(ge=0)] | None = None
    """Requests answered in a second, by all pods together. Absent: not known."""

    error_rate: _Fraction | None = None
    """Part of them that failed, from 0 to 1. Absent: the pods do not tell, or there was none."""

    in_flight: Count | None = None
    """Requests that are being answered. Absent: the pods do not tell."""

    accuracy: float | None = None
    """Accuracy as `monitoring.accuracy` tells it. Absent: the pods do not tell."""


class VersionStatus(WireModel):
    """How a version does."""

    name: VersionName
    """Name of the version."""

    state: VersionState
    """What it is doing. `Pending`: registered, without pods. `Loading`: its pods start and load.
    `Ready`: they are warm and get no requests yet. `Canary`: it gets a part of the requests.
    `Active`: it serves. `Draining`: its pods finish what they have. `Standby`: they are kept warm
    without requests. `Failed`: it was given up, see `message`."""

    since: Time
    """Time at which this state began."""

    revision: Revision | None = None
    """Revision its pods belong to. Absent: it has never had any."""

    compatible: bool = True
    """Whether it does what `spec.requires` says."""

    message: Annotated[str, Clip(1024)] = ""
    """Why it is not compatible or has failed."""

    replicas: Count = 0
    """Number of pods that the version has."""

    ready_replicas: Count = 0
    """Number of pods of the version that are ready."""

    weight: Annotated[Int32, Field(ge=0, le=100)] = 0
    """Percentage of the requests it was given."""

    weight_seen: Annotated[Int32, Field(ge=0, le=100)] | None = None
    """Percentage of the requests it was seen to get. Absent: not measured."""

    performance: VersionPerformance | None = None
    """How it did during the last seconds. Absent: it is not measured."""


class Swap(WireModel):
    """A version that took over, or was to."""

    from_: VersionName | None = Field(default=None, alias="from")
    """Version that served before. Absent: it is not known any more."""

    to: VersionName
    """Version that was to take over."""

    upgrade: ObjectName
    """Name of the AgentUpgrade that tells more."""

    outcome: SwapOutcome
    """How it ended: `Promoted`, `RolledBack` or `Superseded`."""

    reason: Annotated[str, Clip(1024)] = ""
    """Why it was rolled back."""

    started_at: Time
    """Time at which the version was started."""

    finished_at: Time
    """Time at which it had taken over, or all requests were back."""

    duration_seconds: Annotated[Int32, Field(ge=0)]
    """Seconds between the two."""


class LastRollback(WireModel):
    """The last version that was given up."""

    version: VersionName
    """Version that was given up."""

    trigger: Annotated[str, Clip(256)]
    """What it was given up for, as one CamelCase word."""

    reason: Annotated[str, Clip(1024)]
    """Why it was, as a sentence."""

    at: Time
    """Time at which it was decided."""

    duration_seconds: Annotated[float, Field(ge=0)] | None = None
    """Seconds from then until all requests were at a ready pod of the other version. Absent: they
    are not yet."""


class ModelDeploymentStatus(WorkloadStatus):
    """What the operator saw, and what it made of it."""

    phase: ModelPhase | None = None
    """What the ModelDeployment is doing, in one word. `Loading`: the first version is starting.
    `Ready`: a version serves. `Idle`: it is scaled to 0. `Failed`: nothing serves; see
    the condition `Ready`."""

    active_version: VersionName | None = None
    """Version that serves. Absent: none has been ready yet."""

    canary_version: VersionName | None = None
    """Version that is tried or swapped to. Absent: there is none."""

    versions: Annotated[
        tuple[VersionStatus, ...],
        Field(max_length=MAX_VERSIONS + 4, exclude_if=is_empty),
        list_map("name"),
    ] = ()
    """How each version does; also those that are not registered any more while they have pods."""

    swaps: Annotated[
        tuple[Swap, ...], Field(max_length=MAX_SWAPS, exclude_if=is_empty), ATOMIC
    ] = ()
    """Latest swaps that have ended, the newest last, at most 20."""

    last_rollback: LastRollback | None = None
    """The last version that was given up. Absent: none was."""

    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, exclude_if=is_empty), list_map("type")
    ] = ()
    """State by aspect. `Ready`: it is as its spec wants it. `Available`: it serves now. `Healthy`:
    its pods pass their checks. `Compatible`: the version that is asked for does what users need.
    `ObjectivesMet`: the active version keeps what `spec.slo` promises. `TrafficApplied`: requests
    are divided as asked for. `Reconciling` and `Stalled` exist only while they are true."""


_REGISTERED: Final = "self.spec.versions.exists(v, v.name == {})"


class ModelDeployment(StoredObject):
    """A ModelDeployment is a model behind a stable address, of which several versions are
    registered: one serves, another one may be tried beside it, and a new one takes over without a
    lost request. Its name must be a DNS-1035 label, because its Service has the same name."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule.keywords()
                for rule in (
                    Rule(
                        "self.metadata.name.size() <= 63"
                        f" && self.metadata.name.matches('{DNS_1035_LABEL}')",
                        "metadata.name must be a DNS-1035 label, because the Service of the "
                        "ModelDeployment gets this name: at most 63 lower-case letters, digits and "
                        "'-', starting with a letter and not ending with '-'",
                    ),
                    Rule(
                        _REGISTERED.format("self.spec.activeVersion"),
                        "must be one of spec.versions: register the version first",
                        field=".spec.activeVersion",
                    ),
                    Rule(
                        "!has(self.spec.canary) || "
                        + _REGISTERED.format("self.spec.canary.version"),
                        "must have one of spec.versions as its version: register it first",
                        field=".spec.canary",
                    ),
                    Rule(
                        "!has(self.status) || !has(self.status.activeVersion)"
                        f" || {_REGISTERED.format('self.status.activeVersion')}"
                        " || !oldSelf.spec.versions.exists(v, v.name == "
                        "self.status.activeVersion)",
                        "must keep the version that serves: let another one take over first",
                        field=".spec.versions",
                    ),
                    Rule(
                        "self.spec.routing != 'Performance' || has(self.spec.metrics)",
                        "must be set with routing Performance, which goes by what pods tell",
                        field=".spec.metrics",
                    ),
                    Rule(
                        "self.spec.routing != 'Performance' || !has(self.spec.canary)"
                        " || has(self.spec.canary.weight)",
                        "must have a weight to begin with, and no steps, with routing Performance",
                        field=".spec.canary",
                    ),
                    Rule(
                        "!has(self.spec.slo) || has(self.spec.metrics)",
                        "must be set with slo, which goes by what pods tell",
                        field=".spec.metrics",
                    ),
                    Rule(
                        "!has(self.spec.upgradePolicy) || !has(self.spec.upgradePolicy.canary)"
                        " || !has(self.spec.upgradePolicy.canary.steps)"
                        " || self.spec.upgradePolicy.canary.steps.all(step, step.weight <= 20)",
                        "must not have a weight greater than 20: a version gets more only by its "
                        "promotion",
                        field=".spec.upgradePolicy",
                    ),
                )
            ]
        }
    )

    KIND: ClassVar[str] = "ModelDeployment"
    PLURAL: ClassVar[str] = "modeldeployments"

    spec: ModelDeploymentSpec
    """What is wanted of the ModelDeployment."""

    status: ModelDeploymentStatus = Field(default_factory=ModelDeploymentStatus)
    """What the operator saw, and what it made of it. Written by the operator only."""
