"""How a running Agent goes over to another revision: in which steps, how fast, and what is kept.

A strategy stands in two places, in the Agent for all its changes and in an AgentUpgrade for one.
So it has no reference to either. A field that is absent leaves the answer to the operator, for whom
whoever runs the cluster has set it; the answer stands in the status of the upgrade, so that an
operator with other settings does not change what has begun.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from agentherd.api.analysis import Analysis
from agentherd.api.enums import Automation, StrategyType
from agentherd.api.markers import ATOMIC, RULES, Int32, Keywords, Rule
from agentherd.api.meta import WireModel

MAX_STEPS: Final = 20
SURGE_PATTERN: Final = "^([1-9][0-9]?|100)%$"


class Pause(WireModel):
    """A wait before the next step."""

    seconds: Annotated[Int32, Field(ge=1, le=604800)] | None = None
    """Seconds to wait, at most a week. Absent: the upgrade waits until a person lets it go on with
    `spec.promote` of the AgentUpgrade."""


class Step(WireModel):
    """One part of a canary: so many requests for the new version, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "self.weight == 0 || !has(self.replicas) || self.replicas > 0",
                    "must be at least 1 where weight is greater than 0, because a version without "
                    "pods cannot get requests",
                    field=".replicas",
                ).keywords(),
                Rule(
                    "!has(self.mirror) || self.weight == 0",
                    "must be 0 where mirror is set, because a request would reach the new version "
                    "twice",
                    field=".weight",
                ).keywords(),
            ]
        }
    )

    weight: Annotated[Int32, Field(ge=0, le=100)]
    """Percentage of the requests that the new version gets. Without `spec.traffic` of the Agent
    every pod gets the same, so it is reached by the number of pods, and nothing above 50 before the
    new version gets all. 0 starts pods that only testers reach. Required."""

    replicas: Annotated[Int32, Field(ge=0, le=10000)] | None = None
    """Number of pods of the new version at this step. Absent: `weight` percent of the pods wanted
    with `spec.traffic` of the Agent, or `mirror` percent, and without it as many as are that part
    of all pods together with the old ones; rounded up, at least one, and at most as many as
    wanted."""

    mirror: Annotated[Int32, Field(ge=1, le=100)] | None = None
    """Percentage of the requests of which the new version gets a copy, whose answers are thrown
    away: what a request does besides answering is done twice. Only with a `weight` of 0 and with
    `parentRefs` and protocol `HTTP` in `spec.traffic`. The GatewayClass of each Gateway must list
    `HTTPRouteRequestMirror`, below 100 percent `HTTPRouteRequestPercentageMirror`, among its
    features; otherwise the upgrade does not begin. Absent: no copies."""

    pause: Pause | None = None
    """How long the upgrade stays at this step, counted from the moment the new version is given
    `weight`. Absent: it goes on as soon as the pods are ready and the weight is set."""


class Canary(WireModel):
    """Give the new version a growing part of the requests, step by step."""

    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS), ATOMIC] | None = None
    """Steps in their order, at most 20. After the last one, the new version is brought to full size
    and gets all requests. Absent: those of the operator, 5, 25 and 50 percent for 30 seconds each
    unless it is told otherwise. Empty: the new version gets all requests once all its pods are
    ready."""


class BlueGreen(WireModel):
    """Start the new version at full size beside the old one, then give it all requests at once."""

    pause: Pause | None = None
    """How long the new version is ready without requests, reachable only through its own Service,
    which `status.preview` of the AgentUpgrade names. Absent: it gets the requests at once when all
    its pods are ready."""


MaxSurge = Annotated[
    int | str,
    Keywords(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": 10000,
            "maxLength": 4,
            "pattern": SURGE_PATTERN,
        }
    ),
]


class RollingUpdate(WireModel):
    """Replace pods one after the other, without steps and without weights."""

    max_surge: MaxSurge | None = None
    """Number of pods that may exist beyond those wanted while pods are replaced: a number from 1 to
    10000, or a percentage of the pods wanted from `1%` to `100%`, rounded up. Absent: that of the
    operator, `25%` unless it is told otherwise."""


class Strategy(WireModel):
    """How a change of a running Agent is made."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    f"!has(self.{block}) || self.type == '{kind}'",
                    f"must be left out unless type is {kind}",
                    field=f".{block}",
                ).keywords()
                for block, kind in (
                    ("canary", StrategyType.CANARY),
                    ("blueGreen", StrategyType.BLUE_GREEN),
                    ("rollingUpdate", StrategyType.ROLLING_UPDATE),
                )
            ]
        }
    )

    type: StrategyType = StrategyType.CANARY
    """`Canary`: the new version gets a growing part of the requests. `BlueGreen`: it is started at
    full size beside the old one and gets all requests at once. `RollingUpdate`: pods are replaced
    one after the other. Defaults to `Canary`. Only the field of the chosen type may be set."""

    canary: Canary | None = None
    """Steps of type `Canary`. Absent: those of the operator."""

    blue_green: BlueGreen | None = None
    """Options of type `BlueGreen`. Absent: no pause before the new version gets the requests."""

    rolling_update: RollingUpdate | None = None
    """Options of type `RollingUpdate`. Absent: those of the operator."""

    progress_deadline_seconds: Annotated[Int32, Field(ge=10, le=86400)] | None = None
    """Seconds within which the new version must get on: its pods become ready, its weight is set.
    Pauses do not count. After that the upgrade is rolled back. Absent: as many as
    `spec.progressDeadlineSeconds` of the Agent says."""

    scale_down_delay_seconds: Annotated[Int32, Field(ge=0, le=86400)] | None = None
    """Seconds the pods of the old version are kept, warm but without requests, after the new one
    has got them all, so that going back takes no time. Absent: as many as the operator's
    `--scale-down-delay-seconds` says, 30 if it says nothing."""

    abort_scale_down_delay_seconds: Annotated[Int32, Field(ge=0, le=86400)] | None = None
    """Seconds the pods of the new version are kept, without requests, after a rollback, so that
    they can be looked at. Absent: as many as the operator's `--abort-scale-down-delay-seconds`
    says, 30 if it says nothing."""

    rollback_window: Annotated[Int32, Field(ge=0, le=20)] | None = None
    """Number of former stable revisions that are gone back to without steps and pauses, because
    they have proved themselves. 0: every change takes all steps. Absent: as many as the operator's
    `--rollback-window` says, 3 if it says nothing."""


class UpgradePolicy(Strategy):
    """How every change of an Agent is made, judged and approved."""

    analysis: Analysis | None = None
    """How a new version is judged, unless an AgentUpgrade brings its own `analysis`. Absent: its
    errors and latency are compared where `spec.metrics` says where they are."""

    automation: Automation = Automation.AUTO
    """How far an upgrade goes without approval. `Auto`: to its end. `SemiAuto`: through its steps.
    `Manual`: it does not begin. A rollback never waits. Defaults to `Auto`."""


class EffectiveStrategy(WireModel):
    """A strategy without an open question: what the Agent, the upgrade and the operator say."""

    type: StrategyType
    """Type of the strategy."""

    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS), ATOMIC] = ()
    """Steps of type `Canary`. Empty for the others. An upgrade that may go without them, as its
    `status.steps` of 0 tells, does not take them."""

    pause: Pause | None = None
    """Pause of type `BlueGreen` before the new version gets the requests. Absent: there is none."""

    max_surge: MaxSurge
    """Pods that may exist beyond those wanted while type `RollingUpdate` replaces pods."""

    progress_deadline_seconds: Annotated[Int32, Field(ge=0)]
    """Seconds within which the new version must get on."""

    scale_down_delay_seconds: Annotated[Int32, Field(ge=0)]
    """Seconds the pods of the old version are kept after the new one has got all requests."""

    abort_scale_down_delay_seconds: Annotated[Int32, Field(ge=0)]
    """Seconds the pods of the new version are kept after a rollback."""

    rollback_window: Annotated[Int32, Field(ge=0)]
    """Number of former stable revisions that are gone back to without steps and pauses."""

    analysis: Analysis | None = None
    """How the new version is judged. Absent: by the health of its pods alone."""

    automation: Automation = Automation.AUTO
    """How far the upgrade goes without approval: `Manual` where `spec.approval.required` is true,
    else as `upgradePolicy.automation` of the Agent said."""
