"""A customer's message, as a WhatsApp gateway hands it in, and as the cluster hands it on."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from shared.payloads.fields import (
    ContactName,
    CustomerId,
    EventTime,
    ForeignCustomerId,
    Identifier,
    Maybe,
    MediaUrl,
    Side,
    SideIdentifier,
    Wamid,
    null_means,
)
from shared.payloads.model import Event, Payload


class InboundMessage(Payload):
    """`wa.inbound`. `wa_id` is a phone's digits, or a business-scoped id where the phone is hidden.

    `content` is the platform's own message object, in whatever form the platform gives it.
    """

    wamid: Wamid
    timestamp: EventTime
    wa_id: CustomerId
    user_id: Maybe[ForeignCustomerId] = None
    parent_user_id: Maybe[ForeignCustomerId] = None
    message_text: Maybe[str] = None
    contact_name: Side[ContactName] = None
    media_url: Maybe[MediaUrl] = None
    phone_number_id: Maybe[Identifier] = None
    display_phone_number: Side[SideIdentifier] = None
    message_type: Annotated[Identifier, null_means("text", Identifier)] = "text"
    content: Maybe[dict[str, Any]] = None
    context_wamid: Maybe[Wamid] = None


class EnrichedInboundMessage(InboundMessage, Event):
    """`inbound.enriched`: the InboundMessage with what it was resolved to. Idempotency key: the wamid.

    `phone_number_id` is there also where the message named none. `customer`: the person, by whatever address.
    """

    EVENT_TYPE: ClassVar[str] = "inbound.enriched"

    customer: str | None = None
    mapping_id: UUID
    conversation_id: str | None = None
    is_new_conversation: bool
    trace_id: str

    @classmethod
    def of(
        cls,
        message: InboundMessage,
        *,
        phone_number_id: str,
        customer: str,
        mapping_id: UUID,
        conversation_id: str | None,
        is_new_conversation: bool,
        trace_id: str,
    ) -> Self:
        """Enrich a message that is valid already. Not validated again: this is the resolver's hot path."""
        event = cls.__new__(cls)
        fields = {
            **message.__dict__,
            "event_version": 1,
            "phone_number_id": phone_number_id,
            "customer": customer,
            "mapping_id": mapping_id,
            "conversation_id": conversation_id,
            "is_new_conversation": is_new_conversation,
            "trace_id": trace_id,
        }
        object.__setattr__(event, "__dict__", fields)
        object.__setattr__(event, "__pydantic_fields_set__", fields.keys())
        object.__setattr__(event, "__pydantic_extra__", message.__pydantic_extra__)
        object.__setattr__(event, "__pydantic_private__", None)
        return event
