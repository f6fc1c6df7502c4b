"""`schema/README.md` against the live catalogue, both ways: tables, columns, types, indexes."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest

import schema

Connection: TypeAlias = "asyncpg.Connection[Any]"

README: Final = Path(schema.__file__).with_name("README.md")
LABELS: Final = ("Written by", "Grows", "Kept", "Created and removed")

COLUMNS: Final = """
select c.relname, a.attname,
       format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
INDEXES: Final = """
select c.relname, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = 'public'::regnamespace
"""


@dataclass
class Table:
    """One table, as the inventory or as the catalogue has it: name to type, name to definition."""

    columns: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


def read_sections() -> dict[str, str]:
    """The text below each heading that is a table's name."""
    parts = re.split(r"^## `(\w+)`\n", README.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_rows(section: str, first_heading: str) -> dict[str, tuple[str, str]]:
    """Name to (second, third cell) of the section's table that begins with this heading."""
    _, _, below = section.partition(f"\n| {first_heading} |")
    lines = below.split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in cells}


def read_inventory() -> dict[str, Table]:
    return {
        name: Table(
            columns={column: kind for column, (kind, _) in read_rows(section, "column").items()},
            indexes={index: on for index, (on, _) in read_rows(section, "index").items()},
        )
        for name, section in read_sections().items()
    }


async def read_catalogue(conn: Connection) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for table, column, kind in await conn.fetch(COLUMNS):
        short = kind.replace("timestamp with time zone", "timestamptz")
        tables.setdefault(table, Table()).columns[column] = short
    for table, index, definition in await conn.fetch(INDEXES):
        tables[table].indexes[index] = shorten(definition)
    return tables


def shorten(definition: str) -> str:
    """`CREATE UNIQUE INDEX a ON public.b USING btree (c)` is `unique (c)`; of another kind, `brin (c)`."""
    unique = "unique " if definition.startswith("CREATE UNIQUE") else ""
    kind = definition.partition(" USING ")[2].removeprefix("btree ")
    return unique + kind.replace("::text", "").replace('"', "")


async def test_the_inventory_is_the_catalogue_down_to_the_order_of_columns(conn: Connection) -> None:
    inventory, catalogue = read_inventory(), await read_catalogue(conn)

    assert sorted(inventory) == sorted(catalogue)
    for name, table in catalogue.items():
        assert inventory[name] == table, name
        assert list(inventory[name].columns) == list(table.columns), name


@pytest.mark.parametrize("name", sorted(read_sections()))
def test_every_table_says_what_it_is_for_who_writes_it_how_it_grows_and_goes(name: str) -> None:
    section = read_sections()[name]

    purpose = section.strip().splitlines()[0]
    assert len(purpose) > 20
    assert not purpose.startswith(("-", "|"))
    for label in LABELS:
        assert re.search(rf"^- {label}: \S", section, flags=re.MULTILINE), label


@pytest.mark.parametrize("name", sorted(read_sections()))
def test_every_column_has_a_meaning_and_every_index_a_query(name: str) -> None:
    section = read_sections()[name]

    for first_heading in ("column", "index"):
        for row, (_, reason) in read_rows(section, first_heading).items():
            assert len(reason) > 1, f"{name}.{row}"
