"""A canary under 60,000 requests, with the operator killed in the middle; three ways it may go.

Each way is a course of a few minutes in which a person, or the new version, does something, and in
which the operator is killed at the worst moment: when the decision has just been made and not all
of it has been written. Its successor has to wait until the Lease of the dead one is over, as it
would in a cluster. A request counts as lost when it was answered with an error, or not at all, by
anybody but the new version itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.served import (
    NEW,
    OLD,
    PROBED,
    backends,
    canary,
    change,
    load,
    roll_back,
    routed,
    step,
    wait_for_weight,
    wait_until_only,
)
from tests.e2e.sight import Sight
from tests.e2e.world import World, is_ready
from tests.load.load import Load
from tests.long.losses import losses

ENDED: Final = frozenset({"Succeeded", "RolledBack", "Superseded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much: requests a second, for how many seconds, and the length of a step in seconds."""

    rate: float
    seconds: float

    @property
    def pause(self) -> int:
        """A fifth of the time for each of three steps, so that there is a before and an after."""
        return max(1, int(self.seconds / 5))


Lead = Callable[[World, str, Scale, Load], None]
"""Takes an upgrade that has begun to the moment at which the operator is to die."""


def _promote(world: World, upgrade: str, scale: Scale, running: Load) -> None:
    """Through all steps, to where the new version is to take over."""
    world.wait_upgrade(upgrade, "Promoting", within=scale.seconds)


def _abort(world: World, upgrade: str, scale: Scale, running: Load) -> None:
    """A person stops it at its second step; the weight is gone, and not yet all is said."""
    wait_for_weight(world, upgrade, 25, within=scale.seconds)
    _let_pass(world, running, scale.pause / 2)
    roll_back(world, upgrade)
    world.wait_until("HTTPRoute", "a", lambda route: len(backends(route)) == 1)


def _fail(world: World, upgrade: str, scale: Scale, running: Load) -> None:
    """Its probe fails at its second step; it answers on, for as long as anything is sent to it."""
    wait_for_weight(world, upgrade, 25, within=scale.seconds)
    world.wait_until_children("a", "Pod", lambda pods: any(map(_fails, pods)), within=scale.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How an upgrade goes, the phase in which it ends, and the version that then answers all."""

    lead: Lead
    phase: str
    wins: str


WAYS: Final[Mapping[str, Way]] = {
    "promoted": Way(lead=_promote, phase="Succeeded", wins=NEW),
    "aborted": Way(lead=_abort, phase="RolledBack", wins=OLD),
    "unready": Way(lead=_fail, phase="RolledBack", wins=OLD),
}


def under_load(
    world: World, directory: Path, way: Way, scale: Scale, progress: Progress
) -> dict[str, Any]:
    """What became of the requests while an upgrade went that way, as plain data."""
    steps = canary(*(step(weight, seconds=scale.pause) for weight in (5, 25, 50)))
    world.apply(routed(world, "a", traffic={"settleSeconds": 2}, upgradePolicy=steps, **PROBED))
    world.wait_until_ready("a")
    fault = {"probeFailAfterSeconds": str(int(scale.pause * 1.75))} if way.lead is _fail else {}

    with (
        Sight(world, "AgentUpgrade") as upgrades,
        load(world, "a", directory, rate=scale.rate, seconds=scale.seconds) as running,
    ):
        progress.say(f"{scale.rate:g} requests a second for {scale.seconds:g} s")
        _let_pass(world, running, scale.pause / 2)
        changed = time.time()
        upgrade = change(world, "a", config=fault)
        way.lead(world, upgrade, scale, running)
        killed = time.time()
        world.operator.kill()
        world.operator.start()
        progress.say("the operator was killed, and another one was started")
        found = world.wait_until("AgentUpgrade", upgrade, _is_over, within=scale.seconds)
        progress.say(f"{found['status']['phase']}")
        wait_until_only(world, running, way.wins)
        report = running.finish()
    return {
        "phase": found["status"]["phase"],
        "rollback": found["status"].get("rollback"),
        "ended with": report.answers[-1].version,
        "killed after": round(killed - changed, 3),
        "history": _history(upgrades, since=changed),
        **losses(report, since=changed),
        "requests": report.to_json(),
    }


def _history(upgrades: Sight, *, since: float) -> list[dict[str, Any]]:
    """When an upgrade was seen to have another phase, step or weight."""
    told: list[dict[str, Any]] = []
    before: tuple[Any, ...] = ()
    for seen in upgrades.seen:
        status = seen.object.get("status", {})
        now = (status.get("phase"), status.get("step"), status.get("weight"))
        if now != before:
            phase, number, weight = before = now
            at = round(seen.at - since, 3)
            told.append({"at": at, "phase": phase, "step": number, "weight": weight})
    return told


def _is_over(upgrade: Object) -> bool:
    return upgrade.get("status", {}).get("phase") in ENDED


def _fails(pod: Object) -> bool:
    """Whether a pod of the new version has become unready after its weight."""
    labels = pod["metadata"]["labels"]
    return labels.get("app.kubernetes.io/version") == NEW and not is_ready(pod)


def _let_pass(world: World, running: Load, seconds: float) -> None:
    """Wait while requests are sent."""
    before = running.so_far().sent
    wanted = before + seconds * running.rate
    world.operator.wait_until(lambda: running.so_far().sent >= wanted, within=3 * seconds + 30)
