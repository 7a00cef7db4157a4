"""What kind of file system the checkout is on.

An overlay cannot be mounted on another one, which is where a checkout in a container is. There
containers and image builds copy files instead, which is slower and works everywhere.
"""

from __future__ import annotations

from pathlib import Path


def on_overlay(path: Path) -> bool:
    """Whether an overlay below this path would have to be on another one."""
    return filesystem_of(path, Path("/proc/mounts").read_text()) == "overlay"


def filesystem_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds a path, by the text of /proc/mounts."""
    entries = (line.split() for line in mounts.splitlines())
    holders = [(entry[1], entry[2]) for entry in entries if path.is_relative_to(entry[1])]
    return max(holders, key=lambda holder: len(holder[0]), default=("/", ""))[1]
