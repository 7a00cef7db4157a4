"""A changed Agent: first the new pods, then the end of the old ones, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.e2e.cluster import Change, Moment, Object
from tests.e2e.sample import agent
from tests.e2e.world import World, is_ready, revision


def test_a_change_is_rolled_out_without_one_pod_less(world: World) -> None:
    """New pods surge to full size before the first old one is removed."""
    world.apply(agent("a", replicas=2, version="1.0.0"))
    before = world.wait_until_ready("a")["status"]["stableRevision"]
    start = world.now("Pod", "a")

    world.change("a", version="2.0.0")
    serving: list[int] = []
    for pods in _states(start, world.follow("Pod", since=start, within=90, agent="a")):
        serving.append(sum(map(is_ready, pods)))
        if all(revision(pod) != before for pod in pods):
            break

    assert min(serving) == 2
    assert max(serving) == 4
    after = world.wait_until_ready("a")
    assert after["status"]["stableRevision"] != before
    assert world.get("ReplicaSet", f"a-{before}")["spec"]["replicas"] == 0


def test_a_spec_that_is_set_back_is_the_earlier_revision(world: World) -> None:
    """Nothing new is made for what was there before."""
    world.apply(agent("a", version="1.0.0"))
    first = world.wait_until_ready("a")["status"]["stableRevision"]
    kept = world.get("ReplicaSet", f"a-{first}")
    world.change("a", version="2.0.0")
    second = world.wait_until_ready("a")["status"]["stableRevision"]

    world.change("a", version="1.0.0")
    again = world.wait_until_ready("a")["status"]["stableRevision"]

    assert second != first
    assert again == first
    sets = {item["metadata"]["name"]: item for item in world.children("a", "ReplicaSet")}
    assert sets.keys() == {f"a-{first}", f"a-{second}"}
    assert sets[f"a-{first}"]["metadata"]["uid"] == kept["metadata"]["uid"]
    world.wait_until("ReplicaSet", f"a-{second}", lambda seen: seen["spec"]["replicas"] == 0)
    assert world.get("ControllerRevision", f"a-{first}")["revision"] == 3


def test_revisions_beyond_the_limit_are_removed(world: World) -> None:
    """Of the former revisions only as many are kept as asked for."""
    world.apply(agent("a", version="1.0.0", revisionHistoryLimit=1, replicas=0))
    world.wait_for_phase("a", "Idle")

    for version in ("2.0.0", "3.0.0", "4.0.0"):
        world.change("a", version=version)
        world.wait_until_ready("a")

    versions = {"3.0.0", "4.0.0"}
    for kind in ("ReplicaSet", "ControllerRevision"):
        world.wait_until_children("a", kind, lambda found: _versions(found) == versions)


def _states(start: Moment, changes: Iterable[Change]) -> Iterator[list[Object]]:
    """All pods, after every change of one of them."""
    pods = {pod["metadata"]["uid"]: pod for pod in start.items}
    for change in changes:
        uid = change.object["metadata"]["uid"]
        if change.type == "DELETED":
            pods.pop(uid, None)
        else:
            pods[uid] = change.object
        yield [*pods.values()]


def _versions(found: list[Object]) -> set[str]:
    return {item["metadata"]["labels"]["app.kubernetes.io/version"] for item in found}
