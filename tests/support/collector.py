"""A collector of OpenTelemetry spans: a real HTTP server that reads what the exporter posts."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span as it came. Ids are hex digits; `parent` is empty at the root; `links` are span ids."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    failed: bool
    attributes: dict[str, Any]

    @property
    def outcome(self) -> Any:
        return self.attributes.get("wabus.outcome")


@dataclass
class Collector:
    """What came so far. `url` is for OTEL_EXPORTER_OTLP_ENDPOINT; `raw` all that was posted, as it came."""

    url: str = ""
    spans: list[CollectedSpan] = field(default_factory=list)
    raw: bytes = b""
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Collect until the block ends."""
        collector = cls()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/traces", collector._take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield collector
        finally:
            await runner.cleanup()

    def of(self, trace: str) -> list[CollectedSpan]:
        """All spans of a trace."""
        return [span for span in self.spans if span.trace == trace]

    def below(self, parent: CollectedSpan, name: str) -> list[CollectedSpan]:
        """The children of a span that have this name."""
        return [span for span in self.spans if span.parent == parent.id and span.name == name]

    def below_id(self, trace: str, parent: str) -> list[CollectedSpan]:
        """The children of a span of somebody else's."""
        return [span for span in self.of(trace) if span.parent == parent]

    async def until(self, trace: str, name: str, count: int = 1, **attributes: Any) -> list[CollectedSpan]:
        """Wait for so many spans of a trace with this name, and `wabus.…` attributes; gives them."""
        wanted = {f"wabus.{key}": value for key, value in attributes.items()}.items()

        def found() -> list[CollectedSpan]:
            return [s for s in self.of(trace) if s.name == name and wanted <= s.attributes.items()]

        await until(lambda: len(found()) >= count)
        return found()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        self.headers.append(dict(request.headers))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _read(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_collect(service, span) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _collect(service: str, span: WireSpan) -> CollectedSpan:
    return CollectedSpan(
        service=service,
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        failed=span.status.code == 2,
        attributes=_read(span.attributes),
    )


def _read(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in attributes}
