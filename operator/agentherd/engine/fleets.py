"""One store for each kind of workload, and one way in for all that is seen of the cluster.

Agents and ModelDeployments are run by the same engine, each kind in a store of its own, so that a
key is the name of a workload and nothing else. Of what is seen a child goes by its label and an
AgentUpgrade by its `targetRef.kind`; what is gone and whole lists go to all, and so do routes and
Gateways, which may concern workloads of both kinds. What changes sides, because somebody gave it
another label or made it anew for another target, leaves the store that it was in.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol, cast

from agentherd.api import AgentUpgrade, ModelDeployment
from agentherd.domain.kinds import (
    AGENT_UPGRADE,
    GATEWAY_KINDS,
    MODEL_DEPLOYMENT,
    ROUTE_KINDS,
    WORKLOADS,
    Key,
    Kind,
    workload_in,
)
from agentherd.engine.reflector import Sink
from agentherd.engine.store import Record, Store, target_kind


class Sought(Sink, Protocol):
    """A sink of what nobody watches until somebody has to know."""

    wanted: asyncio.Event


class Shared:
    """Several sinks as one: each of them is given everything."""

    def __init__(self, sinks: Sequence[Sought]) -> None:
        self._sinks = sinks

    @property
    def is_wanted(self) -> bool:
        """Whether one of them has to know."""
        return any(sink.wanted.is_set() for sink in self._sinks)

    async def wanted(self) -> None:
        """Wait until one of them has to know."""
        await _first(sink.wanted for sink in self._sinks)

    def put(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """An object was made or has changed."""
        for sink in self._sinks:
            sink.put(kind, raw)

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """An object has gone, as of `version`."""
        for sink in self._sinks:
            sink.drop(kind, key, version)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """These are all objects (of a namespace) as of `version`."""
        listed = list(raws)
        for sink in self._sinks:
            sink.replace(kind, listed, version, namespace)


class Fleets:
    """Passes on what is seen, to the store that it belongs to; `stores` are of different kinds."""

    def __init__(self, stores: Iterable[Store]) -> None:
        self._stores: Mapping[Kind, Store] = {store.kind: store for store in stores}
        self.routes = Shared([store.routes for store in self._stores.values()])
        self.gateways = Shared([store.gateways for store in self._stores.values()])

    async def jobs_wanted(self) -> None:
        """Wait until Jobs may be made for somebody."""
        await _first(store.jobs_wanted for store in self._stores.values())

    def wake_routed(self) -> None:
        """All routes are known now: those who wait for that have to be told."""
        for store in self._stores.values():
            store.routes.wake_all()

    def refuse_gateways(self, kind: Kind, why: str) -> None:
        """Gateways or their classes cannot be read."""
        for store in self._stores.values():
            store.gateways.refuse(kind, why)

    # Reading

    def count(self, kind: Kind) -> int:
        """How many objects of a kind are known."""
        counts = (store.count(kind) for store in self._of(kind))
        # These are in all stores.
        return max(counts) if kind in {*ROUTE_KINDS, *GATEWAY_KINDS} else sum(counts)

    def subjects(self, kind: Kind) -> Iterator[tuple[Key, Record]]:
        """All objects of a kind that people write."""
        for store in self._of(kind):
            yield from store.subjects(kind).items()

    def record(self, kind: Kind, key: Key) -> Record | None:
        """A subject as it was last seen, or None."""
        found = (store.record(kind, key) for store in self._of(kind))
        return next(filter(None, found), None)

    def known(self, kind: Kind) -> Set[Key]:
        """The keys of all objects of a kind that people write."""
        return {key for key, _ in self.subjects(kind)}

    def upgrade(self, key: Key) -> AgentUpgrade | None:
        """An AgentUpgrade as it was last seen, whatever it changes, or None."""
        found = (store.upgrade(key) for store in self._stores.values())
        return next(filter(None, found), None)

    def model(self, key: Key) -> ModelDeployment | None:
        """A ModelDeployment as it was last seen, or None."""
        store = self._stores.get(MODEL_DEPLOYMENT)
        return cast("ModelDeployment | None", store.workload(key)) if store is not None else None

    # Subjects

    def put_subject(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in a subject as the API server gives it; `own` when it is the answer to a write."""
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        home = self._home(kind, raw)
        for store in self._stores.values():
            if store is not home and store.holds(kind, key):
                store.drop_subject(kind, key, int(metadata["resourceVersion"]))
        if home.put_subject(kind, raw, own=own):
            self._wake_dependents(kind, key, known_to=home)

    def drop_subject(self, kind: Kind, key: Key, version: int) -> None:
        """The object was deleted, as of `version`."""
        for store in self._of(kind):
            if store.drop_subject(kind, key, version):
                self._wake_dependents(kind, key, known_to=store)

    def forget_subject(self, kind: Kind, key: Key) -> None:
        """The object does not exist, although nobody has told of its end yet."""
        for store in self._of(kind):
            store.forget_subject(kind, key)

    def retain_subjects(
        self, kind: Kind, alive: Mapping[Key, str], version: int, namespace: str | None
    ) -> None:
        """Forget every subject that a list of version `version` does not hold (key to uid)."""
        before = self.known(kind)
        for store in self._of(kind):
            store.retain_subjects(kind, alive, version, namespace)
        for key in before - self.known(kind):
            self._wake_dependents(kind, key)

    # Children

    def put(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in a child or a route; `own` when it is the answer to our own write."""
        if kind in ROUTE_KINDS:
            for store in self._stores.values():
                store.put(kind, raw, own=own)
            return
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        home = self._home(kind, raw)
        for store in self._stores.values():
            if store is not home and store.holds(kind, key):
                store.drop(kind, key, int(metadata["resourceVersion"]))
        home.put(kind, raw, own=own)

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """A child was deleted, or does not carry our label any more, as of `version`."""
        for store in self._stores.values():
            store.drop(kind, key, version)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """Take in a whole list; what it does not hold any more is gone."""
        shares: dict[Kind, list[Mapping[str, Any]]] = defaultdict(list)
        for raw in raws:
            shares[self._home(kind, raw).kind].append(raw)
        for store in self._stores.values():
            store.replace(kind, shares[store.kind], version, namespace)

    def wake_owner(self, kind: Kind, key: Key) -> None:
        """Something about a child has changed that is not in the child itself."""
        for store in self._stores.values():
            store.wake_owner(kind, key)

    # Who is concerned

    def _wake_dependents(self, kind: Kind, key: Key, *, known_to: Store | None = None) -> None:
        """Tell of a change those in other stores than the one that has told its own."""
        for store in self._stores.values():
            if store is not known_to:
                store.wake_dependents(kind, key)

    def _of(self, kind: Kind) -> Iterable[Store]:
        """The stores in which there may be objects of a kind."""
        return [self._stores[kind]] if kind in self._stores else self._stores.values()

    def _home(self, kind: Kind, raw: Mapping[str, Any]) -> Store:
        """The store to which an object belongs."""
        if kind in self._stores:
            return self._stores[kind]
        if kind is AGENT_UPGRADE:
            name: str = target_kind(raw)
        else:
            name, _ = workload_in(raw["metadata"].get("labels", {}))
        return self._stores[WORKLOADS[name]]


async def _first(events: Iterable[asyncio.Event]) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
