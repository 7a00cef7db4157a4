"""Which objects were deleted, and as of which version.

An answer to a write may come after the news that the object is gone, and must not bring it back.
Answers come soon or never, so only the latest deletions are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from agentherd.domain.kinds import Key, Kind

REMEMBERED: Final = 10_000


class Tombstones:
    """The versions of the latest deletions."""

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[Kind, Key], int] = OrderedDict()

    def bury(self, kind: Kind, key: Key, version: int) -> None:
        """An object was deleted, as of `version`, whether it was known or not."""
        self._versions[kind, key] = max(version, self._versions.get((kind, key), 0))
        self._versions.move_to_end((kind, key))
        if len(self._versions) > REMEMBERED:
            self._versions.popitem(last=False)

    def cover(self, kind: Kind, key: Key, version: int) -> bool:
        """Whether an object of this version has been deleted since."""
        return self._versions.get((kind, key), -1) >= version
