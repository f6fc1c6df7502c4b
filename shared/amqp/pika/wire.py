"""The wire of aio-pika: see `shared.amqp.wire`."""

import asyncio
from typing import Final

from shared.amqp.broker import QueueState
from shared.amqp.opening import AmqpConnection, open_connection
from shared.amqp.pika.calling import as_wire_error, open_channel, underlay
from shared.amqp.pika.consumer import PikaConsumer
from shared.amqp.pika.declare import read_queue_state
from shared.amqp.pika.publisher import PikaPublishing
from shared.settings.server_urls import UrlSource

#: RabbitMQ has told whether it blocks us; this long it is asked for, at most.
_BLOCKED_S: Final = 0.05


async def open_pika(source: str | UrlSource, name: str) -> "PikaWire":
    """Sign in to the first address that lets us. Raises one of WIRE_ERRORS."""
    with as_wire_error():
        return PikaWire(await open_connection(source, name))


class PikaWire:
    """See `shared.amqp.wire.Wire`."""

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection
        transport = connection.transport
        assert transport is not None
        self._opened = transport.connection

    @property
    def lost(self) -> "asyncio.Future[object]":
        """Done when it is lost; see `shared.amqp.wire.Wire`."""
        return self._opened.closing

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing; see `shared.amqp.wire.Wire`."""
        return self._connection.is_silent

    @property
    def certificate_expires_at(self) -> float | None:
        """The server's; see `shared.amqp.wire.Wire`."""
        return self._connection.certificate_expires_at

    async def blocked(self) -> str | None:
        """aiormq does not tell the reason; see `shared.amqp.wire.Wire`."""
        with as_wire_error():
            try:
                async with asyncio.timeout(_BLOCKED_S):
                    await self._opened.ready()
            except TimeoutError:
                return ""
        return None

    async def open_consumer(self) -> PikaConsumer:
        """Open a channel; see `shared.amqp.wire.Wire`."""
        with as_wire_error():
            channel = await open_channel(self._connection, confirms=False)
            return PikaConsumer(channel, await underlay(channel))

    async def open_publisher(self) -> PikaPublishing:
        """Open a channel; see `shared.amqp.wire.Wire`."""
        with as_wire_error():
            return PikaPublishing(await underlay(await open_channel(self._connection, confirms=True)))

    async def queue_state(self, queue: str) -> QueueState | None:
        """Ask on a channel of its own; see `shared.amqp.wire.Wire`."""
        with as_wire_error():
            return await read_queue_state(self._connection, queue)

    async def close(self) -> None:
        """Say good-bye; see `shared.amqp.wire.Wire`."""
        with as_wire_error():
            await self._connection.close()

    def abort(self) -> None:
        """Close it; see `shared.amqp.wire.Wire`."""
        self._connection.abort()
