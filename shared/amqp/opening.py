"""One connection to RabbitMQ: to whichever address of whichever host of the URL answers first.

Owns knowing when the server was last heard. Staying connected is `shared.amqp.kept.link`'s.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, SupportsIndex, cast

import aio_pika
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPError
from pamqp.common import FieldTable
from yarl import URL

from shared.addresses import ServerAddress, Unreached, first_to_answer, open_socket
from shared.certificates import read_expiry
from shared.settings.server_urls import UrlSource, current_url, read_server_url, with_host

#: All addresses together.
CONNECT_S: Final = 5.0
#: RabbitMQ sends a beat in each half of it, whatever else there is to say.
HEARTBEAT_S: Final = 6
#: Beyond the interval: two beats are missing by then.
_LATE_S: Final = 1.0
_STREAM_BYTES: Final = 2**16


class _HeardReader(asyncio.StreamReader):
    """Knows when it got something last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_STREAM_BYTES, loop=loop)
        self._clock = loop.time
        self._carrier: asyncio.Transport | None = None
        self.heard_at = loop.time()

    @property
    def is_listening(self) -> bool:
        """Whether what comes is read; not while too much of it waits here."""
        return self._carrier is not None and self._carrier.is_reading()

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        super().set_transport(transport)
        self._carrier = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    @property
    def certificate_expires_at(self) -> float | None:
        """See `shared.certificates.read_expiry`."""
        return None if self._carrier is None else read_expiry(self._carrier)

    def abort(self) -> None:
        """Close it without a word, to whoever does not listen."""
        if self._carrier is not None:
            self._carrier.abort()

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        self.heard_at = self._clock()
        super().feed_data(data)


class _TransportToAddress(TransportFactory):
    """The transport of aiormq, to one address whatever the name resolves to."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self.reader: _HeardReader | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if url.scheme == "amqps":
            tls = {"ssl": await kwargs["ssl_context_provider"].get_context(), "server_hostname": url.host}
        opened = await open_socket(self._address)
        try:
            self.reader = _HeardReader(loop)
            protocol = asyncio.StreamReaderProtocol(self.reader, loop=loop)
            transport, _ = await loop.create_connection(lambda: protocol, sock=opened, **tls)
        except BaseException:
            opened.close()
            raise
        return self.reader, asyncio.StreamWriter(transport, protocol, self.reader, loop)


class AmqpConnection(aio_pika.Connection):
    """An open connection, to one address, that knows whether its server has fallen silent."""

    def __init__(self, url: URL, address: ServerAddress, client_properties: FieldTable) -> None:
        super().__init__(url, client_properties=client_properties)
        self._transport_factory = _TransportToAddress(address)
        self._heartbeat_s = int(url.query["heartbeat"])
        self.kwargs = {**self.kwargs, "transport_factory": self._transport_factory}

    @property
    def certificate_expires_at(self) -> float | None:
        """When the server's certificate runs out, in seconds since 1970; None where that is not known."""
        reader = self._transport_factory.reader
        return None if reader is None else reader.certificate_expires_at

    def abort(self) -> None:
        """Close it without waiting for the server."""
        if self._transport_factory.reader is not None:
            self._transport_factory.reader.abort()

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing. One without heartbeats never is, nor one that we do not listen to."""
        reader = self._transport_factory.reader
        if reader is None or not self._heartbeat_s or not reader.is_listening:
            return False
        return self.loop.time() - reader.heard_at > self._heartbeat_s + _LATE_S


async def open_connection(
    source: str | UrlSource, name: str = "wabus", within_s: float = CONNECT_S
) -> AmqpConnection:
    """Sign in to the first address that lets us; its URL is read, and its names are resolved, now.

    `name`: what the server shows of us. Raises what the address that says most said: one of BROKER_ERRORS.
    """
    url = current_url(source)

    async def attempt(address: ServerAddress) -> AmqpConnection:
        one = URL(with_host(url, address.host, address.port))
        if "heartbeat" not in one.query:
            one = one.update_query(heartbeat=HEARTBEAT_S)
        connection = AmqpConnection(one, address, {"connection_name": name})
        try:
            await connection.connect()
        except BaseException:
            await connection.close()
            raise
        return connection

    try:
        return await first_to_answer(read_server_url(url).hosts, attempt, within_s, (AMQPError,))
    except Unreached as unreached:
        raise unreached.telling from None
