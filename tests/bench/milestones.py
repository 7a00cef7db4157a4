"""When has the last one got there: milestones of a fleet, fed by watches.

Everything that is timed is seen from outside, in the same way whoever does the work, so that the
operator, the bare client and Deployments compare.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.client import Client

from agentherd.domain.kinds import Kind

Object = Mapping[str, Any]
Reached = Callable[[Object], str | None]
"""The name of the member that an object shows to have got there, or None."""


class Milestone:
    """Members of a fleet that have got somewhere, and when each did."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._times: dict[str, float] = {}
        self._all = asyncio.Event()

    def reach(self, member: str) -> None:
        """A member is there; only the first time counts."""
        if member not in self._times:
            self._times[member] = time.perf_counter()
            if len(self._times) == self._count:
                self._all.set()

    async def last(self, *, seconds: float) -> float:
        """Wait for the last; when that was."""
        try:
            async with asyncio.timeout(seconds):
                await self._all.wait()
        except TimeoutError:
            raise TimeoutError(f"{len(self._times)} of {self._count} after {seconds} s") from None
        return max(self._times.values())


@asynccontextmanager
async def watching(
    client: Client, kind: Kind, namespace: str, see: Callable[[str, Object], None]
) -> AsyncIterator[None]:
    """Show every event of a kind to `see` while the context lasts."""
    path = kind.path(namespace)
    version = (await client.read(f"{path}?limit=1"))["metadata"]["resourceVersion"]

    async def follow(since: str) -> None:
        # The API server drops a watch whose reader is too slow for a moment; go on where it was.
        while True:
            async for event, found in client.watch(path, since):
                since = found["metadata"]["resourceVersion"]
                see(event, found)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow(version), name=f"watch {kind.plural}")
        yield
        task.cancel()


def reaching(rules: Iterable[tuple[Milestone, Reached]]) -> Callable[[str, Object], None]:
    """What feeds milestones from a watch."""
    fixed = tuple(rules)

    def see(event: str, found: Object) -> None:
        if event == "DELETED":
            return
        for milestone, reached in fixed:
            if member := reached(found):
                milestone.reach(member)

    return see


def name(found: Object) -> str:
    """The object's own name."""
    return str(found["metadata"]["name"])


def owner(found: Object) -> str | None:
    """The name of the object's owner."""
    owners = found["metadata"].get("ownerReferences") or [{}]
    found_name: str | None = owners[0].get("name")
    return found_name


def has_status(found: Object) -> str | None:
    """Its controller has seen it."""
    return name(found) if found.get("status", {}).get("observedGeneration") else None


def is_ready(found: Object) -> str | None:
    """Its condition Ready (of an Agent) is true."""
    conditions = found.get("status", {}).get("conditions", ())
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return name(found) if ready else None


def owner_if_available(found: Object) -> str | None:
    """The owner of a ReplicaSet with an available pod."""
    return owner(found) if found.get("status", {}).get("availableReplicas") else None


def is_available(found: Object) -> str | None:
    """A Deployment with an available pod."""
    return name(found) if found.get("status", {}).get("availableReplicas") else None
