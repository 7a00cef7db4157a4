"""Many Agents without pods, written from several connections at once as many people would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.world import World, condition_status, observed

T = TypeVar("T")

WRITERS: Final = 4


def names(prefix: str, count: int) -> list[str]:
    """Names that are sorted as they are numbered."""
    return [f"{prefix}-{number:03d}" for number in range(count)]


def each(work: Callable[[T], Any], things: Iterable[T], *, writers: int = WRITERS) -> None:
    """Do the work for each thing, several at a time; raises what any of it has raised."""
    with ThreadPoolExecutor(writers) as pool:
        for _ in pool.map(work, things):
            pass


def podless(name: str, **spec: Any) -> Object:
    """An Agent that is taken out of service, with config."""
    return agent(name, **{"operatingMode": "Offline", "config": {"greeting": "Hi"}, **spec})


def settled(found: Object) -> bool:
    """Whether an Agent is as its spec wants it, decided for the spec as it stands."""
    return observed(found) and condition_status(found, "Ready") == "True"


def wait_until_settled(world: World, wanted: Iterable[str], *, within: float) -> dict[str, Object]:
    """Wait until all these Agents are settled, and return all Agents by name."""
    missing = set(wanted)

    def holds(found: list[Object]) -> bool:
        done = {item["metadata"]["name"] for item in found if settled(item)}
        return missing <= done

    found = world.cluster.wait_until_all("Agent", holds, within=within, namespace=world.namespace)
    return {item["metadata"]["name"]: item for item in found}
