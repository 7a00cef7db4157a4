"""How a running Agent goes over to another revision: in which steps, how fast, and what is kept.

A strategy stands in two places, in the Agent for all its changes and in an AgentUpgrade for one.
So it has no reference to either, and a field that is absent leaves the answer to the Agent.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from agentherd.api.enums import StrategyType
from agentherd.api.markers import ATOMIC, RULES, Int32, Keywords, Rule
from agentherd.api.meta import WireModel

MAX_STEPS: Final = 20


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
                ).keywords()
            ]
        }
    )

    weight: Annotated[Int32, Field(ge=0, le=100)]
    """Percentage of the requests that the new version gets. Without `spec.traffic` of the Agent
    every pod gets the same, so it is reached by the number of pods, and nothing above 50 before the
    new version gets all. 0 starts pods that only testers reach. Required."""

    replicas: Annotated[Int32, Field(ge=0, le=10000)] | None = None
    """Number of pods of the new version at this step. Absent: `weight` percent of the pods wanted
    with `spec.traffic` of the Agent, and without it as many as are that part of all pods together
    with the old ones; rounded up, at least one, and at most as many as wanted."""

    pause: Pause | None = None
    """How long the upgrade stays at this step, counted from the moment the new version is given
    `weight`. Absent: it goes on as soon as the pods are ready and the weight is set."""


class Canary(WireModel):
    """Give the new version a growing part of the requests, step by step."""

    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS), ATOMIC] = (
        Step(weight=5, pause=Pause(seconds=30)),
        Step(weight=25, pause=Pause(seconds=30)),
        Step(weight=50, pause=Pause(seconds=30)),
    )
    """Steps in their order, at most 20. After the last one, the new version is brought to full size
    and gets all requests; a step of 100 percent is not needed for that. Defaults to 5, 25 and 50
    percent for 30 seconds each. Empty: the new version gets all requests once all its pods are
    ready."""


class BlueGreen(WireModel):
    """Start the new version at full size beside the old one, then give it all requests at once."""

    pause: Pause | None = None
    """How long the new version is ready without requests, reachable only through its own Service,
    which `status.preview` of the AgentUpgrade names. Absent: it gets the requests at once when all
    its pods are ready."""


class RollingUpdate(WireModel):
    """Replace pods one after the other, without steps and without weights."""

    max_surge: Annotated[
        int | str,
        Keywords(
            {
                "x-kubernetes-int-or-string": True,
                "minimum": 1,
                "maximum": 10000,
                "maxLength": 4,
                "pattern": "^([1-9][0-9]?|100)%$",
            }
        ),
    ] = "25%"
    """Number of pods that may exist beyond those wanted while pods are replaced: a number from 1 to
    10000, or a percentage of the pods wanted from `1%` to `100%`, rounded up. The number of pods
    that serve never falls below the one wanted. Defaults to `25%`."""


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
    """Steps of type `Canary`. Absent: 5, 25 and 50 percent for 30 seconds each."""

    blue_green: BlueGreen | None = None
    """Options of type `BlueGreen`. Absent: no pause before the new version gets the requests."""

    rolling_update: RollingUpdate | None = None
    """Options of type `RollingUpdate`. Absent: a quarter more pods than wanted may exist."""

    progress_deadline_seconds: Annotated[Int32, Field(ge=10, le=86400)] | None = None
    """Seconds within which the new version must get on: its pods become ready, its weight is set.
    Pauses do not count. After that the upgrade is rolled back. Absent: as many as
    `spec.progressDeadlineSeconds` of the Agent says."""

    scale_down_delay_seconds: Annotated[Int32, Field(ge=0, le=86400)] = 30
    """Seconds the pods of the old version are kept, warm but without requests, after the new one
    has got them all, so that going back takes no time. Defaults to 30. 0: they are drained and
    removed at once."""

    abort_scale_down_delay_seconds: Annotated[Int32, Field(ge=0, le=86400)] = 30
    """Seconds the pods of the new version are kept, without requests, after a rollback, so that
    they can be looked at. Defaults to 30. 0: they are drained and removed at once."""

    rollback_window: Annotated[Int32, Field(ge=0, le=20)] = 3
    """Number of former stable revisions that are gone back to without steps and pauses, because
    they have proved themselves: a change that leads to one of the latest so many is made as fast as
    its pods become ready. Defaults to 3. 0: every change takes all steps."""
