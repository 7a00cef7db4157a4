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
# All pods together compete with every single process outside of their cgroup. As much as one of
# those, which is the default, they would be starved by a few that work: the tests, their operators.
AS_MANY_PROCESSES = 8
WEIGHTS = {"cpu.shares": 1024, "cpu.weight": 100}
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


def create_cgroup(layout: Layout, root: Path = CGROUPS) -> None:
    """Make the cgroup under which the kubelet puts its pods, and give it its weight."""
    for hierarchy in hierarchies(root):
        cgroup = hierarchy / layout.name
        cgroup.mkdir(exist_ok=True)
        for name, of_a_process in WEIGHTS.items():
            # Version 1 has the first, version 2 the second, and hierarchies of other things none.
            if (cgroup / name).exists():
                (cgroup / name).write_text(str(AS_MANY_PROCESSES * of_a_process))


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
