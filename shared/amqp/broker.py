"""The seam to RabbitMQ: what wabus needs of a broker, whichever client speaks to it.

Owns the contracts. `shared.amqp.client` hands out an implementation and is the only one that names it; the
suite in tests/integration/amqp runs on each.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.amqp.delivery import Delivery, Publication
from shared.amqp.publisher_health import PublisherHealth
from shared.errors import WabusError


@dataclass(frozen=True, slots=True)
class QueueState:
    """Depth (ready messages) and consumers of a queue, as the broker says."""

    messages: int
    consumers: int


class Publisher(Protocol):
    """Publishes with confirms."""

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """Publish in order and wait for the confirms; one outcome each, None where confirmed.

        Blocks while others' publications fill the window, then, for each window that the batch itself fills,
        for about three times the confirm time at most: a broker that is away, or blocks publishers, is told
        as an outcome. Raises nothing but CancelledError.
        One publication's outcome says nothing of its neighbours: PublishRefused (returned as unroutable, or
        refused by a full queue), Unpublishable (no frame takes it), PublishFailed (no confirm in time),
        BrokerUnavailable. Not idempotent: after the last two, or a cancellation, it may have reached the
        broker; repeat it under the same idempotency key. A header that no frame takes is left out and named.
        Order holds within a batch, not between batches that are published at once.
        """
        ...


class WatchedPublisher(Publisher, Protocol):
    """The publisher of a process, which must know when RabbitMQ answers nobody who publishes."""

    @property
    def health(self) -> PublisherHealth:
        """Since when publishing fails, by what became of each publication."""
        ...

    async def check(self) -> None:
        """Raise BrokerUnavailable unless RabbitMQ would take a publication now: opened anew, and not blocked.

        Blocks for seconds at most, publishes nothing, may be repeated.
        """
        ...


class LentPublisher(Publisher, Protocol):
    """The publisher of one command."""

    @property
    def held_by(self) -> str:
        """The alarm for which RabbitMQ holds its publishers, in its words; empty where it told of none."""
        ...


class Inlet(Protocol):
    """One consumer of one queue, kept up by its broker through lost channels, connections and servers.

    What is taken is in hand until it is acknowledged, released or put back; so is what has arrived and was
    not taken. In hand are at most `prefetch` deliveries and about the bytes allowed (one larger delivery
    passes alone); beyond that it stops consuming by itself until half of them are done. A delivery counts on
    the channel it came by: of one that is lost, the broker delivers it again, and answers to it are passed
    over, never written. Deliveries arrive in the queue's order; after a redelivery that is all that is known.
    One task at a time may wait for a batch; all else may be called by many at once.
    """

    queue: str

    async def next_batch(self, size: int, linger_s: float) -> list[Delivery]:
        """Wait for deliveries: up to `size`, at most `linger_s` after the first.

        Empty when closed, and after a second in which none came. Raises nothing but CancelledError, and takes
        nothing then.
        """
        ...

    async def full_batch(self, size: int, enough: asyncio.Event) -> list[Delivery]:
        """Wait for `size` deliveries, or until `enough` is set: then those that are there, if any.

        Empty when closed, and after a second without either. Raises and takes as `next_batch` does.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge, in any order; those answered before or of a channel that is gone are passed over.

        Idempotent. Blocks while the socket is full and while another answer is written; waits for no answer
        of the broker's, so what was acknowledged as the connection broke may come again. Never answers for
        another delivery. Raises nothing but CancelledError.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back unworked (shutting down, or standing still); the broker delivers them again, to anyone.

        As `acknowledge` in everything else.
        """
        ...

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Taken and not begun: they come with the next batches, in the order in which they arrived.

        Those of a channel that is gone are passed over: they come anew.
        """
        ...

    def empty(self) -> list[Delivery]:
        """Take all that has arrived, at once."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether it is paused and the broker has said so: nothing more arrives."""
        ...

    def pause(self) -> None:
        """Cancel the consumer, soon; what is in hand stays in hand. Idempotent."""
        ...

    def resume(self, prefetch: int | None = None) -> None:
        """Consume again, soon, with so many in hand (None: as many as ever). Idempotent.

        Nothing happens once it is closed.
        """
        ...

    async def close(self) -> None:
        """Cancel and give back what was not taken; what was taken is still acknowledged or released.

        Ends the waiting for a batch. Blocks for seconds at most where the broker does not answer. Idempotent.
        """
        ...


class Broker(Protocol):
    """A broker that is kept connected: consuming and publishing on connections of their own."""

    @property
    def publisher(self) -> WatchedPublisher:
        """The one publisher of this process; its publications fail while there is no connection."""
        ...

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What keeps connections and consumers up; ended, they close the connections."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether both connections are open."""
        ...

    @property
    def lacks_consumer(self) -> bool:
        """Whether an inlet is without the consumer that it wants."""
        ...

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Keep the connections up in `tasks`; returns when the first ones are there. To be called once.

        Waits for a broker that is away for as long as it takes. The group ends with TopologyMissing on an
        unprepared server; on one that loses its topology later, all of it is declared anew. It ends with
        ConsumerLost where a consumer cannot be restored in time though the connection is up.
        """
        ...

    async def inlet(self, queue: str, prefetch: int, share: int = 1) -> Inlet:
        """Start to consume a queue, as one of `share` that have the bytes in flight between them.

        Returns before the consumer is there.
        """
        ...

    async def queue_state(self, queue: str) -> QueueState | None:
        """Depth and consumers; None where the queue does not exist or the broker is away.

        A queue that does not answer RabbitMQ in time is asked again. Blocks for two seconds at most.
        """
        ...
