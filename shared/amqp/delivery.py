"""What crosses the broker seam, in batches: deliveries in, publications out.

Owns the values and the protocols. It does not know any client library: `shared.amqp.pika` implements
the protocols today, and an implementation that speaks AMQP frames itself can stand in its place.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.errors import WabusError

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
#: Set by the broker on a redelivery from a quorum queue: deliveries before this one.
DELIVERY_COUNT = "x-delivery-count"


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
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


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish. `mandatory`: it must reach a queue, or the publish has failed."""

    exchange: str
    routing_key: str
    body: bytes
    type: str
    idempotency_key: str
    correlation_id: str
    mandatory: bool = False
    attempt: int = 1
    headers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueState:
    """Depth (ready messages) and consumers of a queue, as the broker says."""

    messages: int
    consumers: int


class Publisher(Protocol):
    """Publishes with confirms."""

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """Publish in order and wait for the confirms; one outcome each, None where confirmed.

        A failed publish may have reached the broker (a lost confirm is ambiguous): repeat it under the same
        idempotency key. Never raises for a broker that is away.
        """
        ...


class Inlet(Protocol):
    """One consumer of one queue."""

    queue: str

    async def next_batch(self, size: int, linger_s: float) -> list[Delivery]:
        """Wait for deliveries: up to `size`, at most `linger_s` after the first.

        Empty when closed, and after a second in which none came.
        """
        ...

    async def full_batch(self, size: int, enough: asyncio.Event) -> list[Delivery]:
        """Wait for `size` deliveries, or until `enough` is set: then those that are there, if any.

        Empty when closed, and after a second without either.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge; those of a channel that is gone will be redelivered and are passed over."""
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back unworked (shutting down, or standing still)."""
        ...

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Taken and not begun: they come with the next batches, in the order in which they arrived."""
        ...

    def empty(self) -> list[Delivery]:
        """Take all that has arrived, at once."""
        ...

    def pause(self) -> None:
        """Cancel the consumer; what is in hand stays in hand."""
        ...

    def resume(self, prefetch: int | None = None) -> None:
        """Consume again, with so many in hand (None: as many as ever); nothing happens once it is closed."""
        ...

    async def close(self) -> None:
        """Cancel and give back what was not taken; what was taken is still acknowledged or released."""
        ...


class Broker(Protocol):
    """A broker that is kept connected: consuming and publishing on connections of their own."""

    publisher: Publisher

    async def inlet(self, queue: str, prefetch: int, share: int = 1) -> Inlet:
        """Start to consume a queue, as one of `share` that have the bytes in flight between them."""
        ...

    async def queue_state(self, queue: str) -> QueueState | None:
        """Depth and consumers; None where the queue does not exist or the broker is away."""
        ...
