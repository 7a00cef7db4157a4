"""Ten swaps and three rollbacks of a model under 60,000 requests, one after the other.

Versions take over by `activeVersion`, there and back, as a canary with steps, and as a canary with
a weight that a person promotes. One is given up because its probe fails, one because a person does
not want it, one because it answers with errors. In three of the thirteen the operator is killed at
a bad moment and another one started, which has to wait for the Lease of the dead one.

A request counts as lost when it was answered with an error, or not at all, by anybody but the one
version that is there to answer with errors. That one is never active.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.models import (
    KIND,
    MODEL_LABEL,
    NAME,
    change,
    load,
    served,
    swaps,
    version,
    wait_for_weight,
    wait_until,
    wait_until_gone,
)
from tests.e2e.served import PROBED, UNJUDGED, canary, promote, roll_back, step
from tests.e2e.world import World, is_ready
from tests.load.load import LONGEST, MOST_REQUESTS
from tests.load.report import Report
from tests.long.losses import losses

PROMOTED: Final = "Promoted"
ROLLED_BACK: Final = "RolledBack"

SICK: Final = "sick"
UNWANTED: Final = "unwanted"
WRONG: Final = "wrong"

WITHIN: Final = 120.0
"""Seconds in which each part of a swap is over, also with an operator that was killed in it."""

AWHILE: Final = 2.0
"""Seconds for which a person looks at a version before they decide."""

FAILS_AFTER: Final = 15
"""Seconds after the start of its process at which the sick version fails its probe."""

_AGE: Final = "read now rest </proc/uptime; set -- $(cat /proc/1/stat)"
_FIT: Final = f"{_AGE}; [ $((${{now%.*}} - ${{22}} / 100)) -lt {FAILS_AFTER} ]"

STEPS: Final = (step(10, seconds=2), step(20, seconds=2))
WAITING: Final = (step(20, waits=True),)
JUDGED: Final[Object] = {
    "dryRun": False,
    "intervalSeconds": 1,
    "warmUpSeconds": 2,
    "minimumRequests": 20,
}

Lead = Callable[[World, str, str], float]
"""Takes the upgrade of a version to where all is decided; returns when that was."""


def _at_its_weight(world: World, upgrade: str, name: str) -> float:
    """Nobody does anything; it has its last weight."""
    wait_for_weight(world, name, 20, within=WITHIN)
    return time.time()


def _promoting(world: World, upgrade: str, name: str) -> float:
    """Nobody does anything; it begins to take over."""
    world.wait_upgrade(upgrade, "Promoting", within=WITHIN)
    return time.time()


def _back(world: World, upgrade: str, name: str) -> float:
    """What is asked for is decided: a version that served before goes back at once."""
    return time.time()


def _promoted(world: World, upgrade: str, name: str) -> float:
    """A person promotes it, by its upgrade."""
    _looked_at(world, name)
    now = time.time()
    promote(world, upgrade, full=True)
    return now


def _activated(world: World, upgrade: str, name: str) -> float:
    """A person promotes it, by making it the active version."""
    _looked_at(world, name)
    now = time.time()
    change(world, activeVersion=name)
    return now


def _taken_back(world: World, upgrade: str, name: str) -> float:
    """A person does not want it."""
    _looked_at(world, name)
    now = time.time()
    roll_back(world, upgrade)
    return now


def _failing(world: World, upgrade: str, name: str) -> float:
    """Its probe fails, and it answers on for as long as anything is sent to it."""
    wait_for_weight(world, name, 20, within=WITHIN)

    def fails(pods: list[Object]) -> bool:
        own = [p for p in pods if p["metadata"]["labels"]["app.kubernetes.io/version"] == name]
        return any(not is_ready(pod) for pod in own)

    world.cluster.wait_until_all(
        "Pod",
        fails,
        within=WITHIN,
        namespace=world.namespace,
        labels=f"{MODEL_LABEL}={NAME}",
    )
    return time.time()


def _judged(world: World, upgrade: str, name: str) -> float:
    """It is found to be worse."""
    world.wait_until(
        "AgentUpgrade", upgrade, lambda seen: "rollback" in seen.get("status", {}), within=WITHIN
    )
    return time.time()


def _looked_at(world: World, name: str) -> None:
    wait_for_weight(world, name, 20, within=WITHIN)
    world.operator.runs_for(AWHILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a version is brought on, and how that ends.

    `tried` is a canary's own part of the spec, `steps` and `analysis` are those of the policy. In
    one that is `killed` the operator is killed where `lead` ends.
    """

    what: str
    to: str
    lead: Lead
    tried: Object | None = None
    steps: tuple[Object, ...] = STEPS
    analysis: Object = field(default_factory=lambda: UNJUDGED)
    ends: str = PROMOTED
    killed: bool = False

    def spec(self, serving: str) -> Object:
        """What is asked for, in one patch, of a model of which that version serves."""
        policy = {"canary": {"steps": list(self.steps)}, "analysis": self.analysis}
        if self.tried is None:
            return {"activeVersion": self.to, "canary": None, "upgradePolicy": policy}
        trial = {"version": self.to, **self.tried}
        return {"activeVersion": serving, "canary": trial, "upgradePolicy": policy}


_IN_STEPS: Final[Object] = {"steps": list(STEPS), "weight": None}
_BY_WEIGHT: Final[Object] = {"steps": None, "weight": 20}

COURSES: Final = (
    Course(what="another one becomes active", to="v2", lead=_at_its_weight, killed=True),
    Course(what="back, at once", to="v1", lead=_back),
    Course(what="a canary with steps", to="v3", lead=_promoting, tried=_IN_STEPS, killed=True),
    Course(
        what="one that fails its probe",
        to=SICK,
        lead=_failing,
        steps=WAITING,
        ends=ROLLED_BACK,
        killed=True,
    ),
    Course(what="a canary that is promoted", to="v4", lead=_promoted, tried=_BY_WEIGHT),
    Course(what="another one becomes active", to="v5", lead=_at_its_weight),
    Course(what="back, at once", to="v4", lead=_back),
    Course(
        what="one that a person takes back",
        to=UNWANTED,
        lead=_taken_back,
        steps=WAITING,
        ends=ROLLED_BACK,
    ),
    Course(what="a canary with steps", to="v6", lead=_promoting, tried=_IN_STEPS),
    Course(what="a canary that is made active", to="v7", lead=_activated, tried=_BY_WEIGHT),
    Course(
        what="one that answers three in ten with errors",
        to=WRONG,
        lead=_judged,
        steps=WAITING,
        analysis=JUDGED,
        ends=ROLLED_BACK,
    ),
    Course(what="another one becomes active", to="v8", lead=_at_its_weight),
    Course(what="one that served long ago", to="v1", lead=_at_its_weight),
)
"""Ten that take over and three that do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A course that is over; moments in seconds since the epoch.

    `asked` is just before the patch, `decided` where its lead ended, `over` when the status told
    that one version serves and no other is tried. `told` are the status' own seconds, `recorded`
    its words: from, to and outcome.
    """

    course: Course
    serving: str
    asked: float
    decided: float
    over: float
    told: int
    recorded: tuple[str, str, str]
    trigger: str | None

    @property
    def right(self) -> bool:
        """Whether it went as it was to."""
        return self.recorded == (self.serving, self.course.to, self.course.ends)


def swaps_under_load(
    world: World, directory: Path, *, requests: int, rate: float, progress: Progress
) -> dict[str, Any]:
    """What became of at least so many requests meanwhile, as plain data."""
    served(world, *_versions(), replicas=2, health=None, upgradePolicy=canary(*STEPS))
    longest = min(LONGEST, MOST_REQUESTS / rate)
    done: list[Ended] = []
    with load(world, directory, rate=rate, seconds=longest) as running:
        begin, serving = time.time(), "v1"
        for course in COURSES:
            done.append(_gone_through(world, course, serving))
            progress.say(f"{len(done)} of {len(COURSES)}, {course.what}: {_line(done[-1])}")
            serving = done[-1].course.to if course.ends == PROMOTED else serving
        world.operator.runs_for(max(1.0, requests / rate - (time.time() - begin) + AWHILE))
        report = running.stop()
    return counted(report, done, begin=begin)


def counted(report: Report, done: list[Ended], *, begin: float) -> dict[str, Any]:
    """The requests by who answered them, and how long each course took."""
    plain = report.to_json()
    del plain["timeline"]
    return {
        **losses(report, since=begin, tried=WRONG),
        "requests": plain,
        "sent until": round(report.answers[-1].at - begin, 3) if report.answers else 0,
        "courses": [
            _measured(report.between(each.asked, until), each, begin=begin)
            for each, until in zip(done, [*(each.asked for each in done[1:]), inf], strict=True)
        ],
    }


def _measured(during: Report, ended: Ended, *, begin: float) -> dict[str, Any]:
    """A course in seconds since it was asked for.

    `last request` is when the last one was sent that the version answered which lost: since it was
    asked for when another one took over, since it was decided when it was given up.
    """
    course = ended.course
    promoted = course.ends == PROMOTED
    first = next((a.at for a in during.answers if a.version == course.to), None)
    last = during.last_by(ended.serving if promoted else course.to)
    since = ended.asked if promoted else ended.decided
    return {
        "what": course.what,
        "from": ended.serving,
        "to": course.to,
        "outcome": ended.recorded[2],
        "right": ended.right,
        "trigger": ended.trigger,
        "operator killed": course.killed,
        "at": round(ended.asked - begin, 3),
        "first request": round(first - ended.asked, 3) if first is not None else None,
        "decided": round(ended.decided - ended.asked, 3),
        "last request": round(max(0.0, last.at - since), 3) if last is not None else None,
        "over": round(ended.over - ended.asked, 3),
        "over since decided": round(ended.over - ended.decided, 3),
        "told": ended.told,
        "counts": [
            {"by": by, "code": code, "count": count}
            for (by, code), count in sorted(during.counts.items())
        ],
    }


def _gone_through(world: World, course: Course, serving: str) -> Ended:
    """Ask for a version and wait until all of it is over, pods that lost included."""
    before = len(swaps(world.get(KIND, NAME)))
    asked = time.time()
    upgrade = change(world, **course.spec(serving))
    decided = course.lead(world, upgrade, course.to)
    if course.killed:
        world.operator.kill()
        world.operator.start()
    promoted = course.ends == PROMOTED
    wins, loses = (course.to, serving) if promoted else (serving, course.to)

    def over(seen: Object) -> bool:
        told = seen["status"]
        settled = "canaryVersion" not in told and not (promoted and "canary" in seen["spec"])
        return settled and told.get("activeVersion") == wins and len(swaps(seen)) > before

    found = wait_until(world, over, within=WITHIN)
    ended = time.time()
    wait_until_gone(world, loses)
    return Ended(
        course=course,
        serving=serving,
        asked=asked,
        decided=decided,
        over=ended,
        told=found["status"]["swaps"][-1]["durationSeconds"],
        recorded=swaps(found)[-1],
        trigger=None if promoted else found["status"]["lastRollback"]["trigger"],
    )


def _versions() -> list[Object]:
    """All that are registered, each with its probes: what is probed is the version's own."""
    well = [version(f"v{number}", container=PROBED["container"]) for number in range(1, 9)]
    ready = PROBED["container"]["readinessProbe"]
    started = {key: ready[key] for key in ("httpGet", "periodSeconds", "timeoutSeconds")}
    sick = {
        "startupProbe": {**started, "failureThreshold": 60},
        "readinessProbe": {
            "exec": {"command": ["sh", "-c", _FIT]},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
            "failureThreshold": 1,
        },
    }
    return [
        *well,
        version(SICK, container=sick),
        version(UNWANTED, container=PROBED["container"]),
        version(WRONG, container=PROBED["container"], error_rate=0.3),
    ]


def _line(ended: Ended) -> str:
    how = "" if ended.right else f", and not as it was to: {ended.recorded}"
    return f"{ended.recorded[2]} after {ended.over - ended.asked:.1f} s{how}"
