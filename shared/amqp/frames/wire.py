"""The wire of AMQP frames: see `shared.amqp.wire`."""

import asyncio

from shared.amqp.broker import QueueState
from shared.amqp.frames.asking import ask_state
from shared.amqp.frames.connection import FramesConnection
from shared.amqp.frames.consumer import FramesConsumer
from shared.amqp.frames.opening import open_connection
from shared.amqp.frames.publisher import FramesPublishing
from shared.certificates import read_expiry
from shared.settings.server_urls import UrlSource


async def open_frames(source: str | UrlSource, name: str) -> "FramesWire":
    """Sign in to the first address that lets us. Raises what the address that says most said: an OSError."""
    return FramesWire(await open_connection(source, name))


class FramesWire:
    """See `shared.amqp.wire.Wire`."""

    def __init__(self, connection: FramesConnection) -> None:
        self._connection = connection

    @property
    def lost(self) -> "asyncio.Future[object]":
        """Done when it is lost; see `shared.amqp.wire.Wire`."""
        return self._connection.lost

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing; see `shared.amqp.wire.Wire`."""
        return self._connection.is_silent

    @property
    def certificate_expires_at(self) -> float | None:
        """The server's; see `shared.amqp.wire.Wire`."""
        return read_expiry(self._connection.transport)

    async def blocked(self) -> str | None:
        """As it was told; see `shared.amqp.wire.Wire`."""
        return self._connection.blocked

    async def open_consumer(self) -> FramesConsumer:
        """Open a channel; see `shared.amqp.wire.Wire`."""
        return FramesConsumer(await self._connection.open_channel())

    async def open_publisher(self) -> FramesPublishing:
        """Open a channel; see `shared.amqp.wire.Wire`."""
        return FramesPublishing(await self._connection.open_channel(confirms=True))

    async def queue_state(self, queue: str) -> QueueState | None:
        """Ask on a channel of its own; see `shared.amqp.wire.Wire`."""
        return await ask_state(self._connection, queue)

    async def close(self) -> None:
        """Say good-bye; see `shared.amqp.wire.Wire`."""
        await self._connection.close()

    def abort(self) -> None:
        """Close it; see `shared.amqp.wire.Wire`."""
        self._connection.abort()
