"""The notes of a version: its section of the changelog, and nothing that is not there."""

from __future__ import annotations

import re
from typing import Final

UNRELEASED: Final = "Unreleased"


class NoNotes(Exception):
    """The changelog says nothing about a version."""


def notes(changelog: str, version: str) -> str:
    """What the changelog says about `version`, or else about what is not released yet.

    Raises:
        NoNotes: it has neither section, or the section is empty.
    """
    for name, title in ((version, version), (UNRELEASED, f"{version}, not released yet")):
        if text := _section(changelog, name):
            return f"# Agentherd {title}\n\n{text}\n"
    raise NoNotes(f"CHANGELOG.md has no section {version} and none that is called {UNRELEASED}")


def _section(changelog: str, name: str) -> str:
    heading = rf"^## \[{re.escape(name)}\][^\n]*\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""
