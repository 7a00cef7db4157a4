"""Carry out a plan: intent by intent, in its order, each guarded by what it expects to find.

A write that the server refuses does not stop the others of its stage, since they may still serve
people. But nothing is said or scaled on a plan of which something before that was refused: it would
not be true, and pods would be taken away from requests that still come. The next turn, which knows
of the refusal, says and does what is left. A write that gets no answer stops all, since the rest
would fare no better. What was refused comes back as failures, for the rules to tell about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agentherd.cluster import Cluster
from agentherd.domain.errors import Conflict, Invalid, NameTaken, NotFound, TerminalError
from agentherd.domain.kinds import (
    AGENT,
    APPLIED_ANNOTATION,
    DISRUPTION_BUDGET,
    SERVICE,
    Key,
    Kind,
    workload_in,
)
from agentherd.domain.plan import (
    Apply,
    Create,
    Delete,
    Emit,
    Identity,
    Intent,
    Manifest,
    Merge,
    Owner,
    Plan,
    Ref,
    Scale,
    Stage,
    WriteCondition,
    WriteStatus,
)
from agentherd.domain.views import (
    CONDITION_MANAGER,
    FIELD_MANAGER,
    SCALE_MANAGER,
    STATUS_MANAGER,
)
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import SUBJECT_KINDS, Record

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
    stage: Stage


def is_left_out(intent: Intent, refusals: Iterable[Refusal]) -> bool:
    """Whether an intent is left to the next turn because of what was refused before it."""
    return any(refusal.stage < min(intent.stage, Stage.STATUS) for refusal in refusals)


class Answers(Protocol):
    """Where the answers to writes are put, such as a store."""

    def record(self, kind: Kind, key: Key) -> Record | None:
        """A subject as it is known now."""
        ...

    def put_subject(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> object:
        """A subject is this now; `own` when nobody else can have changed it."""
        ...

    def put(self, kind: Kind, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """A child is this now."""
        ...

    def forget_subject(self, kind: Kind, key: Key) -> None:
        """A subject does not exist."""
        ...


class Witness(Protocol):
    """Whom every status is told of that was written."""

    def wrote(self, kind: Kind, key: Key, before: Record, after: Record) -> None:
        """A status was written: `before` was known of the object, and `after` is now."""
        ...


class Applier:
    """Turns intents into requests and puts the answers into the store."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Answers,
        recorder: Recorder,
        witnesses: Sequence[Witness] = (),
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._recorder = recorder
        self._witnesses = witnesses
        self._may_write = may_write

    async def carry_out(self, key: Key, owner: Owner | None, plan: Plan) -> list[Refusal]:
        """Carry out the plan for what belongs to `owner`; returns what was refused.

        Raises:
            TransientError: a write got no answer, or an object is not the one that was seen.
        """
        if owner is not None and owner.seen_before and _creates(plan):
            await self._confirm(key, owner)
        refusals: list[Refusal] = []
        for intent in plan.intents:
            self._confirm_lead()
            if is_left_out(intent, refusals):
                break
            try:
                await self._do(key, owner, intent)
            except TerminalError as error:
                if isinstance(intent, WriteStatus | Emit):
                    raise Conflict(f"the status is refused: {error}") from error
                refusals.append(Refusal(intent.ref, error, intent.stage))
        return refusals

    def _confirm_lead(self) -> None:
        """Raises Conflict in a process that was frozen and wakes up where it waited for an answer.

        So it has to be asked after whatever was waited for, right before each write.
        """
        if not self._may_write():
            raise Conflict("the Lease was not renewed in time; another process may lead")

    async def _do(self, key: Key, owner: Owner | None, intent: Intent) -> None:
        namespace = key.namespace
        match intent:
            case Apply():
                await self._apply(key, owner, intent)
            case WriteStatus():
                await self._write_status(namespace, intent)
            case Scale():
                target = Identity(kind=intent.kind, name=intent.name, uid=intent.uid)
                manifest = _sparse(namespace, target, {"spec": {"replicas": intent.replicas}})
                answer = await self._cluster.apply(intent.kind, manifest, manager=SCALE_MANAGER)
                self._store.put(intent.kind, answer, own=True)
            case Create():
                await self._create(intent)
            case Merge():
                await self._merge(namespace, intent)
            case WriteCondition():
                await self._write_condition(namespace, intent)
            case Delete():
                place = Key(namespace, intent.name)
                await self._cluster.delete(intent.kind, place, uid=intent.uid)
            case Emit():
                await self._recorder.record(namespace, intent)

    async def _write_status(self, namespace: str, intent: WriteStatus) -> None:
        kind, key = intent.target.kind, Key(namespace, intent.target.name)
        manifest = _sparse(namespace, intent.target, {"status": intent.status})
        before = self._store.record(kind, key)
        answer = await self._cluster.apply_status(kind, manifest, manager=STATUS_MANAGER)
        self._store.put_subject(kind, answer, own=True)
        after = self._store.record(kind, key)
        if before is not None and after is not None:
            for witness in self._witnesses:
                witness.wrote(kind, key, before, after)

    async def _create(self, intent: Create) -> None:
        try:
            answer = await self._cluster.create(intent.kind, intent.manifest)
        except Conflict:
            # It was made by a turn of which nothing more is known; the watch will tell.
            return
        self._store.put_subject(intent.kind, answer)

    async def _merge(self, namespace: str, intent: Merge) -> None:
        metadata = {**intent.patch.get("metadata", {}), "uid": intent.uid}
        if intent.version is not None:
            metadata["resourceVersion"] = str(intent.version)
        patch = {**intent.patch, "metadata": metadata}
        try:
            answer = await self._cluster.merge(intent.kind, Key(namespace, intent.name), patch)
        except NotFound:
            return
        if intent.kind in SUBJECT_KINDS:
            self._store.put_subject(intent.kind, answer)
        else:
            self._store.put(intent.kind, answer, own=True)

    async def _write_condition(self, namespace: str, intent: WriteCondition) -> None:
        target = Identity(kind=intent.kind, name=intent.name, uid=intent.uid)
        manifest = _sparse(namespace, target, {"status": {"conditions": [intent.condition]}})
        try:
            # Conditions are merged by their type, and the others stay those of others.
            answer = await self._cluster.apply_status(
                intent.kind, manifest, manager=CONDITION_MANAGER
            )
        except NotFound:
            return
        self._store.put(intent.kind, answer, own=True)

    async def _apply(self, key: Key, owner: Owner | None, intent: Apply) -> None:
        metadata = dict(intent.manifest["metadata"])
        if owner is not None and intent.claimed and intent.uid is None:
            await self._claim(key, owner, intent)
        if intent.uid is not None:
            metadata["uid"] = intent.uid
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            APPLIED_ANNOTATION: intent.digest,
        }
        manifest = _merged({**intent.manifest, "metadata": metadata}, intent.unhashed or {})
        self._confirm_lead()
        try:
            answer = await self._cluster.apply(intent.kind, manifest, manager=FIELD_MANAGER)
        except Invalid:
            if intent.uid is None or intent.kind not in _RIVALS:
                raise
            self._confirm_lead()
            await self._clear(key, intent)
            self._confirm_lead()
            answer = await self._cluster.apply(intent.kind, manifest, manager=FIELD_MANAGER)
        self._store.put(intent.kind, answer, own=True)

    async def _clear(self, key: Key, intent: Apply) -> None:
        """Remove what somebody added to a child and what excludes what we want there.

        Server-side apply leaves the fields of others alone, so it can only fail on them.
        """
        place = Key(key.namespace, intent.manifest["metadata"]["name"])
        spec = {field: intent.manifest["spec"].get(field) for field in _RIVALS[intent.kind]}
        patch = {"metadata": {"uid": intent.uid}, "spec": spec}
        await self._cluster.merge(intent.kind, place, patch)

    async def _claim(self, key: Key, owner: Owner, intent: Apply) -> None:
        """Make sure that a name people also use is free, or already ours.

        Server-side apply would take an existing object over instead of refusing.
        """
        name = intent.manifest["metadata"]["name"]
        try:
            found = await self._cluster.get(intent.kind, Key(key.namespace, name))
        except NotFound:
            return
        owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
        labels = found["metadata"].get("labels", {})
        orphaned = (
            not owners
            and APPLIED_ANNOTATION in found["metadata"].get("annotations", {})
            and workload_in(labels) in {(AGENT.name, ""), (owner.identity.kind.name, key.name)}
        )
        if owner.identity.uid not in owners and not orphaned:
            raise NameTaken(
                f"{intent.kind.name} {name} exists and does not belong to this "
                f"{owner.identity.kind.name}; "
                "rename one of the two, or delete it if nobody needs it"
            )

    async def _confirm(self, key: Key, owner: Owner) -> None:
        """Make sure that the owner still is before children are made for it once more.

        Its children may be missing because it was deleted and the news has not arrived.
        """
        kind = owner.identity.kind
        try:
            raw = await self._cluster.get(kind, key)
        except NotFound:
            self._store.forget_subject(kind, key)
            raise Conflict(f"{kind.name} {key} does not exist any more") from None
        if raw["metadata"]["uid"] != owner.identity.uid:
            self._store.put_subject(kind, raw)
            raise Conflict(f"{kind.name} {key} was made anew")


def _sparse(namespace: str, target: Identity, body: Manifest) -> dict[str, Any]:
    """A manifest of just these fields of exactly this object."""
    return {
        "apiVersion": target.kind.api_version,
        "kind": target.kind.name,
        "metadata": {"name": target.name, "namespace": namespace, "uid": target.uid},
        **body,
    }


def _creates(plan: Plan) -> bool:
    return any(isinstance(intent, Apply) and intent.uid is None for intent in plan.intents)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result
