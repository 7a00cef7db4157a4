"""The AgentUpgrade: one change of one Agent or ModelDeployment, as it is asked for and as it goes.

The operator makes one for every change of a running Agent, and people make them to try a change
before it stands in the Agent. What is to be done is frozen once it has begun, because nobody could
tell what a half-made change was judged by; what steers it (pause, promote, rollback, attempt)
stays open all the time.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, StringConstraints

from agentherd.api.agent import Config, Version
from agentherd.api.analysis import MAX_FEEDBACK, Analysis, AnalysisStatus, Feedback
from agentherd.api.enums import TargetKind, UpgradePhase
from agentherd.api.markers import (
    ATOMIC,
    RULES,
    SET,
    AgentName,
    Clip,
    Count,
    DescribedBy,
    Int32,
    Keywords,
    ObjectName,
    ObservedGeneration,
    Revision,
    Rule,
    Time,
    is_empty,
    list_map,
)
from agentherd.api.meta import Condition, StoredObject, WireModel
from agentherd.api.strategy import MAX_STEPS, EffectiveStrategy, Strategy

MAX_UPGRADE_HISTORY: Final = 50
MAX_CONTROLS: Final = 20

_BEGUN: Final = (
    "has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase != 'Pending'"
)

# Anything, and not an object of which nothing is known: in those, a rule that compares two would
# overlook that a key was replaced by another one.
_Anything = Annotated[
    Any, Keywords({"x-kubernetes-preserve-unknown-fields": True, "nullable": True})
]


def _frozen_once_begun(field: str) -> Rule:
    """Refuse to change `field` of the spec, in or out of existence too, after phase Pending."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    return Rule(
        f"!({_BEGUN}) || (has({new}) == has({old}) && (!has({new}) || {new} == {old}))",
        "cannot be changed once the upgrade has begun: create another AgentUpgrade, which "
        "supersedes this one",
        field=f".spec.{field}",
    )


class TargetRef(WireModel):
    """The Agent or ModelDeployment that is changed."""

    kind: TargetKind = TargetKind.AGENT
    """Kind of the object that is changed. Defaults to `Agent`."""

    name: AgentName
    """Name of the object that is changed, in the same namespace. Required."""


class TemplatePatch(WireModel):
    """Changes of a pod template; never parsed into, as in a patch null differs from absent."""

    metadata: _Anything = None
    """Labels and annotations that are set or, with `null`, removed. Absent: they stay."""

    spec: _Anything = None
    """Fields of the pods' specification that are set or, with `null`, removed. `containers` is a
    list and so is replaced as a whole. Absent: the specification stays."""


class Change(WireModel):
    """What is changed. Everything that is not named here stays as it is. For a ModelDeployment only
    `revision` can be set, since its versions are in its spec."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "has(self.version) || has(self.image) || has(self.config)"
                    " || has(self.template) || has(self.revision)",
                    "must change something: set version, image, config, template or revision",
                ).keywords(),
                Rule(
                    "!has(self.revision) || !(has(self.version) || has(self.image)"
                    " || has(self.config) || has(self.template))",
                    "must stand alone, because a kept revision has its own version, image, config "
                    "and template",
                    field=".revision",
                ).keywords(),
            ]
        }
    )

    version: Version | None = None
    """Semantic version the Agent gets, for example `1.4.2`. It does not choose the image. Absent:
    the version stays."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Image of the first container. Give a tag or a digest that never changes. Absent: the image
    stays, unless `template` changes it."""

    config: Config | None = None
    """Configuration the Agent gets in place of the one it has. Keys that are not named here are
    gone afterwards. Absent: the configuration stays."""

    template: Annotated[dict[str, Any], DescribedBy(TemplatePatch)] | None = None
    """Changes of the Agent's pod template, as a JSON merge patch (RFC 7386): its `metadata`
    and `spec` are merged, lists are replaced as a whole, and `null` removes a field. `image` is set
    after it.
    Absent: the template stays."""

    revision: Revision | None = None
    """Former revision to go back to, one of its `status.formerRevisions` that is still
    kept. It brings its own version, template and configuration, so nothing else may be set here.
    Absent: the other fields say what is wanted."""


class Promote(WireModel):
    """Leave to go on."""

    step: Annotated[Int32, Field(ge=1, le=MAX_STEPS)] | None = None
    """Number of a step, counted from 1: the upgrade does not pause at this step or any before it.
    `status.step` tells where it is. Absent: pauses last as long as they say."""

    full: bool = False
    """Whether to skip all steps and pauses that are left: the new version gets all requests as soon
    as all its pods are ready. Absent or `false`: the steps are taken."""


class RollbackRequest(WireModel):
    """Leave to go back."""

    requested: bool = False
    """Whether to go back to the old version, at once and from every phase in which the upgrade has
    not ended. Absent or `false`: the upgrade goes on, and is still rolled back by itself when the
    new version fails."""

    reason: Annotated[str, StringConstraints(max_length=256)] | None = None
    """Why, in your own words, for example `customers complain`. It is repeated in
    `status.rollback`. Absent: a general text is shown."""


class Approval(WireModel):
    """Leave to begin, or to promote, where an upgrade waits for it."""

    required: bool = False
    """Whether the upgrade begins only once it is approved, whatever the Agent's
    `upgradePolicy.automation` says. Absent or `false`: that alone says what waits for approval."""

    approved_by: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None
    """Your own user name, as `kubectl auth whoami` shows it: writing it approves the upgrade as it
    is now. Only who may `update` the subresource `agentupgrades/approval` can write it, and nobody
    another one's. Absent: the upgrade is not approved."""

    revision: Revision | None = None
    """Revision of the Agent that is approved, as the condition `Approved` names it: no other one is
    then, whatever is changed meanwhile. Absent: the one that the upgrade leads to when the approval
    is seen."""


class AgentUpgradeSpec(WireModel):
    """What is to be changed, how, and what to do with it now."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "self.attempt == oldSelf.attempt || !has(self.rollback)"
                    " || !has(self.rollback.requested) || !self.rollback.requested",
                    "must not be raised while rollback.requested is true: set that to false with "
                    "it, or the new attempt would be rolled back at once",
                    field=".attempt",
                ).keywords()
            ]
        }
    )

    target_ref: TargetRef
    """Agent or ModelDeployment that is changed. It cannot be changed to another one. Required."""

    to: Change | None = None
    """What is changed. The target itself is not written while the upgrade runs; once it has
    succeeded, the changed fields are written into it. It can be changed until the upgrade begins.
    Absent: what the spec of the target asks for is brought to its pods."""

    strategy: Strategy | None = None
    """How the change is made. It can be changed until the upgrade begins. Absent:
    `spec.upgradePolicy` of the Agent."""

    priority: Annotated[Int32, Field(ge=0, le=10)] = 5
    """Which of several upgrades of one object goes first: the higher number, or the older upgrade
    where both are equal. It can be changed until the upgrade begins. Defaults to 5."""

    depends_on: Annotated[tuple[ObjectName, ...], Field(max_length=16), SET] = Field(
        default_factory=tuple
    )
    """Names of AgentUpgrades in the same namespace that must have succeeded before this one begins,
    at most 16, and not itself. It can be changed until the upgrade begins. Absent: it waits for no
    other."""

    allow_downgrade: bool = False
    """Whether the version may become lower than it is. It can be changed until the upgrade begins.
    Absent or `false`: such an upgrade is refused; going back to a former revision never is."""

    paused: bool = False
    """Whether to stay where it is: steps are not taken and nothing is promoted. The new version
    keeps its pods and its weight, and is still rolled back when it fails. Absent or `false`: the
    upgrade goes on."""

    promote: Promote | None = None
    """Leave to go on before a pause is over, or to end a pause that has no end. Absent: the
    strategy alone decides."""

    rollback: RollbackRequest | None = None
    """Leave to go back to the old version. Absent: it is gone back to only when the new one
    fails."""

    analysis: Analysis | None = None
    """How the new version is judged while it serves. It can be changed until the upgrade begins.
    Absent: `spec.upgradePolicy.analysis` of the Agent."""

    approval: Approval | None = None
    """Leave to begin, or to promote. Absent: it is not approved, which matters only where approval
    is waited for."""

    feedback: Annotated[tuple[Feedback, ...], Field(max_length=MAX_FEEDBACK), list_map("from")] = (
        Field(default_factory=tuple)
    )
    """What people and agents think of the new version, at most 50. Absent: nobody has said
    anything."""

    attempt: Annotated[Int32, Field(ge=1, le=100)] = 1
    """Number of this attempt. Raise it to try again after a rollback, with `rollback.requested`
    set to false. It can be raised only in phase `RolledBack`, and cannot be lowered. Defaults to
    1."""


class RollbackRecord(WireModel):
    """How the old version was gone back to."""

    trigger: Annotated[str, Clip(256)]
    """What caused the rollback, as one CamelCase word: `HealthProbe`, `Crash`, `ImageUnavailable`,
    `WarmUpFailed`, `ProgressDeadline`, `Requested` and others."""

    reason: Annotated[str, Clip(1024)]
    """Why, as a sentence with the names and messages needed to act on it, or in the words of
    `spec.rollback.reason`."""

    requested_by: Annotated[str, Clip(256)]
    """Who asked for it: the field manager that changed the spec, for example `kubectl`, or
    `agentherd` where the new version failed."""

    at: Time
    """Time at which the trigger was seen."""

    finished_at: Time | None = None
    """Time at which all requests went to ready pods of the old version again. Absent: not yet."""

    duration_seconds: Count | None = None
    """Seconds from `at` to `finishedAt`. Absent: the rollback has not ended."""


class PhaseChange(WireModel):
    """One change of the phase or of the step."""

    phase: UpgradePhase
    """Phase the upgrade entered, or was in at the new step."""

    reason: Annotated[str, Clip(256)]
    """Why, as one CamelCase word, the same as in the conditions."""

    message: Annotated[str, Clip(512)]
    """Why, as a sentence for people. May be empty."""

    at: Time
    """Time at which the phase or the step changed."""


class Control(WireModel):
    """Something a person did to steer the upgrade."""

    verb: Annotated[str, Clip(64)]
    """What was done, as one word: `Paused`, `Resumed`, `Promoted`, `RollbackRequested`, `Retried`
    and others."""

    by: Annotated[str, Clip(256)]
    """Who did it: the field manager that changed the spec, for example `kubectl`."""

    at: Time
    """Time at which it was done."""

    detail: Annotated[str, Clip(256)] = ""
    """What else there is to tell, for example the step that was promoted. May be empty."""


class ApprovalRecord(WireModel):
    """Who approved what."""

    by: Annotated[str, Clip(253)]
    """User name of who approved."""

    at: Time
    """Time at which the approval was seen."""

    revision: Revision
    """Revision of the Agent that the upgrade led to then. One that leads elsewhere now is not
    approved."""


class AgentUpgradeStatus(WireModel):
    """How the upgrade goes."""

    observed_generation: ObservedGeneration = None
    """Generation this status was decided for; -1: none. Smaller than that of the object until the
    latest change is taken in."""

    phase: UpgradePhase | None = None
    """How far the upgrade is, in one word. `Pending`: it has not begun; the condition `Validated`
    or `Progressing` says why. `Progressing`: it takes its steps. `Paused`: it waits for time or a
    person. `Promoting`: the new version gets all requests. `Succeeded`: the new version is the
    stable one. `RollingBack`, `RolledBack`: the old version gets, or has got, all requests back.
    `Superseded`: a later change took its place."""

    attempt: Annotated[Int32, Field(ge=1)] | None = None
    """Number of the attempt this status tells of; see `spec.attempt`. One that was asked for while
    there was nothing to try again is counted and has no effect."""

    from_revision: Revision | None = None
    """Revision of the Agent that was stable when the upgrade began."""

    to_revision: Revision | None = None
    """Revision of the Agent the upgrade leads to. Its ReplicaSet is called `<agent>-<revision>`."""

    from_version: Annotated[str, Clip(63)] | None = None
    """Version of the agent in `fromRevision`. Absent: it has none."""

    to_version: Annotated[str, Clip(63)] | None = None
    """Version of the agent in `toRevision`. Absent: it has none."""

    strategy: EffectiveStrategy | None = None
    """How the change is made, with all that `spec.strategy` and `spec.upgradePolicy` of the Agent
    leave open filled in from the settings of the operator. It is settled when an attempt begins:
    what is set elsewhere afterwards counts for the next one."""

    steps: Annotated[Int32, Field(ge=0, le=MAX_STEPS)] = 0
    """Number of steps of the strategy."""

    step: Annotated[Int32, Field(ge=0, le=MAX_STEPS)] = 0
    """Number of the step the upgrade is at, counted from 1; 0 before the first."""

    ready_since: Time | None = None
    """Time since which the pods of the new version that this step needs have been ready. Absent:
    they are not."""

    weight_since: Time | None = None
    """Time at which the new version was given `weight`, from which the pause of the step counts."""

    progress_since: Time | None = None
    """Time from which the progress deadline counts: the last time the upgrade got on."""

    weight: Annotated[Int32, Field(ge=0, le=100)] = 0
    """Percentage of the requests that the new version was given."""

    weight_seen: Annotated[Int32, Field(ge=0, le=100)] | None = None
    """Percentage of the latest requests that the pods of the new version were seen to get, from
    the metrics of both versions. Absent: not measured, or there were too few requests to tell."""

    started_at: Time | None = None
    """Time at which the upgrade, in its current attempt, left phase `Pending`."""

    finished_at: Time | None = None
    """Time at which the upgrade ended. Absent: it has not."""

    preview: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Name of the Service that reaches only the new version, in the same namespace. Absent: there
    is none, as before the first pod and after the end."""

    rollback: RollbackRecord | None = None
    """How the old version was gone back to. Absent: it was not, in this attempt."""

    approval: ApprovalRecord | None = None
    """Who approved the upgrade. Absent: nobody has."""

    analysis: AnalysisStatus | None = None
    """What the new version is judged by, and how. Absent: it has had no requests yet."""

    history: Annotated[
        tuple[PhaseChange, ...],
        Field(max_length=MAX_UPGRADE_HISTORY, exclude_if=is_empty),
        ATOMIC,
    ] = ()
    """Latest changes of the phase and the step, the newest last, at most 50."""

    controls: Annotated[
        tuple[Control, ...], Field(max_length=MAX_CONTROLS, exclude_if=is_empty), ATOMIC
    ] = ()
    """What people did to steer the upgrade, the newest last, at most 20."""

    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, exclude_if=is_empty), list_map("type")
    ] = ()
    """State of the upgrade by aspect. `Validated`: it can be made as it is written. `Progressing`:
    it gets on, or why not. `TrafficApplied`: routes and Services carry the weight asked for.
    `Approved`: whether it is, where approval is needed. `Analyzed`: whether the new version is as
    good as the stable one; `Unknown` while too little was seen.
    `Succeeded`: how it ended; `Unknown` until then. `Ready`: it has succeeded. `Reconciling` and
    `Stalled` exist only while they are true."""


class AgentUpgrade(StoredObject):
    """An AgentUpgrade is one change of one Agent or ModelDeployment: from the revision that serves
    to another one, in steps that can be watched, paused, promoted and rolled back. The operator
    makes one for every change of a running one; create one yourself to change it without writing it
    until the change has succeeded. Deleting one that runs rolls it back."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule.keywords()
                for rule in (
                    Rule(
                        "self.spec.targetRef == oldSelf.spec.targetRef",
                        "cannot be changed: create another AgentUpgrade for the other Agent",
                        field=".spec.targetRef",
                    ),
                    Rule(
                        "!has(self.spec.dependsOn) || !(self.metadata.name in self.spec.dependsOn)",
                        "must not contain the name of the AgentUpgrade itself",
                        field=".spec.dependsOn",
                    ),
                    Rule(
                        "self.spec.attempt >= oldSelf.spec.attempt",
                        "cannot be lowered: raise it to try again after a rollback",
                        field=".spec.attempt",
                    ),
                    Rule(
                        "self.spec.attempt <= oldSelf.spec.attempt || (has(oldSelf.status)"
                        " && has(oldSelf.status.phase) && oldSelf.status.phase == 'RolledBack')",
                        "can be raised only after a rollback, when status.phase is RolledBack: "
                        "wait for its end, or create another AgentUpgrade where this one is not "
                        "rolled back",
                        field=".spec.attempt",
                    ),
                    _frozen_once_begun("to"),
                    _frozen_once_begun("strategy"),
                    _frozen_once_begun("analysis"),
                    _frozen_once_begun("priority"),
                    _frozen_once_begun("dependsOn"),
                    _frozen_once_begun("allowDowngrade"),
                )
            ]
        }
    )

    KIND: ClassVar[str] = "AgentUpgrade"
    PLURAL: ClassVar[str] = "agentupgrades"

    spec: AgentUpgradeSpec
    """What is to be changed, how, and what to do with it now."""

    status: AgentUpgradeStatus = Field(default_factory=AgentUpgradeStatus)
    """How the upgrade goes. Written by the operator only."""
