"""One outbound message on its way through the sender, as a value."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Defer, Retry
from shared.payloads import OutboundMessage

#: Words that several stations use: why a message ends without an attempt, and what it waits for.
CAMPAIGN_CANCELLED: Final = "campaign_cancelled"
EARLIER_MESSAGE: Final = "earlier_message"
PHONE_NEEDED: Final = "phone_needed"
NOTICE_TAKEN_BACK: Final = "notice_taken_back"


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A tracked message and whose it is. `copies`: more deliveries of it, done when it is.

    `customer` is the person, in whose name it is locked, kept in order and paced. Where it goes is read when
    it is claimed: the platform may name another address of theirs until then.
    """

    delivery: Delivery
    copies: tuple[Delivery, ...]
    payload: OutboundMessage
    id: UUID
    mapping_id: UUID
    number: str
    customer: str
    lane: str
    trace_id: str
    is_replay: bool
    is_status_retry: bool

    @property
    def is_marketing(self) -> bool:
        """Whether customers who opted out must not get it."""
        category = self.payload.category or ("marketing" if self.lane == "bulk" else "service")
        return category == "marketing"

    @property
    def is_notification(self) -> bool:
        """Whether customers who opted out of all that is sent by itself must not get it."""
        return self.payload.category == "utility" and self.lane != "reply"

    @property
    def needs_phone(self) -> bool:
        """Whether the platform takes it for a phone only, for no business-scoped id."""
        return self.payload.category == "authentication"

    @property
    def chain(self) -> tuple[str, str, str]:
        """Whose messages it must stay in order with."""
        return (self.number, self.customer, self.lane)

    def defer(self, reason: str, delay_s: float | None) -> Defer:
        """The disposition that stores it for later; without a delay, until the event of the reason."""
        return Defer(
            reason,
            None if delay_s is None else max(0.0, delay_s),
            message_id=self.id,
            phone_number_id=self.number,
            customer=self.customer,
            lane=self.lane,
            ends_at=self.payload.expires_at,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """The same again, of a message that has ended: its publisher asks to be told once more how."""

    message_id: UUID
    then: Ack = field(default_factory=Ack)


@dataclass(frozen=True, slots=True, eq=False)
class Unaddressed:
    """Its conversation is not known yet, which is told before it is tried again.

    `customer`: whose the address is that stands beside the conversation.
    """

    payload: OutboundMessage
    customer: str | None
    content_hash: bytes
    trace_id: str
    then: Retry
