"""Each strategy by what can be seen of it: pods, addresses, times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.e2e.cluster import Moment, Object
from tests.e2e.test_upgrade_words import (
    blue_green,
    canary,
    change,
    instead,
    quiet,
    rolling,
    sizes,
    steer,
    step,
    wait_at_step,
    wait_for_one_service,
    wait_for_sizes,
)
from tests.e2e.world import START, World, is_ready, revision

KEPT: Final = 4
"""Seconds that pods are kept where that is what a test is about."""


def test_an_agent_without_a_policy_takes_three_small_steps(shared_world: World) -> None:
    """The default is a canary that begins with few requests."""
    world = shared_world
    world.apply(quiet("plain", upgradePolicy=None))
    world.wait_until_ready("plain")

    name = change(world, "plain", version="2.0.0")
    first = world.wait_until("AgentUpgrade", name, _at(1, weight=5), within=START)
    steer(world, name, promote={"step": 1})
    world.wait_until("AgentUpgrade", name, _at(2, weight=25), within=START)
    steer(world, name, promote={"step": 2})
    world.wait_until("AgentUpgrade", name, _at(3, weight=50), within=START)
    steer(world, name, promote={"step": 3})
    found = world.wait_upgrade(name, "Succeeded")

    assert (first["status"]["strategy"]["type"], first["status"]["steps"]) == ("Canary", 3)
    assert found["status"]["weight"] == 100


def test_a_canary_has_the_pods_and_the_pause_of_its_step(shared_world: World) -> None:
    """Pods as many as the step says, or as its weight needs; then a gate, then a pause."""
    world = shared_world
    policy = canary(step(10, replicas=2), step(50, seconds=5))
    world.apply(quiet("stepping", replicas=3, upgradePolicy=policy))
    old = world.wait_until_ready("stepping")["status"]["stableRevision"]

    name = change(world, "stepping", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    at_the_gate = sizes(world, "stepping")
    steer(world, name, promote={"step": 1})
    second = world.wait_until("AgentUpgrade", name, _at(2, weight=50), within=START)
    at_the_pause = sizes(world, "stepping")
    found = world.wait_upgrade(name, "Succeeded")

    assert at_the_gate == {old: 3, new: 2}
    assert at_the_pause == {old: 3, new: 3}
    times = dict(_told(found))
    since = _time(second["status"]["weightSince"])
    assert times["all steps are done"] - since >= timedelta(seconds=5)
    wait_for_sizes(world, "stepping", {new: 3})


def test_blue_and_green_stand_side_by_side_until_somebody_switches(shared_world: World) -> None:
    """The new version is reached under its preview, and nobody else's request goes to it."""
    world = shared_world
    policy = blue_green(pause={}, scaleDownDelaySeconds=KEPT)
    world.apply(quiet("green", replicas=2, upgradePolicy=policy))
    old = world.wait_until_ready("green")["status"]["stableRevision"]

    name = change(world, "green", version="2.0.0")
    found = wait_at_step(world, name, 1)
    preview, new = found["status"]["preview"], found["status"]["toRevision"]
    beside = _reached(world, "green", {old: 2}), _reached(world, preview, {new: 2})
    steer(world, name, promote={"step": 1})
    done = world.wait_upgrade(name, "Succeeded")
    _reached(world, "green", {new: 2})
    gone_at = _when_scaled_to_zero(world, "green", old)

    assert found["status"]["weight"] == 0
    assert all(beside)
    assert gone_at - _time(done["status"]["finishedAt"]) >= timedelta(seconds=KEPT - 1)
    world.wait_until_gone("Service", preview, within=START)
    wait_for_one_service(world, "green")


def test_a_version_that_was_rolled_back_is_kept_to_look_at(shared_world: World) -> None:
    """Its pods run on for a while, without requests."""
    world = shared_world
    policy = canary(step(50), abortScaleDownDelaySeconds=KEPT)
    world.apply(quiet("looked-at", upgradePolicy=policy))
    old = world.wait_until_ready("looked-at")["status"]["stableRevision"]
    name = change(world, "looked-at", version="2.0.0")
    new = wait_at_step(world, name, 1)["status"]["toRevision"]
    shared = _reached(world, "looked-at", {old: 1, new: 1})

    steer(world, name, rollback={"requested": True})
    done = world.wait_upgrade(name, "RolledBack")
    _reached(world, "looked-at", {old: 1})
    gone_at = _when_scaled_to_zero(world, "looked-at", new)

    assert shared
    assert gone_at - _time(done["status"]["finishedAt"]) >= timedelta(seconds=KEPT - 1)


def test_pods_are_replaced_within_their_surge(shared_world: World) -> None:
    """Never more than one beyond those wanted, and never fewer that are ready."""
    world = shared_world
    world.apply(quiet("surging", replicas=3, upgradePolicy=rolling(1)))
    world.wait_until_ready("surging")

    since = world.now("Pod", "surging")
    name = change(world, "surging", version="2.0.0")
    most, fewest = _bounds(world, "surging", since=since, wanted=3)
    found = world.wait_upgrade(name, "Succeeded")

    assert (most, fewest) == (4, 3)
    assert (found["status"]["strategy"]["type"], found["status"]["steps"]) == ("RollingUpdate", 0)


def test_pods_that_a_replacement_has_brought_serve_until_the_others_are_back(
    shared_world: World,
) -> None:
    """A spec that is set back half-way: never fewer pods that answer than are wanted."""
    world = shared_world
    world.apply(quiet("halfway", replicas=4, upgradePolicy=rolling(1)))
    old = world.wait_until_ready("halfway")["status"]["stableRevision"]
    name = change(world, "halfway", version="2.0.0")
    world.wait_until_children(
        "halfway", "Pod", lambda pods: _serving(pods, but=old) >= 2, within=2 * START
    )
    steer(world, name, paused=True)
    paused = world.wait_upgrade(name, "Paused")
    assert 0 < _serving(world.pods("halfway"), but=paused["status"]["toRevision"]) < 4

    since = world.now("Pod", "halfway")
    world.change("halfway", version="1.0.0")
    fewest = _fewest(world, "halfway", since=since, wanted={old: 4})

    assert fewest >= 4
    assert world.wait_upgrade(name, "Superseded")


def test_a_proven_revision_is_gone_back_to_without_steps(shared_world: World) -> None:
    """Within the window a spec that is as it was takes no steps; without a window it does."""
    world = shared_world
    world.apply(quiet("proven"))
    first = world.wait_until_ready("proven")["status"]["stableRevision"]
    world.wait_upgrade(change(world, "proven", version="2.0.0"), "Succeeded")
    gated = instead(canary(step(50)))

    back = change(world, "proven", version="1.0.0", upgradePolicy=gated)
    returned = world.wait_upgrade(back, "Succeeded")
    forth = change(world, "proven", version="2.0.0", upgradePolicy={"rollbackWindow": 0})
    stepwise = wait_at_step(world, forth, 1)

    assert returned["status"]["toRevision"] == first
    assert returned["status"].get("steps", 0) == 0
    assert stepwise["status"]["steps"] == 1


def test_the_strategy_may_change_from_upgrade_to_upgrade(shared_world: World) -> None:
    """Each upgrade takes the policy of its time, and leaves nothing of it to the next."""
    world = shared_world
    world.apply(quiet("fickle", replicas=2, upgradePolicy=canary(step(50, seconds=1))))
    world.wait_until_ready("fickle")
    policies = (
        blue_green(pause={"seconds": 1}),
        rolling("50%"),
        canary(step(20, seconds=1)),
    )

    ended = []
    for number, policy in enumerate(policies, start=2):
        version = f"{number}.0.0"
        name = change(world, "fickle", version=version, upgradePolicy=instead(policy))
        ended.append(world.wait_upgrade(name, "Succeeded"))
        wait_for_sizes(world, "fickle", {ended[-1]["status"]["toRevision"]: 2})

    kinds = [found["status"]["strategy"]["type"] for found in ended]
    assert kinds == ["BlueGreen", "RollingUpdate", "Canary"]
    wait_for_one_service(world, "fickle")


def _at(number: int, *, weight: int) -> Callable[[Object], bool]:
    """Whether an upgrade is at a step, with the weight of it."""

    def there(seen: Object) -> bool:
        status = seen.get("status", {})
        return (status.get("step"), status.get("weight")) == (number, weight)

    return there


def _told(found: Object) -> list[tuple[str, datetime]]:
    return [(entry["message"], _time(entry["at"])) for entry in found["status"]["history"]]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _reached(world: World, service: str, wanted: Mapping[str, int]) -> bool:
    """Wait until a Service reaches so many pods of each revision, and no others."""

    def there(slices: list[Object]) -> bool:
        targets = [
            endpoint["targetRef"]["name"]
            for each in slices
            for endpoint in each.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
        ]
        found = [world.find("Pod", name) for name in targets]
        return Counter(revision(pod) for pod in found if pod is not None) == wanted

    world.cluster.wait_until_all(
        "EndpointSlice",
        there,
        within=START,
        namespace=world.namespace,
        labels=f"kubernetes.io/service-name={service}",
    )
    return True


def _when_scaled_to_zero(world: World, agent: str, revision_: str) -> datetime:
    """Wait until a revision is to have no pods; returns when that was seen."""
    world.wait_until(
        "ReplicaSet",
        f"{agent}-{revision_}",
        lambda seen: not seen["spec"]["replicas"],
        within=START,
    )
    return datetime.now(UTC)


def _serving(pods: Iterable[Object], *, but: str = "") -> int:
    """How many pods are ready and in traffic, those of a revision left aside."""
    serving = (pod for pod in pods if is_ready(pod) and _in_traffic(pod))
    return sum(revision(pod) != but for pod in serving)


def _in_traffic(pod: Object) -> bool:
    metadata = pod["metadata"]
    return (
        metadata["labels"].get("agentherd.dev/traffic") != "off"
        and "deletionTimestamp" not in metadata
    )


def _fewest(world: World, agent: str, *, since: Moment, wanted: Mapping[str, int]) -> int:
    """The fewest pods that serve until there are just those wanted, of each revision."""
    pods = {pod["metadata"]["name"]: pod for pod in since.items}
    fewest = _serving(pods.values())
    for seen in world.follow("Pod", since=since, within=2 * START, agent=agent):
        pods[seen.object["metadata"]["name"]] = seen.object
        if seen.type == "DELETED":
            pods.pop(seen.object["metadata"]["name"])
        fewest = min(fewest, _serving(pods.values()))
        if Counter(map(revision, pods.values())) == wanted and _serving(pods.values()) == len(pods):
            return fewest
    raise AssertionError("others than the wanted pods are left")


def _bounds(world: World, agent: str, *, since: Moment, wanted: int) -> tuple[int, int]:
    """The most pods and the fewest ready ones while all of them are replaced."""
    pods = {pod["metadata"]["name"]: pod for pod in since.items}
    before = set(pods)
    most, fewest = len(pods), sum(map(is_ready, pods.values()))
    for seen in world.follow("Pod", since=since, within=2 * START, agent=agent):
        pods[seen.object["metadata"]["name"]] = seen.object
        if seen.type == "DELETED" or "deletionTimestamp" in seen.object["metadata"]:
            pods.pop(seen.object["metadata"]["name"])
        ready = sum(map(is_ready, pods.values()))
        most, fewest = max(most, len(pods)), min(fewest, ready)
        if ready == len(pods) == wanted and not before & set(pods):
            return most, fewest
    raise AssertionError("the pods were not all replaced")
