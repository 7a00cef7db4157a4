"""The way back: by itself when the new version fails, on a person's word, and to exactly before."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import IMAGE, agent, template
from tests.e2e.test_upgrade_words import (
    FAILS_LATER,
    FAILS_SOON,
    NEVER_READY,
    PAUSE,
    blue_green,
    canary,
    change,
    controls,
    phases,
    quiet,
    restart,
    rolling,
    sizes,
    slow,
    steer,
    step,
    upgrade,
    wait_at_step,
    wait_for_one_service,
    wait_for_sizes,
    walked,
)
from tests.e2e.world import START, World, condition, identity, revision

HELD: Final = canary(step(50))
IMPATIENT: Final = canary(step(50), progressDeadlineSeconds=10)

BAD: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "probe": ({"config": FAILS_SOON}, "HealthProbe", "readiness probe"),
    "crash": (
        {"template": template(command=["/bin/sh", "-c", "exit 3"])},
        "Crash",
        "exited with code 3",
    ),
    "image": (
        {"template": template(image="localhost/agentherd/none:1")},
        "ImageUnavailable",
        "localhost/agentherd/none:1",
    ),
    "slow": ({"config": NEVER_READY}, "ProgressDeadline", "0 of 1 pods"),
    "refused": (
        {"template": {"spec": {**template()["spec"], "restartPolicy": "Never"}}},
        "Refused",
        "restartPolicy",
    ),
}
"""What a spec is changed to, the trigger it has to end with, and what has to be said of it."""


@pytest.fixture(scope="module")
def failing(shared_world: World) -> dict[str, tuple[Object, str]]:
    """One Agent for each way to fail: as it was before, and the name of its upgrade."""
    for name in BAD:
        policy = IMPATIENT if name == "slow" else HELD
        shared_world.apply(agent(name, version="1.0.0", upgradePolicy=policy))
    before = {name: shared_world.wait_until_ready(name) for name in BAD}
    return {
        name: (before[name], change(shared_world, name, version="2.0.0", **spec))
        for name, (spec, *_) in BAD.items()
    }


@pytest.mark.row("G02")
@pytest.mark.parametrize("name", BAD)
def test_g02_a_version_that_fails_is_rolled_back_by_itself(
    shared_world: World, failing: dict[str, tuple[Object, str]], name: str
) -> None:
    """The upgrade names the trigger, the Agent serves as before and says why it is not new."""
    world = shared_world
    before, upgraded = failing[name]
    _, trigger, said = BAD[name]

    found = world.wait_upgrade(upgraded, "RolledBack")

    record = found["status"]["rollback"]
    assert (record["trigger"], record["requestedBy"]) == (trigger, "agentherd")
    assert said in record["reason"]
    assert record["durationSeconds"] < 30
    assert phases(found)[-2:] == ["RollingBack", "RolledBack"]
    told = world.wait_until("Agent", name, lambda seen: _reason(seen) == "RolledBack")
    assert told["status"]["stableRevision"] == before["status"]["stableRevision"]
    assert told["status"]["phase"] == "Online"
    assert upgraded in (condition(told, "Ready") or {})["message"]


@pytest.mark.row("G01")
def test_g01_a_person_rolls_back_a_running_upgrade_with_a_reason(shared_world: World) -> None:
    """All its pods are those from before, and the reason is theirs."""
    world = shared_world
    world.apply(quiet("doubted", upgradePolicy=HELD))
    world.wait_until_ready("doubted")
    before = [identity(pod) for pod in world.pods("doubted")]
    name = change(world, "doubted", version="2.0.0")
    wait_at_step(world, name, 1)

    steer(world, name, rollback={"requested": True, "reason": "customers complain"})
    found = world.wait_upgrade(name, "RolledBack")

    record = found["status"]["rollback"]
    assert (record["trigger"], record["reason"]) == ("Requested", "customers complain")
    assert record["requestedBy"] == "kubectl-patch"
    assert controls(found) == [("RollbackRequested", "attempt 1: customers complain")]
    world.wait_until_children("doubted", "Pod", lambda pods: len(pods) == 1, within=START)
    assert [identity(pod) for pod in world.pods("doubted")] == before


@pytest.mark.row("G01")
def test_g01_a_person_rolls_back_an_upgrade_that_has_succeeded(shared_world: World) -> None:
    """The former version serves again with its image, though its pods were gone already."""
    world = shared_world
    world.apply(quiet("regretted"))
    first = world.wait_until_ready("regretted")["status"]["stableRevision"]
    world.apply(upgrade("regret", "regretted", to={"image": IMAGE}, strategy=canary()))
    world.wait_upgrade("regret", "Succeeded")
    _wait_for_sizes(world, "regretted", revisions=1)

    steer(world, "regret", rollback={"requested": True, "reason": "too chatty"})
    found = world.wait_upgrade("regret", "RolledBack")

    assert found["status"]["rollback"]["reason"] == "too chatty"
    assert world.status("regretted")["stableRevision"] == first
    wait_for_sizes(world, "regretted", {first: 1})
    images = {pod["spec"]["containers"][0]["image"] for pod in world.pods("regretted")}
    assert images == {PAUSE}


@pytest.mark.row("G01")
@pytest.mark.parametrize("strategy", ["preview", "surge"])
def test_g01_every_strategy_is_gone_back_from(shared_world: World, strategy: str) -> None:
    """From a preview that nobody uses, and from half of the pods that are replaced already."""
    world = shared_world
    policy = blue_green(pause={}) if strategy == "preview" else rolling(1)
    world.apply(quiet(strategy, replicas=3, upgradePolicy=policy))
    first = world.wait_until_ready(strategy)["status"]["stableRevision"]
    name = change(world, strategy, version="2.0.0")
    _wait_for_the_middle(world, strategy, first)

    steer(world, name, rollback={"requested": True})
    found = world.wait_upgrade(name, "RolledBack")

    assert phases(found)[-2:] == ["RollingBack", "RolledBack"]
    wait_for_sizes(world, strategy, {first: 3})
    wait_for_one_service(world, strategy)


@pytest.mark.row("G06")
def test_g06_a_rollback_restores_exactly_what_was_there(shared_world: World) -> None:
    """Pods, template, Service, route with its weights, config and numbers are the same objects."""
    world = shared_world
    route = {
        "parentRefs": [{"name": "agentherd", "namespace": "agentherd-gateway"}],
        "hostnames": [f"{world.namespace}.test"],
        "settleSeconds": 1,
    }
    policy = canary(step(25), step(50))
    world.apply(
        quiet(
            "exact",
            replicas=2,
            config={"greeting": "Hi"},
            traffic=route,
            upgradePolicy=policy,
        )
    )
    world.wait_until_ready("exact")
    world.wait_until("HTTPRoute", "exact", lambda _: True)
    before = _snapshot(world, "exact")
    to = {"version": "2.0.0", "config": {"greeting": "Ho", "latencySeconds": "0"}}
    world.apply(upgrade("inexact", "exact", to=to))
    wait_at_step(world, "inexact", 1)
    steer(world, "inexact", promote={"step": 1})
    wait_at_step(world, "inexact", 2)
    during = _snapshot(world, "exact")

    steer(world, "inexact", rollback={"requested": True})
    found = world.wait_upgrade("inexact", "RolledBack")

    _wait_for_sizes(world, "exact", revisions=1)
    world.wait_until_children("exact", "Pod", lambda pods: len(pods) == 2, within=START)
    wait_for_one_service(world, "exact")
    _wait_for_spec(world, "Service", "exact", before["services"]["exact"])
    _wait_for_spec(world, "HTTPRoute", "exact", before["route"])
    assert found["status"]["weight"] == 0
    assert during != before
    assert _snapshot(world, "exact") == before


@pytest.mark.row("G07")
def test_g07_an_operator_killed_during_a_rollback_ends_it_once(world: World) -> None:
    """Killed while the old pods start again, and asked a second time: one record, one end."""
    world.apply(slow("a"))
    first = world.wait_until_ready("a")["status"]["stableRevision"]
    name = change(world, "a", version="2.0.0")
    world.wait_upgrade(name, "Succeeded")
    _wait_for_sizes(world, "a", revisions=1)

    steer(world, name, rollback={"requested": True, "reason": "first"})
    rolling = world.wait_upgrade(name, "RollingBack")
    world.operator.kill()
    steer(world, name, rollback={"requested": True, "reason": "second"})
    world.delete("Lease", "agentherd")
    world.operator.start()
    found = world.wait_upgrade(name, "RolledBack")

    assert phases(found)[-2:] == ["RollingBack", "RolledBack"]
    assert [phase for phase, *_ in walked(found)].count("RollingBack") == 1
    assert found["status"]["rollback"]["reason"] == "first"
    assert found["status"]["rollback"]["at"] == rolling["status"]["rollback"]["at"]
    assert world.status("a")["stableRevision"] == first
    _wait_for_sizes(world, "a", revisions=1)
    assert sizes(world, "a") == {first: 1}
    wait_for_one_service(world, "a")


@pytest.mark.row("G07")
def test_g07_an_operator_killed_at_the_trigger_goes_back_all_the_same(world: World) -> None:
    """A pod fails and its operator dies at the first word of it."""
    world.apply(agent("a", version="1.0.0", upgradePolicy=HELD))
    first = world.wait_until_ready("a")["status"]["stableRevision"]

    name = change(world, "a", version="2.0.0", config=FAILS_LATER)
    world.wait_until(
        "AgentUpgrade",
        name,
        lambda seen: "rollback" in seen.get("status", {}),
        within=START,
    )
    restart(world)
    found = world.wait_upgrade(name, "RolledBack")

    assert found["status"]["rollback"]["trigger"] == "HealthProbe"
    assert [phase for phase, *_ in walked(found)].count("RollingBack") == 1
    _wait_for_sizes(world, "a", revisions=1)
    assert sizes(world, "a") == {first: 1}


def _wait_for_the_middle(world: World, agent: str, old: str) -> None:
    """Wait until a version has two pods beside those of the old one."""
    world.wait_until_children(
        agent,
        "ReplicaSet",
        lambda sets: any(revision(s) != old and s["spec"]["replicas"] > 1 for s in sets),
        within=START,
    )


def _reason(seen: Object) -> str | None:
    ready = condition(seen, "Ready")
    return ready["reason"] if ready else None


def _wait_for_sizes(world: World, agent: str, *, revisions: int) -> None:
    """Wait until only so many revisions are to have pods."""
    world.wait_until_children(
        agent,
        "ReplicaSet",
        lambda sets: sum(bool(each["spec"]["replicas"]) for each in sets) == revisions,
        within=START,
    )


def _wait_for_spec(world: World, kind: str, name: str, wanted: Object) -> None:
    """Wait until an object is as it was, which it may be only after the last pod has gone."""
    world.wait_until(kind, name, lambda seen: seen["spec"] == wanted, within=START)


def _snapshot(world: World, agent: str) -> dict[str, Any]:
    """What serves: all of it that could be different afterwards."""
    sets = [s for s in world.children(agent, "ReplicaSet") if s["spec"]["replicas"]]
    return {
        "spec": world.get("Agent", agent)["spec"],
        "stable": world.status(agent)["stableRevision"],
        "pods": {identity(pod) for pod in world.pods(agent)},
        "sets": {s["metadata"]["uid"]: s["spec"] for s in sets},
        "services": {s["metadata"]["name"]: s["spec"] for s in world.children(agent, "Service")},
        "config": {
            c["metadata"]["name"]: c["data"]
            for c in world.children(agent, "ConfigMap")
            if c["metadata"]["name"].removeprefix(f"{agent}-")
            in {s["metadata"]["name"].removeprefix(f"{agent}-") for s in sets}
        },
        "route": world.get("HTTPRoute", agent)["spec"],
    }
