"""One at a time: two starts of a cluster, or two builds of an image, would undo each other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster.layout import CACHE


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process holds the lock of this name; it ends with the process."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
