"""What an exposition in the text format of Prometheus tells of a few metrics.

The text is made by somebody else's program: it may be garbage or hostile, and it is read hundreds
of times a second. So only the lines of the metrics asked for are looked at, in time proportional
to the length of the text, and each metric is a count or nothing: what is negative, no number or too
large to count by one is not read at all, since half a sum would be a wrong one.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from agentherd.domain.readings import Counters, Totals

log = logging.getLogger(__name__)

SERIES_LIMIT: Final = 10_000
"""Combinations of labels of one metric, which are all in a body and all added up."""

COUNTABLE: Final = 2.0**53
"""From here on a float does not count by one any more."""

_MICRO: Final = 1_000_000

# A quotation mark within a value is escaped, so one that is not ends it: what is found in here
# with an equals sign and a quotation mark behind it is the name of a label.
_LABELS: Final = r'\{(?:[^"\n}]++|"(?:[^"\\\n]++|\\.)*+")*+\}'

Series = tuple[str, str]
"""The labels in braces, or nothing, and the value, as they are written."""


def totals(text: str, counters: Counters) -> Totals | None:
    """How far the counters of a pod are; None where its requests are not told."""
    requests = _of_users(_series(text, counters.requests), counters.probed)
    count = _sum(requests, counters.requests)
    if count is None:
        return None
    timed = _timed(text, f"{counters.latency}_count", counters)
    seconds = _timed(text, f"{counters.latency}_sum", counters)
    told = timed is not None and seconds is not None and seconds * _MICRO < COUNTABLE
    return Totals(
        requests=int(count),
        errors=_errors(requests, counters.error_label, counters.error_values),
        timed=int(timed or 0) if told else None,
        microseconds=int((seconds or 0) * _MICRO) if told else None,
    )


def total(text: str, name: str) -> float | None:
    """The sum of all samples of a metric.

    None when there is no such metric or it is not a count. One that is declared and has no sample
    yet, as a counter with labels before the first request, is 0.
    """
    return _sum(_series(text, name), name)


def _timed(text: str, name: str, counters: Counters) -> float | None:
    series = _series(text, name, declared_as=counters.latency)
    return _sum(_of_users(series, counters.probed), name)


def _of_users(series: Sequence[Series], probed: tuple[str, ...]) -> Sequence[Series]:
    """The series without those that a label says are of paths which only probes ask for."""
    if not probed or not series:
        return series
    of_probes = _values_pattern(probed)
    return [each for each in series if not of_probes.search(each[0])] or (("", "0"),)


def _errors(series: Sequence[Series], label: str, values: tuple[str, ...]) -> int | None:
    """How many of the requests ended in an error; None where no series says how they ended."""
    named, matching = _label_patterns(label, values)
    counted = [(labels, float(value)) for labels, value in series]
    if not any(named.search(labels) for labels, _ in counted):
        return None if any(value for _, value in counted) else 0
    return int(math.fsum(value for labels, value in counted if matching.search(labels)))


def _series(text: str, name: str, *, declared_as: str | None = None) -> Sequence[Series]:
    """All series of a metric; one of value 0 where it is declared and has none, () without it."""
    text = "\n" + text
    samples, declaration = _patterns(name, declared_as or name)
    found = [(m[1] or "", m[2]) for m in islice(samples.finditer(text), SERIES_LIMIT + 1)]
    if found:
        return found
    return (("", "0"),) if declaration.search(text) else ()


def _sum(series: Iterable[Series], name: str) -> float | None:
    try:
        values = [float(value) for _, value in series]
    except ValueError:
        log.debug("%s is not a count", name)
        return None
    if not values:
        return None
    if len(values) > SERIES_LIMIT or not all(0 <= value < COUNTABLE for value in values):
        log.debug("%s is not a count", name)
        return None
    # A sum of many that each are may be none, and be larger than the status has room for.
    return found if (found := math.fsum(values)) < COUNTABLE else None


@lru_cache(maxsize=256)
def _patterns(name: str, declared_as: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of a metric's samples, with labels and value as groups, and of its declaration."""
    # OpenMetrics declares a counter without its suffix.
    declared = "|".join(map(re.escape, sorted({declared_as, declared_as.removesuffix("_total")})))
    return (
        re.compile(rf"\n{re.escape(name)}(?=[{{ \t])[ \t]*({_LABELS})?[ \t]*(\S*)"),
        re.compile(rf"\n# TYPE (?:{declared})[ \t]"),
    )


@lru_cache(maxsize=256)
def _values_pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    """Pattern of labels of which any has one of the values."""
    written = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return re.compile(rf'=[ \t]*"(?:{"|".join(map(re.escape, written))})"')


@lru_cache(maxsize=256)
def _label_patterns(label: str, values: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of labels that have `label` at all, and of those with one of the values."""
    # The values are matched as they are written, but for x; DeadlineExceeded has one that is none.
    wanted = "|".join(re.escape(value).replace("x", "[0-9x]") for value in values)
    start = rf'[{{,][ \t]*{re.escape(label)}[ \t]*=[ \t]*"'
    return re.compile(start), re.compile(rf'{start}(?:{wanted})"')
