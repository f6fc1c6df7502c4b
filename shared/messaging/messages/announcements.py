"""What the cluster tells of a message that moved: one `message.updated` a step, and how sending ended.

Owns the content of these events. Recording and publishing them is the outbox's.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from shared.durable.outbox import OutboxEvent, event
from shared.messaging.messages.judgement import Judgement, Message
from shared.messaging.messages.message_store import Addressing
from shared.messaging.messages.states import MessageStatus, Step
from shared.messaging.messages.values import OWN_SOURCE
from shared.payloads import EnrichedOutboundMessage, MessageUpdated, OutboundMessage, SendError, encode, mend

#: An error code of ours for a failure that came without one.
UNKNOWN: Final = "unknown"
_KNOWN: Final = {*OutboundMessage.model_fields, *EnrichedOutboundMessage.model_fields}


def announce(judgement: Judgement, addressing: Addressing | None, trace_id: str) -> Iterator[OutboxEvent]:
    """Events of all steps in their order. `addressing` is needed where the step tells how sending ended."""
    message = judgement.message
    for step in judgement.steps:
        at, caused_by = _cause(judgement, step, trace_id)
        error = error_of(message) if step.new is MessageStatus.FAILED else None
        yield _updated(message, step, at, error, caused_by)
        if addressing is not None and ends_sending(step):
            yield _outbound(message, addressing, at, error, caused_by, _message_status(judgement, step))


def ends_sending(step: Step) -> bool:
    """Whether a step of an outbound message is told as `outbound.sent` or `outbound.failed`."""
    return step.old is MessageStatus.QUEUED or step.new is MessageStatus.FAILED


def error_of(message: Message) -> SendError:
    """The error that a failed message failed of."""
    return SendError(code=message.error_code or UNKNOWN, message=message.error_message)


def _cause(judgement: Judgement, step: Step, trace_id: str) -> tuple[datetime, str]:
    """When a step happened and whose trace it belongs to: the earliest event of its state.

    A step that no event reported belongs to the event that implied it, the lowest above it.
    """
    states = [item.new for item in judgement.steps[judgement.steps.index(step) :]]
    for state in states:
        events = [item.event for item in judgement.counted if item.state is state]
        if events:
            first = min(events, key=lambda item: item.occurred_at)
            return first.occurred_at, first.trace_id or trace_id
    raise AssertionError("the last step of a walk is always observed")


def _message_status(judgement: Judgement, step: Step) -> str | None:
    """That the platform holds a message which it accepted, by its answer."""
    if step.new is not MessageStatus.SENT:
        return None
    answers = [item.event.details or {} for item in judgement.counted if item.event.source == OWN_SOURCE]
    return next((said["message_status"] for said in answers if "message_status" in said), None)


def _updated(
    message: Message, step: Step, at: datetime, error: SendError | None, trace_id: str
) -> OutboxEvent:
    payload = MessageUpdated(
        message_id=message.id,
        wamid=message.wamid,
        genesys_message_id=message.genesys_message_id,
        client_message_id=message.client_message_id,
        campaign_id=message.campaign_id,
        direction=message.direction.value,
        old_status=step.old.value,
        new_status=step.new.value,
        timestamp=at,
        implied=step.implied,
        error=error,
        trace_id=trace_id,
    )
    return _record(payload, message.id, trace_id)


def _outbound(
    message: Message,
    addressing: Addressing,
    at: datetime,
    error: SendError | None,
    trace_id: str,
    message_status: str | None,
) -> OutboxEvent:
    asked = _asked(addressing.body)
    said: dict[str, Any] = {
        "conversation_id": addressing.conversation_id or asked.get("conversation_id"),
        "message_id": message.id,
        "mapping_id": addressing.mapping_id,
        "wa_id": addressing.wa_id,
        "customer": addressing.customer,
        "phone_number_id": addressing.phone_number_id,
        "genesys_message_id": message.genesys_message_id,
        "client_message_id": message.client_message_id,
        "campaign_id": message.campaign_id,
        "wamid": message.wamid,
        "message_status": message_status,
        "timestamp": at,
        "error": error,
        "metadata": asked.get("metadata"),
        "trace_id": trace_id,
    }
    unknown = {name: value for name, value in asked.items() if name not in _KNOWN}
    payload = EnrichedOutboundMessage.model_validate(unknown | said)
    return _record(payload, message.id, trace_id)


def _asked(body: bytes | None) -> dict[str, Any]:
    """The fields of the original body; it was an OutboundMessage when it was stored."""
    if body is None:
        return {}
    asked = orjson.loads(mend(body)[0])
    return asked if isinstance(asked, dict) else {}


def _record(
    payload: MessageUpdated | EnrichedOutboundMessage, message_id: UUID, trace_id: str
) -> OutboxEvent:
    return event(
        payload.event_type, encode(payload), aggregate=("message", message_id), correlation_id=trace_id
    )
