"""How fast a rollback is, seen from outside, again and again.

Four moments of one clock, this machine's. The *trigger*: a watch is told that a pod of the new
version is not ready any more; or, when a person wants it, just before their patch is sent, so that
the way to the API server counts too. The *write*: a watch is told of the route in which the new
version has no weight. The *last request*: when the last one was sent that the new version
answered. The *end*: a watch is told that the upgrade is RolledBack. A watch is told of a pod as
late as of a route, so what lies between is the operator's.

The new version fails a while after its start; every other time a person comes before that. Each
rollback is a further attempt of one upgrade, which begins when nothing is left of the one before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.served import (
    NEW,
    OLD,
    PROBED,
    break_one_pod,
    canary,
    canary_weight,
    change,
    load,
    roll_back,
    routed,
    step,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.sight import Seen, Sight, failed
from tests.e2e.world import World
from tests.load.load import Load
from tests.load.report import Report
from tests.long.losses import losses

RATE: Final = 200.0

WITHIN: Final = 120.0
"""Seconds in which an attempt gets to its weight, and in which what is left of it has gone."""

BEFORE: Final = 200
"""Requests that are sent before a person stops it."""

MOST_ATTEMPTS: Final = 100
"""How often an upgrade can be tried."""

FAILS_AFTER: Final = 12
"""Seconds after the start of its process at which the new version fails."""

HALF: Final = canary(step(50, waits=True), abortScaleDownDelaySeconds=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """One rollback. Times are in seconds since its trigger.

    `told` is what the status says of the whole duration, in whole seconds. `in_order` means that
    the weight was written before anything was said of the rollback.
    """

    trigger: str
    write: float
    last_request: float
    end: float
    told: int
    in_order: bool
    sent: int
    losses: dict[str, Any]

    @property
    def lost(self) -> int:
        """Requests that failed, and not by the new version's own doing."""
        lost: int = self.losses["lost"]
        return lost

    def __str__(self) -> str:
        return (
            f"{self.trigger}: write after {self.write:.3f} s, last request after "
            f"{self.last_request:.3f} s, end after {self.end:.3f} s; {self.lost} lost"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    pods: Sight
    routes: Sight
    upgrades: Sight


def rollbacks(
    world: World, directory: Path, *, count: int, unready: bool, progress: Progress
) -> list[Rollback]:
    """So many rollbacks of an Agent of four pods, one of them `unready` all the while."""
    world.apply(
        routed(world, "a", replicas=4, traffic={"settleSeconds": 2}, upgradePolicy=HALF, **PROBED)
    )
    world.wait_until_ready("a")
    if unready:
        break_one_pod(world, "a")
    config = {"probeFailAfterSeconds": str(FAILS_AFTER)}
    upgrade = ""
    done: list[Rollback] = []
    with _views(world) as views:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            if len(done) == count:
                break
            with load(world, "a", directory, rate=RATE, seconds=WITHIN) as running:
                since = time.time()
                if attempt == 1:
                    upgrade = change(world, "a", config=config)
                else:
                    again = {"attempt": attempt, "rollback": {"requested": False}}
                    world.patch("AgentUpgrade", upgrade, {"spec": again})
                asked = _there_and_back(world, running, upgrade, by_person=len(done) % 2 == 1)
                report = running.stop()
            world.wait_until_children("a", "Pod", are_all_old, within=WITHIN)
            if not report.share(NEW) > 0:
                progress.say("failed before anything was sent to it; does not count")
                continue
            done.append(_measured(views, report, since=since, asked=asked))
            progress.say(f"{len(done)} of {count}, {done[-1]}")
    return done


@contextmanager
def _views(world: World) -> Iterator[_Views]:
    with (
        Sight(world, "Pod") as pods,
        Sight(world, "HTTPRoute") as routes,
        Sight(world, "AgentUpgrade") as upgrades,
    ):
        yield _Views(pods=pods, routes=routes, upgrades=upgrades)


def _there_and_back(world: World, running: Load, upgrade: str, *, by_person: bool) -> float:
    """Wait until an attempt has begun and is over; returns when a person may have stopped it."""
    world.wait_until("AgentUpgrade", upgrade, _has_weight_or_fails, within=WITHIN)
    wait_until_sent(world, running, BEFORE)
    asked = time.time()
    if by_person:
        roll_back(world, upgrade)
    world.wait_upgrade(upgrade, "RolledBack", within=WITHIN)
    wait_until_only(world, running, OLD)
    return asked


def _measured(views: _Views, report: Report, *, since: float, asked: float) -> Rollback:
    end = _first(views.upgrades, "RolledBack", since=since)
    record = end.object["status"]["rollback"]
    by_person = record["trigger"] == "Requested"
    trigger = asked if by_person else failed(views.pods, NEW, since=since).at
    weighted = [seen for seen in views.routes.seen if seen.at >= since]
    had = next(i for i, seen in enumerate(weighted) if canary_weight(seen.object, "a"))
    write = next(seen for seen in weighted[had:] if not canary_weight(seen.object, "a"))
    told = _first(views.upgrades, "RollingBack", "RolledBack", since=since)
    last = report.last_by(NEW)
    assert last is not None
    return Rollback(
        trigger=record["trigger"],
        write=write.at - trigger,
        last_request=max(0.0, last.at - trigger),
        end=end.at - trigger,
        told=record["durationSeconds"],
        in_order=write.version < told.version,
        sent=report.sent,
        losses=losses(report, since=trigger),
    )


def _first(upgrades: Sight, *phases: str, since: float) -> Seen:
    """The first sight of an attempt in one of these phases, after it was in another."""
    seen = iter([each for each in upgrades.seen if each.at >= since])
    running = (each for each in seen if _phase(each) in {"Progressing", "Paused"})
    next(running)
    return next(each for each in seen if _phase(each) in phases)


def _phase(seen: Seen) -> str:
    phase: str = seen.object.get("status", {}).get("phase", "")
    return phase


def _has_weight_or_fails(upgrade: Object) -> bool:
    status = upgrade.get("status", {})
    current = status.get("attempt") == upgrade["spec"]["attempt"]
    return current and (status.get("weight") == 50 or "rollback" in status)


def are_all_old(pods: list[Object]) -> bool:
    """Whether nothing is left of the new version."""
    return all(pod["metadata"]["labels"]["app.kubernetes.io/version"] == OLD for pod in pods)
