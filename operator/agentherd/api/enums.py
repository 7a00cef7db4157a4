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
