"""Migrations on a real PostgreSQL: forward, backward, at once, broken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import orjson
import pytest
from click.testing import CliRunner

from schema.migrator import MigrationError, Step, current_version, latest_version, load_migrations, migrate
from shared.postgres.database import Database
from tests.support.program import run_wabus
from tests.support.terminal import type_at_terminal
from workers.cli.migrate import migrate as command

Connection: TypeAlias = "asyncpg.Connection[Any]"

CATALOGUE = """
select relname from pg_class where relnamespace = 'public'::regnamespace
union all select proname from pg_proc where pronamespace = 'public'::regnamespace
union all select typname from pg_type where typnamespace = 'public'::regnamespace
order by 1
"""


async def fetch_names(url: str) -> list[str]:
    conn = await asyncpg.connect(url)
    try:
        return [row[0] for row in await conn.fetch(CATALOGUE)]
    finally:
        await conn.close()


async def read_version(url: str) -> int:
    conn = await asyncpg.connect(url)
    try:
        return await current_version(conn)
    finally:
        await conn.close()


def write_migrations(folder: Path, *pairs: tuple[str, str]) -> Path:
    """A folder with one migration for each (up, down)."""
    folder.mkdir(parents=True)
    for number, (up, down) in enumerate(pairs, start=1):
        (folder / f"{number:03d}_step.up.sql").write_text(up)
        (folder / f"{number:03d}_step.down.sql").write_text(down)
    return folder


ONE = ("create table one (id integer)", "drop table one")
TWO = ("create table two (id integer)", "drop table two")
BROKEN = ("create table three (id integer); insert into three values (1); select 1/0", "drop table three")


async def test_up_down_and_up_again_ends_in_the_same_schema(empty_database: str) -> None:
    up = await migrate(empty_database)
    first = await fetch_names(empty_database)
    down = await migrate(empty_database, to=0)
    nothing = await fetch_names(empty_database)
    await migrate(empty_database)

    assert [step.version for step in up] == list(range(1, latest_version() + 1))
    assert [(step.version, step.direction) for step in down] == [
        (version, "down") for version in range(latest_version(), 0, -1)
    ]
    assert nothing == []
    assert await fetch_names(empty_database) == first
    assert await read_version(empty_database) == latest_version()


async def test_every_down_restores_what_was_before_its_up(empty_database: str) -> None:
    for version in range(1, latest_version() + 1):
        before = await fetch_names(empty_database)
        await migrate(empty_database, to=version)
        await migrate(empty_database, to=version - 1)
        assert await fetch_names(empty_database) == before
        await migrate(empty_database, to=version)


async def test_a_database_that_is_up_to_date_is_left_alone(empty_database: str) -> None:
    await migrate(empty_database)

    assert await migrate(empty_database) == []


async def test_five_migrators_at_once_do_the_work_once(empty_database: str) -> None:
    taken = await asyncio.gather(*(migrate(empty_database) for _ in range(5)))

    done = [step.version for steps in taken for step in steps]
    assert sorted(done) == list(range(1, latest_version() + 1))


async def test_five_migrators_backward_at_once_leave_nothing(empty_database: str) -> None:
    await migrate(empty_database)

    await asyncio.gather(*(migrate(empty_database, to=0) for _ in range(5)))

    assert await fetch_names(empty_database) == []


async def test_a_dry_run_tells_the_steps_and_changes_nothing(empty_database: str) -> None:
    told = await migrate(empty_database, dry_run=True)

    assert await fetch_names(empty_database) == []
    assert await migrate(empty_database) == told


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_all_before_it(
    empty_database: str, tmp_path: Path
) -> None:
    folder = write_migrations(tmp_path / "m", ONE, TWO, BROKEN)

    with pytest.raises(MigrationError, match=r"003_step \(up\) failed and was rolled back: division by zero"):
        await migrate(empty_database, folder=folder)

    names = await fetch_names(empty_database)

    assert {"one", "two"} <= set(names)
    assert "three" not in names
    assert await read_version(empty_database) == 2


async def test_a_first_migration_that_fails_leaves_an_empty_database(
    empty_database: str, tmp_path: Path
) -> None:
    with pytest.raises(MigrationError):
        await migrate(empty_database, folder=write_migrations(tmp_path / "m", BROKEN))

    assert await fetch_names(empty_database) == []


async def test_going_back_part_of_the_way_keeps_the_rest(empty_database: str, tmp_path: Path) -> None:
    folder = write_migrations(tmp_path / "m", ONE, TWO)
    await migrate(empty_database, folder=folder)

    steps = await migrate(empty_database, to=1, folder=folder)

    assert steps == [Step(2, "step", "down")]
    assert await read_version(empty_database) == 1


async def test_a_newer_database_is_refused(empty_database: str, tmp_path: Path) -> None:
    await migrate(empty_database, folder=write_migrations(tmp_path / "new", ONE, TWO))
    old = write_migrations(tmp_path / "old", ONE)

    for target in (None, 0):
        with pytest.raises(MigrationError, match="is at version 2, newer than the 1 known here"):
            await migrate(empty_database, to=target, folder=old)


async def test_an_applied_migration_that_was_changed_is_refused(empty_database: str, tmp_path: Path) -> None:
    await migrate(empty_database, folder=write_migrations(tmp_path / "a", ONE))
    changed = write_migrations(tmp_path / "b", ("create table one (id bigint)", ONE[1]), TWO)

    with pytest.raises(MigrationError, match="001_step is not what was applied"):
        await migrate(empty_database, folder=changed)

    assert await read_version(empty_database) == 1


async def test_a_migrator_that_cannot_get_its_table_lock_gives_up(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.migrator._LOCK_TIMEOUT", "50ms")
    folder = write_migrations(
        tmp_path / "m", ONE, ("alter table one add name text", "alter table one drop name")
    )
    await migrate(empty_database, to=1, folder=folder)
    reader = await asyncpg.connect(empty_database)
    try:
        async with reader.transaction():
            await reader.execute("select * from one")
            with pytest.raises(MigrationError, match="lock timeout"):
                await migrate(empty_database, folder=folder)
    finally:
        await reader.close()

    assert await migrate(empty_database, folder=folder) == [Step(2, "step", "up")]


async def test_a_database_without_migrations_is_at_version_zero(empty_database: str) -> None:
    assert await read_version(empty_database) == 0


async def test_an_unknown_version_is_refused_before_anything_is_touched(empty_database: str) -> None:
    with pytest.raises(MigrationError, match=f"version 999 is unknown: there are 0 to {latest_version()}"):
        await migrate(empty_database, to=999)

    assert await fetch_names(empty_database) == []


async def test_a_database_that_does_not_exist_is_told_with_its_remedy(empty_database: str) -> None:
    with pytest.raises(MigrationError, match="does not exist: create it first"):
        await migrate(f"{empty_database}_not")


async def test_a_server_that_is_away_is_told_without_the_password() -> None:
    with pytest.raises(MigrationError, match="the database cannot be reached") as raised:
        await migrate("postgresql://u:hunter2@127.0.0.1:1/x")

    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["003_gap.up.sql", "2_short.up.sql", "002_Upper.up.sql"])
def test_a_file_that_is_not_the_next_number_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_migrations(tmp_path / "m", ONE)
    (folder / name).write_text("select 1")
    (folder / name.replace(".up.", ".down.")).write_text("select 1")

    with pytest.raises(MigrationError, match="must be the next number"):
        load_migrations(folder)


def test_a_migration_without_its_way_back_is_refused(tmp_path: Path) -> None:
    folder = write_migrations(tmp_path / "m", ONE)
    (folder / "001_step.down.sql").unlink()

    with pytest.raises(MigrationError, match=r"have a \.down\.sql beside it"):
        load_migrations(folder)


def test_the_command_migrates_and_tells_programs_and_people(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/elsewhere")
    monkeypatch.setenv("MIGRATION_DATABASE_URL", empty_database)
    run = CliRunner().invoke

    dry = run(command, ["--dry-run", "--json"])
    real = run(command, [])
    again = run(command, [])
    refused = run(command, ["--to", "999"])

    assert (dry.exit_code, real.exit_code, again.exit_code, refused.exit_code) == (0, 0, 0, 1)
    told = orjson.loads(dry.output)

    assert told["dry_run"] is True
    assert told["steps"][0] == {"version": 1, "name": "core", "direction": "up"}
    assert f"Brought the database to version {latest_version()}." in real.output
    assert f"at version {latest_version()} already" in again.output
    assert refused.output.startswith("Error: version 999 is unknown")


@asynccontextmanager
async def worker_at(url: str) -> AsyncIterator[None]:
    """A worker's connection, from before the migration."""
    database = Database(url, size=1)
    await database.fetchval("select 1")
    yield
    await database.close()


async def test_backward_is_refused_without_a_yes_and_takes_nothing(empty_database: str) -> None:
    await migrate(empty_database)
    before = await fetch_names(empty_database)

    refused = await run_wabus("migrate", "--to", "0", environ={"DATABASE_URL": empty_database})

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "cannot be undone; say it with --yes" in refused.err
    assert await fetch_names(empty_database) == before
    assert (
        await run_wabus("migrate", "--to", "0", "--yes", environ={"DATABASE_URL": empty_database})
    ).code == 0
    assert await fetch_names(empty_database) == []


async def test_backward_is_refused_under_workers_unless_forced(empty_database: str) -> None:
    await migrate(empty_database)
    back = ("migrate", "--to", "0", "--yes")
    environ = {"DATABASE_URL": empty_database}
    async with worker_at(empty_database):
        refused = await run_wabus(*back, environ=environ)
        assert refused.code == 1
        assert "stop the workers first" in refused.err
        assert await read_version(empty_database) == latest_version()
        assert (await run_wabus(*back, "--force", environ=environ)).code == 0

    assert await fetch_names(empty_database) == []


@pytest.mark.parametrize(("typed", "is_done"), [("{name}", True), ("yes", False), ("", False)])
def test_a_person_types_the_name_of_the_database(typed: str, is_done: bool, empty_database: str) -> None:
    asyncio.run(migrate(empty_database))
    name = urlsplit(empty_database).path[1:]

    code, told = type_at_terminal(
        ("migrate", "--to", "0"), typed.format(name=name), environ={"DATABASE_URL": empty_database}
    )

    assert (code == 0, f"Type {name} to go on" in told) == (is_done, True)
    assert (asyncio.run(fetch_names(empty_database)) == []) is is_done


def test_the_command_shows_an_example() -> None:
    assert "wabus migrate --to 0" in CliRunner().invoke(command, ["--help"]).output
