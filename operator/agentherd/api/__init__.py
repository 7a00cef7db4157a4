"""The Kubernetes API of Agentherd, as pydantic models: the only place where JSON becomes types.

The models serve two masters. The operator parses every object it sees with them, often and cheaply;
the API server validates every object with the CustomResourceDefinitions that `crd` generates from
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
from agentherd.api.enums import (
    ConditionStatus,
    ConfigUpdate,
    OperatingMode,
    Phase,
    RouteKind,
    RouteProtocol,
    StrategyType,
    UpgradePhase,
)
from agentherd.api.meta import API_GROUP, API_VERSION, Condition, ObjectMeta
from agentherd.api.metrics import Metrics
from agentherd.api.strategy import (
    BlueGreen,
    Canary,
    EffectiveStrategy,
    Pause,
    RollingUpdate,
    Step,
    Strategy,
)
from agentherd.api.traffic import ParentRef, RouteRef, Testers, Traffic
from agentherd.api.upgrade import (
    AgentUpgrade,
    AgentUpgradeSpec,
    AgentUpgradeStatus,
    Change,
    Control,
    PhaseChange,
    Promote,
    RollbackRecord,
    RollbackRequest,
    TargetRef,
)

__all__ = [
    "API_GROUP",
    "API_VERSION",
    "Agent",
    "AgentSpec",
    "AgentStatus",
    "AgentUpgrade",
    "AgentUpgradeSpec",
    "AgentUpgradeStatus",
    "BlueGreen",
    "Canary",
    "Change",
    "Condition",
    "ConditionStatus",
    "ConfigRecord",
    "ConfigUpdate",
    "Control",
    "Drain",
    "EffectiveStrategy",
    "HTTPCheck",
    "Health",
    "LastError",
    "Metrics",
    "ObjectMeta",
    "OperatingMode",
    "ParentRef",
    "Pause",
    "Phase",
    "PhaseChange",
    "Promote",
    "RollbackRecord",
    "RollbackRequest",
    "RollingUpdate",
    "RouteKind",
    "RouteProtocol",
    "RouteRef",
    "Step",
    "Strategy",
    "StrategyType",
    "TargetRef",
    "Testers",
    "Traffic",
    "Transition",
    "UpgradePhase",
]
