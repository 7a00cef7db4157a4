"""What may be changed of an upgrade that has begun, because it is no promise about its steps.

The strategy of an attempt is settled when it begins. A weight that somebody turns by hand, or that
follows measurements, is not part of that, nor is how long the version before is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentherd.api import EffectiveStrategy, Pause, Step

FOR_EVER: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """How an upgrade is steered at this moment.

    `weight` is the percentage of requests to give in place of those of the steps, at which it stays
    until a person promotes it; None leaves them as they are, but for those above `cap`, the most
    that may be given before the promotion. `keeps_warm` keeps the pods of the version before after
    a promotion.
    """

    weight: int | None = None
    cap: int = 100
    keeps_warm: bool = False
    waits: bool = False


UNSTEERED: Final = Steering()


def steered(strategy: EffectiveStrategy, steering: Steering) -> EffectiveStrategy:
    """The strategy of an attempt as it is steered now."""
    update: dict[str, object] = {}
    steps = tuple(_step(step, steering) for step in strategy.steps)
    if steps != strategy.steps:
        update["steps"] = steps
    if steering.keeps_warm:
        update["scale_down_delay_seconds"] = int(FOR_EVER.total_seconds())
    return strategy.model_copy(update=update) if update else strategy


def _step(step: Step, steering: Steering) -> Step:
    if steering.weight is not None:
        return step.model_copy(update={"weight": steering.weight, "pause": Pause()})
    return step.model_copy(update={"weight": min(step.weight, steering.cap)})
