"""What is known of the cluster: a view of every Agent and of every child, and who to tell.

The store is fed from three sides: kopf's events of the Agents, our own watches of the children,
and the answers to our own writes. An answer is put in at once, so a key is never decided on less
than what was last written for it; neither it nor its echo on the watch wakes anybody, unless it
also holds what somebody else wrote meanwhile, of which the watch will tell nothing more. Versions
decide which of two views is newer (they are comparable since Kubernetes 1.35), and the version of
a deletion is kept for a while, so a late answer raises no ghost.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from agentherd.api import Agent
from agentherd.domain.kinds import AGENT, Key, Kind
from agentherd.domain.views import Child, last_writer, view

TOMBSTONES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """An Agent as it was last seen, and the field manager that wrote its spec.

    `unreadable` says what a newer version of the API has put into it that this one does not know.
    """

    agent: Agent
    version: int
    writer: str
    unreadable: str = ""


def read_agent(raw: Mapping[str, Any]) -> tuple[Agent, str]:
    """Parse an Agent; one that is not understood keeps its identity, and the reason is told."""
    try:
        return Agent.model_validate(raw), ""
    except ValidationError as error:
        errors = error.errors()
        known = {"metadata": raw["metadata"], "spec": {"template": {"spec": {"containers": []}}}}
        if all(found["loc"][0] != "status" for found in errors):
            known["status"] = raw.get("status", {})
        where = ".".join(str(part) for part in errors[0]["loc"])
        return Agent.model_validate(known), f"{where}: {errors[0]['msg']}"


def _compared(known: Child, child: Child) -> Child:
    """Mark a child as touched whose fields are fewer than those we wrote, until we write again."""
    if child.touched or not (known.touched or known.fields != child.fields):
        return child
    return replace(child, touched=True)


def _asked_anew(before: Agent, after: Agent) -> bool:
    """Whether people changed the Agent in between, as opposed to our own status of it."""
    was, now = before.metadata, after.metadata
    return (was.uid, was.generation, was.annotations) != (now.uid, now.generation, now.annotations)


class Store:
    """The views of all objects; calls `wake(key)` with the key of each Agent concerned."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._agents: dict[Key, AgentRecord] = {}
        self._children: dict[Kind, dict[Key, Child]] = defaultdict(dict)
        self._families: dict[Key, dict[Kind, dict[str, Child]]] = {}
        self._dependents: dict[Key, set[Key]] = defaultdict(set)
        self._tombstones: OrderedDict[tuple[Kind, Key], int] = OrderedDict()

    # Reading

    @property
    def agents(self) -> Mapping[Key, AgentRecord]:
        """All Agents, by key."""
        return self._agents

    def children(self, agent: Key, kind: Kind) -> Mapping[str, Child]:
        """The children of one kind that carry the Agent's label, by name."""
        return self._families.get(agent, {}).get(kind, {})

    def count(self, kind: Kind) -> int:
        """How many objects of a kind are known."""
        return len(self._agents if kind is AGENT else self._children[kind])

    # Agents

    def put_agent(self, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in an Agent as the API server gives it; `own` when it is the answer to a write."""
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        version = int(metadata["resourceVersion"])
        known = self._agents.get(key)
        if self._outdated(AGENT, key, version, known):
            return
        agent, unreadable = read_agent(raw)
        self._agents[key] = AgentRecord(
            agent=agent, version=version, writer=last_writer(raw), unreadable=unreadable
        )
        self._link(key, known.agent if known else None, agent)
        if not own or known is None or _asked_anew(known.agent, agent):
            self._wake(key)
        self._wake_dependents(key)

    def drop_agent(self, key: Key, version: int) -> None:
        """The Agent was deleted, as of `version`."""
        known = self._agents.get(key)
        self._bury(AGENT, key, version)
        if known is None or known.version > version:
            return
        del self._agents[key]
        self._link(key, known.agent, None)
        self._wake(key)
        self._wake_dependents(key)

    def retain_agents(self, alive: Mapping[Key, str], version: int, namespace: str | None) -> None:
        """Forget every Agent that a list of version `version` does not hold (key to uid)."""
        for key, record in tuple(self._agents.items()):
            if namespace not in {None, key.namespace} or record.version > version:
                continue
            if alive.get(key) != record.agent.metadata.uid:
                self.drop_agent(key, version)

    # Children

    def put(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in a child; `own` when it is the answer to our own write.

        What was just applied is as we want it, whoever else has been at it.
        """
        child = view(kind, raw)
        if own and child.touched:
            child = replace(child, touched=False)
        self._put_view(kind, child, own=own)

    def wake_owner(self, kind: Kind, key: Key) -> None:
        """Something about a child has changed that is not in the child itself."""
        if child := self._children[kind].get(key):
            self._wake(Key(child.namespace, child.agent))

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """A child was deleted, or does not carry our label any more, as of `version`."""
        known = self._children[kind].get(key)
        self._bury(kind, key, version)
        if known is None or known.version > version:
            return
        del self._children[kind][key]
        self._leave(kind, known)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """Take in a whole list; what it does not hold any more is gone, and its Agent is told."""
        listed = {Key(c.namespace, c.name): c for c in (view(kind, raw) for raw in raws)}
        for key in [k for k in self._children[kind] if namespace in {None, k.namespace}]:
            if key not in listed:
                self.drop(kind, key, version)
        for child in listed.values():
            self._put_view(kind, child, own=False)

    def _put_view(self, kind: Kind, child: Child, *, own: bool) -> None:
        key = Key(child.namespace, child.name)
        known = self._children[kind].get(key)
        unchanged = own and known is not None and known.version == child.version
        if not unchanged and self._outdated(kind, key, child.version, known):
            return
        if not own and known is not None and known.uid == child.uid:
            child = _compared(known, child)
        self._children[kind][key] = child
        if known is not None and known.agent != child.agent:
            self._leave(kind, known)
        family = Key(child.namespace, child.agent)
        self._families.setdefault(family, {}).setdefault(kind, {})[child.name] = child
        if own:
            news = known is not None and known.reported != child.reported
        else:
            news = known is None or replace(known, version=child.version) != child
        if news:
            self._wake(family)

    def _leave(self, kind: Kind, child: Child) -> None:
        family = Key(child.namespace, child.agent)
        kinds = self._families.get(family, {})
        members = kinds.get(kind, {})
        members.pop(child.name, None)
        if not members:
            kinds.pop(kind, None)
        if not kinds:
            self._families.pop(family, None)
        self._wake(family)

    # Versions and dependencies

    def _outdated(
        self, kind: Kind, key: Key, version: int, known: AgentRecord | Child | None
    ) -> bool:
        if known is not None and known.version >= version:
            return True
        return self._tombstones.get((kind, key), -1) >= version

    def _bury(self, kind: Kind, key: Key, version: int) -> None:
        self._tombstones[kind, key] = max(version, self._tombstones.get((kind, key), 0))
        self._tombstones.move_to_end((kind, key))
        if len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _link(self, key: Key, before: Agent | None, after: Agent | None) -> None:
        for name in before.spec.depends_on if before else ():
            dependents = self._dependents[Key(key.namespace, name)]
            dependents.discard(key)
            if not dependents:
                del self._dependents[Key(key.namespace, name)]
        for name in after.spec.depends_on if after else ():
            self._dependents[Key(key.namespace, name)].add(key)

    def _wake_dependents(self, key: Key) -> None:
        for dependent in self._dependents.get(key, ()):
            self._wake(dependent)
