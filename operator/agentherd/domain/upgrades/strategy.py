"""From the strategy people write to a course: the steps, their pods, and what is kept for how long.

A course leaves no question open: defaults are filled in, every wait is a length or a person, and
what goes back to a proven revision has no steps at all. How many pods a step needs depends on who
splits the requests. A Gateway sends a given part to however few pods; a Service sends to every pod
the same, so there the number of pods *is* the weight. Replacing pod by pod has no steps; it is held
between two bounds instead, never too many pods and never too few that serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from agentherd.api import (
    Canary,
    EffectiveStrategy,
    Pause,
    RollingUpdate,
    Step,
    Strategy,
    StrategyType,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseStep:
    """One step: how much the new version gets, with which pods, and what is waited for after that.

    `pause` is a wait of that length, `waits` one for a person; neither means going on at once.
    `mirror` is the percentage of requests it gets copies of.
    `replicas` is set where people gave a number; a `full` step has all pods that are wanted.
    """

    weight: int
    replicas: int | None = None
    pause: timedelta | None = None
    waits: bool = False
    full: bool = False
    mirror: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What whoever runs the operator has set for strategies that leave it open."""

    canary_weights: tuple[int, ...] = (5, 25, 50)
    canary_pause_seconds: int = 30
    max_surge: int | str = "25%"
    scale_down_delay_seconds: int = 30
    abort_scale_down_delay_seconds: int = 30
    rollback_window: int = 3

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a canary that has none of its own."""
        pause = Pause(seconds=self.canary_pause_seconds) if self.canary_pause_seconds else None
        return tuple(Step(weight=weight, pause=pause) for weight in self.canary_weights)


DEFAULTS: Final = Defaults()
"""What holds where nobody has said anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one revision follows another; without steps it does so as soon as its pods are ready."""

    type: StrategyType
    steps: tuple[CourseStep, ...]
    max_surge: int | str
    progress_deadline: timedelta
    scale_down_delay: timedelta
    abort_scale_down_delay: timedelta

    @property
    def previews(self) -> bool:
        """Whether people look at the new version, at an address of its own, before it serves."""
        return self.type is StrategyType.BLUE_GREEN


def settled(
    strategy: Strategy | None, defaults: Defaults, *, progress_deadline_seconds: int
) -> EffectiveStrategy:
    """The strategy with every open question answered; None leaves them all open."""
    strategy = strategy or Strategy()
    canary = strategy.canary or Canary()
    rolling_update = strategy.rolling_update or RollingUpdate()
    steps = defaults.steps if canary.steps is None else canary.steps
    return EffectiveStrategy(
        type=strategy.type,
        steps=steps if strategy.type is StrategyType.CANARY else (),
        pause=strategy.blue_green.pause if strategy.blue_green else None,
        max_surge=_first(rolling_update.max_surge, defaults.max_surge),
        progress_deadline_seconds=_first(
            strategy.progress_deadline_seconds, progress_deadline_seconds
        ),
        scale_down_delay_seconds=_first(
            strategy.scale_down_delay_seconds, defaults.scale_down_delay_seconds
        ),
        abort_scale_down_delay_seconds=_first(
            strategy.abort_scale_down_delay_seconds, defaults.abort_scale_down_delay_seconds
        ),
        rollback_window=_first(strategy.rollback_window, defaults.rollback_window),
    )


def course(strategy: EffectiveStrategy, *, direct: bool) -> Course:
    """The course of a strategy.

    A `direct` course takes no steps: it leads back to a revision that has proved itself, or there
    is nobody whose requests could suffer.
    """
    return Course(
        type=strategy.type,
        steps=() if direct else _steps(strategy),
        max_surge=strategy.max_surge,
        progress_deadline=timedelta(seconds=strategy.progress_deadline_seconds),
        scale_down_delay=timedelta(seconds=strategy.scale_down_delay_seconds),
        abort_scale_down_delay=timedelta(seconds=strategy.abort_scale_down_delay_seconds),
    )


def canary_size(step: CourseStep, *, wanted: int, by_gateway: bool) -> int:
    """How many pods of the new version a step needs beside `wanted` ones of the old.

    Without a Gateway it is the smallest n with n / (wanted + n) >= weight / 100, but never more
    than `wanted`: so a share above one half is not reached before the new version has it all.
    """
    if wanted == 0 or step.full:
        return wanted
    if step.replicas is not None:
        size = max(step.replicas, 1 if step.weight else 0)
        return size if by_gateway else min(size, wanted)
    if by_gateway:
        return max(1, _ceil(wanted * max(step.weight, step.mirror), 100))
    if step.weight == 100:
        return wanted
    return min(wanted, max(1, _ceil(wanted * step.weight, 100 - step.weight)))


def rolling_sizes(
    *, wanted: int, old_size: int, new_size: int, new_available: int, max_surge: int | str
) -> tuple[int, int]:
    """The sizes of the old and the new ReplicaSet to aim at, from those they have now.

    The new one grows into the room that the old one, with all that still drains, leaves below the
    surge. The old one keeps as many pods as there are not yet new ones available, whatever the
    reason. So the old never grows, and the new shrinks only to fewer `wanted`.
    """
    room = wanted + _surge(max_surge, wanted) - old_size
    new = min(wanted, max(new_size, room))
    missing = wanted - min(new, new_available)
    return min(old_size, missing), new


def _steps(strategy: EffectiveStrategy) -> tuple[CourseStep, ...]:
    match strategy.type:
        case StrategyType.CANARY:
            return tuple(
                CourseStep(
                    weight=step.weight,
                    replicas=step.replicas,
                    pause=_length(step.pause),
                    waits=_is_for_a_person(step.pause),
                    mirror=step.mirror or 0,
                )
                for step in strategy.steps
            )
        case StrategyType.BLUE_GREEN:
            pause = strategy.pause
            return (
                CourseStep(
                    weight=0, pause=_length(pause), waits=_is_for_a_person(pause), full=True
                ),
            )
        case StrategyType.ROLLING_UPDATE:
            return ()


def _length(pause: Pause | None) -> timedelta | None:
    return None if pause is None or pause.seconds is None else timedelta(seconds=pause.seconds)


def _is_for_a_person(pause: Pause | None) -> bool:
    return pause is not None and pause.seconds is None


def _surge(max_surge: int | str, wanted: int) -> int:
    """Pods beyond those wanted; at least one, without which nothing would ever move."""
    if isinstance(max_surge, str):
        return max(1, _ceil(wanted * int(max_surge.removesuffix("%")), 100))
    return max(1, max_surge)


def _ceil(dividend: int, divisor: int) -> int:
    """The quotient rounded up, exact for whole numbers where a float is not."""
    return -(-dividend // divisor)


def _first(written: T | None, default: T) -> T:
    return default if written is None else written
