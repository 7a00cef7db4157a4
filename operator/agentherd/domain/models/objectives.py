"""What a model promises its users, and whether a version keeps it.

A promise is an absolute limit, beside the comparison of two versions: a version may be no worse
than the one before and still not good enough. It is looked at again and again, so what is measured
has to be clearly beyond the limit before it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Final

from agentherd.api import Objectives
from agentherd.domain.faults import Fault
from agentherd.domain.models.figures import Figures
from agentherd.domain.reasons import Reason

ENOUGH: Final = 50
"""Requests from which on a percentile and a rate say something."""

_SURE: Final = 3.0
"""Standard errors that a rate must be above its limit, as it is looked at every second."""


def broken_promise(name: str, promises: Objectives | None, figures: Figures | None) -> Fault | None:
    """The promises that version `name` breaks, with what to do about it; None while it keeps all.

    What is not measured breaks no promise.
    """
    if promises is None or figures is None:
        return None
    broken = [*_broken(promises, figures)]
    if not broken:
        return None
    return Fault(
        Reason.OBJECTIVE_MISSED,
        f"version {name}: {'; '.join(broken)}. Improve the version and register it under another "
        "name, or change spec.slo",
        figures.at,
    )


def _broken(promises: Objectives, figures: Figures) -> Iterator[str]:
    accuracy, least = figures.accuracy, promises.accuracy
    if accuracy is not None and least is not None and accuracy < least:
        yield f"accuracy is {accuracy:g}, below {least:g}"
    p95, limit = figures.p95_ms, promises.latency_milliseconds
    if figures.timed >= ENOUGH and p95 is not None and limit is not None and p95 > limit:
        yield f"95 of 100 requests take up to {p95:.0f} ms, more than {limit:g}"
    rate, most = figures.error_rate, promises.error_rate
    if figures.requests >= ENOUGH and rate is not None and most is not None:
        doubt = _SURE * sqrt(max(most, 1 / ENOUGH) / figures.requests)
        if rate > most + doubt:
            yield f"{rate:.1%} of the requests fail, more than {most:.1%}"
