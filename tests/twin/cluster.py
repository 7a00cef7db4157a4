"""`Twin`: the API server's rules that the operator builds on, and the controllers beside it.

It keeps one global version, uids, generations, managedFields and a log of changes to watch. It
speaks the `Cluster` protocol for the operator; `put`, `edit` and `remove` are what everybody else
does. Writes can be refused by name, and interrupted by number.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final, Literal

from tests.twin.merging import Raw, copied, merged, owned, sent, still_owned, without
from tests.twin.samples import NOON

from agentherd.cluster import Page, WatchEvent
from agentherd.domain.errors import AgentherdError, Conflict, Expired, Forbidden, NotFound
from agentherd.domain.kinds import POD, Key, Kind

When = Literal["before", "after"]


class Killed(BaseException):
    """The process ends here: nothing may catch it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the server."""

    verb: str
    kind: Kind
    key: Key
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    kind: Kind | None
    before: Raw | None
    after: Raw | None


class Twin:
    """A cluster in memory; `clock` stamps what is written."""

    def __init__(self, clock: Callable[[], datetime] = lambda: NOON, *, page_size: int = 2) -> None:
        self.requests: list[Request] = []
        self.writes = 0
        self.refusals: dict[tuple[str, str], AgentherdError] = {}
        self.outages: deque[AgentherdError] = deque()
        """Errors for the next reads, one each."""
        self.forgery: AgentherdError | None = Forbidden("you may not update agentupgrades/approval")
        """The answer to a forged approval, which is all that is ever tried out; None: it passes."""
        self.on_write: Callable[[int, When], None] | None = None
        """Called around each write with its number: whoever dies then leaves the cluster so."""
        self._clock = clock
        self._page_size = page_size
        self._interruptions: dict[tuple[int, When], BaseException] = {}
        self._objects: dict[Kind, dict[Key, Raw]] = defaultdict(dict)
        self._applied: dict[tuple[str, str, str], Raw] = {}
        self._changes: list[_Change] = []
        self._version, self._compacted, self._ended = 100, 0, 0
        self._uids = count(1)
        self._news = asyncio.Event()

    # What a test arranges and looks at

    @property
    def version(self) -> int:
        """The version of the last change."""
        return self._version

    def fork(self) -> Twin:
        """The same cluster once more, with a life of its own from here on."""
        twin = Twin(self._clock, page_size=self._page_size)
        twin._objects |= {kind: dict(objects) for kind, objects in self._objects.items()}
        twin._applied |= self._applied
        twin._version = twin._compacted = self._version
        twin._uids = copy(self._uids)
        return twin

    def interrupt(self, write: int, when: When, error: BaseException) -> None:
        """Raise `error` before or after the `write`-th write, counted from 1."""
        self._interruptions[write, when] = error

    def live(self, kind: Kind, name: str, namespace: str = "default") -> Raw:
        """A copy of an object that exists."""
        return copied(self._objects[kind][Key(namespace, name)])

    def all(self, kind: Kind) -> list[Raw]:
        """Copies of all objects of a kind, by key."""
        return [copied(raw) for _, raw in sorted(self._objects[kind].items())]

    def names(self, kind: Kind) -> list[str]:
        """The names of all objects of a kind."""
        return [key.name for key in sorted(self._objects[kind])]

    def news(
        self,
        kind: Kind,
        since: int,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
    ) -> list[WatchEvent]:
        """What a watch of a kind is told of the changes after version `since`."""
        selection = (namespace, selector, fields)
        events = (_event(c, kind, selection) for c in self._changes if c.version > since)
        return [event for event in events if event is not None]

    def expire(self) -> None:
        """Forget the changes so far: a watch from before gets 410."""
        self._version += 1
        self._compacted = self._version
        self._tell()

    def end_watches(self) -> None:
        """End every open watch in order, as the server does after some minutes."""
        self._ended += 1
        self._tell()

    def bookmark(self) -> None:
        """Tell every watch the present version."""
        self._version += 1
        self._changes.append(_Change(self._version, None, None, None))
        self._tell()

    # What everybody else does

    def put(self, kind: Kind, raw: Mapping[str, Any], *, manager: str = "kubectl") -> Raw:
        """Create or replace an object."""
        key = key_of(raw)
        known = self._objects[kind].get(key)
        return self._store(kind, key, known, dict(raw), manager=manager, fields=_payload(raw))

    def edit(
        self,
        kind: Kind,
        name: str,
        patch: Mapping[str, Any],
        *,
        manager: str = "kubectl",
        namespace: str = "default",
    ) -> Raw:
        """Merge a patch into an object."""
        key = Key(namespace, name)
        known = self._objects[kind][key]
        after = merged(known, patch)
        sub = "status" if set(patch) == {"status"} else ""
        return self._store(kind, key, known, after, manager=manager, fields=patch, subresource=sub)

    def remove(self, kind: Kind, name: str, *, namespace: str = "default") -> None:
        """Delete an object at once."""
        before = self._objects[kind].pop(Key(namespace, name))
        self._version += 1
        gone = copied(before)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._changes.append(_Change(self._version, kind, before, None))
        self._tell()

    # The verbs of the operator

    async def get(self, kind: Kind, key: Key) -> Raw:
        """Read one object."""
        self._reading(Request("GET", kind, key))
        await asyncio.sleep(0)
        if key not in self._objects[kind]:
            raise NotFound(f'{kind.plural} "{key.name}" not found')
        return copied(self._objects[kind][key])

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """Read all objects of a kind, page by page."""
        self._reading(Request("LIST", kind, Key(namespace or "", "")))
        await asyncio.sleep(0)
        version = str(self._version)
        found = [
            {"metadata": raw["metadata"]} if metadata_only else raw
            for raw in self.all(kind)
            if _selected(raw, namespace, selector, fields)
        ]
        for start in range(0, len(found) or 1, self._page_size):
            yield Page(found[start : start + self._page_size], version)

    async def watch(
        self,
        kind: Kind,
        *,
        version: str,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Follow the changes of a kind since `version`."""
        self._reading(Request("WATCH", kind, Key(namespace or "", "")))
        seen, ended = int(version), self._ended
        while True:
            news = self._news
            if seen < self._compacted:
                raise Expired("too old resource version")
            events = self.news(kind, seen, namespace=namespace, selector=selector, fields=fields)
            seen = self._version
            for event in events:
                yield event
            if self._ended != ended:
                return
            await news.wait()

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply."""
        fields = {k: v for k, v in manifest.items() if k != "status"}
        write = lambda: self._apply(kind, manifest, fields, manager, "")  # noqa: E731
        return await self._write(Request("APPLY", kind, key_of(manifest), manifest), write)

    async def apply_status(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply of the status."""
        fields = {"status": manifest["status"]}
        write = lambda: self._apply(kind, manifest, fields, manager, "status")  # noqa: E731
        return await self._write(Request("APPLY_STATUS", kind, key_of(manifest), manifest), write)

    async def create(
        self, kind: Kind, manifest: Mapping[str, Any], *, dry_run: bool = False
    ) -> Raw:
        """Create an object, or find out whether it would be let through."""
        if dry_run:
            self._reading(Request("DRY_RUN", kind, key_of(manifest), manifest))
            await asyncio.sleep(0)
            if self.forgery is not None:
                raise self.forgery
            return copied(dict(manifest))

        def write() -> Raw:
            if key_of(manifest) in self._objects[kind]:
                raise Conflict(f"{kind.plural} {key_of(manifest).name} already exists")
            return self.put(kind, manifest, manager="agentherd")

        return await self._write(Request("CREATE", kind, key_of(manifest), manifest), write)

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> Raw:
        """Replace an object of this resourceVersion."""

        def write() -> Raw:
            known = self._found(kind, key_of(manifest))
            if known["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
                raise Conflict("the object has been modified")
            return self.put(kind, manifest, manager="agentherd")

        return await self._write(Request("UPDATE", kind, key_of(manifest), manifest), write)

    async def merge(self, kind: Kind, key: Key, patch: Mapping[str, Any]) -> Raw:
        """Merge a patch into an object."""

        def write() -> Raw:
            known = self._found(kind, key)
            expected = patch.get("metadata", {})
            for name in ("uid", "resourceVersion"):
                if expected.get(name, known["metadata"][name]) != known["metadata"][name]:
                    raise Conflict(f"the {name} is another one")
            return self.edit(kind, key.name, patch, manager="agentherd", namespace=key.namespace)

        return await self._write(Request("PATCH", kind, key, patch), write)

    async def delete(self, kind: Kind, key: Key, *, uid: str) -> None:
        """Delete the object with this uid, if it is still there."""

        def write() -> Raw:
            known = self._objects[kind].get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                self.remove(kind, key.name, namespace=key.namespace)
            return {}

        await self._write(Request("DELETE", kind, key), write)

    # How it is done

    def _reading(self, request: Request) -> None:
        self.requests.append(request)
        if self.outages:
            raise self.outages.popleft()

    async def _write(self, request: Request, write: Callable[[], Raw]) -> Raw:
        self.requests.append(request)
        self.writes += 1
        number = self.writes
        self._strike(number, "before")
        await asyncio.sleep(0)
        if error := self.refusals.get((request.kind.name, request.key.name)):
            raise error
        answer = write()
        self._strike(number, "after")
        return answer

    def _strike(self, number: int, when: When) -> None:
        if self.on_write is not None:
            self.on_write(number, when)
        if error := self._interruptions.pop((number, when), None):
            raise error

    def _found(self, kind: Kind, key: Key) -> Raw:
        if key not in self._objects[kind]:
            raise NotFound(f'{kind.plural} "{key.name}" not found')
        return self._objects[kind][key]

    def _apply(
        self, kind: Kind, manifest: Mapping[str, Any], fields: Raw, manager: str, subresource: str
    ) -> Raw:
        key = key_of(manifest)
        known = self._objects[kind].get(key)
        uid = manifest["metadata"].get("uid")
        if uid is not None and (known is None or known["metadata"]["uid"] != uid):
            raise Conflict(f"uid mismatch: {uid} was asked for")
        if known is None and subresource:
            raise NotFound(f'{kind.plural} "{key.name}" not found')
        live_uid = known["metadata"]["uid"] if known else f"uid-{next(self._uids)}"
        ours = (live_uid, manager, subresource)
        others = [f for o, f in self._applied.items() if o[0] == live_uid and o != ours]
        kept = without(known or {}, self._applied.get(ours, {}), fields, others)
        after = merged(kept, fields)
        if kind is POD and subresource:
            after["status"]["conditions"] = _by_type(known, fields)
        after["metadata"] = {**after.get("metadata", {}), "uid": live_uid}
        self._applied[ours] = sent(fields)
        return self._store(
            kind,
            key,
            known,
            after,
            manager=manager,
            operation="Apply",
            subresource=subresource,
            fields=_payload(fields),
        )

    def _store(
        self,
        kind: Kind,
        key: Key,
        known: Raw | None,
        after: Raw,
        *,
        manager: str,
        operation: str = "Update",
        subresource: str = "",
        fields: Mapping[str, Any],
    ) -> Raw:
        after = sent(after)
        metadata = after["metadata"]
        if known is not None and _bare(known) == _bare(after):
            return copied(known)
        self._version += 1
        if known is None:
            metadata.setdefault("uid", f"uid-{next(self._uids)}")
            metadata["creationTimestamp"] = self.stamp()
            metadata["generation"] = 1
        else:
            old = known["metadata"]
            metadata |= {name: old[name] for name in ("uid", "creationTimestamp")}
            metadata["generation"] = old["generation"] + (known.get("spec") != after.get("spec"))
        metadata["resourceVersion"] = str(self._version)
        entry: Raw = {"manager": manager, "operation": operation, "time": self.stamp()}
        entry["fieldsV1"] = owned(fields)
        if subresource:
            entry["subresource"] = subresource
        metadata["managedFields"] = [
            e | {"fieldsV1": still_owned(e["fieldsV1"], known or {}, after)}
            for e in (known or {"metadata": {}})["metadata"].get("managedFields", ())
            if (e["manager"], e["operation"], e.get("subresource", ""))
            != (manager, operation, subresource)
        ] + [entry]
        self._objects[kind][key] = after
        self._changes.append(_Change(self._version, kind, known, after))
        self._tell()
        return copied(after)

    def stamp(self) -> str:
        """The time as it stands in objects."""
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


_SERVERS: Final = ("resourceVersion", "generation", "managedFields", "creationTimestamp", "uid")


def _by_type(known: Raw | None, applied: Raw) -> list[Raw]:
    """The conditions of an object and those that are applied, which are a map by their type."""
    both = [(known or {}).get("status", {}), applied["status"]]
    found = {each["type"]: each for status in both for each in status.get("conditions", ())}
    return list(found.values())


def _bare(raw: Mapping[str, Any]) -> Raw:
    metadata = {k: v for k, v in raw["metadata"].items() if k not in _SERVERS}
    return {**raw, "metadata": metadata}


def _payload(raw: Mapping[str, Any]) -> Raw:
    """What a writer owns of the object it sends."""
    own = {k: v for k, v in raw.items() if k not in {"apiVersion", "kind", "metadata"}}
    metadata = raw.get("metadata", {})
    named = {k: metadata[k] for k in ("labels", "annotations", "ownerReferences") if k in metadata}
    return own | ({"metadata": named} if named else {})


def key_of(raw: Mapping[str, Any]) -> Key:
    """The address of an object; one of the whole cluster has no namespace."""
    return Key(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


Selection = tuple[str | None, str, str]


def _selected(
    raw: Mapping[str, Any] | None, namespace: str | None, selector: str, fields: str
) -> bool:
    if raw is None or namespace not in {None, raw["metadata"]["namespace"]}:
        return False
    labels = raw["metadata"].get("labels", {})
    wanted = [term.split("=") for term in selector.split(",") if term]
    return all(labels.get(label) == value for label, value in wanted) and all(
        _at(raw, path) == value for path, value in (t.split("=") for t in fields.split(",") if t)
    )


def _at(raw: Mapping[str, Any], path: str) -> Any:
    found: Any = raw
    for name in path.split("."):
        found = found.get(name, {})
    return found


def _event(change: _Change, kind: Kind, selection: Selection) -> WatchEvent | None:
    """What a watch is told; an object that leaves the selection counts as deleted."""
    version = {"resourceVersion": str(change.version)}
    if change.kind is None:
        return WatchEvent("BOOKMARK", {"metadata": version})
    if change.kind != kind:
        return None
    was = _selected(change.before, *selection)
    if _selected(change.after, *selection):
        return WatchEvent("MODIFIED" if was else "ADDED", copied(change.after or {}))
    if was and change.before is not None:
        last = copied(change.after or change.before)
        last["metadata"] |= version
        return WatchEvent("DELETED", last)
    return None
