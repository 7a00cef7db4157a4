"""The routes of the cluster, and which workloads of one kind they concern.

A route is nobody's child: one Agent may own it, several may be served through one that a person
wrote, and one that an Agent has left in the middle of a canary still has to be put right. So a
route concerns the Agents that refer to it, and those that have marked it as theirs for a while.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agentherd.api import Traffic
from agentherd.domain.kinds import Key, Kind
from agentherd.domain.routing.routes import RouteView
from agentherd.domain.routing.traffic import Place, place_of
from agentherd.engine.index import discard
from agentherd.engine.tombstones import Tombstones


class Routes:
    """The views of all HTTPRoutes and GRPCRoutes; calls `wake(key)` for each workload concerned.

    `wanted` is set from the first Agent on that has something to do with a route: until then
    nobody asks the API server for kinds it need not have.
    """

    def __init__(self, kind: Kind, wake: Callable[[Key], None]) -> None:
        self._kind = kind.name
        self._wake = wake
        self._views: dict[Place, RouteView] = {}
        self._tombstones = Tombstones()
        self._used: dict[Key, Place] = {}
        self._users: dict[Place, set[Key]] = defaultdict(set)
        self._marked: dict[Key, set[Place]] = defaultdict(set)
        self.wanted = asyncio.Event()

    def of(self, agent: Key) -> Mapping[Place, RouteView]:
        """The routes that concern an Agent, by kind and key."""
        places = set(self._marked.get(agent, ()))
        if agent in self._used:
            places.add(self._used[agent])
        return {place: self._views[place] for place in places if place in self._views}

    def count(self, kind: Kind) -> int:
        """How many routes of a kind are known."""
        return sum(known is kind for known, _ in self._views)

    def use(self, agent: Key, traffic: Traffic | None) -> None:
        """Note which route an Agent's spec refers to."""
        if before := self._used.pop(agent, None):
            discard(self._users, before, agent)
        if traffic is None:
            return
        self.wanted.set()
        place = place_of(agent, traffic)
        self._used[agent] = place
        self._users[place].add(agent)

    def put(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in a route; `own` when it is the answer to our own write.

        One that we have just made is news to us as well: an upgrade waits for it to be there.
        """
        view = RouteView.of(raw)
        place = (kind, Key(view.namespace, view.name))
        known = self._views.get(place)
        if known is not None and known.version >= view.version:
            return
        if self._tombstones.cover(*place, view.version):
            return
        if own and view.touched:
            view = replace(view, touched=False)
        self._views[place] = view
        self._mark(place, known, view)
        if known is None or (not own and replace(known, version=view.version) != view):
            self._tell(place, view)

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """A route was deleted, as of `version`."""
        place = (kind, key)
        known = self._views.get(place)
        self._tombstones.bury(kind, key, version)
        if known is None or known.version > version:
            return
        del self._views[place]
        self._mark(place, known, None)
        self._tell(place, known)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """Take in a whole list of one kind (of a namespace)."""
        listed = {Key(r["metadata"]["namespace"], r["metadata"]["name"]): r for r in raws}
        for known, key in tuple(self._views):
            if known is kind and namespace in {None, key.namespace} and key not in listed:
                self.drop(kind, key, version)
        for raw in listed.values():
            self.put(kind, raw)

    def wake_all(self) -> None:
        """Whoever has something to do with a route may wait for all kinds to be known."""
        for key in {*self._used, *self._marked}:
            self._wake(key)

    def _mark(self, place: Place, before: RouteView | None, after: RouteView | None) -> None:
        for agent in self._concerned(place, before):
            discard(self._marked, agent, place)
        for agent in self._concerned(place, after):
            self._marked[agent].add(place)

    def _tell(self, place: Place, view: RouteView) -> None:
        for agent in self._concerned(place, view) | self._users.get(place, set()):
            self._wake(agent)

    def _concerned(self, place: Place, view: RouteView | None) -> set[Key]:
        names = view.concerned(self._kind) if view else ()
        return {Key(place[1].namespace, name) for name in names}
