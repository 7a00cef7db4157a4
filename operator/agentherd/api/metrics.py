"""Where an agent tells how much it works, in the format of Prometheus.

The names are those of many web frameworks, so most agents need only say `metrics: {}`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agentherd.api.markers import SET, Port
from agentherd.api.meta import WireModel

MetricName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
]

MetricLabel = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern="^[a-zA-Z_][a-zA-Z0-9_]*$")
]
ErrorValue = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern="^[A-Za-z0-9_.-]+$")
]


class Metrics(WireModel):
    """Where the agent tells how many requests it has had and is working on."""

    port: Port | None = None
    """Port the metrics are read from: a number from 1 to 65535, or the name of a port of the first
    container. Absent: the first port of the first container."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern="^/")] = (
        "/metrics"
    )
    """Path the metrics are read from, starting with `/`. Defaults to `/metrics`."""

    requests: MetricName = "http_requests_total"
    """Name of the counter of requests a pod has had; probes and scrapes must not count. Its series
    are added up, whatever their labels. Defaults to `http_requests_total`."""

    in_flight: MetricName = "http_requests_in_flight"
    """Name of the gauge of requests a pod is working on. All its series are added up, whatever
    their labels. Defaults to `http_requests_in_flight`."""

    error_label: MetricLabel = "code"
    """Label of `requests` whose value tells how a request ended. Defaults to `code`."""

    error_values: Annotated[tuple[ErrorValue, ...], Field(min_length=1, max_length=16), SET] = (
        "5xx",
    )
    """Values of `errorLabel` that mean an error of the agent, in which `x` is a digit or itself, at
    most 16. Defaults to `5xx`."""

    latency: MetricName = "http_request_duration_seconds"
    """Name of the histogram or summary of how long requests took, in seconds, without the endings
    `_sum` and `_count`. All its series are added up, whatever their labels. Defaults to
    `http_request_duration_seconds`."""
