"""A connection to whichever address of whichever host of the URL answers first, kept up for ever."""

import asyncio
import base64
import logging
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from yarl import URL

from shared.addresses import ServerAddress, Unreached, first_to_answer, open_socket
from shared.amqp.frames.connection import FramesConnection
from shared.amqp.opening import CONNECT_S, HEARTBEAT_S
from shared.certificates import ObserveExpiry, ignore_expiry, read_expiry
from shared.durations import Durations
from shared.errors import BrokerUnavailable
from shared.masking import mask_url
from shared.settings.server_urls import UrlSource, current_url, read_server_url, with_host

log = logging.getLogger(__name__)

#: What a connection or channel that is lost, refused or closed raises.
FRAMES_ERRORS: Final = (OSError, BrokerUnavailable)
_LISTEN_EVERY_S: Final = 1.0
_CLOSE_S: Final = 5.0


async def open_frames(source: str | UrlSource, name: str) -> FramesConnection:
    """Sign in to the first address that lets us. Raises what the address that says most said: an OSError."""
    url = current_url(source)

    async def attempt(address: ServerAddress) -> FramesConnection:
        return await _open_one(URL(with_host(url, address.host, address.port)), address, name)

    try:
        return await first_to_answer(read_server_url(url).hosts, attempt, CONNECT_S)
    except Unreached as unreached:
        raise unreached.telling from None


async def _open_one(url: URL, address: ServerAddress, name: str) -> FramesConnection:
    loop = asyncio.get_running_loop()
    tls: dict[str, Any] = {}
    if url.scheme == "amqps":
        context = await loop.run_in_executor(None, _tls_context, dict(url.query))
        tls = {"ssl": context, "server_hostname": url.host}
    heartbeat_s = int(url.query.get("heartbeat", HEARTBEAT_S))
    opened = await open_socket(address)
    try:
        build = partial(FramesConnection, heartbeat_s)
        _, connection = await loop.create_connection(build, sock=opened, **tls)
    except BaseException:
        opened.close()
        raise
    try:
        await connection.open(*_login(url), url.path.removeprefix("/") or "/", name)
    except BaseException:
        connection.abort()
        raise
    return connection


def _login(url: URL) -> tuple[str, str]:
    if url.query.get("auth", "plain").lower() == "external":
        return "EXTERNAL", ""
    return "PLAIN", f"\0{url.user or 'guest'}\0{url.password or 'guest'}"


def _tls_context(query: dict[str, str]) -> ssl.SSLContext:
    cadata = base64.b64decode(query["cadata"]) if "cadata" in query else None
    context = ssl.create_default_context(
        cafile=query.get("cafile"), capath=query.get("capath"), cadata=cadata
    )
    if "certfile" in query:
        context.load_cert_chain(query["certfile"], query.get("keyfile"))
    if query.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class FramesLink:
    """A connection named `name`; `prepare` runs after each new one is open, before anyone gets it."""

    def __init__(
        self,
        url: str | UrlSource,
        name: str,
        durations: Durations,
        prepare: Callable[[], Awaitable[None]] | None = None,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        self._url = url
        self._name = name
        self._durations = durations
        self._prepare = prepare
        self._observe_expiry = observe_expiry
        self._connection: FramesConnection | None = None
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the connection is open now."""
        return self._up.is_set()

    async def connection(self) -> FramesConnection:
        """Wait, for ever if need be, and return the open connection."""
        while True:
            await self._up.wait()
            if self._connection is not None:
                return self._connection

    async def run(self) -> None:
        """Keep the connection up until cancelled; then close it."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(FRAMES_ERRORS),
            wait=wait_random_exponential(self._durations.reconnect_s, self._durations.reconnect_max_s),
            before_sleep=self._report,
        )
        try:
            while True:
                connection: FramesConnection = await retrying(self._connect)
                self._up.set()
                await self._wait_until_lost(connection)
        finally:
            await self._close()

    async def _connect(self) -> FramesConnection:
        await self._close()  # what an attempt left whose preparation failed
        self._connection = connection = await open_frames(self._url, self._name)
        if (expires_at := read_expiry(connection.transport)) is not None:
            self._observe_expiry(expires_at)
        if self._prepare is not None:
            await self._prepare()
        return connection

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        where = mask_url(current_url(self._url))
        log.warning("RabbitMQ at %s is away (%s: %s); trying again", where, type(error).__name__, error)

    async def _wait_until_lost(self, connection: FramesConnection) -> None:
        """Returns at once for a connection that was lost while it was prepared."""
        connection.closing.add_done_callback(lambda _: self._up.clear())
        while not (await asyncio.wait([connection.closing], timeout=_LISTEN_EVERY_S))[0]:
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
                async with asyncio.timeout(_CLOSE_S):
                    await connection.close()
            except FRAMES_ERRORS as error:
                log.debug("Closing %s: %s", self._name, error)
            finally:
                connection.abort()
