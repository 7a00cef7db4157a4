"""The words in which the tests of upgrades are told; there is no test in here.

Policies are short: pauses of a second, or such that wait for a person, so that a test is never
late. Whatever is done to an upgrade is done with `kubectl patch`, as people do it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.e2e.cluster import Object
from tests.e2e.sample import agent, template
from tests.e2e.world import START, World, is_ready, observed, revision

ENDED: Final = frozenset({"Succeeded", "RolledBack", "Superseded"})

FAILS_SOON: Final = {"probeFailAfterSeconds": "5"}
"""Config of a version that becomes ready and then fails its readiness probe."""

FAILS_LATER: Final = {"probeFailAfterSeconds": "15"}
"""The same, with time enough to be seen ready on a busy machine."""

NEVER_READY: Final = {"probe": "fail"}
"""Config of a version that never becomes ready."""


PAUSE: Final = "localhost/agentherd/pause:1"
"""An image whose pods start at once and cost nothing, for tests in which nobody asks them."""

NO_IMAGE: Final = {"image": "localhost/agentherd/none:1", "imagePullPolicy": "Never"}
"""What of a container makes a version that cannot start, which is known within a second."""


def quiet(name: str, **spec: Any) -> Object:
    """An Agent whose pods do nothing, and are ready as soon as they run."""
    return agent(name, container={"image": PAUSE}, health=None, **{"version": "1.0.0", **spec})


def slow(name: str, **spec: Any) -> Object:
    """An Agent whose pods are not ready before five seconds, so that no look comes too late."""
    probe = {
        "httpGet": {"path": "/healthz", "port": "http"},
        "initialDelaySeconds": 5,
        "periodSeconds": 1,
        "timeoutSeconds": 10,
    }
    container = {"readinessProbe": probe}
    return agent(name, container=container, health=None, **{"version": "1.0.0", **spec})


def broken() -> Object:
    """The template of `quiet` with an image that nobody has."""
    return template(**NO_IMAGE)


def step(weight: int, *, seconds: int | None = None, **fields: Any) -> Object:
    """A step of a canary that pauses for so long, or until a person lets it go on."""
    pause = {} if seconds is None else {"seconds": seconds}
    return {"weight": weight, "pause": pause, **fields}


def canary(*steps: Object, **fields: Any) -> Object:
    """A strategy with these steps, which keeps no pods that are not needed."""
    return {
        "type": "Canary",
        "canary": {"steps": [*steps]},
        "scaleDownDelaySeconds": 0,
        "abortScaleDownDelaySeconds": 0,
        **fields,
    }


def blue_green(**fields: Any) -> Object:
    """A strategy that switches when the new version is ready; `pause` is its pause."""
    block = {"pause": fields.pop("pause")} if "pause" in fields else {}
    delays = {"scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 0}
    return {"type": "BlueGreen", "blueGreen": block, **delays, **fields}


def rolling(max_surge: int | str, **fields: Any) -> Object:
    """A strategy that replaces pods, with so many more than wanted."""
    delays = {"scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 0}
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": max_surge},
        **delays,
        **fields,
    }


def instead(policy: Object) -> Object:
    """A policy to merge into another one, of which no block is to be left."""
    blocks = {"canary": None, "blueGreen": None, "rollingUpdate": None}
    return {**blocks, **policy}


def upgrade(name: str, target: str, *, to: Mapping[str, Any] | None = None, **spec: Any) -> Object:
    """An AgentUpgrade as a person creates it."""
    change = {} if to is None else {"to": dict(to)}
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "AgentUpgrade",
        "metadata": {"name": name},
        "spec": {"targetRef": {"name": target}, **change, **spec},
    }


def change(world: World, agent: str, **spec: Any) -> str:
    """Change an Agent's spec; returns the name of the upgrade that the operator makes for it."""
    changed = world.change(agent, **spec)
    return f"{agent}-{changed['metadata']['generation']}"


def steer(world: World, name: str, **spec: Any) -> None:
    """`kubectl patch` of an upgrade."""
    patch = json.dumps({"spec": spec})
    done = world.kubectl("patch", "agup", name, "--type=merge", f"--patch={patch}")
    assert done.code == 0, done.err


def wait_at_step(world: World, name: str, number: int, *, phase: str = "Paused") -> Object:
    """Wait until an upgrade is at a step in a phase, decided for its present spec."""

    def there(seen: Object) -> bool:
        status = seen.get("status", {})
        return observed(seen) and (status.get("step"), status.get("phase")) == (number, phase)

    return world.wait_until("AgentUpgrade", name, there, within=START)


def wait_for_end(world: World, name: str, *, within: float = START) -> Object:
    """Wait until an upgrade has ended, however."""
    return world.wait_until(
        "AgentUpgrade",
        name,
        lambda seen: observed(seen) and seen["status"].get("phase") in ENDED,
        within=within,
    )


def walked(found: Object) -> list[tuple[str, str, str]]:
    """Phase, reason and message of every entry of an upgrade's history."""
    history = found["status"].get("history", ())
    return [(entry["phase"], entry["reason"], entry["message"]) for entry in history]


def phases(found: Object) -> list[str]:
    """The phases an upgrade went through, each as often as it was entered."""
    entered: list[str] = []
    for phase, *_ in walked(found):
        if entered[-1:] != [phase]:
            entered.append(phase)
    return entered


def controls(found: Object) -> list[tuple[str, str]]:
    """What people did to an upgrade: verb and detail."""
    return [(done["verb"], done.get("detail", "")) for done in found["status"].get("controls", ())]


def sizes(world: World, agent: str) -> dict[str, int]:
    """The pods that each revision of an Agent is to have, those without any left aside."""
    sets = world.children(agent, "ReplicaSet")
    return {revision(each): each["spec"]["replicas"] for each in sets if each["spec"]["replicas"]}


def wait_for_sizes(world: World, agent: str, wanted: Mapping[str, int]) -> None:
    """Wait until each revision has its pods, all ready, and no other pod is left."""

    def there(pods: list[Object]) -> bool:
        counted: dict[str, int] = {}
        for pod in pods:
            counted[revision(pod)] = counted.get(revision(pod), 0) + 1
        return counted == wanted and all(map(is_ready, pods))

    world.wait_until_children(agent, "Pod", there, within=START)


def wait_for_one_service(world: World, agent: str) -> None:
    """Wait until an Agent has no Service but its own."""
    world.wait_until_children(agent, "Service", lambda left: names(left) == {agent}, within=START)


def names(found: list[Object]) -> set[str]:
    """The names of objects."""
    return {item["metadata"]["name"] for item in found}


def restart(world: World) -> None:
    """SIGKILL, and the next process at once: how long the Lease lasts is another test's concern."""
    world.operator.kill()
    world.delete("Lease", "agentherd")
    world.operator.start()
