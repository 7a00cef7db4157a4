"""What a person would see, compared with what was looked at and found good.

The files in `snapshots` are plain text. After a change that is meant,
`AGENTHERD_SNAPSHOTS=write python -m pytest tests/unit/plugin` writes them anew; read the difference
before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console, RenderableType

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"

Check = Callable[[str, str], None]


@pytest.fixture
def check() -> Check:
    """Compare a text with the file of that name."""

    def compare(name: str, text: str) -> None:
        file = SNAPSHOTS / name
        if os.environ.get("AGENTHERD_SNAPSHOTS") == "write":
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"there is no {name}; see the head of {__file__}"
        assert text == file.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No colour, width or kubeconfig of whoever runs the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return


def drawn(renderable: RenderableType, *, width: int = 80, colour: bool = False) -> str:
    """What is printed to a terminal of that width; without the blanks at the ends of lines."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        emoji=False,
        markup=False,
        _environ={},
    )
    with console.capture() as capture:
        console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
