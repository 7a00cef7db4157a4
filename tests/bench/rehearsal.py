"""The requests that one Agent costs, as the operator itself would send them.

The operator's own rules and applier run against a gateway that writes down the requests and
answers them with what they asked for; so the bare client sends the very same ones, without anybody
having to keep a copy of them up to date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.bench.manifests import agent

from agentherd.cluster import ApiServer, Connection
from agentherd.domain.decide import decide
from agentherd.domain.errors import NotFound
from agentherd.domain.kinds import AGENT, REPLICA_SET, Key, Kind
from agentherd.engine.applier import Applier
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe import agent_observer
from agentherd.engine.recorder import Recorder
from agentherd.engine.scraper import Scraper
from agentherd.engine.store import Store

NAME = "rehearsal"
UID = "00000000-0000-0000-0000-000000000000"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """A request with the placeholders NAME and UID."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


class _Script(ApiServer):
    """A gateway that answers with what it was asked for."""

    def __init__(self) -> None:
        super().__init__(lambda: Connection(server="http://nowhere"))
        self.requests: list[Request] = []
        self.replica_set: dict[str, Any] = {}

    async def _send(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        method = {"APPLY": "PATCH", "CREATE": "POST"}.get(verb, verb)
        text = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        self.requests.append(Request(method, path, text, headers or {}))
        if body is None:
            raise NotFound(path)
        version = str(len(self.requests) + 1)
        metadata = {"uid": UID, "generation": 1, **body["metadata"], "resourceVersion": version}
        answer = {"spec": agent(NAME, "")["spec"], **body, "metadata": metadata}
        if kind is REPLICA_SET:
            self.replica_set = answer
        return answer


async def rehearse(namespace: str) -> list[Request]:
    """The requests from an Agent's creation until it is Ready."""
    script = _Script()
    store = Store(AGENT, wake=lambda _: None)
    recorder = Recorder(script, identity="bench", clock=lambda: _NOW)
    applier = Applier(cluster=script, store=store, recorder=recorder)
    scraper = Scraper(wake=lambda _: None, clock=lambda: _NOW)
    observe = agent_observer(store, MountFailures(wake=lambda _pod: None), scraper)
    created = agent(NAME, namespace)
    created["metadata"] |= {"uid": UID, "generation": 1, "resourceVersion": "1"}
    store.put_subject(AGENT, created)
    await _turn(store, observe, applier, Key(namespace, NAME))
    available = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
    metadata = script.replica_set["metadata"] | {"resourceVersion": "100"}
    store.put(REPLICA_SET, script.replica_set | {"metadata": metadata, "status": available})
    await _turn(store, observe, applier, Key(namespace, NAME))
    return script.requests


async def _turn(store: Store, observe: Any, applier: Applier, key: Key) -> None:
    seen = observe(key, {})
    await applier.carry_out(key, seen.owner, decide(seen, _NOW))
