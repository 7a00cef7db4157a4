"""What a kubelet leaves in the kernel outside of any namespace: cgroups and settings.

Pods get a cgroup of the cluster's own, so that removing it cannot touch those of another program.
The settings that a kubelet writes at its start are noted before and put back afterwards.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from devcluster.command import wait_until
from devcluster.layout import Layout

CGROUPS = Path("/sys/fs/cgroup")
SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def hierarchies(root: Path = CGROUPS) -> tuple[Path, ...]:
    """The roots below which a cgroup has to be made: one for version 2, one a controller before."""
    if (root / "cgroup.controllers").exists():
        return (root,)
    candidates = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    return tuple(path for path in candidates if (path / "cgroup.procs").exists())


def create_cgroup(layout: Layout) -> None:
    """Make the cgroup under which the kubelet puts its pods."""
    for hierarchy in hierarchies():
        (hierarchy / layout.name).mkdir(exist_ok=True)


def remove_cgroup(layout: Layout) -> None:
    """Remove it with all below; the kernel needs a moment after the last process."""
    wait_until(
        lambda: all(_removed(hierarchy / layout.name) for hierarchy in hierarchies()),
        what=f"the cgroup {layout.name} is empty",
        seconds=10,
    )


def _removed(cgroup: Path) -> bool:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def note_settings(layout: Layout) -> None:
    """Write down the settings, unless an earlier start that was killed did so."""
    if layout.kernel_settings.exists():
        return
    present = {name: Path("/proc/sys") / name for name in SETTINGS}
    values = {name: path.read_text().strip() for name, path in present.items() if path.exists()}
    layout.kernel_settings.parent.mkdir(parents=True, exist_ok=True)
    layout.kernel_settings.write_text(json.dumps(values))


def restore_settings(layout: Layout) -> None:
    """Put back what was noted."""
    if not layout.kernel_settings.exists():
        return
    for name, value in json.loads(layout.kernel_settings.read_text()).items():
        path = Path("/proc/sys") / name
        if path.read_text().strip() != value:
            path.write_text(value)
