"""A database in which each table that grows has 200,000 rows or more, made in seconds.

Filled as fast as PostgreSQL takes it: unlogged, sorted by bytes, three tables at once, each without its
indexes and keys, which come back afterwards as the migrations made them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from schema.migrator import migrate
from shared.postgres.queries import Queries
from tests.support.databases import new_database

Connection: TypeAlias = "asyncpg.Connection[Any]"

_FILLING: Final = Queries("tests.integration.growth", "filling.sql")
#: Biggest first, so that none of the three is left alone at the end.
_TABLES: Final = sorted(
    (name for name in _FILLING.names if name != "row_id"), key=lambda name: -len(_FILLING[name])
)
_AT_ONCE: Final = 3
_SESSION: Final = """
    set session_replication_role = replica;
    set synchronous_commit = off;
    set work_mem = '64MB';
    set maintenance_work_mem = '128MB';
    set max_parallel_maintenance_workers = 0;
"""
_CONSTRAINTS: Final = """
    select conrelid::regclass::text as table, contype = 'f' as is_foreign,
           format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
           format('alter table %s add constraint %I %s',
                  conrelid::regclass, conname, pg_get_constraintdef(oid))
               || case when contype = 'f' then ' not valid' else '' end as make
    from pg_constraint
    where connamespace = 'public'::regnamespace and conrelid <> 0 and contype in ('f', 'p', 'u')
    order by contype <> 'f'
"""
_INDEXES: Final = """
    select indrelid::regclass::text as table, format('drop index %s', indexrelid::regclass) as drop,
           pg_get_indexdef(indexrelid) as make
    from pg_index join pg_class on pg_class.oid = indrelid
    where relnamespace = 'public'::regnamespace and relkind = 'r'
      and not exists (select from pg_constraint where conindid = indexrelid)
"""
_LOOSEN: Final = """
    select format('alter table %s set unlogged', oid::regclass) from pg_class
    where relkind = 'r' and relnamespace = 'public'::regnamespace
    union all
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) from pg_constraint
    where contype = 'c' and conrelid <> 0 and connamespace = 'public'::regnamespace
    union all
    select format('alter domain %s drop constraint %I', contypid::regtype, conname) from pg_constraint
    where contypid <> 0 and connamespace = 'public'::regnamespace
"""


@contextmanager
def big_database(server_url: str) -> Iterator[str]:
    """The URL of the filled database, dropped at the end."""
    with new_database(server_url, template="template0 locale 'C'") as url:
        asyncio.run(migrate(url))
        asyncio.run(_fill(url))
        yield url


async def _fill(url: str) -> None:
    connection = await _connect(url)
    try:
        constraints, indexes = await connection.fetch(_CONSTRAINTS), await connection.fetch(_INDEXES)
        made = [*constraints, *indexes]
        await _run(connection, [row["drop"] for row in made])
        await _run(connection, [row[0] for row in await connection.fetch(_LOOSEN)])
        await connection.execute(_FILLING["row_id"])
        hands = asyncio.Semaphore(_AT_ONCE)
        own = [row for row in made if not row.get("is_foreign")]
        await asyncio.gather(
            *(_fill_table(url, hands, name, [row for row in own if row["table"] == name]) for name in _TABLES)
        )
        await _run(connection, [row["make"] for row in own if row["table"] not in _TABLES])
        await _run(connection, [row["make"] for row in constraints if row["is_foreign"]])
    finally:
        await connection.close()


async def _fill_table(
    url: str, hands: asyncio.Semaphore, name: str, made: Sequence["asyncpg.Record"]
) -> None:
    async with hands:
        connection = await _connect(url)
        try:
            await connection.execute(_FILLING[name])
            await _run(connection, [row["make"] for row in made])
            await connection.execute(f"vacuum (analyze, parallel 0) {name}")
        finally:
            await connection.close()


async def _run(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        await connection.execute(statement)


async def _connect(url: str) -> Connection:
    connection = await asyncpg.connect(url)
    await connection.execute(_SESSION)
    return connection
