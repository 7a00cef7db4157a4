"""The verbs in which the operator speaks to an API server.

Every method raises the errors of `agentherd.domain.errors` and nothing else: transient ones are
worth another try, terminal ones are not. No method retries by itself; whoever calls knows
whether what it wanted is still wanted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentherd.domain.kinds import Key, Kind

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `version` is the resourceVersion of the whole list."""

    items: list[Raw]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A line of a watch: `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Raw


class Cluster(Protocol):
    """An API server, seen by the operator."""

    async def get(self, kind: Kind, key: Key) -> Raw:
        """Read one object; raises NotFound."""
        ...

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """Read all objects of a kind in pages; raises Expired when it took too long.

        `selector` is one of labels, `fields` one of fields, both as the API server writes them.
        """
        ...

    def watch(
        self,
        kind: Kind,
        *,
        version: str,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Follow the changes since `version` until the server ends the stream; raises Expired."""
        ...

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply; raises Conflict when the manifest's uid is not that of the object."""
        ...

    async def apply_status(self, kind: Kind, manifest: Mapping[str, Any], *, manager: str) -> Raw:
        """Server-side apply of the status subresource."""
        ...

    async def create(
        self, kind: Kind, manifest: Mapping[str, Any], *, dry_run: bool = False
    ) -> Raw:
        """Create an object, or with `dry_run` only find out whether it would be let through.

        Raises Conflict when one of its name exists.
        """
        ...

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> Raw:
        """Replace an object; raises Conflict unless its resourceVersion is the manifest's."""
        ...

    async def merge(self, kind: Kind, key: Key, patch: Mapping[str, Any]) -> Raw:
        """Merge `patch` into an object; raises Conflict when the patch names another uid."""
        ...

    async def delete(self, kind: Kind, key: Key, *, uid: str) -> None:
        """Delete exactly the object with `uid`; one that is gone already is no error."""
        ...
