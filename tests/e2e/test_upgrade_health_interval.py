"""How soon a new version is found to be sick though pods are checked only now and then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.test_upgrade_words import canary, change, phases, steer, step, wait_at_step
from tests.e2e.world import START, World
from tests.e2e.world import revision as revision_of

SICK_AFTER: Final = 20.0
"""Seconds for which the new version is healthy; it is ready long before they are over."""

SECONDS: Final = 10
"""Within which a version that has become sick is on its way out; a kubelet needs 60 to 90."""

HELD: Final = canary(step(50), abortScaleDownDelaySeconds=600)

WORK: Final = {"path": "/", "port": "http"}
"""The sample agent counts requests for its work but no checks, so here work is what checks it."""


@pytest.mark.row("G02")
def test_g02_a_version_that_becomes_sick_is_rolled_back_in_seconds_whatever_the_interval(
    shared_world: World,
) -> None:
    """Three checks in a row fail with the default interval of half a minute."""
    world = shared_world
    world.apply(agent("a", version="1.0.0", health={"http": {"port": "http"}}, upgradePolicy=HELD))
    first = world.wait_until_ready("a")["status"]["stableRevision"]

    name = change(world, "a", version="2.0.0", config={"probeFailAfterSeconds": str(SICK_AFTER)})
    wait_at_step(world, name, 1)
    found = world.wait_upgrade(name, "RolledBack", within=START)

    pod = _pod(world, "a", found["status"]["toRevision"])
    probe = pod["spec"]["containers"][0]["readinessProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (30, 3)
    record = found["status"]["rollback"]
    assert (record["trigger"], record["requestedBy"]) == ("HealthProbe", "agentherd")
    assert "readiness probe with status 500, 3 times in a row" in record["reason"]
    detected = datetime.fromisoformat(record["at"]) - _sick_at(world, pod)
    assert timedelta(0) < detected <= timedelta(seconds=SECONDS)
    assert phases(found)[-2:] == ["RollingBack", "RolledBack"]
    assert world.status("a")["stableRevision"] == first


@pytest.mark.row("C03")
def test_c03_only_the_new_version_is_asked_more_often_and_only_while_it_is_new(
    shared_world: World,
) -> None:
    """Every second during the upgrade; the old one as before, and so both after its end."""
    world = shared_world
    policy = canary(step(50), scaleDownDelaySeconds=600)
    world.apply(agent("b", version="1.0.0", health={"http": WORK}, upgradePolicy=policy))
    old = world.wait_until_ready("b")["status"]["stableRevision"]

    name = change(world, "b", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    during = _check_rates(world, "b", seconds=10)
    steer(world, name, promote={"full": True})
    world.wait_upgrade(name, "Succeeded")
    after = _check_rates(world, "b", seconds=10)

    assert during[old] <= 0.1
    assert 0.8 <= during[new] <= 1.2
    assert max(after[old], after[new]) <= 0.1


def _pod(world: World, agent: str, revision: str) -> Object:
    """The one pod of a revision."""
    (pod,) = (each for each in world.pods(agent) if revision_of(each) == revision)
    return pod


def _sick_at(world: World, pod: Object) -> datetime:
    """When the health endpoint of a pod began to say that it is not healthy."""
    with world.log(pod["metadata"]["name"]) as lines:
        for line in lines:
            event = json.loads(line)
            if event["event"] == "config-loaded":
                return datetime.fromisoformat(event["time"]) + timedelta(seconds=SICK_AFTER)
    raise AssertionError("the agent has loaded no config")


def _check_rates(world: World, agent: str, *, seconds: float) -> dict[str, float]:
    """How often a second the pods of an Agent are asked during at least so many, by revision."""
    pods = {revision_of(pod): pod["metadata"]["name"] for pod in world.pods(agent)}
    before = {revision: (_requests(world, pod), monotonic()) for revision, pod in pods.items()}
    for _ in world.follow("Agent", since=world.now("Agent"), within=seconds):
        pass
    return {
        revision: (_requests(world, pod) - before[revision][0])
        / (monotonic() - before[revision][1])
        for revision, pod in pods.items()
    }


def _requests(world: World, pod: str) -> float:
    families = text_string_to_metric_families(world.http(pod, "/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "http_requests_total")
