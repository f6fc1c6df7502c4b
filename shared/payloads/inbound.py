"""A customer's message, as a WhatsApp gateway hands it in, and as the cluster hands it on."""

from typing import Annotated, Any, ClassVar, Literal, Self
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


Consenting = Literal["opt_in", "opt_out", "opt_out_all"]


class EnrichedInboundMessage(InboundMessage, Event):
    """`inbound.enriched`: the InboundMessage with what it was resolved to. Idempotency key: the wamid.

    `phone_number_id` is there also where the message named none. `customer`: the person, by whatever address.
    `consent`: its text is a word by which they said what they want to be sent; it is answered already.
    """

    EVENT_TYPE: ClassVar[str] = "inbound.enriched"

    customer: str | None = None
    consent: Consenting | None = None
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
        consent: Consenting | None,
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
            "consent": consent,
            "mapping_id": mapping_id,
            "conversation_id": conversation_id,
            "is_new_conversation": is_new_conversation,
            "trace_id": trace_id,
        }
        object.__setattr__(event, "__dict__", fields)
        object.__setattr__(event, "__pydantic_fields_set__", fields.keys())
        object.__setattr__(event, "__pydantic_extra__", _without_consent(message.__pydantic_extra__))
        object.__setattr__(event, "__pydantic_private__", None)
        return event


def _without_consent(extra: dict[str, Any] | None) -> dict[str, Any] | None:
    """That a message is a word of consent is ours to say: an unknown field of this name is none."""
    if not extra or "consent" not in extra:
        return extra
    return {name: value for name, value in extra.items() if name != "consent"}
