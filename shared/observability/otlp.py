"""OpenTelemetry's SDK behind the seam of spans: the only module that imports it.

Owns the ids of spans, what the process says of itself, and one line when the collector takes none. Sampling,
limits, batches, certificates and time-outs are the SDK's, by its standard variables.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import SpanKind as SdkKind

from shared.masking import mask_url
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.spans import Attributes, Span, SpanKind
from shared.observability.tracing import Trace, read_trace
from shared.settings.settings import Settings
from shared.version import VERSION

logger = get_logger(__name__)
#: Where the SDK says why the collector took nothing, and that more waits than it keeps.
_EXPORTER_LOGGER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_SDK_LOGGERS: Final = (_EXPORTER_LOGGER, "opentelemetry.sdk._shared_internal")


class SpanPipe:
    """From begun spans to the collector, by a thread of the SDK's. `close` it at the end."""

    def __init__(self, settings: Settings, program: str) -> None:
        endpoint = settings.traces_endpoint
        assert endpoint is not None
        named = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
        name = settings.otel_service_name or named or f"wabus-{program}"
        self._ids = _Ids()
        self._exporter = _TellingExporter(endpoint, settings.traces_headers)
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: VERSION}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("wabus", VERSION)

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: Trace,
        attributes: Attributes,
        *,
        link: str | None = None,
        span_id: str | None = None,
    ) -> Span:
        """Begin a span; see `shared.observability.spans.StartSpan`. By one thread at a time."""
        self._ids.trace_id = int(parent.w3c_id, 16)
        self._ids.span_id = None if span_id is None else int(span_id, 16)
        linked = None if link is None else _context_of(read_trace(None, link))
        above = _context_of(parent)
        context = Context() if above is None else set_span_in_context(NonRecordingSpan(above), Context())
        return _PipedSpan(
            self._tracer.start_span(
                name,
                context,
                SdkKind[kind.value],
                attributes=_given(attributes),
                links=() if linked is None else (Link(linked),),
            )
        )

    def close(self) -> None:
        """Export what is left. Blocks for as long as the collector takes, or until `give_up`."""
        self._provider.shutdown()
        self._exporter.forget()

    def give_up(self) -> None:
        """Export no more."""
        self._exporter.shutdown()


class _PipedSpan:
    """See `shared.observability.spans.Span`."""

    __slots__ = ("_span",)

    def __init__(self, span: SdkSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        self._span.set_attributes(_given(attributes))
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _Ids(RandomIdGenerator):
    """Ids as they are given: a message's trace is known before its first span is."""

    trace_id = 0
    span_id: int | None = None

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        given, self.span_id = self.span_id, None
        return given or super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False


class _TellingExporter(SpanExporter):
    """The SDK's exporter, which would write a line for each batch that is not taken; this one tells once."""

    def __init__(self, endpoint: str, headers: Mapping[str, str] | None) -> None:
        self._endpoint = mask_url(endpoint)
        self._exporter = OTLPSpanExporter(endpoint, headers=headers)
        self._lost = 0
        self._why = ""
        for name in _SDK_LOGGERS:
            logging.getLogger(name).addFilter(self._hear)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                logger.info(
                    "%s takes spans again; at least %d were lost",
                    self._endpoint,
                    self._lost,
                    extra=fields(operation=Operation.TRACING),
                )
            self._lost = 0
            return result
        if not self._lost:
            logger.warning(
                "%s takes no spans (%s): they are lost until it does, all else goes on",
                self._endpoint,
                self._why,
                extra=fields(operation=Operation.TRACING),
            )
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def forget(self) -> None:
        """Hear the SDK no more."""
        for name in _SDK_LOGGERS:
            logging.getLogger(name).removeFilter(self._hear)

    def _hear(self, record: logging.LogRecord) -> bool:
        if record.name == _EXPORTER_LOGGER and record.levelno >= logging.ERROR:
            self._why = record.getMessage()
        return False


def _context_of(trace: Trace) -> SpanContext | None:
    """The span by which a trace came to us, if any."""
    if trace.span_id is None:
        return None
    flags = TraceFlags(int(trace.flags, 16))
    return SpanContext(int(trace.w3c_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags)


def _given(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
