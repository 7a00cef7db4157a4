"""What is seen of one ModelDeployment at one moment: the Agent it would be, and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentherd.api import ModelDeployment, ModelPhase
from agentherd.domain.models.figures import Figures
from agentherd.domain.models.registry import Asked
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Owner
from agentherd.domain.warmth import WarmUpAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelObservation:
    """A ModelDeployment and the version that is asked for, with all that is seen of the workload.

    `figures` tell how pods did lately, by revision; a revision that is not measured is not there.
    `answers` are those of pods to their warm-up request, by uid.
    """

    model: ModelDeployment
    asked: Asked
    workload: AgentObservation
    figures: Mapping[str, Figures] = field(default_factory=dict)
    answers: Mapping[str, WarmUpAnswer] = field(default_factory=dict)

    @property
    def owner(self) -> Owner | None:
        """The ModelDeployment, as that to which all its children belong."""
        return self.workload.owner

    @property
    def generation(self) -> int:
        """Which spec was seen."""
        return self.model.metadata.generation

    @property
    def phase(self) -> ModelPhase | None:
        """The phase that the status says."""
        return self.model.status.phase
