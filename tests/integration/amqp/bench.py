"""What the suite of a broker's promises stands on: a broker of an implementation, and a hand beside it.

Owns the list of implementations. The hand speaks to RabbitMQ by a client of its own, so that nothing is
proven by what is to be proven.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared.amqp.broker import Broker, Inlet
from shared.amqp.client import AmqpClient, build_broker
from shared.amqp.delivery import Delivery, Publication
from shared.amqp.topology import Topology, build_topology
from shared.durations import Durations
from tests.support.brokers import running
from tests.support.cluster import read_depth
from tests.support.paces import FAST
from tests.support.waiting import until

Build = Callable[[str, str, Topology, Durations], Broker]

#: Every implementation of the seam.
IMPLEMENTATIONS: Final[dict[str, Build]] = {
    client: partial(build_broker, client=client) for client in AmqpClient
}


@dataclass
class Bench:
    """A queue of the test's own, the hand's channel, and brokers of one implementation."""

    build: Build
    url: str
    channel: AbstractChannel
    queue: str
    durations: Durations = field(default=FAST)

    @asynccontextmanager
    async def broker(self, url: str | None = None, **durations: Any) -> AsyncIterator[Broker]:
        """One that is connected, at `url` in place of the server's own."""
        paces = replace(self.durations, **durations)
        opened = self.build(url or self.url, "test", build_topology(FAST), paces)
        async with running(opened):
            yield opened

    async def send(self, *bodies: bytes, **properties: Any) -> None:
        """Publish to the queue, as anybody may."""
        for body in bodies:
            message = aio_pika.Message(body, **properties)
            await self.channel.default_exchange.publish(message, routing_key=self.queue)

    async def declare(self) -> AbstractQueue:
        """The queue, of the kind that ours are."""
        kind: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 2_000_000_000}
        return await self.channel.declare_queue(self.queue, durable=True, arguments=kind)

    async def declare_small(self, length: int) -> AbstractQueue:
        """One that takes no more than so many, in its place: a quorum queue is not as exact."""
        await self.channel.queue_delete(self.queue)
        kind: dict[str, Any] = {"x-max-length": length, "x-overflow": "reject-publish"}
        return await self.channel.declare_queue(self.queue, durable=True, arguments=kind)

    async def depth(self) -> int:
        """Messages ready in the queue."""
        return await read_depth(self.channel, self.queue)

    async def is_deep(self, depth: int) -> bool:
        """Whether so many are ready."""
        return await self.depth() == depth

    async def consumers(self) -> int:
        """Consumers of the queue."""
        found = await self.channel.declare_queue(self.queue, passive=True)
        return found.declaration_result.consumer_count or 0

    async def is_consumed(self, *, by: int = 1) -> bool:
        """Whether the queue has so many consumers; a quorum queue counts one that left with something."""
        return await self.consumers() == by

    async def take(self) -> list[AbstractIncomingMessage]:
        """Everything that is ready."""
        queue = await self.channel.get_queue(self.queue, ensure=False)
        taken: list[AbstractIncomingMessage] = []
        while (message := await queue.get(fail=False, no_ack=True)) is not None:
            taken.append(message)
        return taken

    def publication(self, number: int, routing_key: str | None = None, **fields: Any) -> Publication:
        """To the queue, or elsewhere; it must reach one."""
        given: dict[str, Any] = {"body": b"{}", "mandatory": True} | fields
        return Publication(
            exchange="",
            routing_key=self.queue if routing_key is None else routing_key,
            type="Test",
            idempotency_key=f"key-{number}",
            correlation_id="trace",
            **given,
        )

    def publications(self, count: int) -> list[Publication]:
        """So many, numbered."""
        return [self.publication(number) for number in range(count)]

    async def publishes(self, broker: Broker) -> bool:
        """Whether a publication is confirmed now."""
        return await broker.publisher.publish([self.publication(99)]) == [None]


async def take(inlet: Inlet, count: int) -> list[Delivery]:
    """So many deliveries, in how many batches they may come."""
    taken: list[Delivery] = []

    async def are_taken() -> bool:
        taken.extend(await inlet.next_batch(count - len(taken), 0))
        return len(taken) == count

    await until(are_taken)
    return taken


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    """What they carry."""
    return [item.body for item in deliveries]
