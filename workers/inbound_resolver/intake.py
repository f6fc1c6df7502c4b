"""From deliveries to messages: decoded, checked, repetitions folded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Dead
from shared.amqp.headers import correlation_of
from shared.messaging.customers.notation import platform_notation
from shared.messaging.customers.words import ConsentWord, ConsentWords
from shared.payloads import Decoded, InboundMessage, InvalidPayload, read
from shared.reasons import DeadReason
from shared.settings.media_url import InvalidMediaUrl, check_media_url
from shared.values import value
from workers.inbound_resolver.identity import address_of


@value()
class Inbound:
    """One message, with every delivery of it in the batch, first come first.

    `address`: the customer's; `notation`: the same as WhatsApp writes it. `trace_id`: of the first delivery.
    `mending`: what its row says of a body whose characters were replaced. `consent`: its text is such a word.
    """

    message: InboundMessage
    address: str
    notation: str
    trace_id: str
    mending: dict[str, Any] | None
    consent: ConsentWord | None
    deliveries: list[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InboundIntake:
    """What a batch holds: messages in their order, deliveries that are none, and what was mended."""

    messages: list[Inbound]
    dead: list[tuple[Delivery, Dead]]
    characters_replaced: int
    fields_dropped: int


def take_in(batch: Sequence[Delivery], allowed_hosts: tuple[str, ...], words: ConsentWords) -> InboundIntake:
    """Decode and check each delivery; a repetition joins its first copy, whose content stands."""
    messages: dict[str, Inbound] = {}
    dead: list[tuple[Delivery, Dead]] = []
    mended: list[Decoded[InboundMessage]] = []
    for delivery in batch:
        try:
            decoded = read(InboundMessage, delivery.body)
            message = decoded.payload
            if message.media_url is not None:
                check_media_url(message.media_url, allowed_hosts)
        except InvalidPayload as error:
            dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error))))
        except InvalidMediaUrl as error:
            dead.append((delivery, Dead(DeadReason.INVALID_MEDIA_URL, str(error))))
        else:
            if (inbound := messages.get(message.wamid)) is None:
                address = address_of(message)
                inbound = messages[message.wamid] = Inbound(
                    message,
                    address,
                    platform_notation(address),
                    correlation_of(delivery),
                    decoded.mending(delivery.body),
                    words.read_message(message),
                )
            inbound.deliveries.append(delivery)
            mended.append(decoded)
    characters = sum(decoded.replaced for decoded in mended)
    return InboundIntake(
        list(messages.values()), dead, characters, sum(len(decoded.dropped) for decoded in mended)
    )
