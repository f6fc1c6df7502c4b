"""The rig's own ways to RabbitMQ: a gateway's, which outlives whatever becomes of the broker.

Owns repeating a publish until it is confirmed, and consuming again after every loss. It goes to the broker
directly: faults of the network between workers and servers do not touch it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from shared.amqp.pika.calling import BROKER_ERRORS, closing_as_connection_error

_PAUSE_S: Final = 0.25
_CONNECT_S: Final = 5.0
#: Longer than a confirm takes under any fault but those that take the broker away.
_CONFIRM_S: Final = 10.0
#: Before a queue that refuses is asked again.
_REFUSED_S: Final = 1.0
_PREFETCH: Final = 300
_WINDOW: Final = 100

Take = Callable[[AbstractIncomingMessage], Awaitable[None]]


class SteadyWire:
    """Publishes and consumes whatever becomes of the broker.

    `published` counts confirmed bodies by exchange. `repeated`: bodies that may be on their queue twice, for
    a publish whose confirm did not come is made again.
    """

    def __init__(self, url: str, published: Counter[str]) -> None:
        self._url = url
        self._published = published
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._connecting = asyncio.Lock()
        self._users: Counter[AbstractChannel] = Counter()
        self._window = asyncio.Semaphore(_WINDOW)
        self.repeated: set[bytes] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, published: Counter[str]) -> AsyncIterator[Self]:
        """A wire whose connection is closed at the end."""
        wire = cls(url, published)
        try:
            yield wire
        finally:
            await wire._drop()

    async def publish(self, exchange: str, routing_key: str, payload: Mapping[str, Any] | bytes) -> bytes:
        """Publish until the broker has confirmed it; returns the body."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        async with self._window:
            while not await self._is_confirmed(exchange, routing_key, body):
                self.repeated.add(body)
                await asyncio.sleep(_PAUSE_S)
        self._published[exchange] += 1
        return body

    async def consume(self, queue: str, take: Take) -> None:
        """Hand every delivery of a queue to `take`, until cancelled.

        The work is done in tasks of ours: those of a channel are cancelled with it, wherever they are.
        """
        async with asyncio.TaskGroup() as group:

            async def begin(message: AbstractIncomingMessage) -> None:
                group.create_task(_work(take, message))

            while True:
                with suppress(*BROKER_ERRORS), closing_as_connection_error():
                    async with await self._connect() as connection:
                        await _consume(connection, queue, begin)
                await asyncio.sleep(_PAUSE_S)

    async def keep(self, queue: str, exchange: str, keys: Iterable[str]) -> None:
        """Declare a queue that survives the broker's restart and bind it."""
        async with await self._connect() as connection:
            channel = await connection.channel()
            declared = await channel.declare_queue(
                queue, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 2_000_000_000}
            )
            for key in keys:
                await declared.bind(exchange, key)

    async def _is_confirmed(self, exchange: str, routing_key: str, body: bytes) -> bool:
        try:
            channel = await self._open_channel()
        except BROKER_ERRORS:
            return False
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        self._users[channel] += 1
        try:
            with closing_as_connection_error():  # else a task of ours ends with it, and its message is lost
                target = await channel.get_exchange(exchange, ensure=False)
                await target.publish(message, routing_key, timeout=_CONFIRM_S)
        except aio_pika.exceptions.DeliveryError:
            if channel is self._channel:
                self._channel = None
            await asyncio.sleep(_REFUSED_S)
            return False
        except BROKER_ERRORS:
            if channel is self._channel:
                await self._drop()
            return False
        finally:
            await self._leave(channel)
        return True

    async def _leave(self, channel: AbstractChannel) -> None:
        """Close a channel that was refused once nobody waits for a confirm on it."""
        self._users[channel] -= 1
        if not self._users[channel]:
            del self._users[channel]
            if channel is not self._channel:
                with suppress(*BROKER_ERRORS):
                    await channel.close()

    async def _open_channel(self) -> AbstractChannel:
        """RabbitMQ 3.10 refuses a channel for ever that was refused once: then a new one is opened."""
        async with self._connecting:
            if self._channel is None or self._channel.is_closed:
                try:
                    with closing_as_connection_error():
                        if (
                            self._channel is not None
                            or self._connection is None
                            or self._connection.is_closed
                        ):
                            await self._drop()
                            self._connection = await self._connect()
                        self._channel = await self._connection.channel()
                except BROKER_ERRORS:
                    await self._drop()
                    await asyncio.sleep(_PAUSE_S)  # whoever waits for the lock comes next, not at once
                    raise
            return self._channel

    async def _connect(self) -> AbstractConnection:
        return await aio_pika.connect(
            self._url, timeout=_CONNECT_S, client_properties={"connection_name": "fault rig"}
        )

    async def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(*BROKER_ERRORS):
                async with asyncio.timeout(_CONNECT_S):
                    await connection.close()


async def acknowledge(message: AbstractIncomingMessage) -> None:
    """Acknowledge; where the connection is gone, the broker delivers it again."""
    with suppress(*BROKER_ERRORS):
        await message.ack()


async def _work(take: Take, message: AbstractIncomingMessage) -> None:
    await take(message)


async def _consume(connection: AbstractConnection, queue: str, take: Take) -> None:
    """Returns once the channel is gone."""
    channel = await connection.channel()
    await channel.set_qos(_PREFETCH)
    closed = asyncio.Event()
    channel.close_callbacks.add(lambda *_: closed.set())
    connection.close_callbacks.add(lambda *_: closed.set())
    source = await channel.get_queue(queue, ensure=False)
    await source.consume(take)
    await closed.wait()
