"""What an exposition in the text format of Prometheus tells of a few metrics.

The text is made by somebody else's program: it may be garbage or hostile, and it is read hundreds
of times a second. So only the lines of the metrics asked for are looked at, in time proportional
to the length of the text, and each counter is a count or nothing: what is negative, no number or
too large to count by one is not read at all, since half a sum would be a wrong one.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from agentherd.domain.readings import Buckets, Counters, Totals

log = logging.getLogger(__name__)

SERIES_LIMIT: Final = 10_000
"""Combinations of labels of one metric, which are all in a body and all added up."""

BOUNDS_LIMIT: Final = 256
"""Buckets of a histogram; more than any library makes by itself."""

COUNTABLE: Final = 2.0**53
"""From here on a float does not count by one any more."""

LONGEST: Final = 1e6
"""Seconds that bound a bucket at most, eleven days: more is no time that an answer takes."""

_MICRO: Final = 1_000_000

# A quotation mark within a value is escaped, so one that is not ends it: what is found in here
# with an equals sign and a quotation mark behind it is the name of a label.
_LABELS: Final = r'\{(?:[^"\n}]++|"(?:[^"\\\n]++|\\.)*+")*+\}'

_BOUND: Final = re.compile(r'[{,][ \t]*le[ \t]*=[ \t]*"([^"]*)"')

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
        buckets=_buckets(text, counters) if told and counters.figures else (),
    )


def total(text: str, name: str) -> float | None:
    """The sum of all samples of a metric.

    None when there is no such metric or it is not a count. One that is declared and has no sample
    yet, as a counter with labels before the first request, is 0.
    """
    return _sum(_series(text, name), name)


def mean(text: str, name: str) -> float | None:
    """The mean of all samples of a gauge; None when there is none, or one that is no number."""
    try:
        values = [float(value) for _, value in _samples("\n" + text, name)]
    except ValueError:
        log.debug("%s is no number", name)
        return None
    if not values or len(values) > SERIES_LIMIT:
        return None
    found = math.fsum(values) / len(values) if all(map(_usable, values)) else math.nan
    return found if math.isfinite(found) else None


def _usable(value: float) -> bool:
    return abs(value) < COUNTABLE


def _buckets(text: str, counters: Counters) -> Buckets:
    """The buckets of all series together; () where they cannot be, or it is no histogram.

    Series may have different buckets: what is at most a bound is known of all together only if each
    of them has it.
    """
    name = f"{counters.latency}_bucket"
    series = _of_users(_samples("\n" + text, name), counters.probed)
    bounds = [_bound(labels) for labels, _ in series]
    if _sum(series, name) is None or None in bounds:
        return ()
    series_of = Counter(bounds)
    if len(series_of) > BOUNDS_LIMIT:
        return ()
    counts = Counter[float]()
    for bound, (_, value) in zip(bounds, series, strict=True):
        if bound is not None and series_of[bound] == series_of[math.inf]:
            counts[bound] += int(float(value))
    return tuple(sorted(counts.items()))


def _bound(labels: str) -> float | None:
    """How many seconds requests in a bucket took at most; None where that is no time."""
    found = _BOUND.search(labels)
    try:
        bound = float(found[1]) if found else math.nan
    except ValueError:
        return None
    return bound if 0 <= bound < LONGEST or bound == math.inf else None


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
    if found := _samples(text, name):
        return found
    return (("", "0"),) if _declaration_pattern(declared_as or name).search(text) else ()


def _samples(text: str, name: str) -> Sequence[Series]:
    """All series of a metric, but no more than one above the limit; each begins with a new line."""
    found = islice(_sample_pattern(name).finditer(text), SERIES_LIMIT + 1)
    return [(m[1] or "", m[2]) for m in found]


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
def _sample_pattern(name: str) -> re.Pattern[str]:
    """Pattern of a metric's samples, with labels and value as groups."""
    return re.compile(rf"\n{re.escape(name)}(?=[{{ \t])[ \t]*({_LABELS})?[ \t]*(\S*)")


@lru_cache(maxsize=256)
def _declaration_pattern(name: str) -> re.Pattern[str]:
    # OpenMetrics declares a counter without its suffix.
    declared = "|".join(map(re.escape, sorted({name, name.removesuffix("_total")})))
    return re.compile(rf"\n# TYPE (?:{declared})[ \t]")


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
