"""Spans of a message's own: each attempt's has an id of its own making, so that statuses are told below it.

Owns that id, and the spans of statuses. A status comes minutes later, to another process, in a trace of the
webhook that brought it; what it knows of its message is the row and, mostly, the attempt.
"""

from collections.abc import Iterable
from hashlib import blake2b
from uuid import UUID

from shared.messaging.messages.judged import JudgedMessage
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import StatusOutcome
from shared.observability import spans
from shared.observability.spans import Recording, SpanKind
from shared.observability.tracing import Trace


def attempt_span_id(message_id: UUID, attempt: int) -> str:
    """16 hex digits, the same for an attempt wherever they are asked for."""
    return blake2b(f"{message_id}:{attempt}".encode(), digest_size=8).hexdigest()


def tell_statuses(cases: Iterable[JudgedMessage]) -> None:
    """A span for each status, in the trace of its message, linked to the delivery that brought it.

    What is told of the message from now on follows from its last one.
    """
    if (recording := spans.recording) is None:
        return
    for case in cases:
        for sighting, outcome in zip(case.sightings, case.judgement.outcomes, strict=True):
            _tell(recording, case, sighting, outcome)


def _tell(recording: Recording, case: JudgedMessage, sighting: Sighting, outcome: StatusOutcome) -> None:
    message, event = case.before, sighting.event
    if message.trace is None:
        return
    attempt = sighting.attempt
    span = recording.start(
        "status" if sighting.state is None else f"status {sighting.state.value}",
        SpanKind.INTERNAL,
        Trace(
            trace_id=message.trace.hex,
            w3c_id=message.trace.hex,
            span_id=attempt_span_id(message.id, attempt) if attempt else None,
        ),
        {
            "wabus.message_id": str(message.id),
            "wabus.wamid": event.wamid,
            "wabus.attempt": attempt or None,
            "wabus.status": None if sighting.state is None else sighting.state.value,
            "wabus.status.source": event.source,
            "wabus.status.occurred_at": event.occurred_at.isoformat(),
        },
        link=None if event.trace_id is None else recording.cause(event.trace_id),
    )
    recording.know(str(message.id), span.traceparent)
    span.end({"wabus.outcome": outcome.value}, sighting.error_code if sighting.is_failure else None)
