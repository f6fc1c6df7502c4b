"""What a client of RabbitMQ offers below the seam: one open connection, and channels on it.

Owns the contracts. Whatever is kept up, restored and counted above it is `shared.amqp.kept`, the same for
every client. A wire is never restored: once it or a channel is lost, a call raises one of WIRE_ERRORS.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.amqp.broker import QueueState
from shared.amqp.delivery import Delivery, Publication
from shared.errors import BrokerUnavailable, WabusError

#: What a connection or channel that is lost, refused or closed raises, and a wait that has lasted too long.
WIRE_ERRORS: Final = (OSError, BrokerUnavailable)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who consumes on a channel. `generation` and `queue` stand in each delivery.

    `on_cancelled` is told the tag of a consumer that RabbitMQ cancelled, `on_closed` the reason where
    RabbitMQ closed the channel for one of its own. None of them may block or raise.
    """

    queue: str
    generation: int
    on_delivery: Callable[[Delivery], None]
    on_cancelled: Callable[[str], None]
    on_closed: Callable[[str | None], None]


class ConsumerChannel(Protocol):
    """A channel on which one consumer at a time is started and stopped."""

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use any more."""
        ...

    def listen(self, listener: Listener) -> None:
        """To be called once, before anything else."""
        ...

    async def consume(self, queue: str, prefetch: int) -> str:
        """Start a consumer with so many in hand at most; returns its tag, which no other has."""
        ...

    async def cancel(self, tag: str) -> None:
        """Stop it; returns when RabbitMQ has said so. Deliveries may come until then."""
        ...

    async def acknowledge(self, upto: int | None, single: Sequence[int]) -> None:
        """All up to a tag, and these alone. Waits while the socket is full, for no answer."""
        ...

    async def requeue(self, tags: Sequence[int]) -> None:
        """Give these back. Waits as `acknowledge` does."""
        ...

    async def close(self) -> None:
        """Close it; what is in hand goes back to the queue."""
        ...


class WrittenBatch(Protocol):
    """What was published together, until its confirms are there."""

    @property
    def is_spent(self) -> bool:
        """Whether its channel is of no use any more: a confirm stayed out, or was a refusal."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Until all are answered, the channel is gone, or the time is over; nobody waits after that."""
        ...

    def outcomes(self) -> list[WabusError | None]:
        """One for each publication; see `shared.amqp.broker.Publisher`."""
        ...


class PublishingChannel(Protocol):
    """A channel in confirm mode."""

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use any more."""
        ...

    @property
    def held_by(self) -> str | None:
        """Why RabbitMQ takes no publications by this channel; None while it does."""
        ...

    @property
    def out(self) -> Sequence["asyncio.Future[object]"]:
        """Confirms that somebody still waits for."""
        ...

    async def write(self, batch: Sequence[Publication]) -> WrittenBatch:
        """Publish in order, in one piece. Waits while the socket is full."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Wire(Protocol):
    """An open connection."""

    @property
    def lost(self) -> "asyncio.Future[object]":
        """Done when it is lost or closed."""
        ...

    @property
    def is_silent(self) -> bool:
        """Whether beats of the server's are missing."""
        ...

    @property
    def certificate_expires_at(self) -> float | None:
        """When the server's certificate runs out, in seconds since 1970; None where that is not known."""
        ...

    async def blocked(self) -> str | None:
        """Why RabbitMQ reads nothing from us, for a memory or disk alarm; None while it does."""
        ...

    async def open_consumer(self) -> ConsumerChannel:
        """Open a channel to consume by."""
        ...

    async def open_publisher(self) -> PublishingChannel:
        """Open a channel to publish by."""
        ...

    async def queue_state(self, queue: str) -> QueueState | None:
        """Depth and consumers; None where the queue does not exist.

        One that does not answer RabbitMQ in time, which tells of nothing then, is asked again.
        """
        ...

    async def close(self) -> None:
        """Say good-bye and wait for the answer."""
        ...

    def abort(self) -> None:
        """Close it without a word. Idempotent."""
        ...
