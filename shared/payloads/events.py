"""What the cluster tells others (`wa.events`), save the enriched inbound message.

Every event carries what a consumer needs to find its own record again: our ids, the customer and number, the
platforms' ids, and when it happened. None of it is validated as strictly as what comes in: it is ours.
"""

from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, WithJsonSchema, model_validator

from shared.payloads.fields import UtcTime
from shared.payloads.model import Event

MessageState = Literal["queued", "sent", "delivered", "read", "received", "processed", "failed"]
CampaignState = Literal["draft", "scheduled", "running", "paused", "cancelled", "done"]
NotificationState = Literal["pending", "queued", "sent", "delivered", "read", "failed", "skipped"]
#: `shared.reasons.DeadReason`, of which payloads know nothing: a test holds both together.
Reason = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "enum": [
                "lock_timeout",
                "mapping_not_found",
                "invalid_payload",
                "state_violation",
                "mapping_status_expired",
                "mapping_status_closed",
                "database_error",
                "invalid_media_url",
                "send_rejected",
                "send_ambiguous",
                "max_retries_exceeded",
                "expired",
                "unrouted",
                "delivery_limit",
                "unexpected_error",
            ],
        }
    ),
]


class SendError(BaseModel):
    """Why a message failed: the platform's error code as text, or a word of ours (`expired`)."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str | None = None
    details: str | None = None


class EnrichedOutboundMessage(Event):
    """`outbound.sent`, or `outbound.failed` where `error` is set. What is not known when it died is left out.

    `metadata` and unknown fields are those of the OutboundMessage. `message_status`: the platform accepted it
    and holds it yet (`held_for_quality_assessment`, `paused`).
    """

    model_config = ConfigDict(extra="allow")

    EVENT_TYPE: ClassVar[str] = "outbound.sent"

    conversation_id: str | None = None
    message_id: UUID | None = None
    mapping_id: UUID | None = None
    wa_id: str | None = None
    customer: str | None = None
    phone_number_id: str | None = None
    genesys_message_id: str | None = None
    client_message_id: str | None = None
    campaign_id: str | None = None
    wamid: str | None = None
    message_status: str | None = None
    timestamp: UtcTime
    error: SendError | None = None
    metadata: dict[str, Any] | None = None
    trace_id: str | None = None

    @property
    def event_type(self) -> str:
        return "outbound.failed" if self.error else "outbound.sent"


class OutboundWaiting(Event):
    """`outbound.waiting`: its conversation is not known yet, and the message is tried again for a while.

    Once a message, however often it is tried. Unknown fields are those of the OutboundMessage.
    """

    model_config = ConfigDict(extra="allow")

    EVENT_TYPE: ClassVar[str] = "outbound.waiting"

    conversation_id: str
    wa_id: str | None = None
    customer: str | None = None
    phone_number_id: str | None = None
    genesys_message_id: str | None = None
    client_message_id: str | None = None
    campaign_id: str | None = None
    timestamp: UtcTime
    metadata: dict[str, Any] | None = None
    trace_id: str | None = None


class MessageUpdated(Event):
    """`message.updated`: one step of a message; `implied` if no event reported it."""

    EVENT_TYPE: ClassVar[str] = "message.updated"

    message_id: UUID
    wamid: str | None = None
    genesys_message_id: str | None = None
    client_message_id: str | None = None
    campaign_id: str | None = None
    direction: Literal["INBOUND", "OUTBOUND"]
    old_status: MessageState
    new_status: MessageState
    timestamp: UtcTime
    implied: bool
    error: SendError | None = None
    trace_id: str | None = None


class _ConversationEvent(Event):
    """What every event of a conversation says."""

    mapping_id: UUID
    conversation_id: str | None = None
    wa_id: str
    phone_number_id: str
    timestamp: UtcTime
    trace_id: str | None = None


class ConversationCorrelated(_ConversationEvent):
    """`conversation.correlated`: `replaced_conversation_id` is the earlier id, an alias from now on."""

    EVENT_TYPE: ClassVar[str] = "conversation.correlated"

    communication_id: str | None = None
    whatsapp_message_id: str
    replaced_conversation_id: str | None = None


class ConversationClosedEvent(_ConversationEvent):
    """`conversation.closed`: the agent closed it; the customer's next message opens a new mapping."""

    EVENT_TYPE: ClassVar[str] = "conversation.closed"


class ConversationExpired(_ConversationEvent):
    """`conversation.expired`: idle since `last_activity_at`; the next message opens a new mapping."""

    EVENT_TYPE: ClassVar[str] = "conversation.expired"

    last_activity_at: UtcTime


class CustomerMerged(Event):
    """`customer.merged`: what was known of `merged` is `customer`'s from now on, under all these addresses.

    `evidence`: who said so.
    """

    EVENT_TYPE: ClassVar[str] = "customer.merged"

    customer: str
    merged: str
    addresses: list[str]
    evidence: Literal["inbound", "answer", "status", "system", "rule", "operator"]
    timestamp: UtcTime
    trace_id: str | None = None


class CampaignUpdated(Event):
    """`campaign.updated`: a campaign's state changed. `recipients` counts them by status where known."""

    EVENT_TYPE: ClassVar[str] = "campaign.updated"

    campaign_id: str
    old_status: CampaignState | None = None
    new_status: CampaignState
    reason: str | None = None
    recipients: dict[str, int] | None = None
    timestamp: UtcTime
    trace_id: str | None = None


class NotificationUpdated(Event):
    """`notification.updated`: a notice's status changed. `revision` rises with each change of its row."""

    EVENT_TYPE: ClassVar[str] = "notification.updated"

    notification_id: UUID
    shop_id: str
    notification_type: str
    old_status: NotificationState
    new_status: NotificationState
    skip_reason: str | None = None
    revision: int
    timestamp: UtcTime
    trace_id: str | None = None


class ReengagementConverted(Event):
    """`reengagement.converted`: an order is credited to an automatic message. Once an order, once a message.

    `revenue`: what the order brings in its `currency`, as text; later refunds are not told again.
    """

    EVENT_TYPE: ClassVar[str] = "reengagement.converted"

    notification_id: UUID
    shop_id: str
    campaign_type: str
    customer: str
    order_id: str
    revenue: str
    currency: str | None = None
    timestamp: UtcTime
    trace_id: str | None = None


class DLQMessage(Event):
    """`deadletter.stored`, and a dead letter as the CLI and the API show it.

    `original_payload` is null, and `raw_body_base64` set, where the body is not JSON that PostgreSQL takes.
    `raw_body_cut` is true in an event whose body is too large for one: the database has all of it.
    """

    EVENT_TYPE: ClassVar[str] = "deadletter.stored"

    id: UUID
    original_payload: Any = None
    raw_body_base64: str | None = None
    raw_body_cut: bool | None = None
    reason: Reason
    error_message: str | None = None
    retry_count: int
    timestamp: UtcTime
    source_queue: str
    routing_key: str | None = None
    headers: dict[str, Any]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.original_payload is None and self.raw_body_base64 is None:
            raise ValueError("original_payload, raw_body_base64: one of them is required")
        return self
