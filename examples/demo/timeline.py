"""How a change under load looks: a line for each second, and what it came to.

The weight asked for and the weight seen are the operator's own figures; the requests are counted
here, by who answered them. When the three agree, nobody has to be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from examples.demo.load import Answer

BAR: Final = 20


@dataclass(slots=True, kw_only=True)
class Tally:
    """All requests of a load: who answered them, and how those that failed did."""

    by: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, answers: Iterable[Answer]) -> None:
        """Count some more."""
        for answer in answers:
            self.by[answer.by] += 1
            if answer.error:
                self.errors[answer.error] += 1

    @property
    def sent(self) -> int:
        """Requests that are over, however they ended."""
        return self.by.total()

    @property
    def failed(self) -> int:
        """Those that were not answered as they should have been."""
        return self.errors.total()

    def __str__(self) -> str:
        answered = ", ".join(f"{count} by {version}" for version, count in sorted(self.by.items()))
        return f"{self.sent} requests sent, {self.failed} failed; answered: {answered}"


def head(old: str, new: str) -> str:
    """The names of the columns."""
    return (
        f"{'':4} {'':11} {'':5} {'weight':^11}   {'requests a second':^18}\n"
        f"{'s':>4} {'phase':11} {'step':5} {'asked':>5} {'seen':>5}"
        f"   {old:>7} {new:>7} {'failed':>6}"
    )


def line(
    second: int, status: Mapping[str, Any], answers: Iterable[Answer], *, old: str, new: str
) -> str:
    """One second: the upgrade's status at its end, and the answers that came in it."""
    tally = Tally()
    tally.add(answers)
    step = f"{status.get('step', 0)}/{status['steps']}" if status.get("steps") else "–"
    filled = round(BAR * tally.by[new] / tally.sent) if tally.sent else 0
    return (
        f"{second:>4} {status.get('phase', '–'):11} {step:5}"
        f" {_percent(status.get('weight'))} {_percent(status.get('weightSeen'))}"
        f"   {tally.by[old]:>7} {tally.by[new]:>7} {tally.failed:>6}"
        f"  {'█' * filled}{'·' * (BAR - filled)}"
    )


def _percent(value: int | None) -> str:
    return f"{'–':>5}" if value is None else f"{value:>3} %"
