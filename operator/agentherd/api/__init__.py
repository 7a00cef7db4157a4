"""The Kubernetes API of Agentherd, as pydantic models: the only place where JSON becomes types.

The models serve two masters. The operator parses every Agent it sees with them, often and cheaply;
the API server validates every Agent with the CustomResourceDefinition that `crd` generates from
them, strictly and only once. So each bound stands in one place, on the field it belongs to, and
what only the server can judge (CEL) is a marker that costs nothing when parsing.

`crd`, `schema` and `reference` are for generating files and are not imported here.
"""

from agentherd.api.agent import (
    Agent,
    AgentSpec,
    AgentStatus,
    ConfigRecord,
    Drain,
    Health,
    HTTPCheck,
    LastError,
    Transition,
)
from agentherd.api.enums import ConditionStatus, ConfigUpdate, OperatingMode, Phase
from agentherd.api.meta import API_GROUP, API_VERSION, Condition, ObjectMeta

__all__ = [
    "API_GROUP",
    "API_VERSION",
    "Agent",
    "AgentSpec",
    "AgentStatus",
    "Condition",
    "ConditionStatus",
    "ConfigRecord",
    "ConfigUpdate",
    "Drain",
    "HTTPCheck",
    "Health",
    "LastError",
    "ObjectMeta",
    "OperatingMode",
    "Phase",
    "Transition",
]
