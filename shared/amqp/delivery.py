"""What crosses the seam to RabbitMQ, in batches: deliveries in, publications out, and the names of headers.

Owns the values. Who carries them is `shared.amqp.broker`.
"""

from dataclasses import field
from typing import Any

from shared.values import value

#: Headers of the wire contract.
ATTEMPT = "x-attempt"
IDEMPOTENCY_KEY = "x-idempotency-key"
TRACEPARENT = "traceparent"
REASON = "x-wabus-reason"
ERROR = "x-wabus-error"
ATTEMPTS = "x-wabus-attempts"
SOURCE_QUEUE = "x-wabus-source-queue"
EXCHANGE = "x-wabus-exchange"
ROUTING_KEY = "x-wabus-routing-key"
FIRST_SEEN = "x-wabus-first-seen"
MESSAGE_ID = "x-wabus-message-id"
DEFERRED_ID = "x-wabus-deferred-id"
REPLAY_OF = "x-replay-of"
#: A publisher's own: should it be a repetition, how the first one ended is to be told again.
ECHO = "x-wabus-echo"
#: Set by the broker on a redelivery from a quorum queue: deliveries before this one.
DELIVERY_COUNT = "x-delivery-count"


@value(eq=False, weakref_slot=True)
class Delivery:
    """One message in hand. `tag` counts only on the channel of `generation`; `received_at` is monotonic."""

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    headers: dict[str, Any]
    correlation_id: str | None
    message_id: str | None
    published_at: float | None
    redelivered: bool
    tag: int
    generation: int
    received_at: float

    @property
    def attempt(self) -> int:
        """Which counted attempt this is, from 1."""
        value = self.headers.get(ATTEMPT)
        return value if isinstance(value, int) and 0 < value < 1000 else 1

    @property
    def origin_exchange(self) -> str:
        """Exchange of the first publish, whatever retries came between."""
        return str(self.headers.get(EXCHANGE, self.exchange))

    @property
    def origin_routing_key(self) -> str:
        """Routing key of the first publish, whatever retries came between."""
        return str(self.headers.get(ROUTING_KEY, self.routing_key))

    @property
    def deliveries_before(self) -> int:
        """How often the broker delivered it before without an acknowledgement."""
        value = self.headers.get(DELIVERY_COUNT)
        return value if isinstance(value, int) else int(self.redelivered)


@value()
class Publication:
    """One message to publish. `mandatory`: it must reach a queue, or the publish has failed.

    `cause`: the delivery that it follows from, or what its span goes by (see `shared.amqp.hops`).
    `traceparent`: the header as it is to be written; None: a new span of the trace.
    """

    exchange: str
    routing_key: str
    body: bytes
    type: str
    idempotency_key: str
    correlation_id: str
    mandatory: bool = False
    attempt: int = 1
    headers: dict[str, Any] = field(default_factory=dict)
    cause: Delivery | str | None = field(default=None, compare=False, repr=False)
    traceparent: str | None = None
