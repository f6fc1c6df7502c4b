"""What the tables say of themselves against the live catalogue, the inventory, and those who act on it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest
from prometheus_client import Gauge

from shared.durations import DURATIONS
from shared.observability.metrics import Metrics
from shared.postgres.queries import parse_queries
from shared.tables import TABLES
from shared.upkeep import Retention, Table
from tests.contract.test_schema_inventory import read_catalogue, read_sections

Connection: TypeAlias = "asyncpg.Connection[Any]"

SHARED: Final = Path(__file__).resolve().parents[2] / "shared"
ERASURE: Final = SHARED / "messaging" / "customers" / "erasure.sql"
EXPORT: Final = parse_queries((SHARED / "messaging" / "customers" / "export.sql").read_text("utf-8"))
NAMES: Final = [table.name for table in TABLES]
OLD: Final = {table.name: table.stays for table in TABLES if isinstance(table.stays, Retention)}
PERSONAL: Final = [table for table in TABLES if table.theirs]
ERASES: Final = {table.name: table.theirs.erase for table in PERSONAL if table.theirs and table.theirs.erase}
EXPORTS: Final = {
    table.name: table.theirs.export for table in PERSONAL if table.theirs and table.theirs.export
}
COUNTED: Final = [counted for table in TABLES for counted in table.counted]

REFERENCES: Final = """
select key.conrelid::regclass::text, attribute.attname, key.confrelid::regclass::text, key.confdeltype = 'c'
from pg_constraint as key
join pg_attribute as attribute on attribute.attrelid = key.conrelid and attribute.attnum = key.conkey[1]
where key.contype = 'f' and key.conrelid <> key.confrelid
"""


def name_of(table: Table) -> str:
    return table.name


async def test_every_table_says_what_becomes_of_its_rows(conn: Connection) -> None:
    assert sorted(NAMES) == sorted(await read_catalogue(conn))


async def test_the_age_by_which_rows_go_has_an_index(conn: Connection) -> None:
    catalogue = await read_catalogue(conn)

    for name, old in OLD.items():
        indexes = " ".join(catalogue[name].indexes.values()).lower()
        assert f"({old.age})" in indexes, name
        assert f"{old.age} < now() - $1::interval" in (old.find or old.prune), name


async def test_what_would_go_along_with_a_row_goes_before_it(conn: Connection) -> None:
    order = list(OLD)

    for name, _, referenced, goes_along in await conn.fetch(REFERENCES):
        if goes_along and {name, referenced} <= OLD.keys():
            assert order.index(name) < order.index(referenced), name


def test_what_an_event_may_be_about_stays_while_platforms_repeat_it() -> None:
    hasty = replace(
        DURATIONS,
        retention_messages_days=1,
        retention_status_events_days=1,
        retention_attempts_days=1,
        retention_notices_days=1,
        retention_reengagement_days=1,
    )

    kept = {name: old.older_than(hasty).days for name, old in OLD.items()}

    assert kept.pop("dead_letter_queue") == DURATIONS.retention_dead_letters_days
    assert kept.pop("carts") == DURATIONS.retention_carts_days
    assert kept.pop("product_views") == DURATIONS.retention_views_days
    assert set(kept.values()) == {DURATIONS.retention_floor_days}


@pytest.mark.parametrize("table", TABLES, ids=name_of)
def test_the_inventory_says_for_how_many_days_rows_are_kept(table: Table) -> None:
    line = re.search(r"^- Kept: (.*)", read_sections()[table.name], flags=re.MULTILINE)
    assert line is not None
    days = [f"{table.stays.days(DURATIONS):g} days"] if isinstance(table.stays, Retention) else []

    assert re.findall(r"\d+ days", line[1]) == days


async def test_what_names_a_person_is_a_column(conn: Connection) -> None:
    catalogue = await read_catalogue(conn)

    for table in PERSONAL:
        assert table.theirs is not None
        assert set(table.theirs.columns) <= catalogue[table.name].columns.keys(), table.name


async def test_every_column_of_an_address_a_conversation_or_a_message_tells_a_persons_row(
    conn: Connection,
) -> None:
    typed = [
        (name, column)
        for name, table in (await read_catalogue(conn)).items()
        for column, kind in table.columns.items()
        if kind.startswith("customer_address")
    ]
    references = await conn.fetch(REFERENCES)

    told = {(table.name, column) for table in PERSONAL if table.theirs for column in table.theirs.addresses}
    assert set(typed) <= told
    for kind, referenced in (("mappings", "conversation_mappings"), ("messages", "message_tracking")):
        told = {(table.name, column) for table in PERSONAL for column in getattr(table.theirs, kind)}
        assert {(name, column) for name, column, to, _ in references if to == referenced} <= told, kind


def test_an_erasure_removes_from_the_tables_with_rows_of_a_person_and_from_no_other() -> None:
    statements = "\n".join([ERASURE.read_text("utf-8"), *ERASES.values()])
    removed_from = re.findall(r"^delete from (\w+)", statements, flags=re.MULTILINE)

    assert set(removed_from) == {table.name for table in PERSONAL}


@pytest.mark.parametrize("table", PERSONAL, ids=name_of)
def test_an_erasure_looks_at_every_column_that_tells_a_persons_row(table: Table) -> None:
    assert table.theirs is not None
    statements = [*parse_queries(ERASURE.read_text("utf-8")).values(), *ERASES.values()]
    looks = " ".join(text for text in statements if re.search(rf"\bfrom {table.name}\b", text))

    assert [column for column in table.theirs.columns if not re.search(rf"\b{column}\b", looks)] == []


@pytest.mark.parametrize("table", PERSONAL, ids=name_of)
def test_an_export_reads_every_table_with_rows_of_a_person_whole(table: Table) -> None:
    statements = [where[table.name] for where in (EXPORT, EXPORTS) if table.name in where]

    assert len(statements) == 1
    assert re.search(rf"^select \* from {table.name}\b", statements[0], flags=re.MULTILINE)


def test_every_gauge_that_is_counted_is_one_and_is_counted_once() -> None:
    metrics = Metrics()

    assert all(isinstance(getattr(metrics, counted.gauge), Gauge) for counted in COUNTED)
    assert len({counted.gauge for counted in COUNTED}) == len(COUNTED)


def test_every_statement_is_a_named_one() -> None:
    named = {
        text for path in SHARED.rglob("*.sql") for text in parse_queries(path.read_text("utf-8")).values()
    }
    used = {counted.statement for counted in COUNTED} | {old.prune for old in OLD.values()}

    used |= {*ERASES.values(), *EXPORTS.values()}

    assert used | {old.find for old in OLD.values() if old.find} <= named
