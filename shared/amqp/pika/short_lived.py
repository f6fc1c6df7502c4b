"""Connections for one errand: of a command, the stack, the sandbox, the demo, which hold them.

Owns their opening and the translation of what the client raises. Nothing is restored here: that is the
broker's.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from aiormq.channel import Channel
from aiormq.connection import Connection as WireConnection
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Basic

from shared.amqp.broker import LentPublisher, QueueState
from shared.amqp.delivery import Publication
from shared.amqp.kept.link import Link
from shared.amqp.kept.publisher import KeptPublisher
from shared.amqp.opening import AmqpConnection, open_connection
from shared.amqp.pika.calling import (
    BROKER_ERRORS,
    closing_as_connection_error,
    heed_cancellation,
    open_channel,
    underlay,
)
from shared.amqp.pika.declare import (
    check_topology,
    compare_topology,
    declare_topology,
    read_queue_states,
    restore_topology,
)
from shared.amqp.pika.wire import open_pika
from shared.amqp.properties import CONTENT_TYPE, PERSISTENT
from shared.amqp.session import Arrived, Comparison, Session
from shared.amqp.topology import Topology
from shared.durations import Durations
from shared.errors import BrokerUnavailable, WabusError
from shared.ids import random_uuid
from shared.settings.server_urls import UrlSource
from shared.tasks import end_tasks

#: A server that has stopped answering does not answer the good-bye either.
_CLOSE_S = 1.0


class PikaSession:
    """See `shared.amqp.session.Session`."""

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection
        self._publishing: Channel | None = None
        self._opening = asyncio.Lock()

    @property
    def server_version(self) -> str:
        """RabbitMQ's; see `shared.amqp.session.Session`."""
        transport = self._connection.transport
        assert transport is not None
        wire = transport.connection
        assert isinstance(wire, WireConnection)
        version = wire.server_properties.get("version", "0")
        return version.decode() if isinstance(version, bytes) else str(version)

    async def ping(self) -> None:
        """Open a channel and close it; see `shared.amqp.session.Session`."""
        with _translated():
            async with await open_channel(self._connection, confirms=False):
                pass

    async def declare(self, topology: Topology) -> None:
        """Declare; see `shared.amqp.session.Session`."""
        with _translated():
            await declare_topology(self._connection, topology)

    async def compare(self, topology: Topology) -> Comparison:
        """Compare; see `shared.amqp.session.Session`."""
        with _translated():
            return await compare_topology(self._connection, topology)

    async def queue_states(self, queues: Sequence[str]) -> dict[str, QueueState]:
        """Depths and consumers; see `shared.amqp.session.Session`."""
        with _translated():
            return await read_queue_states(self._connection, queues)

    async def has_exchange(self, exchange: str) -> bool:
        """Look for it; see `shared.amqp.session.Session`."""
        with _translated():
            channel = await open_channel(self._connection, confirms=False)
            try:
                await channel.get_exchange(exchange, ensure=True)
            except ChannelNotFoundEntity:
                return False
            await channel.close()
            return True

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        bare: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Publish a body; see `shared.amqp.session.Session`."""
        properties = Basic.Properties(delivery_mode=1)
        if not bare:
            properties = Basic.Properties(
                content_type=CONTENT_TYPE, delivery_mode=PERSISTENT, message_id=random_uuid()
            )
        with _translated():
            channel = await self._open_publishing()
            # below aio-pika, which costs half as much again for a message
            await channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=routing_key,
                properties=properties,
                timeout=timeout_s,
                wait=False,
            )

    async def listen(self, exchange: str, routing_keys: Iterable[str]) -> str:
        """Make a queue; see `shared.amqp.session.Session`."""
        with _translated():
            channel = await open_channel(self._connection, confirms=False)
            queue = await channel.declare_queue(exclusive=True)
            for routing_key in routing_keys:
                await queue.bind(exchange, routing_key)
            return queue.name

    async def deliveries(
        self, queue: str, prefetch: int, *, no_ack: bool = False
    ) -> AsyncGenerator[Arrived, None]:
        """Consume; see `shared.amqp.session.Session`."""
        with _translated():
            channel = await open_channel(self._connection, confirms=False)
            await channel.set_qos(prefetch)
            source = await channel.get_queue(queue, ensure=False)
            async with source.iterator(no_ack=no_ack) as messages:
                async for message in messages:
                    yield message

    async def _open_publishing(self) -> Channel:
        async with self._opening:
            if self._publishing is None:
                self._publishing = await underlay(await open_channel(self._connection, confirms=True))
            return self._publishing


@asynccontextmanager
async def open_session(url: str, name: str) -> AsyncIterator[Session]:
    """See `shared.amqp.client`."""
    with _translated():
        connection = await open_connection(url, name)
    try:
        yield PikaSession(connection)
    finally:
        await _close(connection)


async def _close(connection: AmqpConnection) -> None:
    try:
        with closing_as_connection_error():
            async with asyncio.timeout(_CLOSE_S):
                await connection.close()
    except BROKER_ERRORS:
        heed_cancellation()
        connection.abort()


async def prepare_topology(url: str | UrlSource, topology: Topology, was_there: bool) -> None:
    """Demand a prepared server; of one that was prepared before, declare anew what it lost.

    Raises TopologyMissing, and BrokerUnavailable.
    """
    with _translated():
        connection = await open_connection(url, "wabus topology")
        try:
            await (restore_topology if was_there else check_topology)(connection, topology)
        finally:
            await _close(connection)


class PikaLentPublisher:
    """See `shared.amqp.broker.LentPublisher`."""

    def __init__(self, publisher: KeptPublisher, alarms: "_Alarms") -> None:
        self._publisher = publisher
        self._alarms = alarms

    @property
    def held_by(self) -> str:
        """The alarm; see `shared.amqp.broker.LentPublisher`."""
        return self._alarms.reason

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """Publish; see `shared.amqp.broker.Publisher`."""
        return await self._publisher.publish(batch)


@asynccontextmanager
async def lend_publisher(url: str, name: str, durations: Durations) -> AsyncIterator[LentPublisher]:
    """See `shared.amqp.client`."""
    async with open_session(url, name):
        pass
    link = Link(open_pika, url, name, durations)
    with _hearing_alarms() as alarms:
        connecting = asyncio.create_task(link.run(), name="amqp publish")
        try:
            yield PikaLentPublisher(KeptPublisher(link, durations), alarms)
        finally:
            await end_tasks((connecting,))


class _Alarms(logging.Handler):
    """Hears why RabbitMQ blocks the connection, such as `low on disk`: the client tells its log alone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take the reason of `connection.blocked`."""
        if "was blocked by" in str(record.msg) and isinstance(record.args, tuple):
            self.reason = str(record.args[-1])


@contextmanager
def _hearing_alarms() -> Iterator[_Alarms]:
    alarms = _Alarms()
    log = logging.getLogger("aiormq.connection")
    log.addHandler(alarms)
    try:
        yield alarms
    finally:
        log.removeHandler(alarms)


@contextmanager
def _translated() -> Iterator[None]:
    """What the client raises of a server that is away, closes or refuses, as BrokerUnavailable."""
    try:
        with closing_as_connection_error():
            yield
    except BROKER_ERRORS as error:
        heed_cancellation()
        raise BrokerUnavailable(str(error) or type(error).__name__) from error
