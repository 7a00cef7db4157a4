"""When things were seen: a watch that runs beside the test and notes the time of every change.

What two such watches tell, and what the generator of load tells, is of one clock, this machine's.
A watch is told of everything a moment later than it is, of a cause as of its effect, so it is the
time between two things that means something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final

from tests.e2e.cluster import Moment, Object, Refused
from tests.e2e.world import World, condition_status

AT_A_TIME: Final = 10.0
"""Seconds for which one watch runs; the next begins where it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object as it was told at a time, in seconds since the epoch."""

    at: float
    type: str
    object: Object

    @property
    def version(self) -> int:
        """The resource version, by which all writes of a cluster are in one order."""
        return _version(self.object)


class Sight:
    """All changes of a kind in a namespace from its beginning on."""

    def __init__(self, world: World, kind: str) -> None:
        self.seen: list[Seen] = []
        self._world = world
        self._kind = kind
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"sight of {kind}")
        self._since = Moment((), "")

    def __enter__(self) -> Sight:
        self._since = self._world.now(self._kind)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def first(self, holds: Callable[[Object], bool], *, since: float = 0) -> float:
        """When something was first seen of which that holds."""
        found = next((s for s in list(self.seen) if s.at >= since and holds(s.object)), None)
        assert found is not None, f"no {self._kind} was seen that way"
        return found.at

    def _watch(self) -> None:
        moment = self._since
        known = {item["metadata"]["uid"]: _version(item) for item in moment.items}
        while not self._over.is_set():
            try:
                for change in self._world.follow(self._kind, since=moment, within=AT_A_TIME):
                    self._note(change.type, change.object, known)
                    if self._over.is_set():
                        break  # what else has happened by now is looked at below
            except Refused as error:
                if error.status != HTTPStatus.GONE:
                    raise
            # A watch from the last change might be too old where others change a lot.
            moment = self._world.now(self._kind)
            for item in moment.items:
                if known.get(item["metadata"]["uid"]) != _version(item):
                    self._note("MODIFIED", item, known)

    def _note(self, kind: str, found: Object, known: dict[str, int]) -> None:
        self.seen.append(Seen(at=time.time(), type=kind, object=found))
        known[found["metadata"]["uid"]] = _version(found)


def _version(found: Object) -> int:
    return int(found["metadata"]["resourceVersion"])


def failed_at(pods: Sight, version: str, *, since: float = 0) -> float:
    """When a pod of a version was first seen unready that had been ready."""
    return failed(pods, version, since=since).at


def failed(pods: Sight, version: str, *, since: float = 0) -> Seen:
    """The first sight of a pod of a version that had been ready and is not."""
    ready: set[str] = set()
    for seen in list(pods.seen):
        metadata = seen.object["metadata"]
        if metadata["labels"].get("app.kubernetes.io/version") != version or seen.at < since:
            continue
        if condition_status(seen.object, "Ready") == "True":
            ready.add(metadata["uid"])
        elif metadata["uid"] in ready:
            return seen
    raise AssertionError(f"every pod of {version} that was ready has stayed so")
