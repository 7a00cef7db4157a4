"""What is known of the cluster: the objects people write, their children, and who to tell.

The store is fed from three sides: kopf's events of the resources that are ours, our own watches of
everything else, and the answers to our own writes. An answer is put in at once, so a key is never
decided on less than what was last written for it; neither it nor its echo on the watch wakes
anybody, unless it also holds what somebody else wrote meanwhile, of which the watch will tell
nothing more. Versions decide which of two views is newer (they are comparable since Kubernetes
1.35), and the version of a deletion is kept for a while, so a late answer raises no ghost.

A store knows one kind of workload, Agents or ModelDeployments, and what belongs to those
(`agentherd.engine.fleets` sorts that out). All that is woken are keys of workloads: one is decided
upon together with everything that belongs to it, its upgrades and routes included.

`jobs_wanted` is set from the first workload or upgrade on that Jobs may be made for: until then
nobody watches any.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pydantic import ValidationError

from agentherd.api import Agent, AgentUpgrade, ModelDeployment, TargetKind, TargetRef
from agentherd.api.meta import ObjectMeta
from agentherd.domain.judging.testers import tries
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CONTROLLER_REVISION,
    GATEWAY_KINDS,
    JOB,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    ROUTE_KINDS,
    SERVICE,
    Key,
    Kind,
)
from agentherd.domain.routing.gateways import mirrors
from agentherd.domain.routing.services import ServiceView
from agentherd.domain.views import (
    Child,
    JobView,
    PodView,
    ReplicaSetView,
    RevisionView,
    author,
    last_writer,
)
from agentherd.engine.gateways import Gateways
from agentherd.engine.index import discard
from agentherd.engine.routes import Routes
from agentherd.engine.tombstones import Tombstones

log = logging.getLogger(__name__)

Workload = Agent | ModelDeployment
Subject = Workload | AgentUpgrade

SUBJECT_KINDS: Final = (AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT)
"""The kinds that people write and kopf watches."""

_VIEWS: Final[Mapping[Kind, type[Child]]] = {
    CONTROLLER_REVISION: RevisionView,
    JOB: JobView,
    POD: PodView,
    REPLICA_SET: ReplicaSetView,
    SERVICE: ServiceView,
}

_LEAST: Final[Mapping[Kind, tuple[type[Subject], Mapping[str, Any]]]] = {
    AGENT: (Agent, {"template": {"spec": {"containers": []}}}),
    AGENT_UPGRADE: (AgentUpgrade, {"targetRef": TargetRef.model_construct(name="")}),
    MODEL_DEPLOYMENT: (ModelDeployment, {"versions": [{"name": "none"}], "activeVersion": "none"}),
}
"""The model of each subject, and a spec that takes the place of one that cannot be read."""


_METADATA: Final = tuple(field.alias or name for name, field in ObjectMeta.model_fields.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A subject as it was last seen, and the field managers that wrote its spec.

    `writer` is the last of all, `author` the last that did more than to scale it.
    `unreadable` says what a newer version of the API has put into it that this one does not know.
    """

    subject: Subject
    version: int
    writer: str
    author: str
    unreadable: str = ""


def read_subject(kind: Kind, raw: Mapping[str, Any]) -> tuple[Subject, str]:
    """Parse a subject; one that is not understood keeps its identity, and the reason is told.

    The API server keeps no field that its CRD does not have, so one that is not known here is of a
    newer version: to go on without it would be to guess. The reason begins with its path.
    """
    model, least = _LEAST[kind]
    told = {part: raw[part] for part in ("spec", "status") if part in raw}
    try:
        return model.model_validate(told | {"metadata": _metadata(raw)}, extra="forbid"), ""
    except ValidationError as error:
        errors = error.errors()
        spec = dict(least)
        if kind is AGENT_UPGRADE:
            name = str(_target(raw).get("name", ""))
            # It may be what is not understood, so it is not looked at again.
            spec["targetRef"] = TargetRef.model_construct(kind=target_kind(raw), name=name)
        known = {"metadata": _metadata(raw), "spec": spec}
        if all(found["loc"][0] != "status" for found in errors):
            known["status"] = raw.get("status", {})
        # What its status says matters most: where that is not known, nothing may be written.
        first = next((each for each in errors if each["loc"][0] == "status"), errors[0])
        where = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        why = "this version has no such field" if unknown else first["msg"]
        return model.model_validate(known), f"{where}: {why}"


def _metadata(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What is read of the metadata, which Kubernetes may add to at any time."""
    found = {field: raw["metadata"][field] for field in _METADATA if field in raw["metadata"]}
    if owners := found.get("ownerReferences"):
        known = ("uid", "controller")
        found["ownerReferences"] = [{f: each[f] for f in known if f in each} for each in owners]
    return found


def target_kind(raw: Mapping[str, Any]) -> TargetKind:
    """The kind of what an AgentUpgrade changes; one that is not understood counts as an Agent."""
    found = _target(raw).get("kind")
    return TargetKind.MODEL_DEPLOYMENT if found == MODEL_DEPLOYMENT.name else TargetKind.AGENT


def _target(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = raw.get("spec")
    target = spec.get("targetRef") if isinstance(spec, Mapping) else None
    return target if isinstance(target, Mapping) else {}


def _compared(known: Child, child: Child) -> Child:
    """Mark a child as touched whose fields are fewer than those we wrote, until we write again."""
    if child.touched or not (known.touched or known.fields != child.fields):
        return child
    return replace(child, touched=True)


def _asked_anew(before: Subject, after: Subject) -> bool:
    """Whether people changed the object in between, as opposed to our own status of it."""
    was, now = before.metadata, after.metadata
    return (was.uid, was.generation, was.annotations) != (now.uid, now.generation, now.annotations)


def _workload_of(key: Key, subject: Subject) -> Key:
    """The workload that a subject is about."""
    if isinstance(subject, AgentUpgrade):
        return Key(key.namespace, subject.spec.target_ref.name)
    return key


def _needed(kind: Kind, key: Key, subject: Subject | None) -> Iterator[tuple[Kind, Key]]:
    """The subjects that one depends on, whose changes it has to be told."""
    if subject is None or isinstance(subject, ModelDeployment):
        return
    for name in subject.spec.depends_on:
        yield kind, Key(key.namespace, name)
    if isinstance(subject, Agent) and subject.spec.model_ref is not None:
        yield MODEL_DEPLOYMENT, Key(key.namespace, subject.spec.model_ref.name)


class Store:
    """The views of the workloads of one kind and of all that belongs to them.

    Calls `wake(key)` with the key of each workload concerned.
    """

    def __init__(self, kind: Kind, wake: Callable[[Key], None]) -> None:
        self.kind = kind
        self._wake = wake
        self._subjects: dict[Kind, dict[Key, Record]] = {kind: {}, AGENT_UPGRADE: {}}
        self._upgrades: dict[Key, set[Key]] = defaultdict(set)
        self._children: dict[Kind, dict[Key, Child]] = defaultdict(dict)
        self._families: dict[Key, dict[Kind, dict[str, Child]]] = {}
        self._dependents: dict[tuple[Kind, Key], set[tuple[Kind, Key]]] = defaultdict(set)
        self._tombstones = Tombstones()
        self.routes = Routes(kind, wake)
        self.gateways = Gateways(wake)
        self.jobs_wanted = asyncio.Event()

    # Reading

    def subjects(self, kind: Kind) -> Mapping[Key, Record]:
        """All objects of a kind that people write, by key."""
        return self._subjects.get(kind, {})

    def workload(self, key: Key) -> Workload | None:
        """The Agent, or whatever else this store is about, as it was last seen, or None."""
        record = self._subjects[self.kind].get(key)
        return cast("Workload", record.subject) if record else None

    def record(self, kind: Kind, key: Key) -> Record | None:
        """A subject as it was last seen, or None."""
        return self._subjects.get(kind, {}).get(key)

    def under_way(self, workload: Key) -> str:
        """The uid of the upgrade of a workload that has begun and not ended, or ""."""
        found = self.workload(workload)
        name = found.status.upgrade if found is not None else None
        upgrade = self.upgrade(Key(workload.namespace, name)) if name is not None else None
        if upgrade is None or upgrade.status.finished_at is not None:
            return ""
        return upgrade.metadata.uid

    def upgrades(self, workload: Key) -> Mapping[str, Record]:
        """The AgentUpgrades of a workload, by name."""
        records = self._subjects[AGENT_UPGRADE]
        return {key.name: records[key] for key in self._upgrades.get(workload, ())}

    def upgrade(self, key: Key) -> AgentUpgrade | None:
        """An AgentUpgrade as it was last seen, whatever it changes, or None."""
        record = self._subjects[AGENT_UPGRADE].get(key)
        return cast("AgentUpgrade", record.subject) if record else None

    def children(self, workload: Key, kind: Kind) -> Mapping[str, Child]:
        """The children of one kind that carry the workload's label, by name."""
        return self._families.get(workload, {}).get(kind, {})

    def holds(self, kind: Kind, key: Key) -> bool:
        """Whether a subject or a child is known."""
        return key in self._subjects.get(kind, ()) or key in self._children.get(kind, ())

    def count(self, kind: Kind) -> int:
        """How many objects of a kind are known."""
        if kind in ROUTE_KINDS:
            return self.routes.count(kind)
        if kind in GATEWAY_KINDS:
            return self.gateways.count(kind)
        return len(self._subjects[kind] if kind in self._subjects else self._children[kind])

    # Subjects

    def put_subject(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> bool:
        """Take in a subject as the API server gives it; `own` when it is the answer to a write.

        Returns whether it is newer than what was known.
        """
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        version = int(metadata["resourceVersion"])
        known = self._subjects[kind].get(key)
        if self._outdated(kind, key, version, known):
            return False
        subject, unreadable = read_subject(kind, raw)
        if unreadable and (known is None or known.unreadable != unreadable):
            log.warning(
                "%s %s is of a newer version and is left as it is: %s", kind.name, key, unreadable
            )
        self._subjects[kind][key] = Record(
            subject=subject,
            version=version,
            writer=last_writer(raw),
            author=author(raw),
            unreadable=unreadable,
        )
        self._link(kind, key, known.subject if known else None, subject)
        if not own or known is None or _asked_anew(known.subject, subject):
            self._wake(_workload_of(key, subject))
        self.wake_dependents(kind, key)
        return True

    def drop_subject(self, kind: Kind, key: Key, version: int) -> bool:
        """The object was deleted, as of `version`; returns whether it was known until then."""
        known = self._subjects[kind].get(key)
        self._tombstones.bury(kind, key, version)
        if known is None or known.version > version:
            return False
        del self._subjects[kind][key]
        self._link(kind, key, known.subject, None)
        self._wake(_workload_of(key, known.subject))
        self.wake_dependents(kind, key)
        return True

    def forget_subject(self, kind: Kind, key: Key) -> None:
        """The object does not exist, although nobody has told of its end yet."""
        if known := self._subjects[kind].get(key):
            self.drop_subject(kind, key, known.version)

    def retain_subjects(
        self, kind: Kind, alive: Mapping[Key, str], version: int, namespace: str | None
    ) -> None:
        """Forget every subject that a list of version `version` does not hold (key to uid)."""
        for key, record in tuple(self._subjects.get(kind, {}).items()):
            if namespace not in {None, key.namespace} or record.version > version:
                continue
            if alive.get(key) != record.subject.metadata.uid:
                self.drop_subject(kind, key, version)

    # Children and routes

    def put(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """Take in a child; `own` when it is the answer to our own write.

        What was just applied is as we want it, whoever else has been at it.
        """
        if kind in ROUTE_KINDS:
            self.routes.put(kind, raw, own=own)
            return
        child = _view(kind, raw)
        if own and child.touched:
            child = replace(child, touched=False)
        self._put_view(kind, child, own=own)

    def wake_owner(self, kind: Kind, key: Key) -> None:
        """Something about a child has changed that is not in the child itself."""
        if child := self._children[kind].get(key):
            self._wake(Key(child.namespace, child.workload))

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        """A child was deleted, or does not carry our label any more, as of `version`."""
        known = self._children[kind].get(key)
        self._tombstones.bury(kind, key, version)
        if known is None or known.version > version:
            return
        del self._children[kind][key]
        self._leave(kind, known)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        """Take in a whole list; what it does not hold any more is gone, and those are told."""
        listed = {Key(c.namespace, c.name): c for c in (_view(kind, raw) for raw in raws)}
        for key in [k for k in self._children[kind] if namespace in {None, k.namespace}]:
            if key not in listed:
                self.drop(kind, key, version)
        for child in listed.values():
            self._put_view(kind, child, own=False)
        if kind is JOB:
            self._wake_tried()

    def _put_view(self, kind: Kind, child: Child, *, own: bool) -> None:
        key = Key(child.namespace, child.name)
        known = self._children[kind].get(key)
        unchanged = own and known is not None and known.version == child.version
        if not unchanged and self._outdated(kind, key, child.version, known):
            return
        if not own and known is not None and known.uid == child.uid:
            child = _compared(known, child)
        self._children[kind][key] = child
        if known is not None and known.workload != child.workload:
            self._leave(kind, known)
        family = Key(child.namespace, child.workload)
        self._families.setdefault(family, {}).setdefault(kind, {})[child.name] = child
        if not own:
            news = known is None or replace(known, version=child.version) != child
        elif known is not None and known.workload == child.workload:
            news = known.reported != child.reported
        else:
            # It may have been there all along, without the label by which it is found.
            news = any(child.reported)
        if news:
            self._wake(family)

    def _leave(self, kind: Kind, child: Child) -> None:
        family = Key(child.namespace, child.workload)
        kinds = self._families.get(family, {})
        members = kinds.get(kind, {})
        members.pop(child.name, None)
        if not members:
            kinds.pop(kind, None)
        if not kinds:
            self._families.pop(family, None)
        self._wake(family)

    # Versions and dependencies

    def _outdated(self, kind: Kind, key: Key, version: int, known: Record | Child | None) -> bool:
        if known is not None and known.version >= version:
            return True
        return self._tombstones.cover(kind, key, version)

    def _link(self, kind: Kind, key: Key, before: Subject | None, after: Subject | None) -> None:
        if kind is AGENT_UPGRADE and before is not None:
            discard(self._upgrades, _workload_of(key, before), key)
        if kind is AGENT_UPGRADE and after is not None:
            self._upgrades[_workload_of(key, after)].add(key)
        for needed in _needed(kind, key, before):
            discard(self._dependents, needed, (kind, key))
        for needed in _needed(kind, key, after):
            self._dependents[needed].add((kind, key))
        if kind is self.kind:
            traffic = cast("Workload", after).spec.traffic if after else None
            self.routes.use(key, traffic)
        if after is not None and tries(after):
            self.jobs_wanted.set()
        if after is not None and mirrors(after):
            self.gateways.use(_workload_of(key, after))
        elif kind is self.kind and after is None:
            self.gateways.forget(key)

    def _wake_tried(self) -> None:
        """It is known now which Jobs there are: those that have none wait for that."""
        for records in self._subjects.values():
            for key, record in records.items():
                if tries(record.subject):
                    self._wake(_workload_of(key, record.subject))

    def wake_dependents(self, kind: Kind, key: Key) -> None:
        """A subject, of this store or another one, has changed: tell those that depend on it."""
        for of, dependent in self._dependents.get((kind, key), ()):
            if record := self._subjects[of].get(dependent):
                self._wake(_workload_of(dependent, record.subject))


def _view(kind: Kind, raw: Mapping[str, Any]) -> Child:
    return _VIEWS.get(kind, Child).of(raw)
