"""Traces: every synchronised set is one, every stage it went through a span in it.

Needs the extra ``tracing`` and SPOTON_TRACING_URL; without the setting nothing is imported and
nothing is done. A set's trace id follows from task and index, so that stages in several threads
need not hand anything on, and a log line's task and index lead to the trace.
"""

import hashlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any, Protocol

from plugins.errors import InvalidInputError

OnMeasured = Callable[[str, float, int | None], None]
SERVICE = "spoton-worker"


class SpanSink(Protocol):
    """Takes finished spans; must return at once."""

    def span(
        self, name: str, trace_id: int, start_ns: int, end_ns: int, attributes: dict[str, str | int]
    ) -> None:
        """One span, times in ns since 1970, ``trace_id`` of 128 bits."""


def set_trace_id(task_id: str, index: int) -> int:
    """128 bits, never 0."""
    digest = hashlib.sha256(f"{task_id}/{index}".encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1


def traced_sets(
    sink: SpanSink, task_id: str, clock_ns: Callable[[], int] = time.time_ns
) -> OnMeasured:
    """What ``StageTimes`` tells of each stage that has just ended: name, seconds, set index."""

    def measured(stage: str, seconds: float, index: int | None) -> None:
        if index is not None:
            end_ns = clock_ns()
            start_ns = end_ns - round(seconds * 1e9)
            attributes: dict[str, str | int] = {"task_id": task_id, "frame_index": index}
            sink.span(stage, set_trace_id(task_id, index), start_ns, end_ns, attributes)

    return measured


class OtlpSpans:
    """Sends spans in batches, in a thread of OpenTelemetry's, to ``url`` (OTLP over HTTP); what is
    left, when the process ends.
    """

    def __init__(self, url: str) -> None:
        # An optional extra; half a second of imports that others need not wait for.
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._trace: Any = trace
        self._provider: Any = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer: Any = self._provider.get_tracer(SERVICE)

    def span(
        self, name: str, trace_id: int, start_ns: int, end_ns: int, attributes: dict[str, str | int]
    ) -> None:
        """Hands it to the batch."""
        trace = self._trace
        # All spans of a set hang on one that is never sent: its id is the trace's lower half.
        root = trace.SpanContext(
            trace_id,
            (trace_id & (2**64 - 1)) or 1,
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(root))
        span = self._tracer.start_span(
            name, context=context, start_time=start_ns, attributes=attributes
        )
        span.end(end_time=end_ns)


def check_tracing(url: str | None) -> None:
    """InvalidInputError where there is a URL and the extra is not installed."""
    if url and importlib.util.find_spec("opentelemetry") is None:
        raise InvalidInputError(
            "SPOTON_TRACING_URL is set, but OpenTelemetry is not installed: `pip install "
            "'spoton[tracing]'`, or unset it"
        )


def open_tracing(url: str | None) -> SpanSink | None:
    """None without a URL. InvalidInputError where the extra is missing."""
    check_tracing(url)
    return OtlpSpans(url) if url else None
