"""Programs of the distribution that a local cluster or an image build needs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from devcluster.command import run
from devcluster.errors import NothingPossible
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
