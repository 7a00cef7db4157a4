"""The closed sets of words in the API. A value is written exactly as it is here."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

ConditionStatus = Literal["True", "False", "Unknown"]


class OperatingMode(StrEnum):
    """What an Agent should be doing."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    MAINTENANCE = "Maintenance"
    OFFLINE = "Offline"


class ConfigUpdate(StrEnum):
    """How a change of an Agent's config reaches its pods."""

    ROLLOUT = "Rollout"
    IN_PLACE = "InPlace"


class Phase(StrEnum):
    """What an Agent is doing, in one word."""

    DEPLOYING = "Deploying"
    ONLINE = "Online"
    IDLE = "Idle"
    ERROR = "Error"
    SUSPENDED = "Suspended"
    MAINTENANCE = "Maintenance"
    OFFLINE = "Offline"


class StrategyType(StrEnum):
    """How an Agent's pods and traffic go over to another revision."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    ROLLING_UPDATE = "RollingUpdate"


class TargetKind(StrEnum):
    """Kinds of what an AgentUpgrade changes."""

    AGENT = "Agent"
    MODEL_DEPLOYMENT = "ModelDeployment"


class RouteKind(StrEnum):
    """Kinds of routes whose weights are set during an upgrade."""

    HTTP = "HTTPRoute"
    GRPC = "GRPCRoute"


class RouteProtocol(StrEnum):
    """What an Agent speaks to those who call it through a Gateway."""

    HTTP = "HTTP"
    GRPC = "GRPC"


class UpgradePhase(StrEnum):
    """How far an AgentUpgrade is, in one word."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    SUCCEEDED = "Succeeded"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class Verdict(StrEnum):
    """What a comparison or a measurement says of the new version."""

    PASS = "Pass"  # noqa: S105  (not a password)
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class OnInconclusive(StrEnum):
    """What to do at the end of a step when too little was seen."""

    HOLD = "Hold"
    PROCEED = "Proceed"


class Automation(StrEnum):
    """How far an upgrade goes without a person."""

    MANUAL = "Manual"
    SEMI_AUTO = "SemiAuto"
    AUTO = "Auto"


class ModelPhase(StrEnum):
    """What a ModelDeployment is doing, in one word."""

    LOADING = "Loading"
    READY = "Ready"
    IDLE = "Idle"
    FAILED = "Failed"


class VersionState(StrEnum):
    """What a version of a model is doing."""

    PENDING = "Pending"
    LOADING = "Loading"
    READY = "Ready"
    ACTIVE = "Active"
    CANARY = "Canary"
    DRAINING = "Draining"
    STANDBY = "Standby"
    FAILED = "Failed"


class SwapOutcome(StrEnum):
    """How a swap ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class Routing(StrEnum):
    """How requests are divided between two versions of a model."""

    WEIGHTED = "Weighted"
    PERFORMANCE = "Performance"
