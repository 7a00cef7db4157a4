"""A strategy becomes a course without open questions, and no size of it breaks a bound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import (
    BlueGreen,
    Canary,
    EffectiveStrategy,
    Pause,
    RollingUpdate,
    Step,
    Strategy,
    StrategyType,
)
from agentherd.domain.upgrades.strategy import (
    DEFAULTS,
    Course,
    CourseStep,
    Defaults,
    canary_size,
    course,
    rolling_sizes,
    settled,
)


def course_of(
    strategy: Strategy | None, *, direct: bool = False, defaults: Defaults = DEFAULTS
) -> Course:
    """The course of a strategy of an Agent that has a deadline of ten minutes."""
    return course(settled(strategy, defaults, progress_deadline_seconds=600), direct=direct)


surges = st.integers(1, 8) | st.integers(1, 100).map("{}%".format)


def test_without_a_strategy_there_are_three_steps_that_go_on_by_themselves() -> None:
    """Whoever writes nothing gets a canary that needs nobody."""
    found = course_of(None)

    assert found.type is StrategyType.CANARY
    assert [step.weight for step in found.steps] == [5, 25, 50]
    assert all(step.pause == timedelta(seconds=30) and not step.waits for step in found.steps)


def test_a_type_without_its_block_has_the_defaults_of_the_block() -> None:
    """`type: BlueGreen` alone is a whole strategy."""
    assert course_of(Strategy(type=StrategyType.CANARY)) == course_of(None)
    assert course_of(Strategy(type=StrategyType.BLUE_GREEN)).steps == (
        CourseStep(weight=0, full=True),
    )
    assert course_of(Strategy(type=StrategyType.ROLLING_UPDATE)).max_surge == "25%"


@pytest.mark.parametrize(
    ("pause", "length", "waits"),
    [
        (None, None, False),
        (Pause(), None, True),
        (Pause(seconds=7), timedelta(seconds=7), False),
    ],
    ids=["none", "for a person", "for seven seconds"],
)
def test_a_pause_is_a_length_or_a_person(
    pause: Pause | None, length: timedelta | None, waits: bool
) -> None:
    """The same holds for a canary's step and for the moment before blue becomes green."""
    canary = Strategy(canary=Canary(steps=(Step(weight=10, pause=pause),)))
    blue_green = Strategy(type=StrategyType.BLUE_GREEN, blue_green=BlueGreen(pause=pause))

    for strategy in (canary, blue_green):
        (step,) = course_of(strategy).steps
        assert (step.pause, step.waits) == (length, waits)


def test_a_rolling_update_has_no_steps() -> None:
    """It is held by its surge alone."""
    strategy = Strategy(type=StrategyType.ROLLING_UPDATE, rolling_update=RollingUpdate(max_surge=2))

    found = course_of(strategy)

    assert (found.steps, found.max_surge) == ((), 2)


@pytest.mark.parametrize("kind", StrategyType)
def test_a_direct_course_takes_no_steps_and_keeps_the_rest(kind: StrategyType) -> None:
    """Going back to what has proved itself still keeps the old pods warm for a while."""
    strategy = Strategy(type=kind, scale_down_delay_seconds=77)

    found = course_of(strategy, direct=True)

    assert found.steps == ()
    assert found.scale_down_delay == timedelta(seconds=77)


def test_times_become_lengths() -> None:
    """What is absent is the Agent's deadline, and the operator's word for everything else."""
    given_times = Strategy(progress_deadline_seconds=20, abort_scale_down_delay_seconds=0)

    found = course_of(given_times)

    assert found.progress_deadline == timedelta(seconds=20)
    assert found.abort_scale_down_delay == timedelta(0)
    assert course_of(None).progress_deadline == timedelta(minutes=10)
    assert course_of(None).abort_scale_down_delay == timedelta(seconds=30)


OTHERS = Defaults(
    canary_weights=(10, 100),
    canary_pause_seconds=0,
    max_surge=1,
    scale_down_delay_seconds=1,
    abort_scale_down_delay_seconds=2,
    rollback_window=0,
)


def test_whoever_runs_the_operator_answers_what_a_strategy_leaves_open() -> None:
    """Six questions; a pause of no seconds is none."""
    found = settled(None, OTHERS, progress_deadline_seconds=600)

    assert found == EffectiveStrategy(
        type=StrategyType.CANARY,
        steps=(Step(weight=10), Step(weight=100)),
        max_surge=1,
        progress_deadline_seconds=600,
        scale_down_delay_seconds=1,
        abort_scale_down_delay_seconds=2,
        rollback_window=0,
    )


def test_what_a_strategy_says_goes_before_what_the_operator_says() -> None:
    """A nought is an answer, and so is a canary without steps."""
    strategy = Strategy(
        canary=Canary(steps=()),
        scale_down_delay_seconds=0,
        abort_scale_down_delay_seconds=0,
        rollback_window=7,
    )

    found = settled(strategy, OTHERS, progress_deadline_seconds=600)

    assert found.steps == ()
    assert (found.scale_down_delay_seconds, found.abort_scale_down_delay_seconds) == (0, 0)
    assert found.rollback_window == 7


@pytest.mark.parametrize(
    ("weight", "wanted", "by_gateway", "by_count"),
    [
        (0, 4, 1, 1),
        (5, 4, 1, 1),
        (20, 4, 1, 1),
        (21, 4, 1, 2),
        (25, 3, 1, 1),
        (50, 4, 2, 4),
        (50, 5, 3, 5),
        (75, 4, 3, 4),
        (100, 4, 4, 4),
        (29, 100, 29, 41),
        (1, 1, 1, 1),
        (50, 0, 0, 0),
    ],
)
def test_size_of_a_step(weight: int, wanted: int, by_gateway: int, by_count: int) -> None:
    """A Gateway splits by its own means; a Service needs pods in proportion."""
    step = CourseStep(weight=weight)

    assert canary_size(step, wanted=wanted, by_gateway=True) == by_gateway
    assert canary_size(step, wanted=wanted, by_gateway=False) == by_count


@given(weight=st.integers(1, 99), wanted=st.integers(1, 400))
def test_by_count_the_share_is_the_smallest_that_is_enough(weight: int, wanted: int) -> None:
    """One pod fewer would be less than was asked for."""
    size = canary_size(CourseStep(weight=weight), wanted=wanted, by_gateway=False)

    assert 1 <= size <= wanted
    assert size == wanted or size * 100 >= weight * (wanted + size)
    assert size == 1 or (size - 1) * 100 < weight * (wanted + size - 1)


@given(
    weights=st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted),
    wanted=st.integers(0, 400),
    by_gateway=st.booleans(),
)
def test_a_higher_weight_never_has_fewer_pods(
    weights: list[int], wanted: int, by_gateway: bool
) -> None:
    """From step to step pods are only added."""
    first, second = (
        canary_size(CourseStep(weight=weight), wanted=wanted, by_gateway=by_gateway)
        for weight in weights
    )

    assert first <= second <= wanted


@pytest.mark.parametrize(
    ("weight", "replicas", "by_gateway", "by_count"),
    [(0, 0, 0, 0), (10, 0, 1, 1), (10, 3, 3, 3), (10, 9, 9, 4)],
)
def test_a_number_given_for_a_step_wins(
    weight: int, replicas: int, by_gateway: int, by_count: int
) -> None:
    """But a version without pods gets no weight, and by count it never outnumbers the old one."""
    step = CourseStep(weight=weight, replicas=replicas)

    assert canary_size(step, wanted=4, by_gateway=True) == by_gateway
    assert canary_size(step, wanted=4, by_gateway=False) == by_count


def test_copies_need_as_many_pods_as_requests_would() -> None:
    """A single pod that gets copies of everything would fail for no fault of its own."""
    (step,) = course_of(
        Strategy(canary=Canary(steps=(Step(weight=0, mirror=50),))),
    ).steps

    assert step.mirror == 50
    assert canary_size(step, wanted=10, by_gateway=True) == 5


@pytest.mark.parametrize("by_gateway", [True, False])
def test_blue_green_starts_all_pods(by_gateway: bool) -> None:
    """The new version can take everything before it gets anything."""
    (step,) = course_of(Strategy(type=StrategyType.BLUE_GREEN)).steps

    assert canary_size(step, wanted=7, by_gateway=by_gateway) == 7


@pytest.mark.parametrize(
    ("old", "new", "available", "max_surge", "sizes"),
    [
        (4, 0, 0, "25%", (4, 1)),
        (4, 1, 0, "25%", (4, 1)),
        (4, 1, 1, "25%", (3, 1)),
        (3, 1, 1, "25%", (3, 2)),
        (4, 0, 0, "26%", (4, 2)),
        (4, 0, 0, "1%", (4, 1)),
        (4, 0, 0, "100%", (4, 4)),
        (4, 0, 0, 10, (4, 4)),
        (4, 0, 0, 0, (4, 1)),
        (1, 3, 3, 1, (1, 4)),
        (1, 4, 4, 1, (0, 4)),
        (9, 0, 0, 1, (4, 0)),
        (2, 3, 1, 1, (2, 3)),
        (0, 9, 9, 1, (0, 4)),
    ],
)
def test_pods_are_replaced_within_the_surge(
    old: int, new: int, available: int, max_surge: int | str, sizes: tuple[int, int]
) -> None:
    """A new pod for the room there is, an old pod less for each new one available."""
    found = rolling_sizes(
        wanted=4, old_size=old, new_size=new, new_available=available, max_surge=max_surge
    )

    assert found == sizes


def test_an_agent_that_wants_no_pods_has_none() -> None:
    """Scaled to zero in the middle, both go."""
    assert rolling_sizes(wanted=0, old_size=3, new_size=2, new_available=1, max_surge=1) == (0, 0)


def test_an_old_pod_that_still_drains_is_kept_again_when_a_new_one_fails() -> None:
    """Its ReplicaSet is not lowered before it has gone, so there is something to go back to."""
    sizes = rolling_sizes(wanted=4, old_size=3, new_size=2, new_available=0, max_surge=1)

    assert sizes == (3, 2)


@dataclass
class Replacement:
    """Two ReplicaSets on the way, of which the old one lags behind because its pods drain."""

    wanted: int
    max_surge: int | str
    old: int
    old_available: int
    new: int = 0
    new_available: int = 0

    @property
    def surge(self) -> int:
        if isinstance(self.max_surge, str):
            return max(1, ceil(self.wanted * int(self.max_surge[:-1]) / 100))
        return self.max_surge

    @property
    def available(self) -> int:
        return self.old_available + self.new_available

    @property
    def done(self) -> bool:
        return (self.old, self.new) == (0, self.wanted)

    def turn(self, *, drained: int) -> None:
        """Decide, and let at most so many of the pods in excess go; unready ones go first."""
        target, self.new = rolling_sizes(
            wanted=self.wanted,
            old_size=self.old,
            new_size=self.new,
            new_available=self.new_available,
            max_surge=self.max_surge,
        )
        self.old = max(target, self.old - drained)
        self.old_available = min(self.old_available, self.old)
        self.new_available = min(self.new_available, self.new)


@st.composite
def replacements(draw: st.DrawFn) -> Replacement:
    wanted = draw(st.integers(1, 12))
    return Replacement(
        wanted=wanted,
        max_surge=draw(surges),
        old=wanted,
        old_available=draw(st.integers(0, wanted)),
    )


drains = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=40)
"""For every turn: how many new pods have become available, and how many old ones may go."""


@given(rolling=replacements(), turns=drains)
def test_replacing_keeps_both_bounds(rolling: Replacement, turns: list[tuple[int, int]]) -> None:
    """Never more than the surge allows, never fewer available than there were or are wanted."""
    for became_available, drained in turns:
        rolling.new_available = min(rolling.new, rolling.new_available + became_available)
        before = rolling.available

        rolling.turn(drained=drained)

        assert rolling.old + rolling.new <= rolling.wanted + rolling.surge
        assert rolling.available >= min(before, rolling.wanted)


@given(rolling=replacements(), turns=drains)
def test_replacing_goes_in_one_direction(
    rolling: Replacement, turns: list[tuple[int, int]]
) -> None:
    """No pod of the old version is started again, none of the new one is given up."""
    for became_available, drained in turns:
        rolling.new_available = min(rolling.new, rolling.new_available + became_available)
        old, new = rolling.old, rolling.new

        rolling.turn(drained=drained)

        assert rolling.old <= old
        assert rolling.new >= new


@given(
    rolling=replacements(),
    turns=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.none() | st.integers(0, 12)),
        max_size=40,
    ),
)
def test_a_change_of_what_is_wanted_on_the_way_breaks_no_bound(
    rolling: Replacement, turns: list[tuple[int, int, int | None]]
) -> None:
    """Pods beyond the surge are those that were there before, and nothing is added to them."""
    for became_available, drained, wanted in turns:
        if wanted is not None:
            rolling.wanted = wanted
        rolling.new_available = min(rolling.new, rolling.new_available + became_available)
        before, pods = rolling.available, rolling.old + rolling.new

        rolling.turn(drained=drained)

        assert rolling.old + rolling.new <= max(pods, rolling.wanted + rolling.surge)
        assert rolling.available >= min(before, rolling.wanted)
        assert rolling.new <= rolling.wanted


@given(
    rolling=replacements(),
    turns=drains,
    wanted=st.integers(0, 12),
    became_available=st.integers(1, 3),
    drained=st.integers(1, 4),
)
def test_replacing_comes_to_its_end(
    rolling: Replacement,
    turns: list[tuple[int, int]],
    wanted: int,
    became_available: int,
    drained: int,
) -> None:
    """From wherever it got to, as soon as some pods become available and some have drained."""
    for ready, gone in turns:
        rolling.new_available = min(rolling.new, rolling.new_available + ready)
        rolling.turn(drained=gone)
    rolling.wanted = wanted

    for _ in range(4 * 12 + 4):
        rolling.new_available = min(rolling.new, rolling.new_available + became_available)
        rolling.turn(drained=drained)

    assert rolling.done


@given(
    rolling=replacements(),
    turns=st.lists(st.integers(0, 4), min_size=1, max_size=40),
)
def test_a_version_that_never_becomes_available_takes_no_pod_of_the_old_one(
    rolling: Replacement, turns: list[int]
) -> None:
    """It costs the surge and nothing else."""
    for drained in turns:
        rolling.turn(drained=drained)

    assert rolling.old == rolling.wanted
    assert rolling.new <= rolling.surge
