"""Programs of the distribution that a local cluster or an image build needs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from devcluster.command import run
from devcluster.errors import CommandFailed, NothingPossible
from devcluster.layout import CACHE
from devcluster.lock import alone
from devcluster.progress import Progress

RUN_CLUSTER = {
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "mount": "mount",
}
BUILD_IMAGES = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "unshare": "util-linux",
}


def missing(needed: Mapping[str, str]) -> list[str]:
    """The packages whose program or file is not there."""

    def present(what: str) -> bool:
        return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None

    return sorted({package for what, package in needed.items() if not present(what)})


def ensure(needed: Mapping[str, str], progress: Progress) -> None:
    """Install what is missing, on Debian and its descendants; elsewhere say what to install."""
    packages = missing(needed)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise NothingPossible(f"install with the package manager here: {', '.join(packages)}")
    with progress.step(f"installing {', '.join(packages)}"):
        run(["apt-get", "update", "--quiet"])
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "install", "--yes", "--no-install-recommends", *packages], env=quiet)


def unpacked(package: str, progress: Progress) -> Path:
    """The files of a package below a directory of the cache; nothing is installed or started."""
    target = CACHE / "debian" / package
    with alone("debian"):
        if not target.exists():
            _unpack(package, target, progress)
    return target


def _unpack(package: str, target: Path, progress: Progress) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NothingPossible(f"install {package} with the package manager here")
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        progress.step(f"fetching {package}"),
        TemporaryDirectory(dir=target.parent, prefix=f"{package}.") as place,
    ):
        partial = Path(place) / "files"
        try:
            run(["apt-get", "download", "--quiet", package], cwd=Path(place))
        except CommandFailed:
            # The list of packages is old, or there is none.
            run(["apt-get", "update", "--quiet"])
            run(["apt-get", "download", "--quiet", package], cwd=Path(place))
        (archive,) = Path(place).glob("*.deb")
        run(["dpkg-deb", "--extract", archive, partial])
        partial.rename(target)


def prometheus(progress: Progress) -> Path:
    """A Prometheus server, for tests that ask one."""
    return _of_prometheus("prometheus", progress)


def promtool(progress: Progress) -> Path:
    """What checks metrics and alert rules, and tries the rules."""
    return _of_prometheus("promtool", progress)


def _of_prometheus(program: str, progress: Progress) -> Path:
    installed = shutil.which(program)
    return Path(installed or unpacked("prometheus", progress) / "usr" / "bin" / program)
