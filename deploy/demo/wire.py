"""The demo's own connection to RabbitMQ: it publishes and consumes as gateways outside the cluster do.

Owns the connection and its channels. A body is all that it publishes, as INTERFACE 2 asks of a publisher.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue

from shared.amqp.pika.link import BROKER_ERRORS
from shared.errors import BrokerUnavailable
from shared.masking import mask_url

_PREFETCH = 300
#: Publishes on their way to a confirm.
_WINDOW = 200


class Publishing(Protocol):
    """What customers and agents need of a wire."""

    async def publish(self, exchange: str, routing_key: str, payload: Mapping[str, Any] | bytes) -> bytes:
        """Returns the body once the broker has confirmed it."""
        ...


class Wire:
    """Made by `connected`. `published` counts by exchange."""

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, published: Counter[str]
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._published = published
        self._exchanges: dict[str, AbstractExchange] = {}
        self._window = asyncio.Semaphore(_WINDOW)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, published: Counter[str]) -> AsyncIterator[Self]:
        """A connection for the length of the block. Raises BrokerUnavailable."""
        try:
            connection = await aio_pika.connect(url, client_properties={"connection_name": "wabus demo"})
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(f"cannot reach RabbitMQ at {mask_url(url)}: {error}") from error
        async with connection:
            yield cls(connection, await connection.channel(), published)

    async def publish(self, exchange: str, routing_key: str, payload: Mapping[str, Any] | bytes) -> bytes:
        """Publish and wait for the confirm; returns the body."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        if exchange not in self._exchanges:
            self._exchanges[exchange] = await self._channel.get_exchange(exchange, ensure=False)
        async with self._window:
            await self._exchanges[exchange].publish(aio_pika.Message(body), routing_key)
        self._published[exchange] += 1
        return body

    async def queue(self, name: str) -> AbstractQueue:
        """A queue that is there, on a channel of its own."""
        channel = await self._connection.channel()
        await channel.set_qos(_PREFETCH)
        return await channel.get_queue(name, ensure=False)

    async def listen(self, exchange: str, keys: Iterable[str]) -> AbstractQueue:
        """A queue of our own for these keys, gone with the connection."""
        channel = await self._connection.channel()
        await channel.set_qos(_PREFETCH)
        queue = await channel.declare_queue(exclusive=True)
        for key in keys:
            await queue.bind(exchange, key)
        return queue

    async def depths(self, queues: Iterable[str]) -> dict[str, int]:
        """Messages ready in each of these queues."""
        found = {}
        async with await self._connection.channel() as channel:
            for name in queues:
                declared = await channel.declare_queue(name, passive=True)
                found[name] = declared.declaration_result.message_count or 0
        return found
