"""What is handed out follows from the tree, and is the same each time."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from devcluster import images
from release.__main__ import IMAGE_EXTRA
from release.bill import settled
from release.chart import released, timeless
from release.notes import NoNotes, notes

ROOT = Path(__file__).parents[3]
CHANGELOG = """\
# Changelog

## [Unreleased]

- Later.

## [0.2.0] - 2026-01-01

### Added

- Now.

## [0.1.0] - 2025-01-01

- Before.
"""


def archive(*names: str, at: int) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as sink:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(name), at
            sink.addfile(entry, io.BytesIO(name.encode()))
    return gzip.compress(plain.getvalue(), mtime=at)


def test_the_notes_are_the_section_of_the_version() -> None:
    """Not what came before it, nor what is to come."""
    assert notes(CHANGELOG, "0.2.0") == "# Agentherd 0.2.0\n\n### Added\n\n- Now.\n"


def test_a_version_without_a_section_is_what_is_not_released_yet() -> None:
    """And its notes say so."""
    assert notes(CHANGELOG, "0.3.0") == "# Agentherd 0.3.0, not released yet\n\n- Later.\n"


def test_a_version_of_which_nothing_is_said_has_no_notes() -> None:
    """An empty text would be handed out unnoticed."""
    with pytest.raises(NoNotes, match=r"0\.3\.0"):
        notes("# Changelog\n", "0.3.0")


def test_a_package_is_the_same_whenever_it_is_made() -> None:
    """Helm stamps its files with the time, and the order is that of a directory."""
    one = timeless(archive("b", "a", at=1), epoch=7)
    two = timeless(archive("a", "b", at=2), epoch=7)

    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as found:
        assert [(each.name, each.mtime) for each in found] == [("a", 7), ("b", 7)]


def test_a_packaged_chart_installs_the_image_of_its_version() -> None:
    """The tree's installs what was just built."""
    values = (ROOT / "helm/agentherd/values.yaml").read_text(encoding="utf-8")

    assert '\n  tag: ""\n' in released(values)
    with pytest.raises(SystemExit):
        released(released(values))


def test_a_bill_is_the_same_for_the_same_content() -> None:
    """uv writes the time, and draws a number."""
    drawn = [
        {
            "serialNumber": number,
            "metadata": {"timestamp": number, "component": {"name": "agentherd"}},
            "components": [{"name": "kopf"}],
        }
        for number in ("1", "2")
    ]

    one, two = (settled(each, version="1.0.0", epoch=0) for each in drawn)

    assert one == two
    assert one["metadata"]["timestamp"] == "1970-01-01T00:00:00Z"
    assert one["metadata"]["component"]["version"] == "1.0.0"
    assert one["serialNumber"].startswith("urn:uuid:")


def test_the_bill_of_the_image_is_of_what_is_installed_in_it() -> None:
    """The Dockerfile names the extra, and no group of developers."""
    installs = [
        line
        for line in images.OPERATOR.dockerfile.read_text(encoding="utf-8").splitlines()
        if "uv sync" in line
    ]

    assert len(installs) == 2
    assert all(f"--no-default-groups --extra {IMAGE_EXTRA} " in line for line in installs)


def test_the_image_that_is_handed_out_names_no_time() -> None:
    """Else nobody could build it again and compare."""
    assert images.OPERATOR.timeless
