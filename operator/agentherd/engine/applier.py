"""Carry out a plan: intent by intent, in its order, each guarded by what it expects to find.

A write that the server refuses does not stop the others, since they may still serve people; one
that gets no answer does, since the rest would fare no better. What was refused comes back as
failures, for the rules to tell about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentherd.api import Agent
from agentherd.cluster import Gateway
from agentherd.domain.errors import Conflict, Invalid, NameTaken, NotFound, TerminalError
from agentherd.domain.kinds import (
    AGENT,
    AGENT_LABEL,
    APPLIED_ANNOTATION,
    DISRUPTION_BUDGET,
    SERVICE,
    Key,
    Kind,
)
from agentherd.domain.plan import (
    Annotate,
    Apply,
    Delete,
    Emit,
    Intent,
    Plan,
    Ref,
    Scale,
    WriteStatus,
)
from agentherd.domain.views import FIELD_MANAGER, SCALE_MANAGER, STATUS_MANAGER
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

_RIVALS: Final[Mapping[Kind, tuple[str, ...]]] = {
    DISRUPTION_BUDGET: ("maxUnavailable", "minAvailable"),
    SERVICE: ("ports",),
}
"""Fields of which another value than ours can make the whole object invalid."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write of a child that the server refused."""

    ref: Ref
    error: TerminalError


class Applier:
    """Turns intents into requests and puts the answers into the store."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        store: Store,
        recorder: Recorder,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._recorder = recorder
        self._may_write = may_write

    async def carry_out(self, agent: Agent, plan: Plan) -> list[Refusal]:
        """Carry out the plan; returns what was refused.

        Raises:
            TransientError: a write got no answer, or the Agent is not the one that was seen.
        """
        if agent.status.observed_generation is not None and _creates(plan):
            await self._confirm(agent)
        refusals: list[Refusal] = []
        for intent in plan.intents:
            if not self._may_write():
                # A process that was frozen wakes up in the middle of a plan of long ago.
                raise Conflict("the Lease was not renewed in time; another process may lead")
            try:
                await self._do(agent, intent)
            except TerminalError as error:
                if isinstance(intent, WriteStatus | Emit):
                    raise Conflict(f"the status is refused: {error}") from error
                refusals.append(Refusal(intent.ref, error))
        return refusals

    async def _do(self, agent: Agent, intent: Intent) -> None:
        namespace = agent.metadata.namespace
        match intent:
            case Apply():
                await self._apply(agent, intent)
            case WriteStatus():
                await self._write_status(agent, intent.status)
            case Scale():
                manifest = {
                    "apiVersion": intent.kind.api_version,
                    "kind": intent.kind.name,
                    "metadata": {"name": intent.name, "namespace": namespace, "uid": intent.uid},
                    "spec": {"replicas": intent.replicas},
                }
                answer = await self._gateway.apply(intent.kind, manifest, manager=SCALE_MANAGER)
                self._store.put(intent.kind, answer, own=True)
            case Annotate():
                metadata = {"uid": intent.uid, "annotations": {intent.annotation: intent.value}}
                key = Key(namespace, intent.name)
                try:
                    answer = await self._gateway.merge(intent.kind, key, {"metadata": metadata})
                except NotFound:
                    return
                self._store.put(intent.kind, answer, own=True)
            case Delete():
                key = Key(namespace, intent.name)
                await self._gateway.delete(intent.kind, key, uid=intent.uid)
            case Emit():
                await self._recorder.record(agent, intent)

    async def _apply(self, agent: Agent, intent: Apply) -> None:
        metadata = dict(intent.manifest["metadata"])
        if intent.claimed and intent.uid is None:
            await self._claim(agent, intent)
        if intent.uid is not None:
            metadata["uid"] = intent.uid
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            APPLIED_ANNOTATION: intent.digest,
        }
        manifest = _merged({**intent.manifest, "metadata": metadata}, intent.unhashed or {})
        try:
            answer = await self._gateway.apply(intent.kind, manifest, manager=FIELD_MANAGER)
        except Invalid:
            if intent.uid is None or intent.kind not in _RIVALS:
                raise
            await self._clear(agent, intent)
            answer = await self._gateway.apply(intent.kind, manifest, manager=FIELD_MANAGER)
        self._store.put(intent.kind, answer, own=True)

    async def _clear(self, agent: Agent, intent: Apply) -> None:
        """Remove what somebody added to a child and what excludes what we want there.

        Server-side apply leaves the fields of others alone, so it can only fail on them.
        """
        key = Key(agent.metadata.namespace, intent.manifest["metadata"]["name"])
        spec = {field: intent.manifest["spec"].get(field) for field in _RIVALS[intent.kind]}
        await self._gateway.merge(intent.kind, key, {"metadata": {"uid": intent.uid}, "spec": spec})

    async def _claim(self, agent: Agent, intent: Apply) -> None:
        """Make sure that a name people also use is free, or already ours.

        Server-side apply would take an existing object over instead of refusing.
        """
        name = intent.manifest["metadata"]["name"]
        try:
            found = await self._gateway.get(intent.kind, Key(agent.metadata.namespace, name))
        except NotFound:
            return
        owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
        labels = found["metadata"].get("labels", {})
        orphaned = (
            not owners
            and APPLIED_ANNOTATION in found["metadata"].get("annotations", {})
            and labels.get(AGENT_LABEL, agent.metadata.name) == agent.metadata.name
        )
        if agent.metadata.uid not in owners and not orphaned:
            raise NameTaken(
                f"{intent.kind.name} {name} exists and does not belong to this Agent; "
                "rename one of the two, or delete it if nobody needs it"
            )

    async def _confirm(self, agent: Agent) -> None:
        """Make sure that the Agent still is before children are made for it once more.

        Its children may be missing because it was deleted and the news has not arrived.
        """
        key = Key(agent.metadata.namespace, agent.metadata.name)
        try:
            raw = await self._gateway.get(AGENT, key)
        except NotFound:
            known = self._store.agents.get(key)
            if known is not None:
                self._store.drop_agent(key, known.version)
            raise Conflict(f"Agent {key} does not exist any more") from None
        if raw["metadata"]["uid"] != agent.metadata.uid:
            self._store.put_agent(raw)
            raise Conflict(f"Agent {key} was made anew")

    async def _write_status(self, agent: Agent, status: Mapping[str, Any]) -> None:
        metadata = agent.metadata
        manifest = {
            "apiVersion": AGENT.api_version,
            "kind": AGENT.name,
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
            "status": status,
        }
        answer = await self._gateway.apply_status(AGENT, manifest, manager=STATUS_MANAGER)
        self._store.put_agent(answer, own=True)


def _creates(plan: Plan) -> bool:
    return any(isinstance(intent, Apply) and intent.uid is None for intent in plan.intents)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result
