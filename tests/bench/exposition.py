"""Reading counters in the Prometheus text format, of the API server and of the operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = Mapping[str, str]


def samples(text: str, name: str) -> Iterator[tuple[Labels, float]]:
    """Labels and value of every sample called `name`."""
    # The API server's exposition has many thousand lines; only those asked for are parsed.
    lines = "\n".join(line for line in text.splitlines() if line.startswith(name))
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, sample.value


def totals(text: str, name: str, key: Callable[[Labels], str | None]) -> Counter[str]:
    """Sums of the samples by a key of their labels; those with the key None are left out."""
    found: Counter[str] = Counter()
    for labels, value in samples(text, name):
        if (place := key(labels)) is not None:
            found[place] += round(value)
    return found


def quantile(buckets: Mapping[float, float], share: float) -> float:
    """A quantile of cumulative buckets, interpolated within its bucket as Prometheus does."""
    rank = share * max(buckets.values(), default=0)
    below_bound, below_count = 0.0, 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= rank:
            if bound == float("inf"):
                return below_bound
            inside = (rank - below_count) / (count - below_count) if count > below_count else 0
            return below_bound + (bound - below_bound) * inside
        below_bound, below_count = bound, count
    return below_bound
