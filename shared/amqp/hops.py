"""The spans of a message's hops: taken from a queue and worked, published, taken again.

Owns what such a span is called and says, by OpenTelemetry's conventions for messaging, and what it stands
below. Says no body, no key, and of a routing key no address in clear. Costs a look where none are recorded.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from shared.amqp.delivery import (
    DEFERRED_ID,
    REASON,
    REPLAY_OF,
    SOURCE_QUEUE,
    TRACEPARENT,
    Delivery,
    Publication,
)
from shared.amqp.disposition import Ack, Dead, Defer, Disposition, Retry
from shared.amqp.headers import trace_of
from shared.amqp.topology import INBOUND, LANES, OUTBOUND
from shared.errors import WabusError
from shared.masking import mask_address
from shared.observability import spans
from shared.observability.spans import Attributes, Span, SpanKind
from shared.observability.tracing import Trace, read_trace

#: What may be somebody's number, wherever it stands.
_DIGITS: Final = re.compile(r"\d{7,}")
#: Headers that a span of a publication repeats, all of them ours.
_TOLD: Final = {
    REASON: "wabus.reason",
    SOURCE_QUEUE: "wabus.source_queue",
    DEFERRED_ID: "wabus.deferred_id",
    REPLAY_OF: "wabus.replay_of",
}


def begin(deliveries: Iterable[Delivery], worker: str) -> None:
    """A worker begins these. One that is begun already goes on."""
    if (recording := spans.recording) is None:
        return
    for delivery in deliveries:
        if recording.of(delivery) is None:
            trace = trace_of(delivery)
            facts = _facts_of_delivery(delivery, worker, trace)
            span = recording.start(f"process {delivery.queue}", SpanKind.CONSUMER, trace, facts)
            recording.hold(delivery, span)
            recording.know(trace.trace_id, span.traceparent)


def settle(delivery: Delivery, disposition: Disposition) -> None:
    """It is done, by this disposition."""
    if (recording := spans.recording) is None or (span := recording.let_go(delivery)) is None:
        return
    match disposition:
        case Ack():
            span.end({"wabus.outcome": "ack"})
        case Retry(reason):
            span.end({"wabus.outcome": "retry", "wabus.reason": reason}, reason)
        case Defer(reason, delay_s):
            span.end({"wabus.outcome": "defer", "wabus.reason": reason, "wabus.delay_s": delay_s})
        case Dead(reason):
            span.end({"wabus.outcome": "dead", "wabus.reason": reason.value}, reason.value)


def put_back(deliveries: Iterable[Delivery]) -> None:
    """Nothing was done for them; they come again, here or elsewhere."""
    if (recording := spans.recording) is None:
        return
    for delivery in deliveries:
        if (span := recording.let_go(delivery)) is not None:
            span.end({"wabus.outcome": "put_back"})


def tie(delivery: Delivery, name: object) -> None:
    """What is told of `name` (the id of a message, of a dead letter) follows from this delivery."""
    if (recording := spans.recording) is not None and (span := recording.of(delivery)) is not None:
        recording.know(str(name), span.traceparent)


def trace_below(delivery: Delivery) -> Trace:
    """Where a span belongs that is about a delivery in hand: below its own."""
    trace = trace_of(delivery)
    span = None if spans.recording is None else spans.recording.of(delivery)
    return trace if span is None else read_trace(trace.trace_id, span.traceparent)


def traceparent_headers(delivery: Delivery) -> dict[str, str]:
    """The header with which a copy that is stored now goes on below this delivery's span, if it has one."""
    if (recording := spans.recording) is None or (span := recording.of(delivery)) is None:
        return {}
    return {TRACEPARENT: span.traceparent}


def leave(batch: Sequence[Publication]) -> tuple[Sequence[Publication], Sequence[Span]]:
    """Before these are published: with the headers of their spans, which `arrive` ends."""
    if (recording := spans.recording) is None:
        return batch, ()
    begun = [
        recording.start(
            f"publish {item.exchange or item.routing_key}",
            SpanKind.PRODUCER,
            _origin(recording, item),
            _facts_of_publication(item),
        )
        for item in batch
    ]
    return [_under(item, span) for item, span in zip(batch, begun, strict=True)], begun


def arrive(begun: Sequence[Span], outcomes: Sequence[WabusError | None]) -> None:
    """What became of the publications whose spans these are."""
    if begun:
        for span, error in zip(begun, outcomes, strict=True):
            span.end({}, None if error is None else type(error).__name__)


def mask_routing_key(exchange: str, routing_key: str) -> str:
    """It is an address, or ends in one, where customers' messages come in and are asked for."""
    if exchange == INBOUND:
        return mask_address(routing_key)
    lane, dot, key = routing_key.partition(".")
    if exchange == OUTBOUND and dot:
        return f"{lane}.{mask_address(key)}"
    return _DIGITS.sub(lambda found: mask_address(found[0]), routing_key)


def _origin(recording: spans.Recording, item: Publication) -> Trace:
    """Below what it follows from: that, else the span its header names, else the last one of its trace."""
    known: str | None = None
    if isinstance(item.cause, Delivery):
        span = recording.of(item.cause)
        known = None if span is None else span.traceparent
    elif item.cause is not None:
        known = recording.cause(item.cause)
    trace = read_trace(item.correlation_id, known or item.headers.get(TRACEPARENT))
    if trace.span_id is None:
        return read_trace(item.correlation_id, recording.cause(item.correlation_id))
    return trace


def _under(item: Publication, span: Span) -> Publication:
    return replace(item, traceparent=span.traceparent)


def _facts_of_delivery(delivery: Delivery, worker: str, trace: Trace) -> Attributes:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": delivery.exchange or delivery.queue,
        "messaging.destination.subscription.name": delivery.queue,
        "messaging.rabbitmq.destination.routing_key": mask_routing_key(
            delivery.exchange, delivery.routing_key
        ),
        "messaging.rabbitmq.message.delivery_tag": delivery.tag,
        "messaging.message.conversation_id": trace.trace_id,
        "messaging.message.body.size": len(delivery.body),
        "wabus.worker": worker,
        "wabus.lane": LANES.get(delivery.queue),
        "wabus.attempt": delivery.attempt,
        "wabus.redelivered": delivery.redelivered,
    }


def _facts_of_publication(item: Publication) -> Attributes:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": item.exchange or item.routing_key,
        "messaging.rabbitmq.destination.routing_key": mask_routing_key(item.exchange, item.routing_key),
        "messaging.message.conversation_id": item.correlation_id,
        "messaging.message.body.size": len(item.body),
        "wabus.type": item.type,
        "wabus.attempt": item.attempt,
        **{said: str(item.headers[name]) for name, said in _TOLD.items() if name in item.headers},
    }
