"""Lives of an Agent, and the moments of them at which an operator may die.

A life is a list of chapters. In each of them something happens, and the operator works until it is
quiet again. A chapter is lived once undisturbed; around each write the cluster is forked, so that a
new operator can be put into exactly what a killed one has left, without living the time before once
more. What comes after a chapter needs no second look where its end is the same.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from tests.twin.cluster import Twin, When
from tests.twin.controllers import Controllers
from tests.twin.fake_time import FakeTimeLoop, in_fake_time
from tests.twin.requests import Requests
from tests.twin.rig import Rig, loop_clock

from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    DRAINING_ANNOTATION,
    EVENT,
    ROUTE_KINDS,
)

IDENTITIES: Final = frozenset(
    {"uid", "resourceVersion", "managedFields", "creationTimestamp", "generation", "podIP"}
)
TIMES: Final = frozenset(
    {
        "at",
        "durationSeconds",
        "finishedAt",
        "lastTransitionTime",
        "observedGeneration",
        "phaseSince",
        "progressSince",
        "readySince",
        "startedAt",
        "weightSince",
        DRAINING_ANNOTATION,
    }
)
"""What differs between two runs that did the same: only how long they took."""

COUNTED: Final = re.compile("evidence|requests that step")
NUMBER: Final = re.compile(r"\d[\d,.]*")
"""So does how many requests were counted meanwhile, and a sentence about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that people do, the images that do not run from then on, and what pods answer."""

    act: Callable[[Twin], object] = lambda _: None
    sick: Mapping[str, str] = field(default_factory=dict)
    requests: Requests | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A cluster as it is before or after a write, and the loop's time then."""

    write: int
    when: When
    twin: Twin
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One part of a life: how it begins, what happens, and how it ends when nobody dies."""

    name: str
    happening: Happening
    before: Moment
    moments: tuple[Moment, ...]
    end: Twin

    @property
    def writes(self) -> range:
        """The numbers of the operator's writes."""
        return range(1, self.end.writes + 1)

    def once_more(self, *, lost: int, error: BaseException) -> Twin:
        """The chapter with one answer that never comes; the same process goes on."""

        async def live() -> Twin:
            twin = _resumed(self.before)
            rig = await _begun(twin, self.happening, write=(lost, error))
            await rig.until_quiet()
            return twin

        return in_fake_time(live)

    def after_death(self, moment: Moment) -> Twin:
        """The rest of the chapter with a new process, in what the old one has left."""

        async def live() -> Twin:
            twin = _resumed(moment)
            await _operator(twin, self.happening).until_quiet()
            return twin

        return in_fake_time(live)


def chapters(life: str, happenings: Sequence[Happening]) -> tuple[Chapter, ...]:
    """Live a life undisturbed."""

    async def live() -> tuple[Chapter, ...]:
        told: list[Chapter] = []
        twin = Twin(loop_clock)
        for number, happening in enumerate(happenings, 1):
            before = _moment(twin.fork(), 0, "after")
            moments: list[Moment] = []
            twin = twin.fork()
            twin.on_write = _recorder(twin, moments)
            rig = await _begun(twin, happening)
            await rig.until_quiet()
            twin.on_write = None
            told.append(
                Chapter(
                    name=f"{life} {number}",
                    happening=happening,
                    before=before,
                    moments=_distinct(moments),
                    end=twin,
                )
            )
        return tuple(told)

    return in_fake_time(live)


def state(twin: Twin) -> dict[str, Any]:
    """All objects, without what differs between two runs that did the same."""
    kinds = (AGENT, AGENT_UPGRADE, *CHILD_KINDS, *ROUTE_KINDS)
    return {kind.name: [_normalised(raw) for raw in twin.all(kind)] for kind in kinds}


def tellings(twin: Twin) -> Counter[str]:
    """How often each reason was told: an Event that is repeated counts its repetitions."""
    told: Counter[str] = Counter()
    for event in twin.all(EVENT):
        told[event["reason"]] += event.get("series", {}).get("count", 1)
    return told


def _normalised(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() >= {"verdict", "evidence"}:
        return {"verdict": value["verdict"]}
    if isinstance(value, str) and COUNTED.search(value):
        return NUMBER.sub("#", value)
    if isinstance(value, dict):
        return {k: _normalised(v) for k, v in value.items() if k not in IDENTITIES | TIMES}
    if isinstance(value, list):
        return [_normalised(each) for each in value]
    return value


def _operator(twin: Twin, happening: Happening) -> Rig:
    controllers = Controllers(twin)
    controllers.sick_images |= happening.sick
    rig = Rig(twin, controllers=controllers)
    rig.pods.requests = happening.requests
    return rig


async def _begun(
    twin: Twin, happening: Happening, *, write: tuple[int, BaseException] | None = None
) -> Rig:
    """An operator that knows the cluster before something happens in it."""
    rig = _operator(twin, happening)
    rig.feed()
    await rig.work()
    if write is not None:
        twin.interrupt(write[0], "after", write[1])
    happening.act(twin)
    return rig


def _moment(twin: Twin, write: int, when: When) -> Moment:
    at = asyncio.get_running_loop().time()
    return Moment(write=write, when=when, twin=twin, at=at)


def _recorder(twin: Twin, moments: list[Moment]) -> Callable[[int, When], None]:
    return lambda write, when: moments.append(_moment(twin.fork(), write, when))


def _distinct(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """Without those at which the cluster is as it was at the moment before."""
    found: dict[int, Moment] = {}
    for moment in moments:
        found.setdefault(moment.twin.version, moment)
    return tuple(found.values())


def _resumed(moment: Moment) -> Twin:
    """The cluster of that moment, in a loop that has got as far."""
    loop = cast("FakeTimeLoop", asyncio.get_running_loop())
    loop.skip(moment.at - loop.time())
    return moment.twin.fork()
