"""Carries out the migrations beside it, forward and backward, on one PostgreSQL database.

Owns the table `schema_migrations`, the order, the lock between replicas and the refusals. Does not create the
database itself, nor decide what a worker does about a schema that it does not know. Imports nothing of ours.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import asyncpg

#: The oldest release that is tested.
MINIMUM_POSTGRESQL: Final = 15

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_FILE_NAME: Final = re.compile(r"(\d{3})_([a-z0-9_]+)\.up\.sql")
#: One migrator at a time in a database; the number is arbitrary and must stay.
_LOCK_KEY: Final = 0x7761627573
#: A change that cannot get its table lock gives up, rather than queueing all traffic behind it.
_LOCK_TIMEOUT: Final = "15s"
_CONNECT_TIMEOUT_S: Final = 10.0

_CREATE_TABLE: Final = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
)
"""

#: Who else is at work here: every connection of ours says so in its application_name.
_COUNT_OTHERS: Final = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like 'wabus%'
"""

_AUDIT: Final = "insert into audit_log (actor, action, subject) values ($1, $2, $3)"

Connection: TypeAlias = "asyncpg.Connection[Any]"
Connect: TypeAlias = Callable[[str], Awaitable[Connection]]


async def connect_directly(dsn: str) -> Connection:
    """A connection that prepares nothing for later: behind PgBouncer each transaction is another session."""
    return await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, statement_cache_size=0)


class MigrationError(Exception):
    """The schema cannot be brought where it was asked to; one line says why. Nothing half-done remains."""


class UnreachedDatabaseError(MigrationError):
    """The server was not reached, or went away."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change: the SQL that makes it and the SQL that unmakes it."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """One migration carried out, or to be carried out, in one direction."""

    version: int
    name: str
    direction: Literal["up", "down"]


@cache
def load_migrations(folder: Path = _MIGRATIONS) -> Sequence[Migration]:
    """All migrations in order. Raises MigrationError where a number or a `.down.sql` is missing."""
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.up.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        down = path.with_name(path.name.replace(".up.sql", ".down.sql"))
        if match is None or int(match[1]) != len(migrations) + 1 or not down.exists():
            raise MigrationError(f"{path.name}: must be the next number and have a .down.sql beside it")
        migrations.append(
            Migration(int(match[1]), match[2], path.read_text("utf-8"), down.read_text("utf-8"))
        )
    return tuple(migrations)


def latest_version() -> int:
    """The schema version that this program knows."""
    return len(load_migrations())


async def current_version(conn: Connection) -> int:
    """The database's schema version: 0 where nothing was ever migrated."""
    if await conn.fetchval("select to_regclass('schema_migrations')") is None:
        return 0
    version: int = await conn.fetchval("select coalesce(max(version), 0) from schema_migrations")
    return version


async def migrate(
    dsn: str,
    to: int | None = None,
    dry_run: bool = False,
    folder: Path = _MIGRATIONS,
    force: bool = False,
    connect: Connect = connect_directly,
    by: str | None = None,
) -> list[Step]:
    """Brings the database at `dsn` to version `to` (default: the latest) and gives the steps it took.

    Each step is a transaction that holds the lock; a second migrator waits, then goes on from there. `to=0`
    removes the bookkeeping too. With `dry_run` the steps are only told. Backward is refused while workers are
    connected, unless with `force`. `by`: who stands in the audit log, if anybody. Raises MigrationError.
    """
    migrations = load_migrations(folder)
    target = len(migrations) if to is None else to
    if not 0 <= target <= len(migrations):
        raise MigrationError(f"version {target} is unknown: there are 0 to {len(migrations)}")
    conn = await _connect(dsn, connect)
    try:
        if dry_run:
            async with conn.transaction():
                return plan(migrations, await _read_applied(conn), target)
        taken: list[Step] = []
        while step := await _take_step(conn, migrations, target, taken, force=force, by=by):
            taken.append(step)
        return taken
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise UnreachedDatabaseError(f"the database failed: {_first_line(error)}") from error
    finally:
        await conn.close()


def plan(migrations: Sequence[Migration], applied: Mapping[int, str], target: int) -> list[Step]:
    """The steps from `applied` (version to checksum) to `target`. Raises MigrationError: a foreign past."""
    current = max(applied, default=0)
    if current > len(migrations):
        raise MigrationError(
            f"the database is at version {current}, newer than the {len(migrations)} known here: "
            "use the program that migrated it, or a newer one"
        )
    for migration in migrations[:current]:
        if applied.get(migration.version) != migration.checksum:
            raise MigrationError(
                f"migration {migration.version:03d}_{migration.name} is not what was applied: "
                "a migration must not change once it was; add a new one"
            )
    up = [Step(m.version, m.name, "up") for m in migrations[current:target]]
    return up or [Step(m.version, m.name, "down") for m in reversed(migrations[target:current])]


async def _take_step(
    conn: Connection,
    migrations: Sequence[Migration],
    target: int,
    taken: Sequence[Step],
    *,
    force: bool,
    by: str | None,
) -> Step | None:
    """The next step to `target`, taken; None where there is none. The lock ends with the transaction."""
    async with conn.transaction():
        await conn.execute("set local lock_timeout = 0; set local statement_timeout = 0")
        await conn.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)
        steps = plan(migrations, await _read_applied(conn), target)
        if not steps:
            return None
        if steps[0] in taken:
            raise MigrationError("another migrator undoes the same steps: let one of the two do its work")
        if not force:
            await _refuse_under_workers(conn, steps[0])
        await _carry_out(conn, migrations[steps[0].version - 1], steps[0], by)
        return steps[0]


async def _refuse_under_workers(conn: Connection, step: Step) -> None:
    if step.direction == "up":
        return
    if others := await conn.fetchval(_COUNT_OTHERS):
        raise MigrationError(
            f"{others} connections of workers are open in this database: stop the workers first, "
            "or say --force"
        )


async def _connect(dsn: str, connect: Connect) -> Connection:
    try:
        conn = await connect(dsn)
    except asyncpg.InvalidCatalogNameError as error:
        raise MigrationError(
            f"{_first_line(error)}: create it first (createdb), then migrate again"
        ) from error
    except (OSError, TimeoutError, ValueError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise UnreachedDatabaseError(f"the database cannot be reached: {_first_line(error)}") from error
    if (major := conn.get_server_version().major) < MINIMUM_POSTGRESQL:
        await conn.close()
        raise MigrationError(f"PostgreSQL {MINIMUM_POSTGRESQL} or newer is needed, this one is {major}")
    return conn


async def _read_applied(conn: Connection) -> dict[int, str]:
    if await conn.fetchval("select to_regclass('schema_migrations')") is None:
        return {}
    rows = await conn.fetch("select version, checksum from schema_migrations")
    return {row["version"]: row["checksum"] for row in rows}


async def _carry_out(conn: Connection, migration: Migration, step: Step, by: str | None) -> None:
    try:
        await conn.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        if step.direction == "up":
            await _go_up(conn, migration)
        else:
            await _go_down(conn, migration)
        if by is not None and await conn.fetchval("select to_regclass('audit_log')") is not None:
            await conn.execute(_AUDIT, by, f"migrate.{step.direction}", f"{step.version:03d}_{step.name}")
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"migration {step.version:03d}_{step.name} ({step.direction}) failed and was rolled back: "
            f"{_first_line(error)}"
        ) from error


async def _go_up(conn: Connection, migration: Migration) -> None:
    await conn.execute(_CREATE_TABLE)
    await conn.execute(migration.up)
    await conn.execute(
        "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )


async def _go_down(conn: Connection, migration: Migration) -> None:
    await conn.execute(migration.down)
    await conn.execute("delete from schema_migrations where version = $1", migration.version)
    if migration.version == 1:
        await conn.execute("drop table schema_migrations")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
