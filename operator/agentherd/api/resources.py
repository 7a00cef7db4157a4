"""The resources of the API: all that their definitions and their pages have besides the schema.

A new resource is a model and an entry here; its definition, its page of the reference and its
place in the tests follow from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agentherd.api.agent import Agent
from agentherd.api.meta import StoredObject
from agentherd.api.model import ModelDeployment
from agentherd.api.upgrade import AgentUpgrade


@dataclass(frozen=True, slots=True)
class Column:
    """A column that `kubectl get` prints; a wide one only with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = field(default=False, kw_only=True)

    def keywords(self) -> dict[str, str | int]:
        """One entry of `additionalPrinterColumns`."""
        priority = {"priority": 1} if self.wide else {}
        return {
            "name": self.name,
            "type": self.type,
            **priority,
            "jsonPath": self.path,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object that the API server stores for us.

    `subresources` is as in the definition: each one's name, with its options.
    """

    model: type[StoredObject]
    short_name: str
    columns: tuple[Column, ...]
    subresources: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """Name of the kind, as in a manifest."""
        return self.model.KIND

    @property
    def plural(self) -> str:
        """Name of the resource, as in a URL."""
        return self.model.PLURAL

    @property
    def singular(self) -> str:
        """Name of one object, as people type it."""
        return self.kind.lower()


def _condition(aspect: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{aspect}")].{part}'


AGENT: Final = Resource(
    model=Agent,
    short_name="ag",
    columns=(
        Column("Phase", ".status.phase", "What the Agent is doing."),
        Column("Version", ".spec.version", "Semantic version of the agent."),
        Column(
            "Ready", _condition("Ready", "status"), "Whether the Agent is as its spec wants it."
        ),
        Column("Available", ".status.availableReplicas", "Number of pods that serve.", "integer"),
        Column("Desired", ".spec.replicas", "Number of pods wanted; empty means 1.", "integer"),
        Column("Mode", ".spec.operatingMode", "What the Agent should be doing.", wide=True),
        Column("Revision", ".status.targetRevision", "Revision the spec asks for.", wide=True),
        Column(
            "Reason", _condition("Ready", "reason"), "Why the Agent is ready or not.", wide=True
        ),
        Column("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date"),
    ),
    subresources={
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
)

AGENT_UPGRADE: Final = Resource(
    model=AgentUpgrade,
    short_name="agup",
    columns=(
        Column("Target", ".spec.targetRef.name", "Agent that is changed."),
        Column("Phase", ".status.phase", "How far the upgrade is."),
        Column("Step", ".status.step", "Step it is at; 0 before the first.", "integer"),
        Column("Steps", ".status.steps", "Number of its steps.", "integer", wide=True),
        Column("Weight", ".status.weight", "Percentage the new version was given.", "integer"),
        Column("Seen", ".status.weightSeen", "Percentage it was seen to get.", "integer"),
        Column("From", ".status.fromRevision", "Revision that was stable before.", wide=True),
        Column("To", ".status.toRevision", "Revision it leads to.", wide=True),
        Column("Reason", _condition("Progressing", "reason"), "Why it gets on or not.", wide=True),
        Column("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date"),
    ),
    subresources={"status": {}},
)

MODEL_DEPLOYMENT: Final = Resource(
    model=ModelDeployment,
    short_name="mdep",
    columns=(
        Column("Model", ".spec.model", "Name of the model as its users know it."),
        Column("Active", ".status.activeVersion", "Version that serves."),
        Column("Phase", ".status.phase", "What the ModelDeployment is doing."),
        Column(
            "Ready",
            _condition("Ready", "status"),
            "Whether the ModelDeployment is as its spec wants it.",
        ),
        Column("Canary", ".status.canaryVersion", "Version that is tried."),
        Column("Wanted", ".spec.activeVersion", "Version that is to serve.", wide=True),
        Column("Available", ".status.availableReplicas", "Number of pods that serve.", "integer"),
        Column("Upgrade", ".status.upgrade", "AgentUpgrade that tells more.", wide=True),
        Column("Reason", _condition("Ready", "reason"), "Why it is ready or not.", wide=True),
        Column("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date"),
    ),
    subresources={
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
)

RESOURCES: Final = (AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT)
