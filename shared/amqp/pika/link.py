"""One AMQP connection that is kept up for ever.

Owns reconnecting with back-off and giving up a silent server; channels and their work belong to others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiormq.exceptions
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel
from pamqp import decode
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from shared.amqp.decoding import read_headers, read_short_text, read_time
from shared.amqp.opening import AmqpConnection, open_connection
from shared.certificates import ObserveExpiry, ignore_expiry
from shared.durations import Durations
from shared.masking import mask_url
from shared.settings.server_urls import UrlSource, current_url

log = logging.getLogger(__name__)

#: What a connection or channel that is lost, refused or closed raises.
BROKER_ERRORS = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    ConnectionError,
    OSError,
    TimeoutError,
    asyncio.InvalidStateError,
)
_LISTEN_EVERY_S = 1.0

# for all of this process: what pamqp's own decoders refuse ends the connection by which it comes
decode.METHODS |= {"shortstr": read_short_text, "table": read_headers, "timestamp": read_time}


class Link:
    """A connection named `name`; `prepare` runs on each new connection before anyone gets it."""

    def __init__(
        self,
        url: str | UrlSource,
        name: str,
        durations: Durations,
        prepare: Callable[[AbstractConnection], Awaitable[None]] | None = None,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        self._url = url
        self._name = name
        self._durations = durations
        self._prepare = prepare
        self._observe_expiry = observe_expiry
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the connection is open now."""
        return self._up.is_set()

    async def connection(self) -> AbstractConnection:
        """Wait, for ever if need be, and return the open connection."""
        while True:
            await self._up.wait()
            if self._connection is not None:
                return self._connection

    async def run(self) -> None:
        """Keep the connection up until cancelled; then close it."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(BROKER_ERRORS),
            wait=wait_random_exponential(self._durations.reconnect_s, self._durations.reconnect_max_s),
            before_sleep=self._report,
        )
        try:
            while True:
                connection: AmqpConnection = await retrying(self._connect)
                heed_cancellation()
                self._up.set()
                await self._wait_until_lost(connection)
        finally:
            await self._close()

    async def _connect(self) -> AmqpConnection:
        await self._close()  # what an attempt left whose preparation failed
        with closing_as_connection_error():
            connection = await open_connection(self._url, self._name)
            self._connection = connection
            if (expires_at := connection.certificate_expires_at) is not None:
                self._observe_expiry(expires_at)
            if self._prepare is not None:
                await self._prepare(connection)
        return connection

    def _report(self, state: RetryCallState) -> None:
        heed_cancellation()
        error = state.outcome.exception() if state.outcome else None
        where = mask_url(current_url(self._url))
        log.warning("RabbitMQ at %s is away (%s: %s); trying again", where, type(error).__name__, error)

    async def _wait_until_lost(self, connection: AmqpConnection) -> None:
        """Returns at once for a connection that was lost while it was prepared."""
        transport = connection.transport
        assert transport is not None
        while not (await asyncio.wait([transport.connection.closing], timeout=_LISTEN_EVERY_S))[0]:
            if connection.is_silent:
                log.warning("RabbitMQ has fallen silent: the connection %s is given up", self._name)
                connection.abort()
        self._up.clear()
        self._connection = None
        log.warning("The connection %s to RabbitMQ was lost", self._name)

    async def _close(self) -> None:
        self._up.clear()
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed:
            try:
                with closing_as_connection_error():
                    async with asyncio.timeout(5):
                        await connection.close()
            except BROKER_ERRORS as error:
                heed_cancellation()
                log.debug("Closing %s: %s", self._name, error)


def heed_cancellation() -> None:
    """To be called where an error of aiormq is caught: it may stand for the cancellation of our own task.

    aiormq ends a cancelled call by closing its channel, and tells of the closing. Raises CancelledError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def closing_as_connection_error() -> Iterator[None]:
    """Around calls of aiormq: a connection that closes under them is a ConnectionError.

    aiormq may tell of it by a bare Exception, RuntimeError or StopAsyncIteration, or by a CancelledError
    though nobody cancelled our task.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        heed_cancellation()
        raise ConnectionError("the connection closed under a call") from error
    except Exception as error:
        if type(error) not in (Exception, RuntimeError, StopAsyncIteration):
            raise
        raise ConnectionError(f"the connection closed under a call {error}".rstrip()) from error


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """Open a channel; what is returned as unroutable raises. Raises ConnectionError where it is closed."""
    with closing_as_connection_error():
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize()
    return channel


async def underlay(channel: AbstractChannel) -> Channel:
    """The aiormq channel below: a batch needs no object per message and no waiting per ack."""
    opened = await channel.get_underlay_channel()
    assert isinstance(opened, Channel)
    return opened
