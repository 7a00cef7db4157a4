"""What a load has shown: counts, latencies, and who answered in which second.

A second is counted by when its requests were sent, since that is when they were given to a
version; what was sent before a change and answered after it says nothing about the change.
Who answered is a version, unless the report is told to go by revisions or pods.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tests.load.answer import Answer, Failure, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One second of the timeline: requests by who answered them, and how many failed."""

    at: int
    by: Counter[str]
    failed: int

    def share(self, name: str) -> float:
        """The part that this one answered, of all, from 0 to 1; nan if nothing was sent."""
        return self.by[name] / self.by.total() if self.by else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Answers in the order in which their requests were sent."""

    answers: tuple[Answer, ...]
    source: Source = Source.VERSION

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Report:
        """A report of answers in the order in which they came."""
        return cls(answers=tuple(sorted(answers, key=lambda answer: answer.number)))

    # A part of it, or another look at it

    def by(self, source: Source) -> Report:
        """The same, with answers told apart by something else."""
        return replace(self, source=source)

    def where(self, condition: Callable[[Answer], bool]) -> Report:
        """A report of some of the answers; its `missing` says nothing."""
        return replace(self, answers=tuple(filter(condition, self.answers)))

    def between(self, begin: float, end: float = math.inf) -> Report:
        """What was sent from `begin` to before `end`, in seconds since the epoch."""
        return self.where(lambda answer: begin <= answer.at < end)

    # How many

    @property
    def sent(self) -> int:
        """Requests that are over; those in flight are not counted."""
        return len(self.answers)

    @property
    def answered(self) -> int:
        """Requests that got a whole answer, whichever."""
        return sum(answer.code > 0 for answer in self.answers)

    @property
    def missing(self) -> int:
        """Requests of which nothing is known: in flight, or lost with the generator."""
        return self.answers[-1].number + 1 - self.sent if self.answers else 0

    @property
    def counts(self) -> Counter[tuple[str, int]]:
        """Answers by who gave them and status code; ("nobody", 0) for requests without one."""
        return Counter((answer.by(self.source), answer.code) for answer in self.answers)

    def share(self, name: str) -> float:
        """The part of all requests that this one answered, from 0 to 1; nan if none was sent."""
        if not self.answers:
            return math.nan
        return sum(answer.by(self.source) == name for answer in self.answers) / self.sent

    def last_by(self, name: str) -> Answer | None:
        """Of the requests that this one answered, the one that was sent last."""
        return next((a for a in reversed(self.answers) if a.by(self.source) == name), None)

    # How well

    @property
    def failed(self) -> tuple[Answer, ...]:
        """All that did not go well."""
        return tuple(answer for answer in self.answers if answer.failure)

    def failed_but_by(self, name: str) -> tuple[Answer, ...]:
        """What did not go well, except what this one answered itself: a canary may fail."""
        return tuple(answer for answer in self.failed if answer.by(self.source) != name)

    @property
    def failures(self) -> Counter[Failure]:
        """Failures by kind."""
        return Counter(answer.failure for answer in self.answers if answer.failure)

    def latency(self, percent: float) -> float:
        """The seconds within which so many percent of the answers came; nan if none did."""
        latencies = sorted(answer.latency for answer in self.answers if answer.code)
        if not latencies:
            return math.nan
        return latencies[max(0, math.ceil(len(latencies) * percent / 100) - 1)]

    # When

    def timeline(self) -> tuple[Second, ...]:
        """Every second from the first request to the last; `at` counts from the first."""
        if not self.answers:
            return ()
        began = min(answer.at for answer in self.answers)
        by: dict[int, Counter[str]] = {}
        failed: Counter[int] = Counter()
        for answer in self.answers:
            second = int(answer.at - began)
            by.setdefault(second, Counter())[answer.by(self.source)] += 1
            failed[second] += answer.failure is not None
        return tuple(
            Second(at=second, by=by.get(second, Counter()), failed=failed[second])
            for second in range(max(by) + 1)
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "failed": len(self.failed),
            "missing": self.missing,
            "counts": [
                {"by": by, "code": code, "count": count}
                for (by, code), count in sorted(self.counts.items())
            ],
            "failures": {str(failure): count for failure, count in sorted(self.failures.items())},
            "latency": {f"p{percent}": _rounded(self.latency(percent)) for percent in (50, 99)},
            "timeline": [
                {"second": each.at, "by": dict(sorted(each.by.items())), "failed": each.failed}
                for each in self.timeline()
            ],
        }


def _rounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds, 6)
