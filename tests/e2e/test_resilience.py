"""The operator dies, is stopped, or is replaced, and nobody notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.fleet import each, names, podless, settled, wait_until_settled
from tests.e2e.operator_process import Operator
from tests.e2e.sample import agent
from tests.e2e.served import HEALTH
from tests.e2e.test_takeover import wait_until_protected
from tests.e2e.world import CHILD_KINDS, START, World, identity

COHORT: Final = 60
PROBED: Final = {"http": {"port": "http"}, "intervalSeconds": 5}

LEASE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 2.0
HAND_OVER: Final = 5.0

QUIET: Final = 6.0
"""Seconds without a write after which none is to come; what is not urgent waits for five."""

CHILDREN: Final = tuple(kind for kind in CHILD_KINDS if kind != "Pod")
OWN: Final = "app.kubernetes.io/managed-by=agentherd"


def test_five_kills_leave_the_same_as_none(world: World) -> None:
    """200 Agents are created, changed and deleted; SIGKILL in each of the five stages.

    Every Agent goes through its changes one after another, so that even its history is the same.
    """
    world.apply(agent("steady", health=PROBED))
    world.apply(agent("steady-pair", health=PROBED, replicas=2))
    wait_until_settled(world, ["steady", "steady-pair"], within=60)
    before = _pods(world)

    _live(world, kill=False)
    expected = _snapshot(world)
    _remove_all(world, keep={"steady", "steady-pair"})
    _live(world, kill=True)
    found = _snapshot(world)

    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == value, key
    assert _pods(world).items() >= before.items()
    for pod, (_, restarts) in _pods(world).items():
        assert restarts == 0, pod
    _assert_no_orphans(world)


@pytest.mark.row("I05")
def test_i05_agents_work_on_without_operator_and_its_return_writes_nothing(world: World) -> None:
    """Pods answer while there is no operator; a new one finds everything as it should be."""
    world.apply(agent("pair", replicas=2, config={"greeting": "Hi"}, health=HEALTH))
    world.apply(agent("hot", config={"greeting": "Hi"}, configUpdate="InPlace", health=PROBED))
    world.apply(podless("off"))
    world.apply(agent("idle", replicas=0))
    wait_until_settled(world, ["pair", "hot", "off", "idle"], within=60)
    wait_until_protected(world, "pair", pods=2)
    world.annotate("Service", "pair", "example.com/team", "blue")
    for pod in world.children("pair", "Pod"):
        assert world.http(pod["metadata"]["name"], "/").status == 200

    world.operator.stop()
    before = _versions(world)
    served = [world.http(pod["metadata"]["name"], "/") for pod in world.pods("pair")]
    world.operator.start()
    world.operator.wait_until(lambda: _has_looked_at(world.operator, 4), within=START)
    since = world.now("Agent")
    changes = list(world.follow("Agent", since=since, within=6))

    assert [answer.status for answer in served] == [200, 200]
    assert [answer.json()["agent"] for answer in served] == ["pair", "pair"]
    assert changes == []
    assert _versions(world) == before


def test_an_operator_that_has_just_begun_ends_in_order(world: World) -> None:
    """Whichever of its parts has the signals at that moment; it ends with 0, and soon."""
    for _ in range(10):
        world.operator.stop()
        world.operator.start()


def test_a_stopped_leader_hands_over_at_once(world: World, tmp_path: Path) -> None:
    """After SIGTERM another process works on within five seconds."""
    with _second(world, tmp_path) as second:
        world.operator.stop()
        start = time.monotonic()
        world.apply(podless("late"))
        wait_until_settled(world, ["late"], within=HAND_OVER)

        assert time.monotonic() - start < HAND_OVER
        assert second.metric("agentherd_leader") == 1


def test_a_killed_leader_is_replaced_when_its_lease_ends(world: World, tmp_path: Path) -> None:
    """After SIGKILL another process works on as soon as the Lease has expired, not before."""
    with _second(world, tmp_path) as second:
        world.operator.kill()
        world.apply(podless("late"))
        wait_until_settled(world, ["late"], within=2 * LOOK_SECONDS + LEASE_SECONDS + HAND_OVER)

        assert second.metric("agentherd_leader") == 1
        lease = world.get("Lease", "agentherd")
        assert lease["spec"]["leaseTransitions"] == 1


@contextmanager
def _second(world: World, tmp_path: Path) -> Iterator[Operator]:
    """A second operator for the same namespace and Lease, which waits."""
    second = Operator(
        namespace=world.namespace,
        kubeconfig=world.cluster.operator_kubeconfig,
        log=tmp_path / "second.log",
    )
    second.start()
    try:
        assert second.metric("agentherd_leader") == 0
        yield second
    finally:
        second.stop()


# A life of 200 Agents


def _live(world: World, *, kill: bool) -> None:
    """Three cohorts, shifted: while one is deleted another is changed and a third is created."""
    early, middle, late = (names(prefix, COHORT) for prefix in ("early", "middle", "late"))
    running = names("running", 10)
    stages: tuple[tuple[list[str], list[str], list[str]], ...] = (
        ([*running[:5], *early], [], []),
        ([*running[5:], *middle], early, []),
        (late, middle, early[::2]),
        ([], late, middle[::2]),
        ([*names("last", 20)], early[1::2], late[::2]),
    )
    for number, (created, changed, deleted) in enumerate(stages):
        work = [
            *((world.apply, (_manifest(name, 1),)) for name in created),
            *((world.apply, (_manifest(name, 2 + number),)) for name in changed),
            *((world.delete, ("Agent", name)) for name in deleted),
        ]
        work.sort(key=lambda item: str(item[1])[-40:])  # mixed, and the same in both runs
        moment = world.now("Agent")
        writers = threading.Thread(target=each, args=(_do, work))
        writers.start()
        if kill:
            _kill_in_the_middle(world, since=moment, after=len(work) // 3)
        writers.join()
        wait_until_settled(world, {*created, *changed}, within=2 * START)
        world.cluster.wait_until_all(
            "Agent",
            lambda found, gone=frozenset(deleted): (  # type: ignore[misc]
                not gone & {item["metadata"]["name"] for item in found}
            ),
            within=30,
            namespace=world.namespace,
        )


def _do(item: tuple[Any, tuple[Any, ...]]) -> None:
    work, arguments = item
    work(*arguments)


def _manifest(name: str, change: int) -> Object:
    if name.startswith("running"):
        return agent(name, health=PROBED, container={"resources": {}})
    return podless(
        name,
        version=f"1.0.{change}",
        config={"greeting": f"Hi {change}"},
        configUpdate="InPlace" if name.endswith("5") else "Rollout",
        operatingMode="Suspended" if change == 2 else "Offline",
        operatingModeReason=f"change {change}",
        replicas=2 if change % 2 else 1,
    )


def _kill_in_the_middle(world: World, *, since: Any, after: int) -> None:
    """SIGKILL once so many Agents are settled or gone, and start the next process.

    The Lease goes with the dead process: how long one waits for it is another test's concern.
    """
    done = set()
    for change in world.follow("Agent", since=since, within=60):
        if change.type == "DELETED" or settled(change.object):
            done.add(change.object["metadata"]["name"])
        if len(done) >= after:
            break
    world.operator.kill()
    world.delete("Lease", "agentherd")
    world.operator.start()


def _remove_all(world: World, *, keep: set[str]) -> None:
    listed = world.cluster.moment("Agent", namespace=world.namespace).items
    found = [item["metadata"]["name"] for item in listed]
    each(lambda name: world.delete("Agent", name), sorted({*found} - keep))
    for kind in CHILD_KINDS:
        world.cluster.wait_until_all(
            kind,
            lambda left: {_agent_of(item) for item in left} <= keep,
            within=90,
            namespace=world.namespace,
            labels=OWN,
        )


# What is compared


def _snapshot(world: World) -> dict[tuple[str, str], Object]:
    """All that is there and has to be the same each time: no identities, times and versions."""
    _wait_until_idle(world)
    agents = world.cluster.moment("Agent", namespace=world.namespace).items
    found = {("Agent", item["metadata"]["name"]): _status(item["status"]) for item in agents}
    living = {item["metadata"]["uid"] for item in agents}
    for kind in CHILDREN:
        children = world.cluster.wait_until_all(
            kind,
            lambda items: all(_owner(item) in living for item in items),
            within=90,
            namespace=world.namespace,
            labels=OWN,
        )
        found |= {(kind, item["metadata"]["name"]): _content(item) for item in children}
    return found


def _wait_until_idle(world: World) -> None:
    """Wait until the operator writes no more: after a status come children and what is gathered."""
    writes, since = -1.0, 0.0

    def holds() -> bool:
        nonlocal writes, since
        if (made := world.operator.writes(but="leases")) != writes:
            writes, since = made, time.monotonic()
        return time.monotonic() - since > QUIET

    world.operator.wait_until(holds, within=START)


def _status(value: Any) -> Any:
    """A status without its times."""
    if isinstance(value, dict):
        return {
            key: _status(item)
            for key, item in value.items()
            if key not in {"at", "phaseSince", "lastTransitionTime"}
        }
    return [_status(item) for item in value] if isinstance(value, list) else value


def _content(child: Object) -> Object:
    metadata = child["metadata"]
    spec = {
        key: value
        for key, value in child.get("spec", {}).items()
        if key not in {"clusterIP", "clusterIPs"}
    }
    # A list leaves out of its items what an event of a watch has.
    apart = {"apiVersion", "kind", "metadata", "spec", "status"}
    rest = {key: value for key, value in child.items() if key not in apart}
    return {
        **rest,
        "spec": spec,
        "labels": metadata.get("labels"),
        "generation": metadata.get("generation"),
        "annotations": metadata.get("annotations", {}).keys(),
        "owners": [(owner["kind"], owner["name"]) for owner in metadata["ownerReferences"]],
    }


def _assert_no_orphans(world: World) -> None:
    """Every child belongs to a living Agent, every pod to a ReplicaSet of one."""
    listed = world.cluster.moment("Agent", namespace=world.namespace).items
    living = {item["metadata"]["uid"] for item in listed}
    sets = world.cluster.moment("ReplicaSet", namespace=world.namespace).items
    for kind in CHILD_KINDS:
        owners = living if kind != "Pod" else {item["metadata"]["uid"] for item in sets}
        for child in world.cluster.moment(kind, namespace=world.namespace, labels=OWN).items:
            assert _owner(child) in owners, child["metadata"]["name"]


def _pods(world: World) -> dict[str, tuple[str, int]]:
    found = world.cluster.moment("Pod", namespace=world.namespace).items
    return {pod["metadata"]["name"]: identity(pod) for pod in found}


def _versions(world: World) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Version and generation of all Agents, children and pods."""
    return {
        (kind, item["metadata"]["name"]): (
            item["metadata"]["resourceVersion"],
            item["metadata"].get("generation"),
        )
        for kind in ("Agent", *CHILD_KINDS)
        for item in world.cluster.moment(kind, namespace=world.namespace).items
    }


def _has_looked_at(operator: Operator, count: int) -> bool:
    return (
        operator.metric("agentherd_leader") == 1
        and operator.get("/readyz")[0] == 200
        and operator.metric("agentherd_reconciles_total", result="done") >= count
        and operator.metric("agentherd_queue_depth") == 0
    )


def _owner(child: Object) -> str | None:
    owners = child["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _agent_of(child: Object) -> str | None:
    label: str | None = child["metadata"].get("labels", {}).get("agentherd.dev/agent")
    return label
