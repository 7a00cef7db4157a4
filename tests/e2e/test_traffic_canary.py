"""A change of an Agent behind a Gateway, while requests come: nobody notices a bad end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.served import (
    NEW,
    OLD,
    PROBED,
    backends,
    break_one_pod,
    canary,
    canary_weight,
    change,
    hostname,
    load,
    promote,
    roll_back,
    routed,
    step,
    wait_for_weight,
    wait_until_answered,
    wait_until_only,
    wait_until_reached,
    wait_until_sent,
    weights,
)
from tests.e2e.sight import Sight, failed_at
from tests.e2e.world import World, is_ready
from tests.load.report import Report
from tests.load.request import task
from tests.load.target import gateway

AT_ONCE: Final = 2.0
"""Seconds in which what somebody has spoilt is right again, on a busy machine."""

ROLLED_BACK_WITHIN: Final = 30
"""Seconds that a complete rollback may take, whatever else happens."""

FAILS_AFTER: Final = 20
"""Seconds after the start of a process at which its probe fails: by then it has its weight, on a
busy machine too."""

STEPS: Final = canary(step(25, seconds=5), step(60, seconds=5))
WAITING: Final = canary(step(50, waits=True))


@pytest.mark.row("H06")
def test_h06_no_request_fails_while_a_canary_is_promoted(world: World, tmp_path: Path) -> None:
    """Of 10,000 all are answered, each step gets its share, and the new version all in the end."""
    world.apply(routed(world, "a", upgradePolicy=STEPS))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path, rate=200) as running:
        upgrade = change(world, "a")
        world.wait_upgrade(upgrade, "Succeeded")
        promoted = wait_until_only(world, running, NEW)
        world.wait_until_children("a", "Pod", lambda pods: len(pods) == 2, within=60)
        wait_until_sent(world, running, max(100, 10_000 - running.so_far().sent), within=90)
        report = running.stop()

    assert report.sent >= 10_000
    assert report.failed == ()
    assert _reaches(report, 25)
    assert _reaches(report, 60)
    assert report.between(promoted).share(NEW) == 1


@pytest.mark.row("G01")
def test_g01_a_canary_that_a_person_stops_costs_no_request(world: World, tmp_path: Path) -> None:
    """A patch with a reason in the middle of a step takes everything back to the old version."""
    world.apply(routed(world, "a", upgradePolicy=WAITING))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 50)
        wait_until_reached(world, running, NEW)
        roll_back(world, upgrade, "customers complain")
        found = world.wait_upgrade(upgrade, "RolledBack", within=ROLLED_BACK_WITHIN)
        over = wait_until_only(world, running, OLD)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed == ()
    assert report.share(NEW) > 0
    assert report.between(over).share(OLD) == 1
    assert found["status"]["rollback"]["trigger"] == "Requested"
    assert found["status"]["rollback"]["reason"] == "customers complain"


@pytest.mark.row("G02")
@pytest.mark.row("G05")
def test_g05_a_version_that_stops_being_ready_is_left_at_once(world: World, tmp_path: Path) -> None:
    """The seconds that are told are those that a watch and the last request have seen.

    Its probe fails in the middle of a step; neither the old version nor the Gateway errs.
    """
    world.apply(routed(world, "a", upgradePolicy=WAITING, **PROBED))
    world.wait_until_ready("a")

    with (
        Sight(world, "Pod") as pods,
        Sight(world, "AgentUpgrade") as upgrades,
        load(world, "a", tmp_path, rate=200) as running,
    ):
        upgrade = change(world, "a", config={"probeFailAfterSeconds": str(FAILS_AFTER)})
        wait_for_weight(world, upgrade, 50)
        found = world.wait_upgrade(upgrade, "RolledBack", within=FAILS_AFTER + ROLLED_BACK_WITHIN)
        followed = wait_until_only(world, running, OLD)
        wait_until_sent(world, running, 200)
        report = running.stop()
    triggered = failed_at(pods, NEW)
    over = upgrades.first(lambda seen: seen.get("status", {}).get("phase") == "RolledBack")
    last = report.last_by(NEW)

    assert report.failed_but_by(NEW) == ()
    assert report.between(followed).share(OLD) == 1
    assert last is not None
    assert last.at - triggered < ROLLED_BACK_WITHIN
    assert over - triggered < ROLLED_BACK_WITHIN
    record = found["status"]["rollback"]
    assert record["trigger"] == "HealthProbe"
    assert record["durationSeconds"] < ROLLED_BACK_WITHIN
    assert record["durationSeconds"] == pytest.approx(over - triggered, abs=2)
    assert weights(world.get("HTTPRoute", "a")) == {"a": 1}


def test_an_unready_old_pod_keeps_nobody_on_a_failed_version(world: World, tmp_path: Path) -> None:
    """Of four old pods one is not ready; everything leaves the new version all the same."""
    world.apply(routed(world, "a", replicas=4, upgradePolicy=WAITING))
    world.wait_until_ready("a")
    break_one_pod(world, "a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a", config={"probeFailAfterSeconds": str(FAILS_AFTER)})
        wait_for_weight(world, upgrade, 50)
        found = world.wait_upgrade(upgrade, "RolledBack", within=FAILS_AFTER + ROLLED_BACK_WITHIN)
        over = wait_until_only(world, running, OLD)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert report.failed_but_by(NEW) == ()
    assert report.share(NEW) > 0
    assert report.between(over).share(OLD) == 1
    assert found["status"]["rollback"]["trigger"] == "HealthProbe"
    assert sum(is_ready(pod) for pod in _pods_of(world, "a", OLD)) == 3


def test_the_weight_seen_is_the_one_that_the_generator_has_seen(
    world: World, tmp_path: Path
) -> None:
    """What the operator counts at the pods agrees with who answered, to a few percent."""
    world.apply(routed(world, "a", upgradePolicy=canary(step(30, waits=True))))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 30)
        wait_until_reached(world, running, NEW)
        # Ten seconds are recent, and the latest that are told may be some seconds old; what is from
        # before the Gateway has followed has to have passed.
        wait_until_sent(world, running, 1400)
        now = time.time()
        seen = world.upgrade(upgrade)["status"]["weightSeen"]
        report = running.stop()

    told = 100 * report.between(now - 10, now).share(NEW)
    assert told == pytest.approx(30, abs=4)
    assert seen == pytest.approx(told, abs=5)


def test_testers_reach_a_version_that_has_no_weight(world: World, tmp_path: Path) -> None:
    """Their header, or their cookie among others, leads to the new version; nobody else's does."""
    testers = {"headers": {"x-tester": "yes"}, "cookie": "tester=on"}
    policy = canary(step(0, waits=True))
    world.apply(routed(world, "a", upgradePolicy=policy, traffic={"testers": testers}))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    world.wait_upgrade(upgrade, "Paused")
    tester = task(host=hostname(world, "a"), headers={"X-Tester": "yes"})
    wait_until_answered(world, gateway(), tester, tmp_path, lambda answer: answer.version == NEW)

    def answered(**headers: str) -> Report:
        with load(
            world, "a", tmp_path, request=task(headers=headers), rate=20, seconds=2
        ) as running:
            return running.finish()

    assert answered(**{"X-Tester": "yes"}).share(NEW) == 1
    assert answered(Cookie="theme=dark; tester=on; lang=en").share(NEW) == 1
    assert answered(Cookie="tester=only").share(OLD) == 1
    assert answered(**{"X-Tester": "no"}).share(OLD) == 1
    assert answered().share(OLD) == 1


DAMAGES: Final[dict[str, Callable[[Object], Object | None]]] = {
    "weights turned round": lambda route: _with_weights(route, [1, 99]),
    "weight taken away": lambda route: _with_weights(route, [100, 0]),
    "backend removed": lambda route: _with_refs(route, backends(route)[:1]),
    "route deleted": lambda _: None,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_spoilt_route_is_put_right_at_once(
    world: World, damage: Callable[[Object], Object | None]
) -> None:
    """Whoever changes or deletes the route in the middle of a canary has it back."""
    world.apply(routed(world, "a", upgradePolicy=WAITING))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    wait_for_weight(world, upgrade, 50)
    before = world.wait_until("HTTPRoute", "a", lambda route: canary_weight(route, "a") == 50)

    moment = world.now("HTTPRoute")
    start = time.monotonic()
    spoilt = damage(before)
    if spoilt is None:
        world.delete("HTTPRoute", "a")
    else:
        world.patch("HTTPRoute", "a", {"spec": spoilt["spec"]})
    broken = False
    for seen in world.follow("HTTPRoute", since=moment, within=10):
        broken = broken or seen.type == "DELETED" or seen.object["spec"] != before["spec"]
        if broken and seen.type != "DELETED" and seen.object["spec"] == before["spec"]:
            break
    else:
        raise AssertionError("not put right in 10 s")

    assert time.monotonic() - start < AT_ONCE
    assert world.upgrade(upgrade)["status"]["weight"] == 50


def test_the_pods_of_a_step_come_back_under_load(world: World, tmp_path: Path) -> None:
    """A canary whose pods are deleted in the middle loses its weight and gets it again.

    Whoever deletes a pod by hand takes it from the Gateway without a word; `drain.delaySeconds` is
    the time in which that has to notice, also on a busy machine.
    """
    world.apply(routed(world, "a", upgradePolicy=WAITING, drain={"delaySeconds": 8}))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a")
        wait_for_weight(world, upgrade, 50)
        wait_until_sent(world, running, 100)
        for pod in _pods_of(world, "a", NEW):
            world.delete("Pod", pod["metadata"]["name"])
        wait_for_weight(world, upgrade, 0)
        wait_for_weight(world, upgrade, 50)
        wait_until_sent(world, running, 100)
        promote(world, upgrade, full=True)
        world.wait_upgrade(upgrade, "Succeeded")
        report = running.stop()

    assert report.failed_but_by(NEW) == ()


def _reaches(report: Report, weight: int) -> bool:
    """Whether the new version had, for some seconds, about so many percent of the requests."""
    close = [
        second
        for second in report.timeline()
        if math.isclose(100 * second.share(NEW), weight, abs_tol=8)
    ]
    return len(close) >= 2


def _pods_of(world: World, name: str, version: str) -> list[Object]:
    return [
        pod
        for pod in world.pods(name)
        if pod["metadata"]["labels"]["app.kubernetes.io/version"] == version
    ]


def _with_refs(route: Object, refs: list[Object]) -> Object:
    rule = {**route["spec"]["rules"][0], "backendRefs": refs}
    return {**route, "spec": {**route["spec"], "rules": [rule]}}


def _with_weights(route: Object, wanted: list[int]) -> Object:
    refs = [{**ref, "weight": weight} for ref, weight in zip(backends(route), wanted, strict=True)]
    return _with_refs(route, refs)
