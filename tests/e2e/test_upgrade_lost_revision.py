"""What somebody takes away from what serves: its record, or the label of one of its pods.

What serves goes on serving, and what is not known any more is not guessed.
"""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.cluster import Object
from tests.e2e.served import PARENT, hostname
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    controls,
    quiet,
    restart,
    steer,
    step,
    wait_at_step,
    wait_for_sizes,
)
from tests.e2e.world import START, World, condition, condition_status, identity, is_ready

POLICY: Final = canary(step(20))
REVISION_LABEL: Final = "agentherd.dev/revision"
TRAFFIC_LABEL: Final = "agentherd.dev/traffic"


def test_a_version_that_was_rolled_back_does_not_take_the_place_of_a_lost_one(
    shared_world: World,
) -> None:
    """Also a new process, which has never seen the record, leaves what serves alone."""
    world = shared_world
    name, first = _at_the_first_step(world, "bereft")
    steer(world, name, rollback={"requested": True})
    world.wait_upgrade(name, "RolledBack")
    wait_for_sizes(world, "bereft", {first: 1})
    before = identity(world.pod("bereft"))

    world.delete("ControllerRevision", f"bereft-{first}")
    told = world.wait_until("Agent", "bereft", _tells_of_the_loss)
    restart(world)
    next_one = change(world, "bereft", version="3.0.0")
    wait_at_step(world, next_one, 1)
    beside = [identity(pod) for pod in world.pods("bereft")]
    steer(world, next_one, promote={"full": True})
    found = world.wait_upgrade(next_one, "Succeeded")

    assert (condition(told, "Ready") or {})["reason"] == "RolledBack"
    assert before in beside
    assert found["status"]["fromRevision"] == first
    wait_for_sizes(world, "bereft", {found["status"]["toRevision"]: 1})
    world.wait_until_ready("bereft")


def test_a_canary_beside_a_lost_revision_can_be_rolled_back(shared_world: World) -> None:
    """All requests go to what serves, of which nothing but the address has to be known."""
    world = shared_world
    traffic = {
        "parentRefs": [PARENT],
        "hostnames": [hostname(world, "returned")],
        "settleSeconds": 1,
    }
    name, first = _at_the_first_step(world, "returned", traffic=traffic)
    world.wait_until("HTTPRoute", "returned", lambda seen: _weights(seen) == [80, 20])
    before = world.get("Service", "returned")["spec"]["ports"]

    world.delete("ControllerRevision", f"returned-{first}")
    world.wait_until("Agent", "returned", _tells_of_the_loss)
    steer(world, name, rollback={"requested": True})
    world.wait_upgrade(name, "RolledBack")
    route = world.wait_until("HTTPRoute", "returned", lambda seen: len(_weights(seen)) == 1)

    assert route["spec"]["rules"][-1]["backendRefs"][0]["name"] == "returned"
    assert world.get("Service", "returned")["spec"]["ports"] == before
    wait_for_sizes(world, "returned", {first: 1})
    assert world.status("returned")["stableRevision"] == first


def test_a_rollback_to_what_is_not_kept_says_that_it_has_no_effect(shared_world: World) -> None:
    """In the condition, and once among what people did."""
    world = shared_world
    name, first = _at_the_first_step(world, "kept", revisionHistoryLimit=0)
    steer(world, name, promote={"full": True})
    world.wait_upgrade(name, "Succeeded")
    world.wait_until_gone("ControllerRevision", f"kept-{first}", within=START)

    steer(world, name, rollback={"requested": True, "reason": "complaints"})
    found = world.wait_until("AgentUpgrade", name, _is_in_vain)

    assert condition_status(found, "Succeeded") == "True"
    assert condition(found, "Stalled") is None
    said = f"attempt 1: no effect, revision {first} is not kept any more: complaints"
    assert [detail for verb, detail in controls(found) if verb == "RollbackRequested"] == [said]


def test_a_pod_that_is_taken_aside_gets_no_requests_and_goes_with_its_agent(
    shared_world: World,
) -> None:
    """Its ReplicaSet makes another one; this one is left to be looked at."""
    world = shared_world
    world.apply(quiet("parted"))
    world.wait_until_ready("parted")
    pod = world.pod("parted")
    name = pod["metadata"]["name"]

    world.patch("Pod", name, {"metadata": {"labels": {REVISION_LABEL: None}}})
    aside = world.wait_until("Pod", name, _is_out_of_traffic)
    world.wait_until_children("parted", "Pod", _two_are_ready, within=START)
    still = world.get("Pod", name)
    world.delete("Agent", "parted")
    world.wait_until_gone("Pod", name, within=START)

    assert identity(still) == identity(pod)
    assert [owner["kind"] for owner in aside["metadata"]["ownerReferences"]] == ["Agent"]


def _at_the_first_step(world: World, agent: str, **spec: Any) -> tuple[str, str]:
    """An Agent with a canary that waits: the upgrade's name, and the revision that serves."""
    world.apply(quiet(agent, upgradePolicy=POLICY, **spec))
    first: str = world.wait_until_ready(agent)["status"]["stableRevision"]
    name = change(world, agent, version="2.0.0")
    wait_at_step(world, name, 1)
    return name, first


def _tells_of_the_loss(seen: Object) -> bool:
    return "was deleted, so nobody could" in (condition(seen, "Ready") or {}).get("message", "")


def _is_in_vain(seen: Object) -> bool:
    progressing = condition(seen, "Progressing") or {}
    return (
        progressing.get("reason") == "RevisionNotFound"
        and "has no effect" in progressing["message"]
    )


def _is_out_of_traffic(seen: Object) -> bool:
    labels = seen["metadata"]["labels"]
    return REVISION_LABEL not in labels and labels[TRAFFIC_LABEL] == "off"


def _two_are_ready(pods: list[Object]) -> bool:
    return sum(map(is_ready, pods)) == 2


def _weights(route: Object) -> list[int]:
    return [ref.get("weight", 1) for ref in route["spec"]["rules"][-1]["backendRefs"]]
