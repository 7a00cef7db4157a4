"""Versions of a model behind a Gateway under load: who gets how much, how soon, at what cost."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.models import (
    KIND,
    NAME,
    change,
    load,
    pods,
    served,
    state,
    swaps,
    version,
    version_in,
    wait_for_state,
    wait_for_weight,
    wait_until,
    wait_until_active,
    wait_until_gone,
    wait_until_share,
)
from tests.e2e.served import (
    LONGEST,
    UNJUDGED,
    canary,
    step,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.sight import Seen, Sight
from tests.e2e.world import World, condition_status, observed
from tests.load.report import Report

SOON: Final = {"intervalSeconds": 1, "warmUpSeconds": 2, "minimumRequests": 10}
UNHURRIED: Final = canary(step(10, seconds=1), analysis=UNJUDGED)


@pytest.mark.row("H03")
def test_h03_a_canary_at_ten_gets_one_request_in_ten(world: World, tmp_path: Path) -> None:
    """Of 2,000 it answers 160 to 240, and the status has seen the same."""
    served(world)
    with load(world, tmp_path, rate=100) as running:
        change(world, canary={"version": "v2", "weight": 10})
        wait_for_weight(world, "v2", 10)
        wait_until_share(world, running, "v2", 0.05, 0.15)
        wait_until_sent(world, running, 1000)
        begin = time.time()
        wait_until_sent(world, running, 2100)
        found = world.get(KIND, NAME)
        report = running.stop()

    counted = report.between(begin).answers[:2000]
    tried = sum(answer.version == "v2" for answer in counted)
    print(f"H03: {tried} of {len(counted)} requests")
    assert report.failed == ()
    assert 160 <= tried <= 240
    assert version_in(found, "v2")["weight"] == 10
    assert version_in(found, "v2")["weightSeen"] == pytest.approx(100 * tried / 2000, abs=3)
    assert version_in(found, "v1")["weightSeen"] == 100 - version_in(found, "v2")["weightSeen"]


@pytest.mark.row("H05")
def test_h05_a_canary_goes_through_its_steps_and_takes_over(world: World, tmp_path: Path) -> None:
    """5, 10 and 20 percent, each held for its seconds; then all, and the old pods go."""
    held = 12
    served(world, upgradePolicy=canary(step(10), analysis=SOON))
    with Sight(world, KIND) as models, load(world, tmp_path, rate=120) as running:
        steps = [step(weight, seconds=held) for weight in (5, 10, 20)]
        change(world, canary={"version": "v2", "steps": steps})
        found = wait_until_active(world, "v2", within=120)
        over = wait_until_only(world, running, "v2")
        wait_until_gone(world, "v1")
        wait_until_sent(world, running, 100)
        report = running.stop()

    times = _first_at(models)
    print(f"H05: weights at {times}")
    assert report.failed == ()
    assert list(times) == [0, 5, 10, 20, 100]
    for weight, following in ((5, 10), (10, 20), (20, 100)):
        # Its seconds are counted whole, and what is told of their begin is written a moment later.
        assert times[following] - times[weight] >= held - 2
        # The route has the next weight before that is told, so only as long as the step lasts.
        told = times[weight]
        share = 100 * report.between(told + 1, told + held - 2).share("v2")
        assert share == pytest.approx(weight, abs=4)
    assert report.between(over).share("v2") == 1
    assert found["spec"]["activeVersion"] == "v2"
    assert "canary" not in found["spec"]
    assert swaps(wait_until(world, lambda seen: bool(swaps(seen)))) == [("v1", "v2", "Promoted")]


@pytest.mark.row("H05")
def test_h05_a_step_waits_for_pods_that_are_healthy(world: World, tmp_path: Path) -> None:
    """No request goes to a version that is not ready, however long that takes."""
    served(world, version("v1"), version("v2", start_seconds=10))
    with Sight(world, KIND) as models, load(world, tmp_path) as running:
        begin = time.time()
        change(world, canary={"version": "v2", "steps": [step(20, seconds=2)]})
        wait_until_active(world, "v2")
        report = running.stop()

    first = models.first(lambda seen: version_in(seen, "v2").get("weight", 0) > 0)
    assert first - begin > 10
    assert report.failed == ()
    assert report.between(begin, begin + 9).share("v1") == 1


@pytest.mark.row("H06")
def test_h06_no_request_fails_while_another_version_takes_over(
    world: World, tmp_path: Path
) -> None:
    """Of 10,000 all are answered with 200, also those on their way when the old pods go."""
    served(world, version("v1", latency_seconds=0.05), version("v2", latency_seconds=0.05))
    with load(world, tmp_path, rate=150) as running:
        change(world, activeVersion="v2")
        found = wait_until_active(world, "v2")
        over = wait_until_only(world, running, "v2")
        wait_until_gone(world, "v1")
        wait_until_sent(world, running, max(100, 10_000 - running.so_far().sent), within=150)
        report = running.stop()

    print(f"H06: {report.sent} sent, {len(report.failed)} failed, {report.counts}")
    assert report.sent >= 10_000
    assert report.failed == ()
    assert {code for _, code in report.counts} == {200}
    assert report.between(over).share("v2") == 1
    assert found["status"]["activeVersion"] == "v2"


@pytest.mark.alone
@pytest.mark.row("H07")
def test_h07_a_weight_is_in_effect_in_less_than_a_second(world: World, tmp_path: Path) -> None:
    """From the patch to the first request at the new weight, and to the condition that says so.

    From 0 to 20 the first request that the new version answers is one at the new weight; of 200 a
    second every fifth goes there, so it comes within some hundredths of a second of the change.
    Sent is what counts, by the generator's clock, which is that of the patch.
    """
    served(world)
    with Sight(world, KIND) as models, load(world, tmp_path, rate=200) as running:
        change(world, canary={"version": "v2", "weight": 0})
        wait_for_state(world, "Ready", "v2")
        wait_until(world, lambda seen: condition_status(seen, "TrafficApplied") == "True")
        world.operator.runs_for(3)
        patches, told = [], []
        for weight in (20, 0, 20, 0, 20):
            patches.append((weight, time.time()))
            change(world, canary={"version": "v2", "weight": weight})
            applied = _applied(weight)
            wait_until(world, applied)
            world.operator.runs_for(3)
            told.append(models.first(applied, since=patches[-1][1]) - patches[-1][1])
        report = running.stop()

    followed = [
        next(a.at for a in report.answers if a.at > at and a.version == "v2") - at
        for weight, at in patches
        if weight
    ]
    print(f"H07: first request after {followed}, TrafficApplied after {told}")
    assert report.failed == ()
    assert statistics.median(followed) < 1
    assert statistics.median(told) < 1


@pytest.mark.row("H09")
def test_h09_a_slow_version_gets_less_by_its_performance(world: World, tmp_path: Path) -> None:
    """It begins at 20 percent, is five times slower, and is never given that much again."""
    tolerant = canary(step(10), analysis=UNJUDGED)
    served(
        world,
        version("v1", latency_seconds=0.05),
        version("v2", latency_seconds=0.25),
        routing="Performance",
        upgradePolicy=tolerant,
    )
    with (
        Sight(world, KIND) as models,
        load(world, tmp_path, rate=100, seconds=2 * LONGEST) as running,
    ):
        change(world, canary={"version": "v2", "weight": 20, "minimumWeight": 2})
        wait_for_weight(world, "v2", 20)
        begin = time.time()
        wait_for_weight(world, "v2", 2, within=150)
        wait_until_sent(world, running, 1500)
        end = time.time()
        report = running.stop()

    given = [version_in(seen.object, "v2").get("weight", 0) for seen in models.seen]
    lowered = models.first(lambda seen: version_in(seen, "v2").get("weight", 0) < 20, since=begin)
    first, last = report.between(begin, lowered), report.between(end - 8, end)
    print(f"H09: {_steps(given)}, share {first.share('v2'):.3f} to {last.share('v2'):.3f}")
    assert report.failed == ()
    assert max(given) == 20
    assert _steps(given).count(20) == 1
    assert first.share("v2") == pytest.approx(0.2, abs=0.06)
    assert last.share("v2") < 0.08


@pytest.mark.row("H11")
def test_h11_each_version_tells_how_it_does(world: World, tmp_path: Path) -> None:
    """Mean, 95th percentile, requests a second and accuracy are those that the generator saw.

    Buckets of the dummy end at half a second and one, between which percentiles are interpolated,
    so each version takes a time close to the end of one. What a request waits for on its way on a
    busy machine is not the model's, so it counts what was told when they waited least.
    """
    took = {"v1": 0.45, "v2": 0.95}
    served(
        world,
        version("v1", latency_seconds=took["v1"], accuracy=0.91),
        version("v2", latency_seconds=took["v2"], accuracy=0.93),
        upgradePolicy=canary(step(10), analysis=UNJUDGED),
    )
    change(world, canary={"version": "v2", "weight": 20})
    wait_for_weight(world, "v2", 20)
    with Sight(world, KIND) as models, load(world, tmp_path, rate=50) as running:
        wait_until_sent(world, running, 750)
        begin = time.time()
        wait_until_sent(world, running, 1000)
        report = running.stop()

    def window(at: float, name: str) -> Report:
        return _by(report.between(at - 12, at), name)

    def waited(told: Seen) -> float:
        return max(window(told.at, name).latency(95) / took[name] for name in took)

    calmest = min((told for told in models.seen if told.at > begin), key=waited)
    for name, accuracy in (("v1", 0.91), ("v2", 0.93)):
        told = version_in(calmest.object, name)["performance"]
        mine = window(calmest.at, name)
        mean = 1000 * statistics.fmean(answer.latency for answer in mine.answers)
        seen = {
            "meanMilliseconds": mean,
            "p95Milliseconds": 1000 * mine.latency(95),
            "requestsPerSecond": mine.sent / 12,
        }
        print(f"H11: {name} told {told}, seen {seen}")
        for key, value in seen.items():
            assert told[key] == pytest.approx(value, rel=0.2), key
        assert told["accuracy"] == accuracy
        assert told["errorRate"] == 0

    change(world, monitoring={"enabled": False})
    wait_until(world, lambda seen: "performance" not in version_in(seen, "v1"))
    world.operator.runs_for(12)
    assert "performance" not in version_in(world.get(KIND, NAME), "v1")


@pytest.mark.row("H11")
def test_h11_a_model_at_rest_is_measured_too(world: World, tmp_path: Path) -> None:
    """Seldom, but while nothing is swapped: what is told is of the latest half minute."""
    served(world, version("v1", latency_seconds=0.2))
    with load(world, tmp_path, rate=20) as running:
        wait_until_sent(world, running, 20 * 30)
        full = time.time()
        found = wait_until(world, lambda seen: _measured_at(seen, "v1") > full)
        report = running.stop()

    told = version_in(found, "v1")["performance"]
    assert report.failed == ()
    assert told["requestsPerSecond"] == pytest.approx(20, rel=0.2)
    assert told["meanMilliseconds"] == pytest.approx(200, rel=0.2)


@pytest.mark.row("H06")
def test_h06_a_swap_back_is_made_at_once_where_the_version_is_kept_warm(
    world: World, tmp_path: Path
) -> None:
    """In one go, without steps, and without a lost request."""
    served(world, keepWarm=True)
    with Sight(world, KIND) as models, load(world, tmp_path, rate=100) as running:
        change(world, activeVersion="v2")
        wait_until_active(world, "v2")
        wait_for_state(world, "Standby", "v1")
        wait_until_only(world, running, "v2")
        warm = [pod["metadata"]["uid"] for pod in pods(world, of="v1")]
        world.operator.runs_for(5)
        patched = time.time()
        change(world, activeVersion="v1")
        wait_until_active(world, "v1")
        back = wait_until_only(world, running, "v1")
        wait_until_sent(world, running, 100)
        report = running.stop()

    weights = {
        version_in(seen.object, "v1").get("weight", 0) for seen in models.seen if seen.at > patched
    }
    print(f"keepWarm: back after {_last_by(report, 'v2') - patched:.2f} s, weights {weights}")
    assert report.failed == ()
    assert [pod["metadata"]["uid"] for pod in pods(world, of="v1")] == warm
    assert weights <= {0, 100}
    assert report.between(back).share("v1") == 1
    assert _last_by(report, "v2") - patched < 10
    assert state(world.get(KIND, NAME), "v2") == "Standby"


def _applied(weight: int) -> Callable[[Object], bool]:
    """Whether a model says that v2 has that weight, and that it is in force."""
    return lambda seen: (
        observed(seen)
        and version_in(seen, "v2").get("weight") == weight
        and condition_status(seen, "TrafficApplied") == "True"
    )


def _measured_at(found: Object, name: str) -> float:
    """When the latest look was that a version's performance tells of, 0 before the first."""
    at = version_in(found, name).get("performance", {}).get("at")
    return datetime.fromisoformat(at).timestamp() if at else 0


def _by(report: Report, name: str) -> Report:
    return report.where(lambda answer: answer.version == name)


def _first_at(models: Sight) -> dict[int, float]:
    """When each weight of v2 was first told, in that order."""
    times: dict[int, float] = {}
    for seen in models.seen:
        told = version_in(seen.object, "v2")
        if told and told["state"] != "Pending":
            times.setdefault(told["weight"], seen.at)
    return times


def _steps(given: list[int]) -> list[int]:
    """The weights in the order in which they were given, each once."""
    return [now for now, before in zip(given, [math.nan, *given], strict=False) if now != before]


def _last_by(report: Report, name: str) -> float:
    last = report.last_by(name)
    assert last is not None
    return last.at
