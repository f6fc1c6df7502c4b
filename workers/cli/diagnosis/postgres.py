"""PostgreSQL: reached, writable, with the schema that this program knows, and room for connections."""

import time
from typing import Final

import asyncpg

from schema.migrator import MINIMUM_POSTGRESQL, latest_version
from shared.errors import StoreError
from shared.masking import mask_secrets, mask_url
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from shared.settings.settings import Settings
from workers.cli.diagnosis.finding import Finding, Level, within_patience
from workers.cli.diagnosis.work import look_at_work

SUBJECT: Final = "postgresql"
_QUERIES: Final = Queries("workers.cli.diagnosis", "doctor.sql")
_START: Final = "start it (`wabus stack up` for a local one), or correct DATABASE_URL"
_MENDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (asyncpg.InvalidCatalogNameError, "create it (`createdb NAME`), then `wabus migrate`"),
    (asyncpg.InvalidAuthorizationSpecificationError, "correct the user or the password in DATABASE_URL"),
    (asyncpg.TooManyConnectionsError, "stop what holds its connections, or raise max_connections"),
)
#: Fewer connections left than one more worker process takes.
_TIGHT: Final = 10


async def diagnose_postgres(settings: Settings) -> list[Finding]:
    """The server, and where its schema is ours, the state of the work in it."""
    url = settings.database_url.get_secret_value()
    database = Database(url, size=1)

    async def look(found: list[Finding]) -> None:
        try:
            await _look_at_server(database, found)
            if await _look_at_schema(database, found):
                await look_at_work(database, found)
        except StoreError as error:
            found.append(_unreached(error, url))

    try:
        return await within_patience(SUBJECT, _START, look)
    finally:
        await database.close()


async def _look_at_server(database: Database, found: list[Finding]) -> None:
    row = await database.fetchrow(_QUERIES["server"])
    started = time.perf_counter()
    await database.fetchval("select 1")
    latency_ms = round((time.perf_counter() - started) * 1000, 1)
    assert row is not None
    old = row["major"] < MINIMUM_POSTGRESQL
    found.append(
        Finding(
            SUBJECT,
            "reached",
            Level.ERROR if old else Level.OK,
            f"version {row['version']}, {latency_ms} ms",
            f"upgrade it: {MINIMUM_POSTGRESQL} or newer is needed" if old else None,
            version=row["version"],
            latency_ms=latency_ms,
        )
    )
    found.append(_writable(in_recovery=row["in_recovery"], read_only=row["read_only"]))
    if await database.is_behind_pooler():
        detail = "a pooler, such as PgBouncer, is between: each use of a connection is one transaction"
        found.append(Finding(SUBJECT, "pooler", Level.OK, detail))
    await _look_at_connections(database, found)


def _writable(*, in_recovery: bool, read_only: bool) -> Finding:
    if in_recovery:
        return Finding(
            SUBJECT, "writable", Level.ERROR, "a standby, read-only", "name the primary in DATABASE_URL"
        )
    if read_only:
        mend = "alter system set default_transaction_read_only = off; select pg_reload_conf()"
        return Finding(SUBJECT, "writable", Level.ERROR, "read-only: nothing is worked", mend)
    return Finding(SUBJECT, "writable", Level.OK, "takes writes")


async def _look_at_connections(database: Database, found: list[Finding]) -> None:
    row = await database.fetchrow(_QUERIES["connections"])
    assert row is not None
    left = row["allowed"] - row["used"]
    tight = left < _TIGHT
    found.append(
        Finding(
            SUBJECT,
            "connections",
            Level.WARN if tight else Level.OK,
            f"{row['used']} of {row['allowed']} in use",
            "raise max_connections, or run fewer workers: each takes up to 8" if tight else None,
        )
    )


async def _look_at_schema(database: Database, found: list[Finding]) -> bool:
    """Whether the schema is the one we know."""
    known = latest_version()
    has_any = await database.fetchval(_QUERIES["has_schema"])
    version = await database.fetchval(_QUERIES["schema_version"]) if has_any else 0
    level, mend = Level.OK, None
    if version < known:
        level, mend = Level.ERROR, "wabus migrate"
    elif version > known:
        level, mend = Level.ERROR, "run the program that migrated it, or a newer one"
    detail = f"version {version}, this program knows {known}"
    found.append(Finding(SUBJECT, "schema", level, detail, mend))
    return bool(version == known)


def _unreached(error: StoreError, url: str) -> Finding:
    cause = error.__cause__
    mend = next((mend for kind, mend in _MENDS if isinstance(cause, kind)), _START)
    return Finding(SUBJECT, "reached", Level.ERROR, f"{mask_url(url)}: {mask_secrets(str(error))}", mend)
