"""A ModelDeployment as the engine sees it: the Agent that would run the version that is asked for.

Steps, traffic, drain, judgement and rollback are those of Agents; what is said here is only what
of a ModelDeployment becomes which field of an Agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from agentherd.api import (
    Agent,
    AgentSpec,
    AgentStatus,
    Canary,
    Condition,
    ModelCanary,
    ModelDeployment,
    ModelDeploymentStatus,
    ModelPhase,
    ModelVersion,
    Pause,
    Phase,
    Step,
    StrategyType,
    UpgradePolicy,
    WorkloadStatus,
)
from agentherd.domain.models.registry import Asked, incompatibilities
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.strategy import Defaults
from agentherd.domain.warmth import WARM

CONTAINER: Final = "model"
PORT: Final = 8080

DEFAULT_WEIGHTS: Final = (5, 10, 20)
"""Percentages of a swap for which nobody has set steps; none is above what a canary may get."""

PHASES: Final[Mapping[Phase, ModelPhase]] = {
    Phase.DEPLOYING: ModelPhase.LOADING,
    Phase.ONLINE: ModelPhase.READY,
    Phase.IDLE: ModelPhase.IDLE,
    Phase.ERROR: ModelPhase.FAILED,
}
"""What a ModelDeployment calls the phases that it can have."""

_AGENT_PHASES: Final = {phase: of_agent for of_agent, phase in PHASES.items()}

_SHARED: Final = ("health", "drain", "traffic", "metrics")
_LIMITS: Final = ("revision_history_limit", "progress_deadline_seconds")


class ServedModel(Agent):
    """The Agent that a ModelDeployment would be; its children are the ModelDeployment's."""

    KIND: ClassVar[str] = ModelDeployment.KIND
    PLURAL: ClassVar[str] = ModelDeployment.PLURAL


def workload(model: ModelDeployment, wanted: Asked, defaults: Defaults) -> ServedModel:
    """The Agent that runs the version that is `wanted`, and none while there is none to run."""
    spec, version = model.spec, wanted.version
    fields = {name: getattr(spec, name) for name in (*_SHARED, *_LIMITS)}
    return ServedModel.model_construct(
        metadata=model.metadata,
        spec=AgentSpec.model_construct(
            **fields,
            version=version.name if version is not None else None,
            template=template(model, version) if version is not None else _EMPTY,
            replicas=spec.replicas if version is not None else 0,
            upgrade_policy=policy(spec.upgrade_policy, wanted.canary, defaults),
        ),
        status=agent_status(model.status),
    )


def allowed_revisions(model: ModelDeployment, defaults: Defaults) -> frozenset[str]:
    """The revisions of the versions that may run, as they would be made today."""
    may = (each for each in model.spec.versions if not incompatibilities(model, each))
    return frozenset(
        revision_of(workload(model, Asked(version=each), defaults).spec).hash for each in may
    )


def agent_status(status: ModelDeploymentStatus) -> AgentStatus:
    """What of the status is that of the Agent."""
    fields = {name: getattr(status, name) for name in WorkloadStatus.model_fields}
    phase = _AGENT_PHASES[status.phase] if status.phase is not None else None
    # Where a version is not compatible the condition tells of that instead.
    moves = status.canary_version is not None or _rolls_out(status.conditions)
    if phase is Phase.ONLINE and _is_refused(status):
        phase = Phase.ERROR
    elif phase is Phase.ONLINE and moves:
        phase = Phase.DEPLOYING
    return AgentStatus.model_construct(**fields, phase=phase, conditions=status.conditions)


def model_phase(status: AgentStatus) -> ModelPhase | None:
    """The phase of the ModelDeployment: while another version is brought on, one serves still."""
    if status.phase is None:
        return None
    if _rolls_out(status.conditions) or serves_in_error(status):
        return ModelPhase.READY
    return PHASES.get(status.phase, ModelPhase.LOADING)


def serves_in_error(status: AgentStatus) -> bool:
    """Whether a version serves although a write is refused, which an Agent calls an error."""
    serves = status.stable_revision is not None and status.available_replicas > 0
    return status.phase is Phase.ERROR and serves


def _is_refused(status: ModelDeploymentStatus) -> bool:
    error = status.last_error
    if error is None or error.reason == Reason.ROLLED_BACK:
        return False
    return any(c.type == "Stalled" and c.reason == error.reason for c in status.conditions)


def _rolls_out(conditions: Iterable[Condition]) -> bool:
    return any(c.type == "Ready" and c.reason == Reason.ROLLING_OUT for c in conditions)


def policy(
    written: UpgradePolicy | None, canary: ModelCanary | None, defaults: Defaults
) -> UpgradePolicy:
    """How the version that is asked for is brought on: as the canary says, or else the policy.

    A version that served before is gone back to at once, but only by making it the active one: as
    a canary it takes all steps.
    """
    found = written or UpgradePolicy()
    if canary is not None:
        steps = Canary(steps=_steps(canary, defaults))
        chosen = {"type": StrategyType.CANARY, "canary": steps, "rollback_window": 0}
        return found.model_copy(update={**chosen, "blue_green": None, "rolling_update": None})
    open_steps = found.canary is None or found.canary.steps is None
    if found.type is StrategyType.CANARY and open_steps:
        return found.model_copy(update={"canary": Canary(steps=_default_steps(100, defaults))})
    return found


def _steps(canary: ModelCanary, defaults: Defaults) -> tuple[Step, ...]:
    if canary.steps is not None:
        return canary.steps
    if canary.weight is not None:
        return (Step(weight=canary.weight, pause=Pause()),)
    return _default_steps(canary.cap, defaults)


def _default_steps(cap: int, defaults: Defaults) -> tuple[Step, ...]:
    seconds = defaults.canary_pause_seconds
    pause = Pause(seconds=seconds) if seconds else None
    return tuple(
        Step(weight=weight, pause=pause)
        for weight in dict.fromkeys(min(weight, cap) for weight in DEFAULT_WEIGHTS)
    )


def template(model: ModelDeployment, version: ModelVersion) -> dict[str, Any]:
    """The pod template of a version.

    What is not the shape of a template stays as it is; the rules for Agents tell what is wrong.
    """
    written = version.template or _made_up(version.image or "")
    pod = written.get("spec")
    containers = pod.get("containers") if isinstance(pod, Mapping) else None
    if not isinstance(pod, Mapping) or not isinstance(containers, list) or not containers:
        return written
    if not isinstance(containers[0], Mapping) or not _is_list(containers[0].get("env")):
        return written
    first = dict(containers[0])
    if version.model_uri is not None:
        first["env"] = [
            *(first.get("env") or ()),
            {"name": "MODEL_URI", "value": version.model_uri},
        ]
    if version.resources is not None:
        first["resources"] = version.resources.model_dump(exclude_unset=True)
    changed = {**pod, "containers": [first, *containers[1:]]}
    if model.spec.warm_up is not None and _is_list(pod.get("readinessGates")):
        changed["readinessGates"] = [*(pod.get("readinessGates") or ()), {"conditionType": WARM}]
    return {**written, "spec": changed}


def _is_list(value: object) -> bool:
    return value is None or isinstance(value, list)


def _made_up(image: str) -> dict[str, Any]:
    """The pods of a version of which only the image is known, as restricted as pods can be."""
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        }
    }


_EMPTY: Final[dict[str, Any]] = {"spec": {"containers": []}}
