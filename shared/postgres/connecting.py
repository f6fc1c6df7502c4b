"""One connection to PostgreSQL: by whichever address answers and takes writes, a pooler between or not.

Owns what the URL means and the knowledge of a pooler. The pool is `shared.postgres.database`'s.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlencode
from weakref import WeakSet

import asyncpg

from shared.addresses import (
    KEEP_ALIVE,
    Host,
    KeepAlive,
    ServerAddress,
    Unreached,
    first_to_answer,
    open_socket,
)
from shared.certificates import read_expiry
from shared.errors import StoreUnavailable
from shared.settings.server_urls import UrlSource, current_url, read_server_url

#: All addresses together, unless the URL's connect_timeout gives each its own.
CONNECT_S: Final = 5.0
#: What one address may say, and another not.
_REFUSALS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    StoreUnavailable,
)
#: Types below are PostgreSQL's own, with the same number on every server.
_FIRST_OWN_TYPE: Final = 16_384
#: In the place of the statement that asks for types: one with a name has pushed no other aside.
_NOTHING_ASKED: Final = SimpleNamespace(name="nothing asked")
#: A statement without an answer by then is given up.
_COMMAND_S: Final = 30.0
#: Without a prepared statement: a pooler would not know it. A row where it is so.
_ASK_READ_ONLY: Final = "select where current_setting('transaction_read_only')::bool"
#: What a pooler keeps by itself for each of its clients.
_KEPT_BY_POOLERS: Final = frozenset({"application_name", "timezone"})
#: Parameters that are ours to carry out; asyncpg knows the others.
_OURS: Final = frozenset(
    {
        "host",
        "port",
        "application_name",
        "options",
        "target_session_attrs",
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
    }
)


class PostgresConnection(asyncpg.Connection):
    """A connection that knows how long it has been waiting for an answer, and whether a pooler is between.

    Behind a pooler each transaction may be another server's: no statement is prepared for later, nothing is
    set for the session, and all that is done is done in transactions.
    """

    #: asyncpg's own, of which its types do not tell.
    _transport: asyncio.BaseTransport
    behind_pooler = False
    #: What asyncpg learnt of types that every server has: a new connection would ask it again, in the longest
    #: of all questions.
    _known_types: ClassVar[dict[frozenset[int], Any]] = {}
    #: Monotonic; None while nothing was asked. One that is given up is asked to stop, and has yet to say so.
    asked_at: float | None = None

    async def execute(self, *args: Any, **kwargs: Any) -> str:
        told: str = await self._timed(super().execute(*args, **kwargs))
        return told

    async def executemany(self, *args: Any, **kwargs: Any) -> None:
        await self._timed(super().executemany(*args, **kwargs))

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        return await self._timed(super().fetch(*args, **kwargs))

    async def fetchrow(self, *args: Any, **kwargs: Any) -> Any:
        return await self._timed(super().fetchrow(*args, **kwargs))

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        return await self._timed(super().fetchval(*args, **kwargs))

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:
        asked = frozenset(typeoids)
        if asked in self._known_types:
            return self._known_types[asked], _NOTHING_ASKED
        answer: tuple[Any, Any] = await super()._introspect_types(asked, timeout)  # type: ignore[misc]
        if max(asked) < _FIRST_OWN_TYPE:
            self._known_types[asked] = answer[0]
        return answer

    async def _timed(self, asking: Awaitable[Any]) -> Any:
        self.asked_at = time.monotonic()
        try:
            answer = await asking
        except asyncpg.PostgresError:
            self.asked_at = None
            raise
        except AttributeError as error:
            if not self.is_closed():
                raise
            # Closed between two steps of one statement: asyncpg goes on with the protocol that it let go.
            raise asyncpg.InternalClientError("the connection was closed under a statement") from error
        self.asked_at = None
        return answer

    @property
    def certificate_expires_at(self) -> float | None:
        """When the server's certificate runs out, in seconds since 1970; None where that is not known."""
        return read_expiry(self._transport)

    def get_reset_query(self) -> str:
        """None: no statement of ours changes a session, and the usual one costs a round trip each time.

        A transaction left open is rolled back all the same. What was given up has stopped by now.
        """
        self.asked_at = None
        return ""


@dataclass(frozen=True, slots=True)
class _Target:
    """What a URL says, for one attempt after the other."""

    hosts: tuple[Host, ...]
    #: What asyncpg gets, whatever the address.
    arguments: Mapping[str, Any]
    session: Mapping[str, str]
    #: Whether a server must take writes (True), or may do without (False); None: where another one does.
    writes: bool | None
    within_s: float
    keep_alive: KeepAlive

    @classmethod
    def read(cls, url: str, within_s: float) -> Self:
        """Raises ValueError where the URL cannot be understood."""
        parts = read_server_url(url)
        given = parts.parameters
        hosts = parts.hosts
        rest = urlencode({name: value for name, value in given.items() if name not in _OURS})
        attributes = given.get("target_session_attrs")
        return cls(
            hosts=hosts,
            arguments={
                "dsn": f"postgresql:///?{rest}",
                "user": parts.user,
                "password": parts.password,
                "database": parts.path.removeprefix("/") or None,
            },
            session=_session(given),
            writes=None if attributes is None else attributes != "any",
            within_s=float(given.get("connect_timeout", 0)) * len(hosts) or within_s,
            keep_alive=_keep_alive(given),
        )

    @property
    def is_local(self) -> bool:
        """Whether asyncpg finds the server: a folder of sockets, a service, or the environment's."""
        return not self.hosts or any(host.startswith("/") for host, _ in self.hosts)


class Connector:
    """Opens the connections of one pool. What it learns of a pooler holds for the next ones."""

    def __init__(self, url: str | UrlSource, session: Mapping[str, str]) -> None:
        self._url = url
        self._session = session
        self._behind_pooler = False
        #: Those that are not closed, and perhaps some that are.
        self.opened: WeakSet[PostgresConnection] = WeakSet()

    async def open(self, within_s: float = CONNECT_S) -> PostgresConnection:
        """A connection to the first address that answers and takes writes, else to one that only answers.

        Where the URL asks for a server that takes writes, one that does not is none. Raises Unreached, or
        what asyncpg says of the URL.
        """
        target = _Target.read(current_url(self._url), within_s)
        if target.is_local:
            async with asyncio.timeout(target.within_s):
                return await self._sign_in(target, None)
        second_best: list[PostgresConnection] = []

        async def attempt(address: ServerAddress) -> PostgresConnection:
            connection = await self._sign_in(target, address)
            if target.writes is False or not await _is_read_only(connection):
                return connection
            second_best.append(connection)
            raise StoreUnavailable(f"PostgreSQL at {address} is read-only")

        chosen: PostgresConnection | None = None
        try:
            chosen = await first_to_answer(target.hosts, attempt, target.within_s, _REFUSALS)
        except Unreached:
            if target.writes or not second_best:
                raise
            chosen = second_best[0]
        finally:
            for connection in second_best:
                if connection is not chosen:
                    connection.terminate()
        return chosen

    async def _sign_in(self, target: _Target, address: ServerAddress | None) -> PostgresConnection:
        if not self._behind_pooler:
            try:
                connection = await _connect(target, address, {**self._session, **target.session})
                if await _is_direct(connection):
                    self.opened.add(connection)
                    return connection
            except asyncpg.ProtocolViolationError:  # PgBouncer refuses the settings of a session
                pass
            self._behind_pooler = True
        session = {name: self._session[name] for name in _KEPT_BY_POOLERS & self._session.keys()}
        connection = await _connect(target, address, {**session, **target.session}, behind_pooler=True)
        self.opened.add(connection)
        return connection


async def _connect(
    target: _Target, address: ServerAddress | None, session: Mapping[str, str], *, behind_pooler: bool = False
) -> PostgresConnection:
    hosts = target.hosts if address is None else [(address.host, address.port)]
    connection: PostgresConnection = await asyncpg.connect(
        **target.arguments,
        host=[host for host, _ in hosts] or None,
        port=[port for _, port in hosts] or None,
        loop=None if address is None else _LoopToAddress(address, target.keep_alive),  # type: ignore[arg-type]
        server_settings=dict(session),
        command_timeout=_COMMAND_S,
        statement_cache_size=0 if behind_pooler else 100,
        connection_class=PostgresConnection,
    )
    connection.behind_pooler = behind_pooler
    return connection


async def _is_direct(connection: PostgresConnection) -> bool:
    """A pooler has process ids of its own. The question is one that needs no prepared statement.

    A connection that is not direct, or does not say, is closed.
    """
    pid, told = connection.get_server_pid(), ""
    try:
        told = await connection.execute(f"select where pg_backend_pid() = {pid}")
    finally:
        if told != "SELECT 1":
            connection.terminate()
    return told == "SELECT 1"


async def _is_read_only(connection: PostgresConnection) -> bool:
    """A server tells by itself; a pooler repeats what some server said some time ago."""
    if connection.behind_pooler:
        try:
            return await connection.execute(_ASK_READ_ONLY) != "SELECT 0"
        except BaseException:
            connection.terminate()
            raise
    told = connection.get_settings()
    return "on" in (
        getattr(told, "in_hot_standby", "off"),
        getattr(told, "default_transaction_read_only", "off"),
    )


def _session(given: Mapping[str, str]) -> dict[str, str]:
    """Whatever the name, ours stays in front: `wabus migrate` looks for it."""
    session = {name: given[name] for name in ("options",) if name in given}
    if "application_name" in given:
        session["application_name"] = f"wabus {given['application_name']}"
    return session


def _keep_alive(given: Mapping[str, str]) -> KeepAlive:
    names = {
        "keepalives_idle": "idle_s",
        "keepalives_interval": "interval_s",
        "keepalives_count": "probes",
        "tcp_user_timeout": "unacknowledged_ms",
    }
    changed = {ours: int(given[name]) for name, ours in names.items() if int(given.get(name, 0))}
    return replace(KEEP_ALIVE, is_on=given.get("keepalives", "1") == "1", **changed)


class _LoopToAddress:
    """The running event loop, for asyncpg, which connects to one address whatever the name resolves to.

    asyncpg keeps the name, and holds the server's certificate against it.
    """

    def __init__(self, address: ServerAddress, keep_alive: KeepAlive) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._keep_alive = keep_alive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(
        self, factory: Callable[[], Any], host: str, _port: int, **options: Any
    ) -> Any:
        opened = await open_socket(self._address, self._keep_alive)
        if "ssl" in options:
            options["server_hostname"] = host
        try:
            return await self._loop.create_connection(factory, sock=opened, **options)
        except BaseException:
            opened.close()
            raise
