"""What the person at the terminal sees: text, and a last line that may still change.

Colours, and lines that change, are for a terminal that understands them; a file or a pipe gets
plain lines, each of them once. `NO_COLOR` takes the colours away.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Final

_ERASE: Final = "\r\033[2K"
_CUT, _WRAP = "\033[?7l", "\033[?7h"


class Style(StrEnum):
    """How text looks where colours can be shown."""

    COMMAND = "1"
    FAINT = "2"
    GOOD = "32"
    BAD = "1;31"
    TITLE = "1;36"


def is_live() -> bool:
    """Whether somebody watches on something that can change a line."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: Style) -> str:
    """The text in a style, or as it is where no colours are wanted."""
    if not is_live() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{style}m{text}\033[0m"


def say(text: str) -> None:
    """Print at once, also into a pipe, in place of a draft."""
    print(f"{_ERASE}{text}" if is_live() else text, flush=True)


def draft(text: str) -> None:
    """Show a line that the next one takes the place of; nothing where that is not possible."""
    if is_live():
        # A line that is wider than the window would leave a part of itself behind.
        print(f"{_ERASE}{_CUT}{text}{_WRAP}", end="", flush=True)


def title(text: str) -> None:
    """Print a heading."""
    say("\n" + styled(f"== {text}", Style.TITLE))


def command(text: str) -> None:
    """Print a command as it would be typed."""
    say("\n" + styled(f"$ {text}", Style.COMMAND))
