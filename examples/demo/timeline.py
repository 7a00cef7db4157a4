"""How a change under load looks: a row for each stage, and what it came to.

A stage lasts as long as the upgrade's phase, its step and the weight that is asked for; its row
grows meanwhile. The weight asked for and the weight seen are the operator's own figures; the
requests are counted here, by who answered them. When the three agree, nobody has to be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from examples.demo.load import Answer
from examples.demo.terminal import Style, draft, say, styled

BAR: Final = 20

_STYLES: Final[Mapping[str, Style]] = {
    "Succeeded": Style.GOOD,
    "RollingBack": Style.BAD,
    "RolledBack": Style.BAD,
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """Some requests: who answered them, and how those that failed did."""

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
        answered = ", ".join(f"{count} by {who}" for who, count in sorted(self.by.items()))
        return f"{self.sent} requests sent, {self.failed} failed; answered: {answered}"


@dataclass(slots=True, kw_only=True)
class Row:
    """A stage: when it began, what the upgrade says, and the requests that were answered in it."""

    second: int
    status: Mapping[str, Any]
    tally: Tally = field(default_factory=Tally)

    @property
    def stage(self) -> tuple[Any, ...]:
        """What is the same for as long as it lasts."""
        return tuple(self.status.get(key) for key in ("phase", "step", "weight"))

    def text(self, *, old: str, new: str) -> str:
        """The row as it is printed, below `head`."""
        status, tally = self.status, self.tally
        phase = status.get("phase", "–")
        step = f"{status.get('step', 0)}/{status['steps']}" if status.get("steps") else "–"
        filled = round(BAR * tally.by[new] / tally.sent) if tally.sent else 0
        return (
            f"{self.second:>4}  {_marked(f'{phase:11}', _STYLES.get(phase))} {step:>4}"
            f"  {_percent(status.get('weight'))} {_percent(status.get('weightSeen'))}"
            f"  {_requests(tally, old, new)}"
            f"  {styled('█' * filled, Style.GOOD)}{styled('·' * (BAR - filled), Style.FAINT)}"
        )


class Timeline:
    """Prints the rows of one change: the last one grows, where somebody watches."""

    def __init__(self, *, old: str, new: str) -> None:
        self.total = Tally()
        self._old = old
        self._new = new
        self._row: Row | None = None
        say("\n" + styled(head(old, new), Style.FAINT))

    def add(self, second: int, status: Mapping[str, Any], answers: Iterable[Answer]) -> None:
        """One more second: the upgrade's status at its end, and the answers that came in it."""
        row = Row(second=second, status=status)
        if self._row is not None and self._row.stage == row.stage:
            self._row.status = status
        else:
            self._finish_row()
            self._row = row
        counted = list(answers)
        self._row.tally.add(counted)
        self.total.add(counted)
        draft(self._row.text(old=self._old, new=self._new))

    def end(self) -> None:
        """Print the last row, and the sums."""
        self._finish_row()
        say(f"{'':6}{'all':29}  {_requests(self.total, self._old, self._new)}")

    def _finish_row(self) -> None:
        if self._row is not None:
            say(self._row.text(old=self._old, new=self._new))
            self._row = None


def head(old: str, new: str) -> str:
    """The names of the columns."""
    return (
        f"{'':4}  {'':11} {'':4}  {'weight':^11}  {'requests answered by':>20}\n"
        f"{'s':>4}  {'phase':11} {'step':>4}  {'asked':>5} {'seen':>5}"
        f"  {old:>7} {new:>7} {'failed':>7}"
    )


def _requests(tally: Tally, old: str, new: str) -> str:
    failed = _marked(f"{tally.failed:>7}", Style.BAD if tally.failed else None)
    return f"{tally.by[old]:>7} {tally.by[new]:>7} {failed}"


def _percent(value: int | None) -> str:
    return f"{'–':>5}" if value is None else f"{value:>3} %"


def _marked(text: str, style: Style | None) -> str:
    return text if style is None else styled(text, style)
