"""Which Redis a connection goes to: an address of the URL's host, or the primary that Sentinel names.

Owns the making of a pool and the finding of its server. What a failure means is the client's.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.addresses import Host, ServerAddress, first_to_answer, open_socket
from shared.certificates import ObserveExpiry, ignore_expiry, read_expiry
from shared.settings.server_urls import ServerUrl, read_server_url, sentinel_service, with_host

#: Connections of one process; calls beyond them wait within their own deadline.
_MAX_CONNECTIONS: Final = 32
#: Of a connection's time, what the Sentinels have to name the primary.
_SENTINELS_SHARE: Final = 0.6

_Reached: TypeAlias = tuple[ServerAddress, socket.socket]
_NO_LOGIN: Final[tuple[None, None]] = (None, None)


class _Connection(Connection):
    """A connection whose socket `reach` opens, asked each time; a certificate is held against its host."""

    def __init__(
        self,
        *,
        reach: Callable[[], Awaitable[_Reached]],
        observe_expiry: ObserveExpiry = ignore_expiry,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._reach = reach
        self._observe_expiry = observe_expiry

    async def _connect(self) -> None:
        address, opened = await self._reach()
        options = {"sock": opened, **self._connection_arguments()}
        del options["host"], options["port"]
        if "ssl" in options:
            options["server_hostname"] = address.host
        try:
            self._reader, self._writer = await asyncio.open_connection(**options)
        except BaseException:
            opened.close()
            raise
        if (expires_at := read_expiry(self._writer.transport)) is not None:
            self._observe_expiry(expires_at)


class _TLSConnection(_Connection, SSLConnection):
    """The same over TLS."""


async def _reach(address: ServerAddress) -> _Reached:
    return address, await open_socket(address)


class _HostRoute:
    """To any address of one host."""

    def __init__(self, hosts: tuple[Host, ...], within_s: float) -> None:
        self._hosts = hosts
        self._within_s = within_s
        #: The address to begin with, counted round.
        self.turn = 0

    async def reach(self) -> _Reached:
        """A socket to the server. Raises OSError, or what a Sentinel says."""
        return await self._open(self._hosts, self._within_s)

    async def _open(self, hosts: tuple[Host, ...], within_s: float) -> _Reached:
        return await first_to_answer(hosts, _reach, within_s, first=self.turn)


class _SentinelRoute(_HostRoute):
    """To the primary of a service, as the Sentinels see it now."""

    def __init__(self, url: ServerUrl, within_s: float, options: dict[str, Any]) -> None:
        super().__init__(url.hosts, within_s)
        self._service, _ = sentinel_service(url)
        #: Sentinels mostly ask for none; those that do are taken to know Redis' own.
        self._logins = (_NO_LOGIN, (url.user, url.password)) if url.password else (_NO_LOGIN,)
        self._options = {name: value for name, value in options.items() if name.startswith("ssl_")}
        self._class = _TLSConnection if url.scheme.startswith("rediss") else _Connection

    async def reach(self) -> _Reached:
        asking_s = self._within_s * _SENTINELS_SHARE
        primary = await first_to_answer(self._hosts, self._ask, asking_s, (RedisError,), self.turn)
        return await self._open((primary,), self._within_s - asking_s)

    async def _ask(self, sentinel: ServerAddress) -> Host:
        for user, password in self._logins:
            connection: Any = self._class(
                reach=partial(_reach, sentinel),
                username=user,
                password=password,
                protocol=2,
                driver_info=None,
                **self._options,
            )
            try:
                await connection.connect()
                await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
                named = await connection.read_response()
            except AuthenticationError:
                if (user, password) == self._logins[-1]:
                    raise
                continue
            finally:
                await connection.disconnect(nowait=True)
            if named is None:
                break
            return named[0].decode(), int(named[1])
        raise RedisConnectionError(f"the Sentinel at {sentinel} knows no primary of {self._service}")


class Pool:
    """The connections that one URL gives."""

    def __init__(self, url: str, within_s: float, observe_expiry: ObserveExpiry = ignore_expiry) -> None:
        """`within_s`: the time for finding the server and connecting to it."""
        self.url = url
        parts = read_server_url(url)
        scheme, _, sentinel = parts.scheme.partition("+")
        plain = urlsplit(with_host(url, *parts.hosts[0]))._replace(scheme=scheme)
        if sentinel:
            plain = plain._replace(path=f"/{sentinel_service(parts)[1]}")
        options: dict[str, Any] = {**parse_url(plain.geturl())}
        options.pop("connection_class", None)  # for TLS it names the one that opens its socket itself
        self._route = (
            _SentinelRoute(parts, within_s, options) if sentinel else _HostRoute(parts.hosts, within_s)
        )
        self.connections = BlockingConnectionPool(
            **options,
            connection_class=_TLSConnection if scheme == "rediss" else _Connection,
            reach=self._route.reach,
            observe_expiry=observe_expiry,
            max_connections=_MAX_CONNECTIONS,
            timeout=None,
            # The deadline of the call covers waiting, connecting, writing and reading, with one timer.
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )

    async def drop(self, *, in_use: bool = False) -> None:
        """Close the idle connections, or all; the next ones begin with the next address.

        A call that is under way ends within its own deadline, and with an error closes its connection.
        """
        self._route.turn += 1
        await self.connections.disconnect(inuse_connections=in_use)
