"""Traces of upgrades for an OpenTelemetry collector; only who wants them needs its libraries.

They come with the extra `tracing` and are imported when an endpoint is given. A collector that does
not answer costs spans and nothing else: they wait in a bounded queue, and a thread sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from agentherd import __version__
from agentherd.api import AgentUpgrade, AgentUpgradeStatus
from agentherd.domain.kinds import Key, Kind
from agentherd.engine.applier import Witness
from agentherd.engine.spans import Span, ended_spans
from agentherd.engine.store import Record

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

ANSWERED_WITHIN: Final = 3.0
"""Seconds that one request to the collector may take, and so the end of the process."""


class NotInstalled(Exception):
    """Traces are asked for, and the libraries that send them are not there."""


class Traces:
    """Gives the spans of upgrades to a processor of OpenTelemetry."""

    def __init__(self, processor: SpanProcessor, resource: Resource) -> None:
        self._processor = processor
        self._resource = resource

    def wrote(self, kind: Kind, key: Key, before: Record, after: Record) -> None:  # noqa: ARG002
        """A status was written; of an upgrade, what has ended with it is sent."""
        was, upgrade = before.subject.status, after.subject
        if isinstance(upgrade, AgentUpgrade) and isinstance(was, AgentUpgradeStatus):
            for span in ended_spans(was, upgrade):
                self._processor.on_end(_readable(span, self._resource))


@asynccontextmanager
async def traces(endpoint: str, *, identity: str) -> AsyncIterator[tuple[Witness, ...]]:
    """Who is to be told of statuses, so that traces of upgrades reach a collector; nobody for "".

    Raises:
        NotInstalled: the extra is missing.
    """
    if not endpoint:
        yield ()
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NotInstalled(f"install agentherd[tracing] ({error})") from error
    told = {
        "service.name": "agentherd",
        "service.version": __version__,
        "service.instance.id": identity,
    }
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=ANSWERED_WITHIN)
    processor = BatchSpanProcessor(exporter)
    try:
        yield (Traces(processor, Resource.create(told)),)
    finally:
        await asyncio.to_thread(processor.shutdown)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    def context(span_id: int) -> SpanContext:
        flags = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(span.trace_id, span_id, is_remote=False, trace_flags=flags)

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id),
        parent=context(span.parent_id) if span.parent_id is not None else None,
        resource=resource,
        attributes=span.attributes,
        status=Status(StatusCode.ERROR, span.failure) if span.failure else Status(StatusCode.OK),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(span.end),
        instrumentation_scope=InstrumentationScope("agentherd", __version__),
    )


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000_000
