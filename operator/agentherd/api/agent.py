"""The Agent: what a person asks for (spec) and what the operator saw (status).

A field stands here once it works. Its docstring is what `kubectl explain` prints, its bounds are
what the API server enforces, its default is what the API server stores; a field without a default
says what its absence means.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, StringConstraints

from agentherd.api.enums import ConfigUpdate, OperatingMode, Phase
from agentherd.api.markers import (
    ATOMIC,
    DNS_1035_LABEL,
    RULES,
    SET,
    AgentName,
    Clip,
    DescribedBy,
    Int32,
    Revision,
    Rule,
    Time,
    is_empty,
    list_map,
)
from agentherd.api.meta import Condition, StoredObject, WireModel
from agentherd.api.metrics import Metrics
from agentherd.api.strategy import UpgradePolicy
from agentherd.api.template import PodTemplate
from agentherd.api.traffic import Traffic
from agentherd.api.workload import Drain, Health, WorkloadStatus

MAX_HISTORY: Final = 50
MAX_CONFIG_HISTORY: Final = 10

_SEMVER: Final = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
)

# 63 and not more, because a version becomes the value of a label.
Version = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    Rule(
        f"self.matches(r'{_SEMVER}')",
        "must be a semantic version such as 1.4.2 or 2.0.0-rc.1, without a leading v",
    ),
    Rule(
        "!self.endsWith('-')",
        "must not end with '-', because it becomes the value of a label",
    ),
]

Config = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=524288)]],
    Field(max_length=64),
    Rule(
        "self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$'))",
        "keys are file names: use letters, digits, '-', '_' and '.', at most 253 of them",
    ),
    Rule(
        "self.all(k, k != '.' && !k.startsWith('..'))",
        "keys are file names: '.' and names that start with '..' cannot be used",
    ),
    Rule(
        "self.map(k, size(self[k])).sum() <= 900000",
        "all values together must not be longer than 900000 characters, because they are stored in "
        "one ConfigMap",
    ),
]


class ModelRef(WireModel):
    """A ModelDeployment in the same namespace."""

    name: AgentName
    """Name of the ModelDeployment. Required."""

    port: Annotated[Int32, Field(ge=1, le=65535)] = 8080
    """Port of its Service. Defaults to 8080."""

    restart_on_swap: bool = False
    """Whether a swap of the model is a new revision. Defaults to `false`."""


class AgentSpec(WireModel):
    """What is wanted of the Agent."""

    version: Version | None = None
    """Semantic version (SemVer 2.0) of the agent, for example `1.4.2`. It is put on every pod as
    the label `app.kubernetes.io/version` (a `+` becomes `_`) and given to every container as
    `AGENTHERD_VERSION`. A change of it is a new revision. It does not choose the image. Absent: the
    label is absent and the variable empty."""

    template: Annotated[dict[str, Any], DescribedBy(PodTemplate)]
    """Template of the agent's pods, an ordinary Kubernetes pod template. A change of it is a new
    revision: new pods are started and become available before old ones are removed. It must not
    set what `health`, `drain` or `config` set as well."""

    replicas: Annotated[Int32, Field(ge=0, le=2147483647)] = 1
    """Number of pods wanted while `operatingMode` is `Running` or `Maintenance`. Defaults to 1. The
    operator never writes it, so `kubectl scale` or a HorizontalPodAutoscaler may own this field;
    leave it out of the manifests you apply then. 0 stops all pods and gives phase `Idle`. From 2
    on, a PodDisruptionBudget protects the pods from being evicted all at once."""

    revision_history_limit: Annotated[Int32, Field(ge=0, le=20)] = 5
    """Number of former revisions that are kept, each with its ReplicaSet scaled to 0, so that going
    back to one of them needs no new objects. Defaults to 5. 0 keeps none."""

    history_limit: Annotated[Int32, Field(ge=1, le=MAX_HISTORY)] = 10
    """Number of changes of the phase that `status.history` keeps, the latest last. Defaults to
    10."""

    progress_deadline_seconds: Annotated[Int32, Field(ge=10, le=86400)] = 600
    """Seconds a deployment may take until its pods are available. After that the phase becomes
    `Error` and `Ready` says `ProgressDeadlineExceeded`; the operator goes on trying. Time spent
    waiting for `dependsOn` does not count. Defaults to 600."""

    operating_mode: OperatingMode = OperatingMode.RUNNING
    """What the agent should be doing. `Running`: its pods run and get requests. `Suspended`: its
    pods finish what they do and are removed until it is `Running` again. `Maintenance`: its pods
    run but get no requests through the Service. `Offline`: as `Suspended`, because the agent is
    taken out of service. Defaults to `Running`."""

    operating_mode_reason: Annotated[str, StringConstraints(max_length=256)] | None = None
    """Why the agent is in this `operatingMode`, in your own words, for example `moving the
    database`. It is repeated in the condition `Ready` and in the history. Absent: a general text
    is shown."""

    config: Config = Field(default_factory=dict)
    """Configuration the agent reads, prompts included: each key becomes a read-only file of that
    name in the directory `/etc/agentherd/config` of every container, which
    `AGENTHERD_CONFIG_DIR` names. At most 64 keys, and 900000 characters in all. Do not put secrets
    here. Above about 250000 characters in
    all, use `kubectl apply --server-side`. Absent: nothing is mounted."""

    config_update: ConfigUpdate = ConfigUpdate.ROLLOUT
    """How a change of `config` reaches the pods. `Rollout`: it is a new revision like a change of
    the template, with new pods, and goes back with it. `InPlace`: the files change in the running
    pods within about a minute, and the agent has to read them again. Defaults to `Rollout`."""

    depends_on: Annotated[tuple[AgentName, ...], Field(max_length=32), SET] = Field(
        default_factory=tuple
    )
    """Names of Agents in the same namespace that have to be `Available` before this one is started
    for the first time. Once it has run, it is no longer held back by them. At most 32, and not
    itself. Absent: it starts at once."""

    model_ref: ModelRef | None = None
    """Model the agent uses. Pods find it in `AGENTHERD_MODEL_URL`, and first start once it is
    available. Absent: none."""

    health: Health | None = None
    """How the operator tells that the agent is able to work. It becomes the readiness probe and the
    startup probe of the first container, which must not have these probes in the template then.
    Absent: the probes of the template count; without any, a pod is healthy while it runs."""

    drain: Drain | None = None
    """How a pod is brought to its end when it is replaced, scaled down or removed: it leaves the
    endpoints of its Service, waits `delaySeconds`, gets SIGTERM, and has `timeoutSeconds` to finish
    its work. The sum of both becomes `terminationGracePeriodSeconds` of the pods, which the
    template must not set then. Absent: what the template says counts, which is SIGTERM at once and
    30 seconds unless it sets something else."""

    traffic: Traffic | None = None
    """How requests reach the agent through a Gateway, so that a new version can be given an exact
    part of them. Absent: requests come through the Service of the Agent, and the part of a new
    version is its part of the pods."""

    metrics: Metrics | None = None
    """Where the agent tells how many requests it has had, how many failed and how long they took.
    With it, the weight seen at the pods is shown, and a new version that fails more or is slower is
    rolled back. Absent: neither is measured."""

    upgrade_policy: UpgradePolicy | None = None
    """How every change of the running agent is made, unless an AgentUpgrade brings its own
    `strategy`. Absent: a canary with 5, 25 and 50 percent of the requests for 30 seconds each."""


class Transition(WireModel):
    """One change of the phase."""

    from_: Phase | None = Field(default=None, alias="from")
    """Phase the Agent left. Absent for the first one."""

    to: Phase
    """Phase the Agent entered."""

    reason: Annotated[str, Clip(256)]
    """Why the phase changed: one CamelCase word, the same as in the conditions, or the text of
    `spec.operatingModeReason` where that is the cause."""

    triggered_by: Annotated[str, Clip(256)]
    """Who made the phase change: the field manager that changed the spec, for example `kubectl`, or
    `agentherd` where nobody did and the pods changed by themselves."""

    at: Time
    """Time at which the phase changed."""


class ConfigRecord(WireModel):
    """One version of the config."""

    version: Annotated[Int32, Field(ge=1)]
    """Number of this version of the config, counted from 1."""

    hash: Revision
    """Digest of the config, equal for equal contents."""

    at: Time
    """Time at which the operator first saw this version in the spec."""


class AgentStatus(WorkloadStatus):
    """What the operator saw, and what it made of it."""

    phase: Phase | None = None
    """What the Agent is doing, in one word. `Deploying`: pods of the wanted revision are starting.
    `Online`: it serves. `Idle`: it is scaled to 0. `Error`: it does not become available; see
    `lastError`. `Suspended`, `Maintenance`, `Offline`: it is in that operating mode."""

    config_version: Annotated[Int32, Field(ge=1)] | None = None
    """Number of the config in the spec, counted from 1."""

    config_hash: Revision | None = None
    """Digest of the config in the spec, equal for equal contents."""

    config_history: Annotated[
        tuple[ConfigRecord, ...], Field(max_length=MAX_CONFIG_HISTORY, exclude_if=is_empty), ATOMIC
    ] = ()
    """Latest versions of the config, the newest last, at most 10."""

    history: Annotated[
        tuple[Transition, ...], Field(max_length=MAX_HISTORY, exclude_if=is_empty), ATOMIC
    ] = ()
    """Latest changes of the phase, the newest last, as many as `spec.historyLimit` says."""

    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, exclude_if=is_empty), list_map("type")
    ] = ()
    """State of the Agent by aspect. `Ready`: it is as its spec wants it. `Available`: it serves
    now. `Healthy`: its pods pass their checks. `Reconciling` and `Stalled` exist only while they
    are true. `Managed` is `False` while the annotation `agentherd.dev/unmanaged` is `"true"`."""


class Agent(StoredObject):
    """An Agent is a program that serves requests, usually an AI agent, run as pods that the
    operator starts, watches, changes safely and stops. Its name must be a DNS-1035 label, because
    its Service has the same name."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "self.metadata.name.size() <= 63"
                    f" && self.metadata.name.matches('{DNS_1035_LABEL}')",
                    "metadata.name must be a DNS-1035 label, because the Service of the Agent gets "
                    "this name: at most 63 lower-case letters, digits and '-', starting with a "
                    "letter and not ending with '-'",
                ).keywords(),
                Rule(
                    "!has(self.spec.dependsOn) || !(self.metadata.name in self.spec.dependsOn)",
                    "must not contain the name of the Agent itself",
                    field=".spec.dependsOn",
                ).keywords(),
            ]
        }
    )

    KIND: ClassVar[str] = "Agent"
    PLURAL: ClassVar[str] = "agents"

    spec: AgentSpec
    """What is wanted of the Agent."""

    status: AgentStatus = Field(default_factory=AgentStatus)
    """What the operator saw, and what it made of it. Written by the operator only."""
