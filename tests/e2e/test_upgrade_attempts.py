"""What an attempt is judged by: all that its pods do in it, and nothing that is older.

The pods do what a file in them says, which stays in the pod when its container is started again.
"""

from __future__ import annotations

import json
from typing import Any, Final

from tests.e2e.cluster import Object
from tests.e2e.sample import agent, template
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    controls,
    quiet,
    steer,
    step,
    wait_at_step,
)
from tests.e2e.world import START, World, is_ready, revision

CRASHES_ONCE: Final = "/marks/once"
CRASHES_ALWAYS: Final = "/marks/always"

WAITS_FOR_A_MARK: Final = f"""
if [ -e {CRASHES_ALWAYS} ]; then exit 3; fi
until [ -e {CRASHES_ALWAYS} ]; do
  if [ -e {CRASHES_ONCE} ]; then rm {CRASHES_ONCE}; sleep 1; exit 3; fi
  sleep 0.2
done
sleep 1
exit 3
"""
"""Who has just marked the pod is let go before it ends, since they are a process of it."""

IN_VAIN: Final = "can be raised only after a rollback, when status.phase is RolledBack"


def marked(name: str, **spec: Any) -> Object:
    """An Agent whose pods run until they are marked."""
    command = ["/bin/sh", "-c", WAITS_FOR_A_MARK]
    pods = template(command=command, volumeMounts=[{"name": "marks", "mountPath": "/marks"}])
    pods["spec"]["volumes"] = [{"name": "marks", "emptyDir": {}}]
    pods["spec"]["securityContext"]["fsGroup"] = 65532
    return agent(name, **{"health": None, "version": "1.0.0", "template": pods, **spec})


def mark(world: World, pod: Object, path: str) -> None:
    """Make a pod crash."""
    done = world.kubectl("exec", pod["metadata"]["name"], "--", "touch", path)
    assert done.code == 0, done.err


def canaries(world: World, name: str) -> list[Object]:
    """The pods of the version that an upgrade leads to."""
    found = world.upgrade(name)
    pods = world.pods(found["spec"]["targetRef"]["name"])
    return [pod for pod in pods if revision(pod) == found["status"]["toRevision"]]


def test_a_crash_while_the_operator_was_away_is_not_overlooked(world: World) -> None:
    """The container runs again when the next process looks at it."""
    world.apply(marked("fallen", upgradePolicy=canary(step(50))))
    world.wait_until_ready("fallen")
    name = change(world, "fallen", version="2.0.0")
    wait_at_step(world, name, 1)
    (pod,) = canaries(world, name)

    world.operator.kill()
    mark(world, pod, CRASHES_ONCE)
    world.wait_until("Pod", pod["metadata"]["name"], _runs_again, within=START)
    world.delete("Lease", "agentherd")
    world.operator.start()
    found = world.wait_upgrade(name, "RolledBack")

    record = found["status"]["rollback"]
    assert record["trigger"] == "Crash"
    assert "exited with code 3, 1 restarts" in record["reason"]


def test_the_next_attempt_is_not_judged_by_pods_of_the_last_one(shared_world: World) -> None:
    """The pod that failed is made anew, the one that is well is used again."""
    world = shared_world
    policy = canary(step(50), abortScaleDownDelaySeconds=300)
    world.apply(marked("again", replicas=2, upgradePolicy=policy))
    world.wait_until_ready("again")
    name = change(world, "again", version="2.0.0")
    wait_at_step(world, name, 1)
    sick, well = canaries(world, name)
    mark(world, sick, CRASHES_ALWAYS)
    world.wait_upgrade(name, "RolledBack")
    world.wait_until("Pod", sick["metadata"]["name"], _waits_to_run_again, within=START)

    steer(world, name, attempt=2)
    found = wait_at_step(world, name, 1)

    uids = {pod["metadata"]["uid"] for pod in canaries(world, name)}
    assert (found["status"]["attempt"], controls(found)) == (2, [("Retried", "attempt 2")])
    assert "rollback" not in found["status"]
    assert well["metadata"]["uid"] in uids
    assert sick["metadata"]["uid"] not in uids

    mark(world, well, CRASHES_ONCE)
    world.wait_upgrade(name, "RolledBack")


def test_what_runs_or_has_succeeded_is_not_tried_again(shared_world: World) -> None:
    """The API server says when it can be, and what to do instead."""
    world = shared_world
    world.apply(quiet("going", upgradePolicy=canary(step(50))))
    world.wait_until_ready("going")
    name = change(world, "going", version="2.0.0")
    wait_at_step(world, name, 1)

    early = _attempt(world, name)
    steer(world, name, promote={"full": True})
    found = world.wait_upgrade(name, "Succeeded")
    late = _attempt(world, name)

    assert IN_VAIN in early
    assert IN_VAIN in late
    assert "create another AgentUpgrade" in late
    assert found["status"]["attempt"] == 1


def test_what_came_and_went_without_pods_takes_its_steps(shared_world: World) -> None:
    """A version that never ran has not proved itself."""
    world = shared_world
    world.apply(quiet("empty", upgradePolicy=canary(step(50))))
    world.wait_until_ready("empty")
    world.scale("empty", 0)
    for version in ("5.0.0", "6.0.0"):
        changed = world.change("empty", version=version)
        generation = changed["metadata"]["generation"]
        world.wait_until("Agent", "empty", lambda seen, g=generation: _has_followed(seen, g))
    world.scale("empty", 1)
    world.wait_until_ready("empty")

    name = change(world, "empty", version="5.0.0")

    assert wait_at_step(world, name, 1)["status"]["steps"] == 1


def _has_followed(seen: Object, generation: int) -> bool:
    status = seen.get("status", {})
    decided = status.get("stableRevision") == status.get("targetRevision")
    return bool(decided and status.get("observedGeneration") == generation)


def _runs_again(pod: Object) -> bool:
    (container,) = pod["status"]["containerStatuses"]
    return container["restartCount"] == 1 and "running" in container["state"] and is_ready(pod)


def _waits_to_run_again(pod: Object) -> bool:
    """Whether it is seen to have failed for some seconds, and not to run between two crashes."""
    (container,) = pod["status"]["containerStatuses"]
    return container["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"


def _attempt(world: World, name: str) -> str:
    """What is said to who asks for a second attempt."""
    patch = json.dumps({"spec": {"attempt": 2}})
    refused = world.kubectl("patch", "agup", name, "--type=merge", f"--patch={patch}")
    assert refused.code != 0
    return refused.err
