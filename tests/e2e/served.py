"""Agents that requests are sent to, and the requests, for tests of what a change costs them.

A host name contains the namespace of its test, so that many tests share one Gateway. Load begins
once the address answers: what is measured is the change, never the start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.world import START, World, is_ready
from tests.load.answer import Answer
from tests.load.load import Load
from tests.load.request import Request, task
from tests.load.target import Target, gateway, service

OLD: Final = "1.0.0"
NEW: Final = "2.0.0"

RATE: Final = 80.0
"""Requests a second: enough that a gap of a tenth of a second shows."""

LONGEST: Final = 150.0
"""Seconds after which a load ends that nobody has stopped."""

SERVED_WITHIN: Final = 30.0

FOLLOWED_WITHIN: Final = 10.0
"""Seconds in which the Gateway follows a change, on a machine that runs several tests at once."""

ENOUGH: Final = 20
"""Answers in a row after which an address is as it will be."""

PARENT: Final = {"name": "agentherd", "namespace": "agentherd-gateway"}

HEALTH: Final = {
    "http": {"port": "http"},
    "intervalSeconds": 1,
    "timeoutSeconds": 10,
    "failureThreshold": 1,
}
"""A pod that says it fails is believed at once; that a busy machine is late says nothing."""

PROBED: Final[Object] = {
    "health": None,
    "container": {
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
            "failureThreshold": 1,
        }
    },
}
"""The same health as a probe of the template's, by which only the kubelet goes.

What `health` says is asked by the operator too, while a version is new, and then it often knows
before anybody else. So where a cause has to be seen from outside, the kubelet has to be the first.
"""

UNJUDGED: Final[Object] = {"dryRun": True}
"""What is seen of errors and latency is told and changes nothing: most tests are about other causes
and about steps that take as long as they say, with requests or without."""

CANARY_ANNOTATION: Final = "agentherd.dev/canary"


def hostname(world: World, name: str) -> str:
    """The name under which the Gateway serves an Agent of this test."""
    return f"{name}.{world.namespace}.test"


def served(name: str, *, traffic: Object | None, **spec: Any) -> Object:
    """An Agent of two pods that tells its metrics; without `traffic` its Service is its address."""
    wanted: Object = {
        "version": OLD,
        "replicas": 2,
        "health": HEALTH,
        "metrics": {"port": "http"},
        "upgradePolicy": canary(step(25, seconds=3), step(60, seconds=3)),
        "traffic": traffic,
        **spec,
    }
    wanted["upgradePolicy"] = {"analysis": UNJUDGED, **wanted["upgradePolicy"]}
    return agent(name, **wanted)


def routed(world: World, name: str, *, traffic: Object | None = None, **spec: Any) -> Object:
    """An Agent with a route of its own; `traffic` adds to how it is reached."""
    reached: Object = {
        "parentRefs": [PARENT],
        "hostnames": [hostname(world, name)],
        "settleSeconds": 2,
        **(traffic or {}),
    }
    return served(name, traffic=reached, **spec)


def step(weight: int, *, seconds: int | None = None, waits: bool = False) -> Object:
    """A step of a canary; one that `waits` does so until somebody promotes."""
    if waits:
        return {"weight": weight, "pause": {}}
    return {"weight": weight} | ({"pause": {"seconds": seconds}} if seconds else {})


def canary(*steps: Object, **policy: Any) -> Object:
    """A policy with these steps, after which the pods that lost go soon.

    Not sooner than a Gateway that waits for a processor has followed the route.
    """
    soon = {"scaleDownDelaySeconds": 3, "abortScaleDownDelaySeconds": 3}
    return {"type": "Canary", "canary": {"steps": list(steps)}, **soon, **policy}


def change(world: World, name: str, **spec: Any) -> str:
    """Give an Agent another version and whatever else; returns the name of the upgrade."""
    changed = world.change(name, **{"version": NEW, **spec})
    return f"{name}-{changed['metadata']['generation']}"


def promote(world: World, upgrade: str, **how: Any) -> None:
    """Say that an upgrade need not wait: at a `step`, or at all (`full`)."""
    world.patch("AgentUpgrade", upgrade, {"spec": {"promote": how}})


def roll_back(world: World, upgrade: str, reason: str = "customers complain") -> None:
    """Ask an upgrade to go back."""
    request = {"requested": True, "reason": reason}
    world.patch("AgentUpgrade", upgrade, {"spec": {"rollback": request}})


def wait_for_weight(world: World, upgrade: str, weight: int, *, within: float = 60) -> Object:
    """Wait until an upgrade says that this weight is in force."""
    return world.wait_until(
        "AgentUpgrade",
        upgrade,
        lambda seen: seen.get("status", {}).get("weight") == weight,
        within=within,
    )


def break_one_pod(world: World, name: str) -> str:
    """Make one pod unready for good, as a node does that loses its registry; returns its name.

    The image of a pod's container may be changed, and one that does not exist never starts.
    """
    pod = world.pods(name)[0]
    containers = [{**c, "image": "localhost/nobody/nothing:1"} for c in pod["spec"]["containers"]]
    broken: str = pod["metadata"]["name"]
    world.patch("Pod", broken, {"spec": {"containers": containers}})
    world.wait_until("Pod", broken, lambda seen: not is_ready(seen), within=START)
    return broken


def backends(route: Object) -> list[Object]:
    """All backends of a route, in their order."""
    return [ref for rule in route["spec"]["rules"] for ref in rule.get("backendRefs") or ()]


def weights(route: Object) -> dict[str, int]:
    """The weight of each Service of a route; one that stands in several rules counts once."""
    return {ref["name"]: ref.get("weight", 1) for ref in backends(route)}


def canary_weight(route: Object, name: str) -> int:
    """The weight of the new version in the route of an Agent; 0 without one."""
    found = (weight for ref, weight in weights(route).items() if ref.startswith(f"{name}-"))
    return sum(found)


@contextmanager
def load(
    world: World,
    name: str,
    directory: Path,
    *,
    rate: float = RATE,
    seconds: float = LONGEST,
    request: Request | None = None,
) -> Iterator[Load]:
    """Requests for an Agent through the Gateway."""
    asked = replace(request or task(), host=hostname(world, name))
    wait_until_served(world, gateway(), task(host=asked.host, headers=asked.headers), directory)
    with _own(directory, gateway(), asked, rate=rate, seconds=seconds) as found:
        yield found


@contextmanager
def load_on_service(
    world: World,
    name: str,
    directory: Path,
    *,
    rate: float = RATE,
    seconds: float = LONGEST,
    request: Request | None = None,
) -> Iterator[Load]:
    """Requests for the Service of an Agent, each on a connection of its own."""
    asked = replace(request or task(), keepalive=False)
    target = service(world.get("Service", name)["spec"]["clusterIP"], port=8080)
    wait_until_served(world, target, asked, directory)
    with _own(directory, target, asked, rate=rate, seconds=seconds) as found:
        yield found


def wait_until_served(world: World, target: Target, asked: Request, directory: Path) -> None:
    """Wait until nobody but the agent answers at an address, whatever was there before."""
    wait_until_answered(world, target, asked, directory, lambda answer: bool(answer.pod))


def wait_until_answered(
    world: World,
    target: Target,
    asked: Request,
    directory: Path,
    holds: Callable[[Answer], bool],
) -> None:
    """Wait until all of the latest requests have got an answer of that kind."""
    short = replace(asked, timeout=5)
    with _own(directory, target, short, rate=40, seconds=SERVED_WITHIN) as first:

        def settled() -> bool:
            latest = first.so_far().answers[-ENOUGH:]
            return len(latest) == ENOUGH and all(map(holds, latest))

        world.operator.wait_until(settled, within=SERVED_WITHIN)


def wait_until_sent(world: World, running: Load, requests: int, *, within: float = 60) -> None:
    """Wait until so many further requests of a load are over."""
    before = running.so_far().sent
    world.operator.wait_until(lambda: running.so_far().sent >= before + requests, within=within)


def wait_until_reached(world: World, running: Load, version: str, *, requests: int = 20) -> None:
    """Wait until a version has answered so many requests of a load."""

    def holds() -> bool:
        answers = running.so_far().answers
        return sum(answer.version == version for answer in answers) >= requests

    world.operator.wait_until(holds, within=FOLLOWED_WITHIN)


def wait_until_only(world: World, running: Load, version: str) -> float:
    """Wait until all of the latest requests went to one version; returns when that was seen.

    It is the time of the look, not that of the first of these requests: one that was sent after it
    may have been passed on before it.
    """

    def holds() -> bool:
        return all(answer.version == version for answer in running.so_far().answers[-ENOUGH:])

    world.operator.wait_until(holds, within=FOLLOWED_WITHIN)
    return time.time()


def _own(directory: Path, target: Target, request: Request, *, rate: float, seconds: float) -> Load:
    """A load with a directory of its own below this one."""
    number = sum(1 for _ in directory.glob("load-*"))
    place = directory / f"load-{number}"
    place.mkdir()
    return Load(target, request, rate=rate, seconds=seconds, directory=place)
