"""What is to be done: intents, and the plan that orders them.

The order is part of the contract: traffic first, so that nobody is sent to pods that are about
to change; then children that are missing and start nothing, so that a status that calls an object
ready is true; then status, so that what was decided is recorded before it is acted on; then scale
and the other children; then Events. A process killed between any two intents decides the same
again when it is started, because every intent is idempotent and carries what it expects to find.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from agentherd.domain.judging.metrics import Question
from agentherd.domain.kinds import Kind
from agentherd.domain.readings import Target
from agentherd.domain.reasons import Reason
from agentherd.domain.warmth import WarmUpRequest

Manifest = Mapping[str, Any]


class Stage(IntEnum):
    """The place of an intent in the order of a plan."""

    TRAFFIC = 0
    RECORD = 1
    CHILDREN = 2
    STATUS = 3
    SCALE = 4
    EVENTS = 5


class Ref(tuple[str, str]):
    """Kind and name of a child, e.g. to remember which write was refused."""

    __slots__ = ()

    def __new__(cls, kind: str, name: str) -> Ref:
        """Make a reference from a kind's name and an object's name."""
        return super().__new__(cls, (kind, name))

    def __str__(self) -> str:
        return f"{self[0]} {self[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Exactly one object: another one made anew under its name has another uid."""

    kind: Kind
    name: str
    uid: str

    @property
    def ref(self) -> Ref:
        """The object by kind and name."""
        return Ref(self.kind.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The object to which belongs what a plan writes; `seen_before` when it has a status."""

    identity: Identity
    seen_before: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Create the child or bring the fields that are ours back to `manifest`.

    `uid` is that of the live object: the write fails when it was made anew meanwhile. Without
    one the child is to be created; `claimed` then asks to look first whether an object of that
    name belongs to somebody else. `unhashed` are further fields which are written with it but
    whose value may be changed later by another intent (the replicas of a ReplicaSet).
    """

    stage: Stage
    kind: Kind
    manifest: Manifest
    digest: str
    uid: str | None = None
    claimed: bool = False
    unhashed: Manifest | None = None

    @property
    def ref(self) -> Ref:
        """Which child is written."""
        return Ref(self.kind.name, self.manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Give a ReplicaSet that exists another number of replicas; nothing else of it is touched."""

    kind: Kind
    name: str
    uid: str
    replicas: int
    stage: Stage = Stage.SCALE

    @property
    def ref(self) -> Ref:
        """Which child is scaled."""
        return Ref(self.kind.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make an object that must not exist yet; one of its name that does is left alone."""

    kind: Kind
    manifest: Manifest
    stage: Stage = Stage.RECORD

    @property
    def ref(self) -> Ref:
        """Which object is made."""
        return Ref(self.kind.name, self.manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Change some fields of an object that is not ours to apply: a pod, a route of a person's.

    Without a `version` what somebody else changed meanwhile is kept; with one the write fails
    unless the object still is as it was seen, which a list that is replaced as a whole needs.
    """

    kind: Kind
    name: str
    uid: str
    patch: Manifest
    stage: Stage
    version: int | None = None

    @property
    def ref(self) -> Ref:
        """Which object is changed."""
        return Ref(self.kind.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCondition:
    """Write one condition into the status of a child, of which others write the rest."""

    kind: Kind
    name: str
    uid: str
    condition: Manifest
    stage: Stage = Stage.SCALE

    @property
    def ref(self) -> Ref:
        """Which status is written; that it is refused does not hold other writes of it up."""
        return Ref(f"{self.kind.name}/status", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete exactly the object that was seen; one made anew under its name is left alone."""

    kind: Kind
    name: str
    uid: str
    stage: Stage = Stage.SCALE

    @property
    def ref(self) -> Ref:
        """Which child is deleted."""
        return Ref(self.kind.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStatus:
    """Replace a status. What is not `urgent` (counters, wordings) may be gathered for a while."""

    target: Identity
    status: Manifest
    urgent: bool
    stage: Stage = Stage.STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Tell people: one Event about an object, `at` the time of what it tells."""

    target: Identity
    reason: Reason
    message: str
    warning: bool
    at: datetime
    stage: Stage = Stage.EVENTS


Write = Apply | Scale | Create | Merge | WriteCondition | Delete
Intent = Write | WriteStatus | Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A write that was refused `at` a time, for which generation, and when to try it again."""

    reason: Reason
    message: str
    generation: int
    retry_at: datetime
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Intents in the order of their stages, and when to look again although nothing happened.

    `measure` are the pods that have to be looked at for the next decision, `ask` what other
    sources have to be asked, and `warm` the requests that cold pods have to answer.
    """

    intents: tuple[Intent, ...] = ()
    wake_at: datetime | None = None
    measure: tuple[Target, ...] = ()
    ask: tuple[Question, ...] = ()
    warm: tuple[WarmUpRequest, ...] = ()

    @classmethod
    def of(
        cls,
        intents: Iterable[Intent],
        *,
        wake_at: datetime | None = None,
        measure: Iterable[Target] = (),
        ask: Iterable[Question] = (),
        warm: Iterable[WarmUpRequest] = (),
    ) -> Plan:
        """A plan of `intents`, put into the order of their stages (stable within one)."""
        ordered = tuple(sorted(intents, key=lambda intent: intent.stage))
        return cls(ordered, wake_at, tuple(measure), tuple(ask), tuple(warm))


def digest(value: object) -> str:
    """A short name of a JSON value: equal for equal values, whatever the order of their keys.

    Ten characters of base 36 would hold 51 bits; ten of hex hold 40, of which a collision among
    the at most 21 kept revisions of one Agent has a chance below 1e-9.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(text.encode(), digest_size=5).hexdigest()
