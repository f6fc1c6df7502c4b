"""The role of `schema/roles.sql`: rows of our tables and nothing else, now and after later migrations.

That its rights are enough is shown by every test with a cluster: their workers sign in by it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from schema.migrator import latest_version, load_migrations, migrate
from shared.settings.settings import Settings
from tests.support.cluster import Cluster
from tests.support.databases import ROLES, WORKER, with_database, with_login
from tests.support.processes import Processes
from tests.support.program import run_wabus
from tests.support.rows import add_message, insert
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.registry import WORKER_NAMES

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ROWS = {"SELECT", "INSERT", "UPDATE", "DELETE"}
REFUSED = [
    "create table mine (id integer)",
    "create temporary table mine (id integer)",
    "create schema mine",
    "create index on outbox_events (payload)",
    "create function mine() returns integer language sql as 'select 1'",
    "create function mine() returns trigger language plpgsql as 'begin return new; end'",
    "alter table message_tracking add column mine integer",
    "alter table message_tracking disable trigger all",
    "drop table audit_log",
    "truncate outbox_events",
    "update schema_migrations set version = 999",
    "delete from schema_migrations",
    "copy outbox_events to program 'true'",
    "copy outbox_events from '/etc/passwd'",
    "set session_replication_role = replica",
    "create role mine",
    "select * from pg_authid",
    "alter database postgres set work_mem = '1GB'",
]


@pytest.fixture
async def worker_conn(
    database_url: str, conn: "asyncpg.Connection[Any]"
) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection of the workers' login ; what a database itself allows is in no template."""
    await conn.execute(ROLES.read_text())
    async with connected(with_login(database_url, WORKER, WORKER)) as worker:
        yield worker


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    conn = await asyncpg.connect(url)
    try:
        yield conn
    finally:
        await conn.close()


async def rights(conn: "asyncpg.Connection[Any]") -> dict[str, set[str]]:
    """What the workers' role may do with each table."""
    rows = await conn.fetch(
        "select relname, array(select p from unnest($1::text[]) as p "
        "where has_table_privilege('wabus_worker', c.oid, p)) as may from pg_class c "
        "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')",
        PRIVILEGES,
    )
    return {row["relname"]: set(row["may"]) for row in rows}


async def test_what_is_no_work_on_rows_is_refused(worker_conn: "asyncpg.Connection[Any]") -> None:
    for statement in REFUSED:
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await worker_conn.execute(statement)
        assert isinstance(refusal.value, asyncpg.InsufficientPrivilegeError), statement


async def test_the_role_works_on_the_rows_of_every_table_and_only_reads_the_migrations(
    conn: "asyncpg.Connection[Any]",
) -> None:
    found = await rights(conn)
    assert found.pop("schema_migrations") == {"SELECT"}
    assert len(found) > 10
    assert all(may == ROWS for may in found.values()), found


async def test_every_worker_signs_in_by_the_role_and_none_meets_a_refusal(
    cluster: Cluster, processes: Processes
) -> None:
    old = await add_message(cluster.conn, wamid="wamid.old")
    await cluster.conn.execute("update message_tracking set created_at = now() - interval '91 days'")
    await insert(cluster.conn, "conversation_mappings", wa_id="49170000000", phone_number_id="1001")
    started = [processes.start(name) for name in WORKER_NAMES]
    for program in started:
        await program.until_ready()
    users = await cluster.conn.fetch(
        "select distinct usename from pg_stat_activity "
        "where datname = current_database() and application_name = 'wabus'"
    )
    assert [row["usename"] for row in users] == [WORKER]
    await cluster.publish("wa.inbound", "491700000001", b"no JSON")

    async def is_worked() -> bool:
        left = await cluster.conn.fetchval("select count(*) from message_tracking where id = $1", old)
        stored = await cluster.conn.fetchval("select count(*) from dead_letter_queue")
        return (left, stored) == (0, 1)

    await until(is_worked)

    assert not any("permission denied" in line for program in started for line in program.messages())


@pytest.fixture
async def owner_url(servers: Servers) -> AsyncIterator[str]:
    """An empty database that a role owns which is no superuser and may create roles."""
    name = f"test_owner_{uuid4().hex[:12]}"
    async with connected(servers.database_url) as conn:
        await conn.execute(f"create role {name} login createrole password '{name}'")
        await conn.execute(f"create database {name} owner {name}")
        try:
            yield with_login(with_database(servers.database_url, name), name, name)
        finally:
            await conn.execute(f"drop database {name} with (force)")
            await conn.execute(f"drop role {name}")


async def test_a_migration_role_that_is_no_superuser_makes_it_and_later_tables_are_covered(
    owner_url: str, tmp_path: Path, migrated_template: str
) -> None:
    for migration in load_migrations():
        stem = f"{migration.version:03d}_{migration.name}"
        (tmp_path / f"{stem}.up.sql").write_text(migration.up)
        (tmp_path / f"{stem}.down.sql").write_text(migration.down)
    later = f"{latest_version() + 1:03d}_later"
    await migrate(owner_url)
    async with connected(owner_url) as conn:
        for _ in range(2):
            await conn.execute(ROLES.read_text())
        (tmp_path / f"{later}.up.sql").write_text("create table later (id bigserial primary key)")
        (tmp_path / f"{later}.down.sql").write_text("drop table later")
        await migrate(owner_url, folder=tmp_path)
        found = await rights(conn)
        assert found["later"] == ROWS
        assert found["schema_migrations"] == {"SELECT"}
    async with connected(with_login(owner_url, WORKER, WORKER)) as worker:
        assert await worker.fetchval("insert into later default values returning id") == 1


async def test_migrating_by_the_workers_login_is_one_line_and_exit_1(
    empty_database: str, database_url: str
) -> None:
    forward = await run_wabus("migrate", environ={"DATABASE_URL": with_login(empty_database, WORKER, WORKER)})
    back = await run_wabus(
        "migrate", "--to", "0", "--yes", environ={"DATABASE_URL": with_login(database_url, WORKER, WORKER)}
    )
    for refused, why in ((forward, "permission denied for schema public"), (back, "must be owner of ")):
        assert refused.code == 1
        assert why in refused.err
        assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    ("revoked", "told"),
    [
        ("all on all tables in schema public", "permission denied for table schema_migrations"),
        ("usage on schema public", "does not find schema_migrations"),
    ],
)
async def test_a_worker_whose_login_was_granted_nothing_waits_says_so_and_goes_on(
    cluster: Cluster, processes: Processes, revoked: str, told: str
) -> None:
    await cluster.conn.execute("revoke usage on schema public from public")
    await cluster.conn.execute(f"revoke {revoked} from wabus_worker")
    program = processes.start_shipped("status-updater")
    said = await program.until_says(told)
    assert "schema/roles.sql" in said
    assert program.exit_code is None
    await cluster.conn.execute(ROLES.read_text())
    await program.until_ready()

    assert "Traceback" not in program.log.read_text()


async def test_the_role_is_given_the_schema_that_was_migrated_whatever_its_name(
    empty_database: str, migrated_template: str
) -> None:
    url = f"{empty_database}?search_path=messages"
    async with connected(url) as conn:
        await conn.execute("create schema messages")
        await migrate(url)
        await conn.execute(ROLES.read_text())
        assert not await conn.fetchval("select has_schema_privilege('public', 'messages', 'create')")
        await conn.execute(f"grant wabus_worker to {WORKER}")
    async with connected(with_login(url, WORKER, WORKER)) as worker:
        await worker.execute("insert into leases values ('x', gen_random_uuid(), now())")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute("delete from schema_migrations")


def test_the_migrating_login_may_be_another_than_the_workers() -> None:
    settings = Settings.from_env(
        {"DATABASE_URL": "postgresql://worker@h/w", "MIGRATION_DATABASE_URL": "postgresql://owner@h/w"}
    )
    assert urlsplit(settings.database_url.get_secret_value()).username == "worker"
    assert urlsplit(settings.migration_database_url.get_secret_value()).username == "owner"
