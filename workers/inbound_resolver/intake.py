"""From deliveries to messages: decoded, checked, repetitions folded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.amqp.delivery import Delivery
from shared.consuming.disposition import Dead
from shared.media_url import InvalidMediaUrl, check_media_url
from shared.payloads import InboundMessage, InvalidPayload, decode
from shared.reasons import DeadReason


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message, with every delivery of it in the batch, first come first."""

    message: InboundMessage
    deliveries: list[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Intake:
    """What a batch holds: messages in their order, and deliveries that are none."""

    messages: list[Inbound]
    dead: list[tuple[Delivery, Dead]]


def take_in(batch: Sequence[Delivery], allowed_hosts: tuple[str, ...]) -> Intake:
    """Decode and check each delivery; a repetition joins its first copy, whose content stands."""
    messages: dict[str, Inbound] = {}
    dead: list[tuple[Delivery, Dead]] = []
    for delivery in batch:
        try:
            message = decode(InboundMessage, delivery.body)
            if message.media_url is not None:
                check_media_url(message.media_url, allowed_hosts)
        except InvalidPayload as error:
            dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error))))
        except InvalidMediaUrl as error:
            dead.append((delivery, Dead(DeadReason.INVALID_MEDIA_URL, str(error))))
        else:
            messages.setdefault(message.wamid, Inbound(message)).deliveries.append(delivery)
    return Intake(list(messages.values()), dead)
