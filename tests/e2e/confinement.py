"""What the first process of a pod may do, as it is seen from inside; run by the pod's own Python.

It prints JSON: lines of the process's status, which directories could be written to, how a file is
refused at some places, whether the root file system is read-only, and the files that the process
has open for writing. Needs nothing but the standard library.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

STATUS = ("Uid", "Gid", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
PLACES = ("/", "/etc", "/home", "/opt/agentherd", "/var", "/run", "/tmp")
KERNEL = ("/proc", "/sys")
"""Mounts that are no place for files, and have no end."""


def status() -> dict[str, list[str]]:
    with Path("/proc/1/status").open() as lines:
        found = dict(line.split(":", 1) for line in lines)
    return {name: found[name].split() for name in STATUS}


def open_to_writing() -> Iterator[str]:
    for directory, below, _ in os.walk("/"):
        if directory == "/":
            below[:] = sorted({*below} - {name.strip("/") for name in KERNEL})
        if os.access(directory, os.W_OK):
            yield directory


def refused(place: str) -> str | None:
    """Why no file can be made there; None if one can, and it is removed again."""
    path = Path(place, "tried")
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        return error.strerror
    path.unlink()
    return None


def being_written() -> Iterator[str]:
    for descriptor in Path("/proc/1/fd").iterdir():
        with Path("/proc/1/fdinfo", descriptor.name).open() as lines:
            found = dict(line.split(":", 1) for line in lines)
        if int(found["flags"], 8) & os.O_ACCMODE != os.O_RDONLY:
            yield str(descriptor.readlink())


if __name__ == "__main__":
    seen = {
        "status": status(),
        "openToWriting": sorted(open_to_writing()),
        "refused": {place: refused(place) for place in PLACES},
        "readOnlyRoot": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "beingWritten": sorted(being_written()),
    }
    print(json.dumps(seen))
