"""Nobody is cut off: before a pod goes it is out of traffic, and has finished what it has begun."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.cluster import Moment, Object
from tests.e2e.served import (
    NEW,
    OLD,
    change,
    load,
    promote,
    routed,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.world import START, World
from tests.load.answer import Failure
from tests.load.report import Report
from tests.load.request import stream

ASKED: Final[dict[str, Any]] = {
    "type": "BlueGreen",
    "blueGreen": {"pause": {}},
    "scaleDownDelaySeconds": 0,
    "abortScaleDownDelaySeconds": 0,
}
"""A policy by which the new version takes over when a person says so, and the old one goes."""

SETTLE: Final = 1
"""What `routed` gives the Gateway to follow a change."""

SOON: Final = 15
"""Seconds in which a pod goes that nothing holds, on a machine that runs several tests at once."""

IN_FLIGHT: Final = re.compile(r"^http_requests_in_flight (\S+)$", re.MULTILINE)


def test_streams_outlast_the_version_that_answers_them(world: World, tmp_path: Path) -> None:
    """Each old pod is out of traffic, idle, and only then stopped; the deadline is far away."""
    world.apply(routed(world, "a", upgradePolicy=ASKED, drain={"timeoutSeconds": 120}))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    world.wait_upgrade(upgrade, "Paused")
    old = _pods_of(world, "a", OLD)
    since = world.now("Pod", "a")

    with load(world, "a", tmp_path, request=stream(seconds=30), rate=5, seconds=2) as streams:
        _wait_until_in_flight(world, old, 10)
        with load(world, "a", tmp_path, rate=40) as tasks:
            wait_until_sent(world, tasks, 20)
            promote(world, upgrade, full=True)
            world.wait_upgrade(upgrade, "Succeeded")
            promoted = wait_until_only(world, tasks, NEW)
            streamed = streams.finish()
            world.wait_until_children("a", "Pod", lambda pods: len(pods) == 2, within=60)
            wait_until_sent(world, tasks, 40)
            worked = tasks.stop()

    assert worked.failed == ()
    assert worked.between(promoted).share(NEW) == 1
    assert streamed.failed == ()
    assert streamed.share(OLD) == 1
    for name, (marked, stopped) in _ends(world, since, old, ended=2).items():
        ended = _last_end(streamed, name)
        assert marked < ended - 1
        assert ended - 1 <= stopped <= ended + SOON


def test_who_does_not_come_to_an_end_is_stopped_at_the_deadline(
    world: World, tmp_path: Path
) -> None:
    """Streams of a minute, and an Agent that gives its pods five seconds."""
    world.apply(routed(world, "a", replicas=1, upgradePolicy=ASKED, drain={"timeoutSeconds": 5}))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    world.wait_upgrade(upgrade, "Paused")
    old = _pods_of(world, "a", OLD)
    since = world.now("Pod", "a")

    with load(world, "a", tmp_path, request=stream(seconds=60), rate=2, seconds=1) as streams:
        _wait_until_in_flight(world, old, 2)
        promote(world, upgrade, full=True)
        report = streams.finish()

    assert set(report.failures) == {Failure.CUT}
    ((marked, stopped),) = _ends(world, since, old, ended=1).values()
    assert SETTLE + 5 <= stopped - marked <= SETTLE + 5 + SOON


def test_a_pod_that_has_nothing_to_do_goes_soon(world: World) -> None:
    """However long it would be waited for: it says that nothing is in flight."""
    world.apply(routed(world, "a", upgradePolicy=ASKED, drain={"timeoutSeconds": 600}))
    world.wait_until_ready("a")
    upgrade = change(world, "a")
    world.wait_upgrade(upgrade, "Paused")
    old = _pods_of(world, "a", OLD)
    since = world.now("Pod", "a")

    promote(world, upgrade, full=True)
    world.wait_upgrade(upgrade, "Succeeded")
    world.wait_until_children("a", "Pod", lambda pods: len(pods) == 2, within=60)

    for marked, stopped in _ends(world, since, old, ended=2).values():
        assert SETTLE <= stopped - marked <= SOON


def test_fewer_pods_cut_no_stream(world: World, tmp_path: Path) -> None:
    """`kubectl scale` to one of three pods, all of which are at work."""
    world.apply(routed(world, "a", replicas=3, drain={"timeoutSeconds": 120}))
    world.wait_until_ready("a")
    pods = world.pods("a")
    since = world.now("Pod", "a")

    with load(world, "a", tmp_path, request=stream(seconds=25), rate=10, seconds=3) as streams:
        _wait_until_in_flight(world, pods, 30)
        world.scale("a", 1)
        report = streams.finish()
    world.wait_until_children("a", "Pod", lambda left: len(left) == 1, within=60)

    assert report.failed == ()
    for name, (marked, stopped) in _ends(world, since, pods, ended=2).items():
        ended = _last_end(report, name)
        assert marked < ended
        assert ended - 1 <= stopped <= ended + SOON


@pytest.mark.row("I04")
def test_i04_a_pod_deleted_under_load_finishes_what_it_has_begun(
    world: World, tmp_path: Path
) -> None:
    """`kubectl delete pod`: its streams and its slow tasks are answered whole, by itself."""
    world.apply(
        routed(
            world,
            "a",
            config={"latencySeconds": "1"},
            drain={"timeoutSeconds": 60, "delaySeconds": 2},
            # By itself it would give up after 25 seconds, however long it may take.
            container={"env": [{"name": "DRAIN_SECONDS", "value": "60"}]},
        )
    )
    world.wait_until_ready("a")
    pods = world.pods("a")
    victim = pods[0]["metadata"]["name"]

    # The streams first: once there are tasks, nobody can tell how many streams are in flight.
    with load(world, "a", tmp_path, request=stream(seconds=30), rate=5, seconds=2) as streams:
        _wait_until_in_flight(world, pods, 10)
        with load(world, "a", tmp_path, rate=20) as tasks:
            wait_until_sent(world, tasks, 20)
            deleted = time.time()
            assert world.kubectl("delete", "pod", victim, "--wait=false").code == 0
            streamed = streams.finish()
            world.wait_until_gone("Pod", victim, within=60)
            wait_until_sent(world, tasks, 40)
            worked = tasks.stop()

    assert streamed.failed == ()
    assert worked.failed == ()
    assert _last_end(streamed, victim) > deleted + 5
    in_flight = worked.where(lambda task: task.pod == victim and task.at < deleted < task.ended)
    assert in_flight.sent > 0
    assert worked.answers[-1].pod != victim


def _pods_of(world: World, name: str, version: str) -> list[Object]:
    return [
        pod
        for pod in world.pods(name)
        if pod["metadata"]["labels"]["app.kubernetes.io/version"] == version
    ]


def _wait_until_in_flight(world: World, pods: list[Object], requests: int) -> None:
    """Wait until these pods together say that they are at so many requests."""

    def there() -> bool:
        texts = [world.http(pod["metadata"]["name"], "/metrics").text for pod in pods]
        return sum(float(found[1]) for text in texts for found in IN_FLIGHT.finditer(text)) >= (
            requests
        )

    world.operator.wait_until(there, within=SOON)


def _ends(
    world: World, since: Moment, pods: list[Object], *, ended: int
) -> dict[str, tuple[float, float]]:
    """When so many of these pods were taken out of traffic, and when their ends were asked for.

    Both are told by the objects, in whole seconds. A pod whose end came first is an error, one
    that has not ended is left out.
    """
    names = {pod["metadata"]["name"] for pod in pods}
    marked: dict[str, float] = {}
    stopped: dict[str, float] = {}
    for seen in world.follow("Pod", since=since, within=START, agent="a"):
        metadata = seen.object["metadata"]
        name = metadata["name"]
        if name not in names:
            continue
        if metadata["labels"]["agentherd.dev/traffic"] == "off" and name not in marked:
            assert "deletionTimestamp" not in metadata
            marked[name] = _seconds(metadata["annotations"]["agentherd.dev/draining-since"])
        if "deletionTimestamp" in metadata and name not in stopped:
            grace = metadata["deletionGracePeriodSeconds"]
            stopped[name] = _seconds(metadata["deletionTimestamp"]) - grace
        if len(stopped) == ended:
            return {name: (marked[name], stopped[name]) for name in stopped}
    raise AssertionError(f"{len(stopped)} of {ended} pods have ended within {START} s")


def _seconds(time_of_day: str) -> float:
    return datetime.fromisoformat(time_of_day).timestamp()


def _last_end(report: Report, pod: str) -> float:
    """When the last answer of a pod was whole."""
    return max(answer.ended for answer in report.answers if answer.pod == pod)
