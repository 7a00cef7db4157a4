"""ModelDeployments of the dummy model, the requests for them, and the words of their tests.

The dummy answers at once, and each version is made slow, wrong or sick by a variable of its pods.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Object
from tests.e2e.sample import template
from tests.e2e.served import (
    FOLLOWED_WITHIN,
    HEALTH,
    LONGEST,
    PARENT,
    RATE,
    UNJUDGED,
    canary,
    hostname,
    step,
    wait_until_served,
)
from tests.e2e.world import START, World, condition, is_ready, observed
from tests.load.load import Load
from tests.load.request import Request
from tests.load.target import gateway

IMAGE: Final = "localhost/agentherd/sample-model-dummy:dev"
KIND: Final = "ModelDeployment"
MODEL_LABEL: Final = "agentherd.dev/model"
NAME: Final = "m"

QUICKLY: Final = canary(step(10, seconds=1), step(20, seconds=1), analysis=UNJUDGED)
"""A swap in two short steps that nobody judges."""

TOLD: Final = 10.0
"""Seconds in which the reason of a failure has to be told from what has caused it on."""


# What is applied


def version(name: str, *, container: Object | None = None, **settings: Any) -> Object:
    """A version of the dummy; `settings` are those of the dummy, `startSeconds` as start_seconds.

    `registered` adds to what stands in the list of versions besides the template.
    """
    registered = settings.pop("registered", {})
    variables = {"dimension": 4, "backend": "dummy", **settings}
    environment = [
        {"name": f"MODEL_{key.upper()}", "value": str(value)} for key, value in variables.items()
    ]
    given: Object = {"name": "model", "image": IMAGE, "env": environment, **(container or {})}
    pods = template(**given)
    return {"name": name, "template": pods, **registered}


def model(*versions: Object, name: str = NAME, **spec: Any) -> Object:
    """A ModelDeployment of these versions, v1 and v2 without any; None removes a field."""
    registered = versions or (version("v1"), version("v2"))
    wanted: Object = {
        "model": "dummy",
        "versions": list(registered),
        "activeVersion": registered[0]["name"],
        "health": HEALTH,
        "metrics": {"port": "http"},
        "upgradePolicy": QUICKLY,
        **spec,
    }
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


def routed(world: World, *versions: Object, name: str = NAME, **spec: Any) -> Object:
    """The same with a route of its own."""
    traffic = {
        "parentRefs": [PARENT],
        "hostnames": [hostname(world, name)],
        "settleSeconds": 2,
    }
    return model(*versions, name=name, **{"traffic": traffic, **spec})


def change(world: World, name: str = NAME, **spec: Any) -> str:
    """Change fields of the spec; returns the name of the upgrade that is made for it, if any is."""
    changed = world.patch(KIND, name, {"spec": spec})
    return f"{name}-{changed['metadata']['generation']}"


def change_field(world: World, field: str, value: object, *, name: str = NAME) -> str:
    """The same for a field that is a parameter of the test."""
    spec: dict[str, Any] = {field: value}
    return change(world, name, **spec)


def served(world: World, *versions: Object, name: str = NAME, **spec: Any) -> None:
    """Apply one with a route and wait until it is ready."""
    world.apply(routed(world, *versions, name=name, **spec))
    wait_until_ready(world, name)


# What is there


def status(world: World, name: str = NAME) -> Object:
    found: Object = world.get(KIND, name).get("status", {})
    return found


def version_in(found: Object, name: str) -> Object:
    """How a version does, {} while nothing is said of it."""
    versions = found.get("status", {}).get("versions") or ()
    return next((v for v in versions if v["name"] == name), {})


def state(found: Object, name: str) -> str:
    said: str = version_in(found, name).get("state", "")
    return said


def pods(world: World, name: str = NAME, *, of: str | None = None) -> list[Object]:
    """The pods that are to stay, of one version or of all."""
    moment = world.cluster.moment("Pod", namespace=world.namespace, labels=f"{MODEL_LABEL}={name}")
    return [
        pod
        for pod in moment.items
        if "deletionTimestamp" not in pod["metadata"]
        and of in {None, pod["metadata"]["labels"].get("app.kubernetes.io/version")}
    ]


def swaps(found: Object) -> list[tuple[str, str, str]]:
    """From, to and outcome of each swap that has ended."""
    told = found["status"].get("swaps") or ()
    return [(swap.get("from", ""), swap["to"], swap["outcome"]) for swap in told]


def message(found: Object, kind: str) -> str:
    said = condition(found, kind)
    return said["message"] if said else ""


# What happens


def wait_until(
    world: World, holds: Callable[[Object], bool], *, name: str = NAME, within: float = START
) -> Object:
    """Wait until something is true of a ModelDeployment, decided for its present spec."""
    return world.wait_until(KIND, name, lambda seen: observed(seen) and holds(seen), within=within)


def wait_until_ready(world: World, name: str = NAME) -> Object:
    """Wait until it is as its spec wants it."""

    def ready(seen: Object) -> bool:
        said = condition(seen, "Ready")
        return said is not None and said["status"] == "True"

    return wait_until(world, ready, name=name)


def wait_until_active(world: World, wanted: str, *, within: float = START) -> Object:
    """Wait until a version serves, and no other has any part of it."""

    def active(seen: Object) -> bool:
        told = seen["status"]
        return told.get("activeVersion") == wanted and "canaryVersion" not in told

    return wait_until(world, active, within=within)


def wait_for_state(world: World, wanted: str, of: str, *, within: float = START) -> Object:
    """Wait until a version is in a state."""
    return wait_until(world, lambda seen: state(seen, of) == wanted, within=within)


def wait_for_weight(world: World, of: str, weight: int, *, within: float = START) -> Object:
    """Wait until a version is said to have been given so many percent."""
    return wait_until(
        world, lambda seen: version_in(seen, of).get("weight") == weight, within=within
    )


def wait_until_gone(world: World, of: str, *, name: str = NAME) -> None:
    """Wait until no pod of a version is left."""

    def none(found: list[Object]) -> bool:
        return not [
            p for p in found if p["metadata"]["labels"].get("app.kubernetes.io/version") == of
        ]

    world.cluster.wait_until_all(
        "Pod",
        none,
        within=START,
        namespace=world.namespace,
        labels=f"{MODEL_LABEL}={name}",
    )


def wait_for_pods(world: World, ready: int, *, of: str, name: str = NAME) -> None:
    """Wait until so many pods of a version are ready, and it has no others."""

    def there(found: list[Object]) -> bool:
        own = [p for p in found if p["metadata"]["labels"].get("app.kubernetes.io/version") == of]
        return len(own) == ready and all(map(is_ready, own))

    world.cluster.wait_until_all(
        "Pod",
        there,
        within=START,
        namespace=world.namespace,
        labels=f"{MODEL_LABEL}={name}",
    )


# Requests


def embed(*, host: str = "") -> Request:
    """A text to embed, as OpenAI's clients ask for it."""
    return Request(
        host=host,
        path="/v1/embeddings",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=b'{"input": "load"}',
    )


@contextmanager
def load(
    world: World,
    directory: Path,
    *,
    name: str = NAME,
    rate: float = RATE,
    seconds: float = LONGEST,
) -> Iterator[Load]:
    """Requests for a model through the Gateway, from when it is reached on."""
    asked = embed(host=hostname(world, name))
    wait_until_served(world, gateway(), asked, directory)
    place = directory / f"load-of-{name}-{time.monotonic_ns()}"
    place.mkdir()
    with Load(gateway(), replace(asked), rate=rate, seconds=seconds, directory=place) as found:
        yield found


def wait_until_share(
    world: World, running: Load, of: str, low: float, high: float, *, latest: int = 200
) -> None:
    """Wait until a version has that part of the latest requests, from 0 to 1."""

    def holds() -> bool:
        answers = running.so_far().answers[-latest:]
        share = sum(answer.version == of for answer in answers) / max(1, len(answers))
        return len(answers) == latest and low <= share <= high

    world.operator.wait_until(holds, within=START + FOLLOWED_WITHIN)
