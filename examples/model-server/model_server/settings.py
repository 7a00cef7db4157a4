"""The settings: environment variables, and above them a directory with one file for each key.

`latencySeconds` is the file of that name, or else the variable MODEL_LATENCY_SECONDS. Variables
are part of a version's pod template, so they tell two versions apart; files come from a mounted
ConfigMap and may change while the server runs. The kubelet replaces all of them at once by
pointing the symlink `..data` at a new directory: a read follows it once, so that a swap in the
middle makes the read fail, and never yields a mixture.

A value that cannot be used refuses the whole set, as half of the settings are worse than the last
good ones. At the start there are none, and the refusal is final.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "MODEL_"
DATA_LINK = "..data"


class SettingsRejectedError(Exception):
    """A key has a value that cannot be used."""

    def __init__(self, *, key: str, value: str, wanted: str) -> None:
        super().__init__(f"{key} is {value!r}, wanted is {wanted}")
        self.key = key
        self.value = value
        self.wanted = wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set; the first five mean something at the start only."""

    name: str = "all-minilm-l6-v2"
    backend: str = "minilm"
    precision: str = "float32"
    dimension: int = 384
    start_seconds: float = 0.0
    warm_up: str = "ok"
    warm_up_failures: int = 0
    warm_up_seconds: float = 0.0
    latency_seconds: float = 0.0
    error_rate: float = 0.0
    fault_seed: int | None = None
    memory_leak_mb_per_second: float = 0.0
    accuracy: float | None = None


class _UnusableError(ValueError):
    """A text does not mean what its key wants; the message says what is wanted."""


def _text(text: str) -> str:
    if not text:
        raise _UnusableError("a text")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise _UnusableError(" or ".join(words))
        return text

    return parse


def _number(*, most: float = math.inf) -> Callable[[str], float]:
    wanted = f"a number from 0 to {most:g}" if math.isfinite(most) else "a number of at least 0"

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and 0 <= number <= most):
            raise _UnusableError(wanted)
        return number

    return parse


def _whole(*, least: int = 0, most: int = 2**31) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise _UnusableError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


KEYS: Mapping[str, Callable[[str], object]] = {
    "name": _text,
    "backend": _one_of("minilm", "dummy"),
    "precision": _one_of("float32", "float16", "int8"),
    "dimension": _whole(least=1, most=4096),
    "startSeconds": _number(),
    "warmUp": _one_of("ok", "fail"),
    "warmUpFailures": _whole(),
    "warmUpSeconds": _number(),
    "latencySeconds": _number(),
    "errorRate": _number(most=1),
    "faultSeed": _whole(),
    "memoryLeakMBPerSecond": _number(),
    "accuracy": _number(),
}
"""What each key takes."""


def field(key: str) -> str:
    """Give the attribute of a key: memoryLeakMBPerSecond is memory_leak_mb_per_second."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()


def variable(key: str) -> str:
    """Give the environment variable of a key."""
    return PREFIX + field(key).upper()


def load(values: Mapping[str, str]) -> Settings:
    """Understand a map of keys, or raise SettingsRejectedError for one that is unusable."""
    found = {}
    for key, parse in KEYS.items():
        if key in values:
            text = values[key].strip()
            try:
                found[field(key)] = parse(text)
            except _UnusableError as unusable:
                wanted = str(unusable)
                raise SettingsRejectedError(key=key, value=text, wanted=wanted) from None
    return Settings(**found)  # type: ignore[arg-type]


class Source:
    """The environment and the directory, and what was last seen in them."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._given = {
            key: environment[variable(key)] for key in KEYS if variable(key) in environment
        }
        self._directory = directory
        self._seen: Mapping[str, str] | None = None

    def first(self) -> Settings:
        """Give the settings at the start, where no directory means no files."""
        return self.changed() or load(self._given)

    def changed(self) -> Settings | None:
        """Give the settings if the files are others than last time; what is refused, once."""
        try:
            values = self._files()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        if values == self._seen:
            return None
        self._seen = values
        return load({**self._given, **values})

    def _files(self) -> dict[str, str]:
        link = self._directory / DATA_LINK
        root = link.resolve() if link.is_symlink() else self._directory
        return {
            file.name: file.read_text(encoding="utf-8")
            for file in root.iterdir()
            if not file.name.startswith("..")
        }

    def unknown(self) -> list[str]:
        """Name the files that mean nothing; a misspelt fault would silently do nothing."""
        return sorted(set(self._seen or ()) - set(KEYS))
