"""The requests that are work: counted, timed, and waited for before the end.

Only embeddings are work. Probes, scrapes and the list of models are not: counted with it, they
would hide an error rate that an analysis looks for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Exchange:
    """One request; whoever answers it says with which code."""

    code = 500


class Traffic:
    """The requests so far and those in flight, and the accuracy that the model claims."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self.started = 0
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
        self._accuracy: Gauge | None = None
        for code in ("200", "500", "503"):  # a rate needs a zero to start from
            self._requests.labels(code, version)

    @contextmanager
    def request(self) -> Iterator[Exchange]:
        """Count a request as in flight, then as finished with the code of its exchange."""
        exchange = Exchange()
        began = time.perf_counter()
        self.started += 1
        self.in_flight += 1
        self._quiet.clear()
        try:
            yield exchange
        finally:
            self.in_flight -= 1
            self.finished += 1
            self._requests.labels(str(exchange.code), self._version).inc()
            self._seconds.observe(time.perf_counter() - began)
            if not self.in_flight:
                self._quiet.set()

    def claim(self, accuracy: float | None) -> None:
        """Show this accuracy, or none: a model that nobody has measured has no figure."""
        if accuracy is not None:
            self._accuracy = self._accuracy or Gauge(
                "model_accuracy", "Share of right answers.", registry=self.registry
            )
            self._accuracy.set(accuracy)
        elif self._accuracy:
            self.registry.unregister(self._accuracy)
            self._accuracy = None

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
