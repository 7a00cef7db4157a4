"""How an upgrade of a model is steered while it runs: by a person's weight, or by measurements."""

from __future__ import annotations

from datetime import datetime

from agentherd.api import AgentUpgrade, ModelCanary, Routing
from agentherd.api.model import MOST_BEFORE_PROMOTION
from agentherd.domain.kinds import TRIES_ANNOTATION
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.models.routing import Bounds, next_weight
from agentherd.domain.upgrades.change import is_running
from agentherd.domain.upgrades.steering import Steering


def steering(seen: ModelObservation, now: datetime) -> Steering:
    """The steering of the upgrade that governs the ModelDeployment.

    A person's upgrade has steps of its own, of which the API server does not know that they are of
    a model.
    """
    keeps_warm = seen.model.spec.keep_warm
    governing = seen.workload.upgrades.get(seen.model.status.upgrade or "")
    canary = seen.asked.canary
    swapping = Steering(cap=MOST_BEFORE_PROMOTION, keeps_warm=keeps_warm)
    if governing is None or canary is None:
        return swapping
    if not is_running(governing.upgrade) or tried(governing.upgrade) != canary.version:
        return swapping
    weight = _weight(seen, canary, governing.upgrade, now) if canary.weight is not None else None
    return Steering(weight=weight, cap=canary.cap, keeps_warm=keeps_warm)


def tried(upgrade: AgentUpgrade) -> str | None:
    """The version that the upgrade was made for to be tried beside another; None for a swap."""
    return upgrade.metadata.annotations.get(TRIES_ANNOTATION)


def _weight(
    seen: ModelObservation, canary: ModelCanary, upgrade: AgentUpgrade, now: datetime
) -> int | None:
    status = upgrade.status
    weighted = seen.model.spec.routing is Routing.WEIGHTED
    # It begins as it is written, also after it was turned off, which nothing measured undoes.
    if weighted or not canary.weight or not status.weight:
        return canary.weight
    return next_weight(
        status.weight,
        stable=seen.figures.get(status.from_revision or ""),
        canary=seen.figures.get(status.to_revision or ""),
        bounds=Bounds(minimum=canary.minimum_weight, maximum=canary.cap),
        now=now,
        # Every weight that is set begins a new deadline, and little else does.
        changed_at=status.progress_since or now,
    )
