"""Objects as they change, by a watch for each kind, until somebody has seen enough.

Each watch runs in a thread of its own and puts all that it knows at the moment into one queue, so
that whoever looks at it need not remember anything. A server that is away is waited for; what it
says on its return is the whole truth, deletions included.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agentherd.domain.kinds import Kind
from agentherd.plugin.connection import Connection, Expired, Object
from agentherd.plugin.problems import Unanswered

AGAIN: Final = 2.0
"""Seconds after which a server that was away is asked again."""


@dataclass(frozen=True, slots=True)
class Sight:
    """All objects of a kind as they are now; or, with `trouble`, why nothing is known of them."""

    kind: Kind
    objects: tuple[Object, ...] = ()
    trouble: str = ""


class Following:
    """The watches of some kinds, each with its field selector."""

    def __init__(self, connection: Connection, kinds: Mapping[Kind, str]) -> None:
        self._connection = connection
        self._kinds = kinds
        self._seen: queue.Queue[Sight | Exception] = queue.Queue()
        self._over = threading.Event()

    def sights(self, *, tick: float) -> Iterator[Sight | None]:
        """What is seen, as it comes; None whenever there was nothing new for `tick` seconds.

        Raises:
            Problem: a watch is not permitted, or its kind is not there.
        """
        for kind, fields in self._kinds.items():
            # The process ends when the main thread does, in the middle of a read if need be.
            name = f"watch of {kind.plural}"
            threading.Thread(
                target=self._follow, args=(kind, fields), name=name, daemon=True
            ).start()
        try:
            while True:
                try:
                    seen = self._seen.get(timeout=tick)
                except queue.Empty:
                    yield None
                    continue
                if isinstance(seen, Exception):
                    raise seen
                yield seen
        finally:
            self._over.set()

    def _follow(self, kind: Kind, fields: str) -> None:
        while not self._over.is_set():
            try:
                self._follow_from_now(kind, fields)
            except Expired:
                continue
            except Unanswered as problem:
                self._seen.put(Sight(kind, trouble=problem.message))
                self._over.wait(AGAIN)
            except Exception as error:  # noqa: BLE001  (raised where it can be seen)
                self._seen.put(error)
                return

    def _follow_from_now(self, kind: Kind, fields: str) -> None:
        now = self._connection.moment(kind, fields=fields)
        objects = {each["metadata"]["uid"]: each for each in now.items}
        version = now.version
        self._seen.put(Sight(kind, tuple(objects.values())))
        while not self._over.is_set():
            for change, each in self._connection.changes(kind, since=version, fields=fields):
                version = each["metadata"]["resourceVersion"]
                if change == "BOOKMARK":
                    continue
                if change == "DELETED":
                    objects.pop(each["metadata"]["uid"], None)
                else:
                    objects[each["metadata"]["uid"]] = each
                self._seen.put(Sight(kind, tuple(objects.values())))
