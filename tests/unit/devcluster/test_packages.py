"""Packages whose files are wanted, fetched once whoever asks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from devcluster import lock, packages
from devcluster.progress import Progress

APT_GET = """#!/bin/sh
echo "$1" >> "$CALLS"
sleep 0.2
touch some_1_all.deb
"""

DPKG_DEB = """#!/bin/sh
mkdir -p "$3/usr/bin"
touch "$3/usr/bin/some"
"""


def test_a_package_that_several_want_at_once_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the workers of a test run do, in a cache where nothing is yet."""
    for name, script in {"apt-get": APT_GET, "dpkg-deb": DPKG_DEB}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for module in (packages, lock):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")

    with ThreadPoolExecutor(3) as workers:
        asked = [workers.submit(packages.unpacked, "some", Progress()) for _ in range(3)]
        found = {each.result() for each in asked}

    assert found == {tmp_path / "cache" / "debian" / "some"}
    assert (found.pop() / "usr" / "bin" / "some").exists()
    assert (tmp_path / "calls").read_text() == "download\n"
