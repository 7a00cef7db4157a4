"""The Gateways of the cluster and what their classes can do, for those Agents that have to know.

Few Agents ever do, and an operator that watches only some namespaces may not read any of it. So
nothing is read before somebody asks, and a refusal to let it be read is an answer as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agentherd.domain.kinds import GATEWAY, GATEWAY_CLASS, GATEWAY_KINDS, Key, Kind
from agentherd.domain.routing.gateways import SeenGateways, class_of, features_of


class Gateways:
    """What is known of Gateways; calls `wake(agent)` for those that have asked when it changes.

    `wanted` is set from the first Agent on that asks.
    """

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._agents: set[Key] = set()
        self._classes: dict[Key, str] = {}
        self._features: dict[str, frozenset[str]] = {}
        self._unread: dict[Kind, str] = {}
        self.seen = SeenGateways()
        self.wanted = asyncio.Event()

    def use(self, agent: Key) -> None:
        """An Agent has to know."""
        self._agents.add(agent)
        self.wanted.set()

    def forget(self, agent: Key) -> None:
        """An Agent is gone."""
        self._agents.discard(agent)

    def count(self, kind: Kind) -> int:
        """How many objects of a kind are known."""
        return len(self._classes if kind is GATEWAY else self._features)

    def put(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """Take in a Gateway or a GatewayClass."""
        self._keep(kind, raw)
        self._tell()

    def drop(self, kind: Kind, key: Key, _version: int) -> None:
        """One was deleted."""
        if kind is GATEWAY:
            self._classes.pop(key, None)
        else:
            self._features.pop(key.name, None)
        self._tell()

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], _version: int, _namespace: str | None
    ) -> None:
        """Take in all of one kind, of the whole cluster."""
        (self._classes if kind is GATEWAY else self._features).clear()
        for raw in raws:
            self._keep(kind, raw)
        self._unread[kind] = ""
        self._tell()

    def refuse(self, kind: Kind, why: str) -> None:
        """A kind cannot be read; what was known of it does not count any more."""
        self._unread[kind] = f"the operator cannot read {kind.plural} ({why})"
        self._tell()

    def _keep(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        metadata = raw["metadata"]
        if kind is GATEWAY_CLASS:
            self._features[metadata["name"]] = features_of(raw)
        else:
            self._classes[Key(metadata["namespace"], metadata["name"])] = class_of(raw)

    def _tell(self) -> None:
        seen = SeenGateways(
            classes=dict(self._classes),
            features=dict(self._features),
            known=self._unread.keys() == set(GATEWAY_KINDS),
            unread=next(filter(None, self._unread.values()), ""),
        )
        if seen != self.seen:
            self.seen = seen
            for agent in self._agents:
                self._wake(agent)
