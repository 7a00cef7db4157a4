"""The configuration: a directory with one file per key, as a mounted ConfigMap looks.

The kubelet replaces all files at once by pointing the symlink `..data` at a new directory. So a
read follows that symlink once and takes every file from where it points: a swap in the middle of
a read makes it fail and be repeated, and never yields a mixture of two versions.

A value that cannot be used refuses the whole version: half a configuration is worse than the
last good one. At the start there is no last good one, and the refusal is final.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

DATA_LINK = "..data"

Fingerprint = tuple[tuple[str, int, int, int], ...]
Default = TypeVar("Default", float, None)


class ConfigRejectedError(Exception):
    """A key has a value that cannot be used."""

    def __init__(self, *, key: str, value: str, wanted: str) -> None:
        super().__init__(f"{key} is {value!r}, wanted is {wanted}")
        self.key = key
        self.value = value
        self.wanted = wanted


@dataclass(frozen=True)
class Settings:
    """The keys that mean something; times are in seconds and count from when they were loaded."""

    greeting: str = "Hello"
    prompt: str = ""
    threshold: float = 0.5
    error_rate: float = 0.0
    latency: float = 0.0
    probe_fails: bool = False
    probe_fail_after: float | None = None
    crash_after: float | None = None
    memory_leak_mb_per_second: float = 0.0
    fault_seed: int | None = None


@dataclass(frozen=True)
class Loaded:
    """One version of the configuration, as it was found and as it is understood."""

    values: Mapping[str, str]
    settings: Settings
    # Shown and logged, because a misspelt fault would silently do nothing.
    unknown: tuple[str, ...]
    digest: str
    loaded_at: datetime


def load(values: Mapping[str, str], *, at: datetime) -> Loaded:
    """Understand a map of keys, or raise ConfigRejectedError for the first that is unusable."""
    keys = _Keys(values)
    settings = Settings(
        greeting=keys.text("greeting", Settings.greeting),
        prompt=keys.text("prompt", Settings.prompt),
        threshold=keys.number("threshold", Settings.threshold),
        error_rate=keys.number("errorRate", Settings.error_rate, least=0, most=1),
        latency=keys.number("latencySeconds", Settings.latency, least=0),
        probe_fails=keys.choice("probe", "ok", "fail") == "fail",
        probe_fail_after=keys.number("probeFailAfterSeconds", None, least=0),
        crash_after=keys.number("crashAfterSeconds", None, least=0),
        memory_leak_mb_per_second=keys.number(
            "memoryLeakMBPerSecond", Settings.memory_leak_mb_per_second, least=0
        ),
        fault_seed=keys.whole_number("faultSeed"),
    )
    return Loaded(values, settings, keys.unread(), digest(values), at)


def digest(values: Mapping[str, str]) -> str:
    """Hash keys and values with their lengths, so that no two maps share a text."""
    parts = (f"{len(key)}:{key}{len(values[key])}:{values[key]}" for key in sorted(values))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


class _Keys:
    """A map of keys, read one by one; it knows which were never asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._read: set[str] = set()

    def text(self, key: str, default: str) -> str:
        found = self._find(key)
        return default if found is None else found.removesuffix("\n")

    def number(
        self, key: str, default: Default, *, least: float = -math.inf, most: float = math.inf
    ) -> float | Default:
        found = self._find(key)
        if found is None:
            return default
        try:
            number = float(found)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and least <= number <= most:
            return number
        raise ConfigRejectedError(
            key=key, value=found.strip(), wanted=_wanted(least=least, most=most)
        )

    def whole_number(self, key: str) -> int | None:
        found = self._find(key)
        try:
            return None if found is None else int(found)
        except ValueError:
            wanted = "a whole number"
            raise ConfigRejectedError(key=key, value=found or "", wanted=wanted) from None

    def choice(self, key: str, default: str, *others: str) -> str:
        found = (self._find(key) or default).strip()
        if found not in (default, *others):
            wanted = " or ".join((default, *others))
            raise ConfigRejectedError(key=key, value=found, wanted=wanted)
        return found

    def unread(self) -> tuple[str, ...]:
        return tuple(sorted(self._values.keys() - self._read))

    def _find(self, key: str) -> str | None:
        self._read.add(key)
        return self._values.get(key)


def _wanted(*, least: float, most: float) -> str:
    if math.isfinite(most):
        return f"a number from {least:g} to {most:g}"
    return f"a number of at least {least:g}" if math.isfinite(least) else "a number"


class ConfigDirectory:
    """The directory, and what was last seen in it."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._path = path
        self._now = now
        self._seen: Fingerprint | None = None
        self._digest: str | None = None

    def changed(self) -> Loaded | None:
        """Give the configuration if it is another one than last time.

        A version is refused once, with ConfigRejectedError, and not looked at again until the
        directory changes. A swap in the middle of the read counts as no change yet.
        """
        try:
            root = self._root()
            fingerprint = _fingerprint(root)
            if fingerprint == self._seen:
                return None
            values = _read(root)
        except FileNotFoundError:
            return None
        self._seen = fingerprint
        if digest(values) == self._digest:
            return None
        return self._load(values)

    def first(self) -> Loaded:
        """Give the configuration at the start, where no directory means no keys."""
        return self.changed() or self._load({})

    def _load(self, values: Mapping[str, str]) -> Loaded:
        loaded = load(values, at=self._now())
        self._digest = loaded.digest
        return loaded

    def _root(self) -> Path:
        link = self._path / DATA_LINK
        return link.resolve() if link.is_symlink() else self._path


def _files(root: Path) -> list[Path]:
    return sorted(file for file in root.iterdir() if not file.name.startswith(".."))


def _fingerprint(root: Path) -> Fingerprint:
    found = [(str(root), 0, 0, 0)]
    for file in _files(root):
        stat = file.stat()
        found.append((file.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _read(root: Path) -> dict[str, str]:
    values = {}
    for file in _files(root):
        try:
            values[file.name] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigRejectedError(key=file.name, value="(bytes)", wanted="UTF-8") from None
    return values
