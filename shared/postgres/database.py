"""PostgreSQL over asyncpg: a pool, and its errors in our own words.

Owns connecting, session settings and the translation of errors; statements stand with their nouns.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from math import isfinite
from typing import Any, Final, TypeAlias, cast

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from shared.addresses import Unreached
from shared.certificates import ObserveExpiry, ignore_expiry
from shared.errors import (
    SettingsError,
    StoreConflict,
    StoreDataError,
    StoreError,
    StoreLocked,
    StoreMisconfigured,
    StoreUnavailable,
)
from shared.postgres.connecting import Connector, PostgresConnection
from shared.postgres.silence import watch_for_silence
from shared.settings.server_urls import UrlSource

log = logging.getLogger(__name__)

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

#: Fresh tables have no statistics, and the planner would scan them: every statement of ours has an index.
_SESSION = {
    "application_name": "wabus",
    "timezone": "UTC",
    "enable_seqscan": "off",
    "jit": "off",
    "idle_in_transaction_session_timeout": "30000",
    "statement_timeout": "20000",
}
#: Bodies that one claim of rows to publish takes into memory, with the one that exceeds it.
CLAIMED_BYTES: Final = 16 * 1024 * 1024
#: From so many digits on an integer may not fit 64 bits.
_LONG_DIGITS: Final = 19
#: How long a closing pool waits for connections that are in use or do not answer.
_CLOSE_S = 2.0
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was lost at a bad moment
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
)
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
#: What one connection meets the others will meet, too: lost, silent, or the server takes no writes any more.
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,
    OSError,
)
_CONFLICT = (
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InFailedSQLTransactionError,
)
#: All that a message can be to blame for: its data, a constraint that it breaks, rows that meet …
_BLAMED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.CardinalityViolationError,
)
#: … and limits of the size and depth of a value: an index row, a stack.
_LIMITS: Final = ("54000", "54001")
#: What to do about an installation that does not let us work.
_GRANT: Final = "grant the login of DATABASE_URL what schema/roles.sql gives"
_MIGRATE: Final = "the schema is not the one this program knows: compare it with `wabus migrate --dry-run`"
_SEE_SERVER: Final = "see the log of PostgreSQL, and of a pooler before it"
#: asyncpg refuses an argument by quoting it.
_QUOTED: Final = "invalid input for query argument"


def translate(error: BaseException) -> StoreError | None:
    """Say what a failure of asyncpg means to us; None for what is not PostgreSQL's."""
    text = _describe(error)
    if isinstance(error, asyncpg.LockNotAvailableError):
        return StoreLocked(text)
    if isinstance(error, _CONFLICT):
        return StoreConflict(text)
    if isinstance(error, _AWAY):
        return StoreUnavailable(text)
    if not isinstance(error, asyncpg.PostgresError):
        return None
    if isinstance(error, _BLAMED) or error.sqlstate in _LIMITS:
        return StoreDataError(text)
    return StoreMisconfigured(f"{text}: {_advise(error)}")


def _advise(error: asyncpg.PostgresError) -> str:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return _GRANT
    return _MIGRATE if isinstance(error, asyncpg.SyntaxOrAccessError) else _SEE_SERVER


def _describe(error: BaseException) -> str:
    if str(error).startswith(_QUOTED):
        return f"{type(error).__name__}: an argument that PostgreSQL cannot take"
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    """Its DETAIL may hold values of a row: the first line alone names the rule."""
    return str(error).partition("\n")[0][:300]


class Database:
    """A pool of connections. Every failure leaves as a StoreError; a URL of no use, as a SettingsError.

    Whoever meets a server that is lost, silent or read-only costs the pool all of its connections; the next
    one resolves the name, and reads the URL's file, anew. Behind a pooler all that is done on a lent
    connection is one transaction. `lock_wait_s`: so long a statement waits for a lock, before StoreLocked.
    """

    def __init__(
        self,
        url: str | UrlSource,
        *,
        size: int = 8,
        lock_wait_s: float = 5.0,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        self._url = url
        self._observe_expiry = observe_expiry
        self._size = size
        self._session = {**_SESSION, "lock_timeout": f"{lock_wait_s * 1000:.0f}"}
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._watching: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, in autocommit."""
        pool, lent = await self._acquire()
        try:
            try:
                async with self._short_session(lent) if _is_behind_pooler(lent) else nullcontext():
                    yield lent
            except _LOST:
                self._drop(pool)  # before the release, which would wait for an answer
                raise
            finally:
                await pool.release(lent)
        except _FAILURES as error:
            if isinstance(error, _LOST):
                self._drop(pool)
            translated = translate(error)
            if translated is None:
                raise
            raise translated from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection with an open transaction: committed at the end, rolled back on an error."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement by itself and return its rows."""
        async with self.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        """Run one statement by itself and return its first row."""
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        """Run one statement by itself and return the first value of its first row."""
        async with self.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> int:
        """Run one statement by itself and return how many rows it touched."""
        async with self.connection() as connection:
            return touched(await connection.execute(statement, *arguments))

    async def check_writable(self) -> None:
        """Raise StoreUnavailable unless the server answers and takes writes."""
        async with self.connection() as connection:
            if await connection.fetchval("select current_setting('transaction_read_only')::bool"):
                raise asyncpg.ReadOnlySQLTransactionError("PostgreSQL is read-only")

    async def is_behind_pooler(self) -> bool:
        """Whether a pooler of connections, such as PgBouncer, stands before the server."""
        async with self.connection() as connection:
            return _is_behind_pooler(connection)

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        self._stop_watching()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
            log.debug("Closing the pool: %s", error)
            pool.terminate()

    async def _acquire(self) -> "tuple[asyncpg.Pool[asyncpg.Record], Connection]":
        """A server that does not let us in is away, whatever it says."""
        try:
            pool = await self._open_pool()
            return pool, await pool.acquire(timeout=10)
        except Unreached as unreached:
            raise _explain(unreached) from unreached.telling
        except asyncpg.ClientConfigurationError as error:
            raise SettingsError(f"DATABASE_URL: {_one_line(error)}") from None
        except _FAILURES as error:
            raise StoreUnavailable(_describe(error)) from error

    async def _open_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is not None:
            return self._pool
        connector = Connector(self._url, self._session)

        async def connect(*_: Any, **__: Any) -> PostgresConnection:
            connection = await connector.open()
            if (expires_at := connection.certificate_expires_at) is not None:
                self._observe_expiry(expires_at)
            return connection

        pool = asyncpg.create_pool(
            connect=connect,
            connection_class=PostgresConnection,
            min_size=0,
            max_size=self._size,
            init=_prepare_connection,
        )
        await pool
        if self._pool is None:
            self._pool = pool
            watching = watch_for_silence(connector, lambda: self._drop(pool))
            self._watching = asyncio.create_task(watching, name="postgresql silence")
        return self._pool

    def _drop(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        """Whoever has a connection of it finds that closed; the next to ask gets a new pool's."""
        if self._pool is pool:
            self._pool = None
            self._stop_watching()
        pool.terminate()

    def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None and watching is not asyncio.current_task():
            watching.cancel()

    @asynccontextmanager
    async def _short_session(self, lent: Connection) -> AsyncIterator[None]:
        """A transaction with a session's settings: a pooler gives the next one to another server."""
        async with lent.transaction():
            await lent.execute(
                "; ".join(f"set local {name} = '{value}'" for name, value in self._session.items())
            )
            yield


def _is_behind_pooler(lent: Connection) -> bool:
    return cast(PostgresConnection, lent).behind_pooler  # to which a lent one's attributes lead


def _explain(unreached: Unreached) -> SettingsError | StoreUnavailable:
    error = unreached.telling
    if isinstance(error, asyncpg.ClientConfigurationError):
        return SettingsError(f"DATABASE_URL: {_one_line(error)}")
    if isinstance(error, StoreUnavailable):
        return error
    return StoreUnavailable(_one_line(error) if error is unreached else _describe(error))


def touched(tag: str) -> int:
    """Rows named by a command tag such as `UPDATE 3`."""
    return int(tag.rpartition(" ")[2])


async def _prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """In a transaction: a pooler could give the two steps of asking for the type to two servers."""
    async with connection.transaction():
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=_decode_json
        )


def _decode_json(text: str) -> Any:
    """Numbers that no integer or double of ours takes come back as text, and so does what is nested too deep.

    jsonb holds both. What raised here would fail the whole page that was read with it.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text, parse_int=_integer, parse_float=_double)
    except RecursionError:
        return text


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < _LONG_DIGITS else digits


def _double(digits: str) -> float | str:
    value = float(digits)
    return value if isfinite(value) else digits


def _encode_json(value: object) -> str:
    return orjson.dumps(value).decode()
