"""How soon a changed weight of a canary is in force, again and again.

Three moments of one clock, this machine's, each since just before the patch of `canary.weight` is
sent. The *write*: a watch is told of the route with the new weight. The *request*: from 0 to 20
percent, when the first request was sent that the new version answered, which is one at the new
weight and no other; from 20 to 0, when the last one was, after which all are. *Told*: a watch is
told that the weight is in force.

The Gateway gives every fifth request to a version with 20 percent. So at 200 requests a second up
to 25 ms of a request's time are those until its turn comes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.models import (
    KIND,
    NAME,
    change,
    load,
    served,
    version_in,
    wait_for_state,
    wait_until,
)
from tests.e2e.served import canary_weight
from tests.e2e.sight import Sight
from tests.e2e.world import World, condition_status, observed
from tests.load.load import LONGEST, MOST_REQUESTS
from tests.load.report import Report

RATE: Final = 200.0
WEIGHT: Final = 20
TRIED: Final = "v2"

PAUSE: Final = (2.0, 3.0)
"""Seconds between two changes, by chance, so that nothing keeps step with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One change of the weight; times in seconds since just before it was sent."""

    weight: int
    write: float
    request: float
    told: float


def weights(
    world: World, directory: Path, *, count: int, progress: Progress
) -> tuple[list[Patch], Report]:
    """So many changes to 20 percent, and as many to 0; with all requests that were sent."""
    served(world)
    change(world, canary={"version": TRIED, "weight": 0})
    wait_for_state(world, "Ready", TRIED)
    wait_until(world, applied(0))
    chance = random.Random(1)
    patches: list[tuple[int, float]] = []
    with (
        Sight(world, "HTTPRoute") as routes,
        Sight(world, KIND) as models,
        load(world, directory, rate=RATE, seconds=min(LONGEST, MOST_REQUESTS / RATE)) as running,
    ):
        world.operator.runs_for(PAUSE[1])
        for number in range(2 * count):
            weight = WEIGHT if number % 2 == 0 else 0
            patches.append((weight, time.time()))
            change(world, canary={"version": TRIED, "weight": weight})
            wait_until(world, applied(weight))
            world.operator.runs_for(chance.uniform(*PAUSE))
            if weight:
                progress.say(f"{number // 2 + 1} of {count}")
        over = time.time()
        report = running.stop()
    return followed(report, patches, routes, models, over=over), report


def followed(
    report: Report, patches: list[tuple[int, float]], routes: Sight, models: Sight, *, over: float
) -> list[Patch]:
    """What followed from each patch, of which weight and moment are given, before the next one."""
    ends = [*(at for _, at in patches[1:]), over]
    return [
        Patch(
            weight=weight,
            write=routes.first(_gives(weight), since=at) - at,
            request=first_request(report.between(at, end), weight) - at,
            told=models.first(applied(weight), since=at) - at,
        )
        for (weight, at), end in zip(patches, ends, strict=True)
    ]


def first_request(after: Report, weight: int) -> float:
    """When the first request was sent at a weight, of what was sent after the patch.

    To 0 it is the first one that no request to the canary follows.
    """
    assert after.answers, "nothing was sent after the patch"
    if weight:
        found = next((answer.at for answer in after.answers if answer.version == TRIED), None)
        assert found is not None, f"no request reached the canary at {weight} percent"
        return found
    last = after.last_by(TRIED)
    if last is None:
        return after.answers[0].at
    return next(a.at for a in after.answers if a.number > last.number)


def applied(weight: int) -> Callable[[Object], bool]:
    """Whether a model says that the version tried has that weight, and that it is in force."""
    return lambda seen: (
        observed(seen)
        and version_in(seen, TRIED).get("weight") == weight
        and condition_status(seen, "TrafficApplied") == "True"
    )


def _gives(weight: int) -> Callable[[Object], bool]:
    return lambda route: (canary_weight(route, NAME) > 0) == (weight > 0)
