"""PostgreSQL over asyncpg: a pool, and its errors in our own words.

Owns connecting, session settings and the translation of errors; statements live beside their workers.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isfinite
from typing import Any, Final, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from shared.errors import (
    SettingsError,
    StoreConflict,
    StoreDataError,
    StoreError,
    StoreLocked,
    StoreUnavailable,
)

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
_CONFLICT = (
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InFailedSQLTransactionError,
)


def translate(error: BaseException) -> StoreError | None:
    """Say what a failure of asyncpg means to us; None for what is not PostgreSQL's."""
    if isinstance(error, ValueError | OverflowError) and not isinstance(error, OSError):
        # asyncpg refuses an argument by quoting it: the kind is told. (A refused certificate is both.)
        return StoreDataError(f"an argument that PostgreSQL cannot take ({type(error).__name__})")
    text = _describe(error)
    if isinstance(error, asyncpg.LockNotAvailableError):
        return StoreLocked(text)
    if isinstance(error, _CONFLICT):
        return StoreConflict(text)
    if isinstance(error, _AWAY):
        return StoreUnavailable(text)
    if isinstance(error, asyncpg.PostgresError):
        return StoreDataError(text)
    return None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    """Its DETAIL may hold values of a row: the first line alone names the rule."""
    return str(error).partition("\n")[0][:300]


class Database:
    """A pool of connections. Every failure leaves as a StoreError; a URL of no use, as a SettingsError.

    `lock_wait_s`: so long a statement waits for a lock, before StoreLocked.
    """

    def __init__(self, dsn: str, *, size: int = 8, lock_wait_s: float = 5.0) -> None:
        self._dsn = dsn
        self._size = size
        self._session = {**_SESSION, "lock_timeout": f"{lock_wait_s * 1000:.0f}"}
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, in autocommit."""
        pool, lent = await self._acquire()
        try:
            try:
                yield lent
            finally:
                await pool.release(lent)
        except _FAILURES as error:
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
        if await self.fetchval("select current_setting('transaction_read_only')::bool"):
            raise StoreUnavailable("PostgreSQL is read-only")

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
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
        except asyncpg.ClientConfigurationError as error:
            raise SettingsError(f"DATABASE_URL: {_one_line(error)}") from None
        except _FAILURES as error:
            raise StoreUnavailable(_describe(error)) from error

    async def _open_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is None:
            pool = asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._size,
                command_timeout=30,
                timeout=5,
                server_settings=self._session,
                init=_prepare_connection,
                reset=_keep_session,
            )
            await pool
            self._pool = self._pool or pool
        return self._pool


def touched(tag: str) -> int:
    """Rows named by a command tag such as `UPDATE 3`."""
    return int(tag.rpartition(" ")[2])


async def _keep_session(_: object) -> None:
    """No statement of ours changes a session: the client's usual reset would be a round trip each time.

    A transaction left open is rolled back all the same.
    """


async def _prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode_json, decoder=_decode_json)


def _decode_json(text: str) -> Any:
    """jsonb holds numbers of any length: those that no integer or double of ours takes come back as text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=_integer, parse_float=_double)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < _LONG_DIGITS else digits


def _double(digits: str) -> float | str:
    value = float(digits)
    return value if isfinite(value) else digits


def _encode_json(value: object) -> str:
    return orjson.dumps(value).decode()
