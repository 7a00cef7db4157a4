"""Prometheus, or what answers to its HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/.

A query has to yield one number. One that yields none says that there was nothing to measure, which
is not 0; one that yields several is a mistake in the query, and a guess at which is meant would
judge a version by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yarl import URL

from agentherd.api import PrometheusQuery
from agentherd.engine.sources.web import TIMEOUT, NoAnswer, Web

EVALUATION: Final = f"{TIMEOUT - 1:g}s"
"""How long the server may work at a query: after that nobody waits for it."""


async def ask(web: Web, query: PrometheusQuery) -> float:
    """The number that a query yields.

    Raises:
        NoAnswer: there is none.
    """
    try:
        base = URL(query.address)
        url = (base / "api/v1/query").with_query(query=query.query, timeout=EVALUATION)
    except ValueError as error:
        raise NoAnswer(f"not a URL: {error}") from None
    reply = await web.get(url)
    if isinstance(reply.value, Mapping) and reply.value.get("status") == "error":
        raise NoAnswer(f"{url.host} cannot evaluate the query: {reply.value.get('error')}")
    if reply.status != 200:
        raise NoAnswer(f"{url.host} answers with status {reply.status}")
    if reply.fault:
        raise NoAnswer(reply.fault)
    return number(reply.value)


def number(document: Any) -> float:
    """The number in the answer to an instant query, NaN and the infinities included.

    Raises:
        NoAnswer: there is none, or not just one.
    """
    try:
        kind, result = document["data"]["resultType"], document["data"]["result"]
        if kind == "scalar":
            return float(result[1])
        if kind != "vector":
            raise NoAnswer(f"the query yields a {kind}; it has to yield one number")
        if not result:
            raise NoAnswer("the query yields no data")
        if len(result) > 1:
            raise NoAnswer(f"the query yields {len(result)} numbers; write one that yields one")
        if "value" not in result[0]:
            raise NoAnswer("the query yields a histogram; it has to yield one number")
        return float(result[0]["value"][1])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise NoAnswer("the answer is not that of a Prometheus") from None
