"""What tracking speaks of: status events as they come, our own word on a message, and what became of both.

Owns the values and the form of our callback data. Decides nothing, touches no server.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from shared.amqp.delivery import Delivery
from shared.durable.outbox import OutboxEvent
from shared.messaging.messages.states import MessageStatus, StatusOutcome, read_status
from shared.payloads import SendError, StatusUpdate

#: Header of a delivery that asks the sender for another attempt: the number of the attempt that failed.
STATUS_RETRY: Final = "x-wabus-status-retry"
#: `deferred_messages.reason` of such a message.
STATUS_RETRY_REASON: Final = "status_retry"
#: Source of the events that we are witnesses of ourselves.
OWN_SOURCE: Final = "wabus"

_CALLBACK_DATA: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """A status as some `source` (routing key `whatsapp` or `genesys`, or `wabus`) reported it.

    At least one of wamid, callback data and genesys id is there. `details`: what else the event said.
    """

    source: str
    status: str
    occurred_at: datetime
    wamid: str | None = None
    callback_data: str | None = None
    genesys_message_id: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] | None = None
    trace_id: str | None = None

    @property
    def reference(self) -> str:
        """By what the event names its message first; a generated column of `status_events` says the same."""
        return self.wamid or self.callback_data or self.genesys_message_id or ""

    @property
    def key(self) -> "EventKey":
        """Events with the same key are one event."""
        return (self.reference, self.status, self.occurred_at, self.source)


EventKey = tuple[str, str, datetime, str]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in `status_events`. `outcome` is None until it is settled; `delivery`: where it is in hand."""

    id: int
    event: StatusEvent
    outcome: StatusOutcome | None = None
    delivery: Delivery | None = None


#: An event, the message it belongs to, and its outcome.
SettledEvent = tuple[StoredEvent, UUID | None, StatusOutcome]


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """Our own word on an outbound message: the API took it (`sent`), or nothing can send it (`failed`).

    `attempt`: the one it ends; None where none was made. `wamid` belongs to `sent`, `error` to `failed`;
    `message_status` to a `sent` that the platform holds yet.
    """

    message_id: UUID
    status: Literal["sent", "failed"]
    trace_id: str
    attempt: int | None = None
    wamid: str | None = None
    error: SendError | None = None
    http_status: int | None = None
    message_status: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What our own word came to. `events` are in the outbox, to be published after the caller's commit.

    `statuses`: the status that each row has now; a message without a row is not among them.
    """

    events: list[OutboxEvent]
    statuses: dict[UUID, MessageStatus]


def event_of(update: StatusUpdate, source: str, trace_id: str) -> StatusEvent:
    """A decoded status as an event of `source`."""
    said = {
        name: value
        for name in ("recipient_id", "recipient_user_id", "pricing", "conversation")
        if (value := getattr(update, name)) is not None
    }
    return StatusEvent(
        source=source,
        status=read_status(update.status),
        occurred_at=update.timestamp,
        wamid=update.wamid,
        callback_data=update.callback_data,
        genesys_message_id=update.genesys_message_id,
        errors=[error.model_dump(exclude_none=True) for error in update.errors or ()],
        details=said | (update.model_extra or {}) or None,
        trace_id=trace_id,
    )


def callback_data(message_id: UUID, attempt: int) -> str:
    """`biz_opaque_callback_data` of one attempt; every status of it carries it back."""
    return f"{message_id}:{attempt}"


def read_callback_data(value: str | None) -> tuple[UUID, int] | None:
    """Message and attempt that callback data names; None for anything that is not ours."""
    match = None if value is None else _CALLBACK_DATA.fullmatch(value)
    return None if match is None else (UUID(match[1]), int(match[2]))
