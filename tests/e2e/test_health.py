"""Health: asked for by probes, told by a condition."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.sample import agent
from tests.e2e.world import START, World, condition

RELOADED: Final = 120.0
"""Seconds in which a config reaches a pod that runs and shows in its health, also by way of a busy
kubelet: one that is told of the pod before the ConfigMap looks again only after up to 90."""

WORK = {"path": "/", "port": "http"}
"""The sample agent counts requests for its work but no checks, so here work is what checks it."""


@pytest.mark.row("C01")
def test_c01_a_failing_check_makes_the_agent_unhealthy_until_it_passes_again(
    world: World,
) -> None:
    """Healthy follows what the agent answers to its probe, in both directions."""
    world.apply(agent("a", config={"probe": "ok"}, configUpdate="InPlace"))
    world.wait_for_condition("a", "Healthy", "True")

    world.change("a", config={"probe": "fail"})
    sick = world.wait_for_condition("a", "Healthy", "False", within=RELOADED)
    world.change("a", config={"probe": "ok"})
    world.wait_for_condition("a", "Healthy", "True", within=RELOADED)

    said = condition(sick, "Healthy")
    assert said is not None
    assert said["reason"] == "ProbesFail"


@pytest.mark.row("C03")
def test_c03_a_pod_is_checked_every_30_seconds_if_nothing_else_is_said(world: World) -> None:
    """The default interval is what reaches the agent: two or three checks in 65 seconds."""
    world.apply(agent("a", health={"http": WORK}))
    world.wait_until_ready("a")
    pod = world.pod("a")

    before = _counted(world, pod["metadata"]["name"])
    _let_pass(world, seconds=65)
    checks = _counted(world, pod["metadata"]["name"]).requests - before.requests

    assert pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] == 30
    assert 2 <= checks <= 3


@pytest.mark.row("C03")
def test_c03_the_interval_can_be_changed(world: World) -> None:
    """With an interval of 2 seconds there are about ten checks in twenty.

    On a busy machine it takes longer than that to count them, and so there may be more.
    """
    world.apply(agent("a", health={"http": WORK}))
    world.wait_until_ready("a")

    world.change("a", health={"http": WORK, "intervalSeconds": 2})
    world.wait_until_ready("a")
    (pod,) = world.wait_until_children("a", "Pod", lambda pods: len(pods) == 1, within=START)
    before = _counted(world, pod["metadata"]["name"])
    _let_pass(world, seconds=20)
    after = _counted(world, pod["metadata"]["name"])
    checks = after.requests - before.requests

    assert pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] == 2
    assert 9 <= checks <= (after.until - before.since) / 2 + 1


class _Count(NamedTuple):
    """How many requests a pod had answered at a moment between two."""

    requests: float
    since: float
    until: float


def _let_pass(world: World, *, seconds: float) -> None:
    """Watch for so long that the Agent stays as it is: time in which it is checked."""
    start = world.now("Agent")
    for change in world.follow("Agent", since=start, within=seconds):
        assert change.object["status"]["phase"] == "Online"


def _counted(world: World, pod: str) -> _Count:
    since = time.monotonic()
    metrics = world.http(pod, "/metrics").text
    until = time.monotonic()
    requests = sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "http_requests_total"
    )
    return _Count(requests, since, until)
