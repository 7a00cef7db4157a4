"""The requests that are work: counted, timed, and waited for before the end.

Probes, scrapes and the look at the configuration are not work. Counted with it, they would hide
an error rate that an analysis looks for, and keep a drain from ever finding a quiet moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ABORTED = 499


class Exchange:
    """One request; whoever answers it says with which code."""

    code = 500


class Traffic:
    """The requests so far and those in flight."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self.in_flight = 0
        self.finished = 0
        self._version = version
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._requests = Counter(
            "http_requests", "Requests finished.", ["code", "version"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the first byte of a request to the end of its answer.",
            ["version"],
            buckets=BUCKETS,
            registry=self.registry,
        ).labels(version)
        Gauge(
            "http_requests_in_flight", "Requests being answered.", registry=self.registry
        ).set_function(lambda: self.in_flight)
        for code in ("200", "500"):  # a rate needs a zero to start from
            self._requests.labels(code, version)

    @contextmanager
    def request(self) -> Iterator[Exchange]:
        """Count a request as in flight, then as finished with the code of its exchange."""
        exchange = Exchange()
        started = time.perf_counter()
        self.in_flight += 1
        self._quiet.clear()
        try:
            yield exchange
        finally:
            self.in_flight -= 1
            self.finished += 1
            self._requests.labels(str(exchange.code), self._version).inc()
            self._seconds.observe(time.perf_counter() - started)
            if not self.in_flight:
                self._quiet.set()

    async def quiet(self, *, within: float) -> bool:
        """Wait until nothing is in flight; False when that took too long."""
        try:
            async with asyncio.timeout(within):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    def exposition(self) -> bytes:
        """Give the metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
