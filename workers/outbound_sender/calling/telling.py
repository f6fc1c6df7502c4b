"""What is told of a send: its log line, its metrics, and its span, below which its statuses are told later.

Owns what they say: never a body or a token, nor an address in clear.
"""

import logging

from shared.amqp.hops import trace_below
from shared.masking import mask_address
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.message_spans import attempt_span_id
from shared.observability import spans
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.observability.spans import Span, SpanKind
from workers.outbound_sender.calling.answer import (
    Accepted,
    Answer,
    Lost,
    Refused,
    TooLate,
    Unable,
    Unreachable,
)
from workers.outbound_sender.calling.reactions import health_of
from workers.outbound_sender.message import Outgoing

logger = get_logger(__name__)


def begin_span(message: Outgoing, attempt: int) -> Span | None:
    """The span of an attempt's request, which begins; None where none are recorded."""
    if (recording := spans.recording) is None:
        return None
    span = recording.start(
        "POST /{phone_number_id}/messages",
        SpanKind.CLIENT,
        trace_below(message.delivery),
        {
            "http.request.method": "POST",
            "url.template": "/{phone_number_id}/messages",
            "wabus.message_id": str(message.id),
            "wabus.phone_number_id": message.number,
            "wabus.customer": mask_address(message.customer),
            "wabus.lane": message.lane,
            "wabus.attempt": attempt,
        },
        span_id=attempt_span_id(message.id, attempt),
    )
    recording.know(str(message.id), span.traceparent)
    return span


def tell_answer(
    metrics: Metrics,
    message: Outgoing,
    attempt: int,
    answer: Answer,
    duration_s: float,
    span: Span | None,
) -> None:
    """Count it, end its span, and write a line: of what was accepted at DEBUG."""
    outcome, error_class = _labels(answer)
    metrics.sends.labels(outcome, error_class, message.lane).inc()
    if (health := health_of(answer, message.id)) is not None:
        metrics.dependency_up.labels("cloud_api").set(health.answered)
    if not isinstance(answer, TooLate):
        metrics.send_duration.labels(message.lane).observe(duration_s)
    if span is not None:
        _end(span, answer)
    level = logging.DEBUG if isinstance(answer, Accepted) else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "send %s%s",
        outcome,
        _said(answer),
        extra=fields(
            operation=Operation.OUTBOUND_SEND,
            trace_id=message.trace_id,
            wa_id=message.customer,
            wamid=answer.wamid if isinstance(answer, Accepted) else None,
            mapping_id=message.mapping_id,
            phone_number_id=message.number,
            message_id=message.id,
            lane=message.lane,
            attempt=attempt,
            outcome=outcome,
            code=_code(answer),
            duration_ms=duration_s * 1000,
        ),
    )


def tell_unsent(message: Outgoing, code: str, text: str) -> None:
    """A message ends without an attempt."""
    logger.warning(
        "not sent: %s: %s",
        code,
        text,
        extra=fields(
            operation=Operation.OUTBOUND_SEND,
            trace_id=message.trace_id,
            wa_id=message.customer,
            mapping_id=message.mapping_id,
            phone_number_id=message.number,
            message_id=message.id,
            lane=message.lane,
            outcome="failed",
            code=code,
        ),
    )


def _end(span: Span, answer: Answer) -> None:
    outcome, error_class = _labels(answer)
    span.end(
        {
            "wabus.outcome": outcome,
            "wabus.error_class": None if isinstance(answer, Accepted | TooLate) else error_class,
            "wabus.wamid": answer.wamid if isinstance(answer, Accepted) else None,
            "http.response.status_code": (
                answer.http_status if isinstance(answer, Accepted | Refused | Lost) else None
            ),
        },
        _code(answer),
    )


def _code(answer: Answer) -> str | None:
    """The platform's, or a word for what kept it from answering."""
    match answer:
        case Accepted():
            return None
        case Refused():
            return answer.code
        case Lost():
            return "ambiguous"
        case Unreachable():
            return "unreachable"
        case Unable():
            return "unable"
        case TooLate():
            return "not_started"


def _said(answer: Answer) -> str:
    match answer:
        case Accepted() | TooLate():
            return ""
        case Refused():
            return f": {answer.code}: {answer.text}"
        case _:
            return f": {answer.text}"


def _labels(answer: Answer) -> tuple[str, str]:
    match answer:
        case Accepted():
            return "sent", "none"
        case Refused(error_class):
            return "failed", error_class.value
        case Unreachable() | Unable():
            return "failed", ErrorClass.TRANSIENT.value
        case Lost():
            return "ambiguous", ErrorClass.AMBIGUOUS.value
        case TooLate():
            return "abandoned", "none"
