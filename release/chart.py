"""The chart as a package that is the same whenever it is made.

In the tree the chart names the image that `make image` builds; the package names that of its
version. Helm stamps files with the time at which it packs them, so they are packed anew.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Final

from devcluster.command import run

DEVELOPMENT: Final = "\n  tag: dev\n"
RELEASED: Final = '\n  tag: ""\n'


def package(helm: Path, chart: Path, target: Path, *, epoch: int) -> None:
    """Write the package of a chart to `target`.

    Raises:
        SystemExit: the chart names no image of the development cluster.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / chart.name
        shutil.copytree(chart, copy)
        (copy / "values.yaml").write_text(released((copy / "values.yaml").read_text()))
        run([helm, "package", copy, "--destination", directory])
        (made,) = Path(directory).glob("*.tgz")
        target.write_bytes(timeless(made.read_bytes(), epoch=epoch))


def released(values: str) -> str:
    """The default values with the image of the chart's version."""
    if values.count(DEVELOPMENT) != 1:
        raise SystemExit("values.yaml has to name the tag of the development image once")
    return values.replace(DEVELOPMENT, RELEASED)


def timeless(archive: bytes, *, epoch: int) -> bytes:
    """A .tgz with the same files, in the order of their names, all of one time."""
    plain = BytesIO()
    with (
        tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as source,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as sink,
    ):
        for entry in sorted(source.getmembers(), key=lambda each: each.name):
            entry.mtime = epoch
            entry.pax_headers = {}
            sink.addfile(entry, source.extractfile(entry))
    return gzip.compress(plain.getvalue(), mtime=epoch)
