"""Build what is handed out as a version into dist/: `python -m release`, or `make release`.

The chart as a package, the image of the operator as an archive, the wheel with the plugin of
kubectl, a bill of materials for each of the latter two, the notes, and checksums of all. Nothing is
pushed, signed or tagged; the same commit gives the same files, on the same base image. Their time
is that of the commit, unless SOURCE_DATE_EPOCH says another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import yaml
from devcluster import images, toolchain
from devcluster.command import run, succeeds
from devcluster.errors import ClusterError
from devcluster.images import Recipe
from devcluster.layout import BIN, ROOT
from devcluster.lock import alone
from devcluster.progress import Progress

from agentherd import __version__
from release import bill, chart, notes

DIST: Final = ROOT / "dist"
CHART: Final = ROOT / "helm/agentherd"
IMAGE: Final = images.OPERATOR.reference.partition(":")[0]
IMAGE_EXTRA: Final = "tracing"
"""What the image is built with beyond what the operator cannot do without, see the Dockerfile."""
PLUGIN_EXTRA: Final = "plugin"
SUMS: Final = "SHA256SUMS"


def main() -> int:
    """Build everything; returns the exit code."""
    progress = Progress()
    try:
        _check_versions()
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        _build(progress, uv=Path(os.environ.get("UV", "uv")), epoch=_epoch())
    except (ClusterError, notes.NoNotes) as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    if run(["git", "status", "--porcelain"], cwd=ROOT):
        progress.say("the tree has changes that are in no commit, so nobody can build this again")
    sys.stdout.write((DIST / SUMS).read_text())
    return 0


def _build(progress: Progress, *, uv: Path, epoch: int) -> None:
    (DIST / "NOTES.md").write_text(notes.notes((ROOT / "CHANGELOG.md").read_text(), __version__))
    with progress.step("packing the chart"):
        toolchain.build(toolchain.HELM, progress)
        package = DIST / f"agentherd-{__version__}.tgz"
        chart.package(BIN / "helm", CHART, package, epoch=epoch)
    with progress.step("building the wheel"):
        times = {"SOURCE_DATE_EPOCH": str(epoch)}
        run([uv, "build", "--wheel", f"--out-dir={DIST}", "--quiet"], cwd=ROOT, env=times)
        (DIST / ".gitignore").unlink(missing_ok=True)
    for extra, name in ((IMAGE_EXTRA, "operator"), (PLUGIN_EXTRA, "plugin")):
        found = bill.bill(uv, ROOT, extra=extra, version=__version__, epoch=epoch)
        text = json.dumps(found, indent=2) + "\n"
        (DIST / f"agentherd-{name}-{__version__}.cdx.json").write_text(text)
    recipe = Recipe(f"{IMAGE}:{__version__}", images.OPERATOR.dockerfile, timeless=True)
    with alone("images"):
        built = images.build(recipe, progress, docker=succeeds(["docker", "info"], timeout=5))
    shutil.copyfile(built.path, DIST / f"agentherd-operator-{__version__}.tar")
    _write_sums()


def _write_sums() -> None:
    """Digests of all files, for `sha256sum --check`."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(DIST.iterdir())
    ]
    (DIST / SUMS).write_text("".join(lines))


def _check_versions() -> None:
    """The chart, and the operator that it installs, are of one version."""
    said = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if not said["version"] == said["appVersion"] == __version__:
        raise ClusterError(
            f"the operator is {__version__}, but Chart.yaml says version {said['version']} and "
            f"appVersion {said['appVersion']}"
        )


def _epoch() -> int:
    said = os.environ.get("SOURCE_DATE_EPOCH")
    return int(said or run(["git", "log", "-1", "--format=%ct"], cwd=ROOT))


if __name__ == "__main__":
    sys.exit(main())
