"""The operator as it is installed: it does its work from inside the cluster, and outlives itself.

All tests share one release, in which they have Agents of their own.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.e2e import models
from tests.e2e.cluster import Cluster, Object
from tests.e2e.fleet import each, names, podless, wait_until_settled
from tests.e2e.release import (
    NAME,
    Release,
    holder,
    moment,
    operator_pods,
    process_of,
    wait_for_leader,
    writes,
)
from tests.e2e.sample import agent
from tests.e2e.served import (
    LONGEST,
    NEW,
    OLD,
    canary,
    change,
    load,
    promote,
    routed,
    step,
    wait_until_only,
    wait_until_reached,
    wait_until_sent,
    weights,
)
from tests.e2e.test_resilience import HAND_OVER, LEASE_SECONDS, LOOK_SECONDS
from tests.e2e.world import CHILD_KINDS, SOON, World, identity, observed

CONFINEMENT: Final = Path(__file__).with_name("confinement.py")
QUICKLY: Final = canary(step(30, seconds=1), step(60, seconds=1))
WAITING: Final = canary(step(30, waits=True), step(60, seconds=1))
FLEET: Final = 60


@pytest.fixture(scope="module")
def world(
    cluster: Cluster, shared_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """A namespace that a release of the chart serves; it goes with its namespace."""
    log = tmp_path_factory.mktemp("release") / "unused.log"
    release = Release(cluster, namespace=shared_namespace, log=log)
    release.install()
    return World(cluster, namespace=shared_namespace, operator=release)


def test_the_operator_can_do_nothing_to_its_machine(world: World) -> None:
    """No user, no capability, and no place to write to but its own /tmp."""
    pod = wait_for_leader(world)
    answer = world.kubectl("exec", "-i", pod, "--", "python", "-", stdin=CONFINEMENT.read_text())
    assert answer.code == 0, answer.err
    seen = json.loads(answer.out)
    status = seen["status"]

    assert "0" not in {*status["Uid"], *status["Gid"]}
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0, kind
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"], "filtered"
    assert seen["readOnlyRoot"]
    assert {*seen["openToWriting"]} - {"/dev/shm", "/dev/mqueue"} == {"/tmp"}
    assert {place for place, why in seen["refused"].items() if why is None} == {"/tmp"}
    for path in seen["beingWritten"]:
        assert path.startswith(("/dev/", "anon_inode:", "pipe:", "socket:", "/tmp/")), path


def test_agents_and_models_change_by_the_rights_of_the_chart(world: World) -> None:
    """An upgrade and a swap in short steps, made by pods with the installed roles."""
    world.apply(agent("a", replicas=2, version=OLD, upgradePolicy=QUICKLY))
    world.apply(models.model())
    world.wait_until_ready("a")
    models.wait_until_ready(world)

    upgrade = change(world, "a")
    models.change(world, activeVersion="v2")
    found = world.wait_upgrade(upgrade, "Succeeded", within=120)
    models.wait_until_active(world, "v2", within=120)

    assert found["status"]["toVersion"] == NEW
    swapped = models.wait_until(world, lambda seen: bool(models.swaps(seen)))
    assert models.swaps(swapped) == [("v1", "v2", "Promoted")]


def test_a_new_release_in_mid_canary_loses_nothing(world: World, tmp_path: Path) -> None:
    """All pods of the operator are replaced while a canary waits for a person, under load."""
    world.apply(routed(world, "waits", upgradePolicy=WAITING))
    world.wait_until_ready("waits")
    old = set(operator_pods(world))

    with load(world, "waits", tmp_path, seconds=2 * LONGEST) as running:
        upgrade = change(world, "waits")
        world.wait_upgrade(upgrade, "Paused")
        wait_until_reached(world, running, NEW)
        before = _standing(world, "waits")
        _release(world).install("podAnnotations.changed=yes", "log.format=text", "workers=16")
        world.apply(podless("meanwhile"))
        wait_until_settled(world, ["meanwhile"], within=60)
        leader = wait_for_leader(world)
        after = _standing(world, "waits")
        promote(world, upgrade, step=1)
        found = world.wait_upgrade(upgrade, "Succeeded")
        wait_until_only(world, running, NEW)
        wait_until_sent(world, running, 100)
        report = running.stop()

    assert leader not in old
    for part, seen in after.items():
        assert seen == before[part], part
    assert report.failed == ()
    told = [(entry["phase"], entry["message"]) for entry in found["status"]["history"]]
    assert max(Counter(told).values()) == 1, told
    assert len(world.upgrades("waits")) == 1


def test_a_leader_that_is_deleted_hands_over_at_once(world: World) -> None:
    """As when its node is drained."""
    leader = wait_for_leader(world)
    begin = time.time()
    world.delete("Pod", leader)
    # It works on until the kubelet ends it, so what is done at once is no sign of the other one.
    world.wait_until("Lease", NAME, lambda seen: holder(seen) not in {"", leader}, within=HAND_OVER)
    taken = time.time()
    world.apply(podless("late"))
    wait_until_settled(world, ["late"], within=HAND_OVER)

    print(f"handed over after {taken - begin:.1f} s")
    assert taken - begin < HAND_OVER


def test_a_frozen_leader_writes_nothing_when_it_wakes(world: World) -> None:
    """SIGSTOP in the midst of work; another takes over when the Lease ends, and all of the work."""
    leader = wait_for_leader(world)
    pod = operator_pods(world)[leader]
    fleet = names("fleet", FLEET)
    since = world.now("Agent")
    each(lambda name: world.apply(podless(name)), fleet)
    _wait_for_work(world, since=since.version)
    with _frozen(process_of(pod)) as frozen:
        lease = world.wait_until(
            "Lease",
            NAME,
            lambda seen: holder(seen) not in {"", leader},
            within=LEASE_SECONDS + 2 * LOOK_SECONDS + HAND_OVER,
        )
        wait_until_settled(world, fleet, within=60)
        # What others write of the children comes later than the word of the Agents.
        world.cluster.wait_until_all(
            "ReplicaSet",
            lambda sets: all(map(observed, sets)),
            within=SOON,
            namespace=world.namespace,
        )
        before = _versions(world, "fleet")
    woken = time.time()
    _wait_until_it_follows(world, leader)

    taken = moment(lease["spec"]["acquireTime"])
    print(f"taken over after {taken - frozen:.1f} s, awake after {woken - frozen:.1f} s")
    assert _versions(world, "fleet") == before
    assert holder(world.get("Lease", NAME)) == holder(lease)
    assert identity(world.get("Pod", leader)) == identity(pod)
    assert [what for at, what in writes(leader) if at > taken] == []


# What is there


def _release(world: World) -> Release:
    assert isinstance(world.operator, Release)
    return world.operator


def _standing(world: World, name: str) -> Object:
    """All of an Agent's upgrade that must not change while it waits."""
    (upgrade,) = world.upgrades(name)
    (route,) = world.children(name, "HTTPRoute")
    told = ("phase", "step", "weight", "history", "fromRevision", "toRevision", "startedAt")
    return {
        **{key: upgrade["status"].get(key) for key in told},
        "route": (route["metadata"]["generation"], weights(route)),
        "sets": {s["metadata"]["uid"]: s["spec"] for s in world.children(name, "ReplicaSet")},
        "pods": {identity(pod) for pod in world.pods(name)},
    }


def _versions(world: World, prefix: str) -> dict[tuple[str, str], str]:
    """What changes with every write, of Agents and their children that are named so."""
    return {
        (kind, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for kind in ("Agent", *CHILD_KINDS)
        for item in world.cluster.moment(kind, namespace=world.namespace).items
        if prefix in item["metadata"]["name"]
    }


# What happens


def _wait_for_work(world: World, *, since: str) -> None:
    """Wait until something has been done for one of the Agents, and by far not for all."""
    for seen in world.cluster.follow("Agent", since=since, within=30, namespace=world.namespace):
        if seen.object.get("status", {}).get("phase"):
            return
    raise AssertionError("nothing was done")


@contextmanager
def _frozen(process: int) -> Iterator[float]:
    """A process that gets no time; gives when that began."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield time.time()
    finally:
        os.kill(process, signal.SIGCONT)


def _wait_until_it_follows(world: World, pod: str) -> None:
    """Wait until a pod says that it has lost the Lease, and does not lead."""
    with world.log(pod, within=30) as lines:
        assert any("the Lease" in line and "is lost" in line for line in lines)

    def follows() -> bool:
        answer = world.http(pod, "/metrics")
        return answer.status == 200 and "\nagentherd_leader 0.0" in answer.text

    world.operator.wait_until(follows, within=30)
