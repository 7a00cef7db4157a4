"""How long it takes on a cluster to tell that a version is worse, and what users lose meanwhile.

Each run is a further attempt of one upgrade, under requests at a fixed rate through the Gateway.
The step takes longer than any verdict, so that nothing but the verdict ends it; a run in which none
is found within its time is taken back by hand, and told as one without.

All moments are of one clock, this machine's, in seconds since the attempt was asked for. The
*weight* and the *verdict* are when a watch was told of them: of a route in which the new version
has a weight, of an upgrade whose analysis has failed or that goes back. The *first request*, the
*last* and the first one *lost* are when those were sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from tests.e2e.cluster import Object
from tests.e2e.judge import Judge, Said
from tests.e2e.network import cluster_network
from tests.e2e.served import (
    NEW,
    OLD,
    canary,
    canary_weight,
    change,
    load,
    roll_back,
    routed,
    step,
    wait_until_only,
)
from tests.e2e.sight import Sight
from tests.e2e.world import World
from tests.load.report import Report
from tests.long.cases import RATE, WEIGHT, Case
from tests.long.rollbacks import are_all_old

STEP: Final = 24 * 3600
"""Seconds: longer than any run."""

WITHIN: Final = 120.0
"""Seconds in which an attempt gets to its weight, and in which what is left of it has gone."""

BEFORE: Final = 1.0
"""Seconds for which there are requests before the attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One version that was tried; None is what did not happen.

    `at_canary` counts requests that the new version answered. `lost` are all that were answered
    with an error, with one in the body, or not at all; `lost_elsewhere` those of them that the new
    version has not answered.
    """

    trigger: str | None
    reason: str
    weight: float | None
    first_request: float | None
    first_lost: float | None
    verdict: float | None
    last_request: float | None
    sent: int
    at_canary: int
    lost: int
    lost_elsewhere: int

    def since_first_request(self, moment: float | None) -> float | None:
        """Seconds from the first request to the new version; None where there is either not."""
        if moment is None or self.first_request is None:
            return None
        return moment - self.first_request

    def __str__(self) -> str:
        verdict = self.since_first_request(self.verdict)
        after = "no verdict" if verdict is None else f"{self.trigger} after {verdict:.1f} s"
        return f"{after}; {self.lost} of {self.sent} requests lost, {self.at_canary} at the canary"


def verdicts(
    world: World, directory: Path, case: Case, *, count: int, within: float, progress: Progress
) -> list[Run]:
    """So many runs, each without a verdict after `within` seconds."""
    world.apply(routed(world, "a", config=dict(case.before), upgradePolicy=_policy()))
    world.wait_until_ready("a")
    done: list[Run] = []
    with (
        _policy_of(world, case) as policy,
        Sight(world, "HTTPRoute") as routes,
        Sight(world, "AgentUpgrade") as upgrades,
    ):
        begin = _Beginning(world, case, policy)
        for attempt in range(1, count + 1):
            with load(world, "a", directory, rate=RATE, seconds=2 * WITHIN + within) as running:
                time.sleep(BEFORE)
                since = time.time()
                found = _ended(world, begin(attempt), attempt, within=within)
                wait_until_only(world, running, OLD)
                report = running.stop()
            weighted = _first(routes, since, _gives_it_requests)
            decided = _first(upgrades, since, partial(_is_decided, attempt=attempt))
            done.append(
                measured(case, report, found, weighted=weighted, decided=decided, since=since)
            )
            progress.say(f"{len(done)} of {count}, {done[-1]}")
            world.wait_until_children("a", "Pod", are_all_old, within=WITHIN)
    return done


def measured(
    case: Case,
    report: Report,
    upgrade: Object,
    *,
    weighted: float | None,
    decided: float | None,
    since: float,
) -> Run:
    """What an attempt that is over has cost; the moments are in seconds since the epoch."""
    record = upgrade["status"]["rollback"]
    in_time = record["trigger"] != "Requested"
    canary = [answer for answer in report.answers if answer.version == NEW and answer.at >= since]
    polite = [answer for answer in canary if not answer.failure] if case.polite else []
    lost = [*report.failed, *polite]
    return Run(
        trigger=record["trigger"] if in_time else None,
        reason=record.get("reason", ""),
        weight=_after(since, weighted),
        first_request=_after(since, min((answer.at for answer in canary), default=None)),
        first_lost=_after(since, min((answer.at for answer in lost), default=None)),
        verdict=_after(since, decided) if in_time else None,
        last_request=_after(since, max((answer.at for answer in canary), default=None)),
        sent=report.sent,
        at_canary=len(canary),
        lost=len(lost),
        lost_elsewhere=len(report.failed_but_by(NEW)),
    )


class _Beginning:
    """Makes the change, and then asks for one attempt of its upgrade after the other."""

    def __init__(self, world: World, case: Case, policy: Object) -> None:
        self._world = world
        self._case = case
        self._policy = policy
        self._upgrade = ""

    def __call__(self, attempt: int) -> str:
        """Begin an attempt; returns the name of the upgrade."""
        if not self._upgrade:
            config = dict(self._case.config)
            self._upgrade = change(self._world, "a", config=config, upgradePolicy=self._policy)
        else:
            again = {"attempt": attempt, "rollback": {"requested": False}}
            self._world.patch("AgentUpgrade", self._upgrade, {"spec": again})
        return self._upgrade


def _ended(world: World, upgrade: str, attempt: int, *, within: float) -> Object:
    """The upgrade when the attempt is over, by its verdict or, without one, by hand."""
    wait = partial(world.wait_until, "AgentUpgrade", upgrade)
    wait(lambda seen: _has_weight(seen, attempt) or _is_decided(seen, attempt), within=WITHIN)
    try:
        wait(lambda seen: _is_decided(seen, attempt), within=within)
    except AssertionError:
        roll_back(world, upgrade, "no verdict in time")
    return wait(lambda seen: _is_back(seen, attempt), within=WITHIN)


def _policy(analysis: Object | None = None) -> Object:
    """A canary that is judged by the defaults, and by whatever else."""
    steps = canary(step(WEIGHT, seconds=STEP), abortScaleDownDelaySeconds=0)
    return {**steps, "analysis": analysis or {}}


@contextmanager
def _policy_of(world: World, case: Case) -> Iterator[Object]:
    """The policy of a case, and the source that it names for as long as it is needed."""
    if not case.polite:
        yield _policy()
        return
    address = world.pods("a")[0]["status"]["podIP"]
    with Judge(cluster_network(), towards=address).serving() as judge:
        judge.say("good", lambda _: Said(body=json.dumps({"score": _good_answers(world)})))
        source = {"url": judge.url("good"), "pointer": "/score"}
        yield _policy({"metrics": [{"name": "good-answers", "http": source, "minimum": 0.8}]})


def _good_answers(world: World) -> float:
    """The part of the pods of the new version that answer without an error in the body."""
    pods = [pod for pod in world.pods("a") if _version(pod) == NEW]
    answers = [world.http(pod["metadata"]["name"], "/") for pod in pods]
    good = [
        each.status == 200 and "error" not in json.loads(each.text)["greeting"] for each in answers
    ]
    return sum(good) / len(good)


def _first(sight: Sight, since: float, holds: Callable[[Object], bool]) -> float | None:
    """When something was first seen of which that holds."""
    seen = (each.at for each in list(sight.seen) if each.at >= since and holds(each.object))
    return next(seen, None)


def _gives_it_requests(route: Object) -> bool:
    return canary_weight(route, "a") > 0


def _is(upgrade: Object, attempt: int) -> bool:
    return bool(upgrade.get("status", {}).get("attempt") == attempt)


def _has_weight(upgrade: Object, attempt: int) -> bool:
    return _is(upgrade, attempt) and bool(upgrade["status"].get("weight"))


def _is_back(upgrade: Object, attempt: int) -> bool:
    return _is(upgrade, attempt) and upgrade["status"].get("phase") == "RolledBack"


def _is_decided(upgrade: Object, attempt: int) -> bool:
    """Whether the attempt has failed in what judges it, or goes back for another reason."""
    status = upgrade.get("status", {})
    analysis = status.get("analysis") or {}
    return _is(upgrade, attempt) and ("rollback" in status or analysis.get("verdict") == "Fail")


def _version(pod: Object) -> str:
    version: str = pod["metadata"]["labels"]["app.kubernetes.io/version"]
    return version


def _after(since: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - since, 3)
