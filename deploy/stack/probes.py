"""Does a server answer at a URL? Owns one question per kind of server, asked through its client library.

An answer means that a login succeeded and a round trip was made, not merely that a port is open.
"""

import asyncio
import base64
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis.asyncio

from deploy.stack.records import Kind, ServerRecord
from shared.amqp.client import open_session
from shared.coordination.reaching import Pool
from shared.errors import BrokerUnavailable
from shared.postgres.connecting import Connector
from shared.settings.server_urls import read_server_url

_TIMEOUT_S = 5.0


def failure(server: ServerRecord) -> str | None:
    """Why the server does not answer, in a line without credentials, or None. Blocks 5 s at most."""
    try:
        _open_port(server.url)
        asyncio.run(asyncio.wait_for(_ask(server.kind, server.url), _TIMEOUT_S))
        if server.management_url is not None:
            _ask_management(server.management_url)
    except (
        OSError,
        ValueError,
        TimeoutError,
        BrokerUnavailable,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        redis.RedisError,
    ) as error:
        said = error.__cause__ if isinstance(error, BrokerUnavailable) else error
        return f"{type(said).__name__}: {str(said) or 'no answer'}".splitlines()[0]
    return None


def _open_port(url: str) -> None:
    """Cheaper and quieter than a login while a server is still booting."""
    hosts = read_server_url(url).hosts
    if len(hosts) == 1 and not hosts[0][0].startswith("/"):
        socket.create_connection(hosts[0], timeout=_TIMEOUT_S).close()


async def _ask(kind: Kind, url: str) -> None:
    match kind:
        case Kind.RABBITMQ:
            async with open_session(url):
                pass
        case Kind.POSTGRES:
            session = await Connector(url, {}).open(_TIMEOUT_S)
            try:
                await session.execute("select 1")
            finally:
                await session.close()
        case Kind.REDIS:
            pool = Pool(url, _TIMEOUT_S)
            try:
                await redis.asyncio.Redis(connection_pool=pool.connections).ping()
            finally:
                await pool.drop(in_use=True)


def _ask_management(url: str) -> None:
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=f"{parts.hostname}:{parts.port}", path="/api/overview"))
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(bare, headers={"Authorization": f"Basic {login}"})  # noqa: S310 - ours, http
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
        pass
