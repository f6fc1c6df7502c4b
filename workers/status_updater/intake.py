"""From deliveries to status events: decoded, repetitions folded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.amqp.delivery import REPLAY_OF, Delivery
from shared.amqp.disposition import Dead
from shared.amqp.headers import correlation_of
from shared.messaging.messages import EventKey, StatusEvent, event_of
from shared.payloads import InvalidPayload, StatusUpdate, read
from shared.reasons import DeadReason


@dataclass(frozen=True, slots=True)
class Reported:
    """One event, with every delivery of it in the batch, first come first."""

    event: StatusEvent
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def is_replay(self) -> bool:
        """Whether an operator wants it looked at again."""
        return any(REPLAY_OF in delivery.headers for delivery in self.deliveries)


@dataclass(frozen=True, slots=True)
class StatusIntake:
    """What a batch holds: events by key in their order, deliveries that are none, and what was mended."""

    reports: dict[EventKey, Reported]
    dead: list[tuple[Delivery, Dead]]
    characters_replaced: int
    fields_dropped: int


def take_in(batch: Sequence[Delivery]) -> StatusIntake:
    """Decode each delivery; a repetition joins its first copy. The routing key names the source."""
    reports: dict[EventKey, Reported] = {}
    dead: list[tuple[Delivery, Dead]] = []
    characters = fields = 0
    for delivery in batch:
        try:
            decoded = read(StatusUpdate, delivery.body)
        except InvalidPayload as error:
            dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error))))
        else:
            characters, fields = characters + decoded.replaced, fields + len(decoded.dropped)
            event = event_of(decoded.payload, delivery.origin_routing_key, correlation_of(delivery))
            if mended := decoded.mending(delivery.body):
                event = replace(event, details={**(event.details or {}), "mended": mended})
            reports.setdefault(event.key, Reported(event)).deliveries.append(delivery)
    return StatusIntake(reports, dead, characters, fields)
