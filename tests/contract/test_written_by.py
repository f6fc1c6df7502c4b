"""A table is written by its noun's SQL: `schema/README.md` names the place, and what crosses.

`Written by` begins with the files of the noun. Below it stands each statement of another file that writes the
table too, as `file: statement`, with its reason; a file alone stands for all of its statements.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from shared.postgres.queries import parse_queries
from tests.contract.test_schema_inventory import read_sections

ROOT: Final = Path(__file__).resolve().parents[2]
PLACES: Final = ("shared", "workers", "schema")
#: `for update` locks, and `do update` belongs to an insert that was seen already.
WRITES: Final = re.compile(
    r"\b(?:insert into|delete from|merge into|truncate|(?<!for )(?<!for no key )(?<!do )update) "
    r"(?:only )?(?:public\.)?\"?(\w+)"
)
BEGINS: Final = re.compile(r"\s*(?:insert|update|delete|merge|truncate|with)\s")
LISTED: Final = re.compile(r"^- Written by: `([^`]+)`[;.].*\n((?:  .*\n)*)", flags=re.MULTILINE)
CROSSING: Final = re.compile(r"^  - `([^:`]+)(?:: (\w+))?`: \S.*", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """Where it stands. Without a name where it stands in a module, or where it means all of a file."""

    file: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.name}" if self.name else self.file


def tables_written(statement: str) -> set[str]:
    without_comments = re.sub(r"--.*", "", statement)
    return set(WRITES.findall(" ".join(without_comments.lower().split())))


@cache
def writers() -> dict[str, set[Statement]]:
    """Each table with the statements that write it."""
    found: dict[str, set[Statement]] = {}
    for statement, text in (*_in_sql(), *_in_modules()):
        for table in tables_written(text):
            found.setdefault(table, set()).add(statement)
    return found


def _in_sql() -> Iterator[tuple[Statement, str]]:
    for path in (path for place in PLACES for path in (ROOT / place).rglob("*.sql")):
        for name, text in parse_queries(path.read_text("utf-8")).items():
            yield Statement(str(path.relative_to(ROOT)), name), text


def _in_modules() -> Iterator[tuple[Statement, str]]:
    for path in (path for place in PLACES for path in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and BEGINS.match(node.value):
                yield Statement(str(path.relative_to(ROOT))), node.value


def read_listed(table: str) -> tuple[str, set[Statement]]:
    """Where the table's noun has its SQL, and what crosses."""
    listed = LISTED.search(read_sections()[table])
    assert listed is not None, "`Written by` begins with the place of its noun's SQL"
    return listed[1], {Statement(file, name) for file, name in CROSSING.findall(listed[2])}


def foreign(table: str) -> set[Statement]:
    """What writes the table and is not its noun's."""
    home, _ = read_listed(table)
    return {item for item in writers().get(table, set()) if not Path(item.file).match(home)}


def test_what_is_written_is_a_table_of_the_inventory() -> None:
    assert sorted(writers()) == sorted(read_sections())


@pytest.mark.parametrize("table", sorted(read_sections()))
def test_a_table_is_written_by_its_nouns_sql_or_by_a_statement_that_is_listed(table: str) -> None:
    _, crossing = read_listed(table)

    strangers = {item for item in foreign(table) if crossing.isdisjoint({item, Statement(item.file)})}

    assert sorted(map(str, strangers)) == []


@pytest.mark.parametrize("table", sorted(read_sections()))
def test_what_is_listed_writes_the_table(table: str) -> None:
    home, crossing = read_listed(table)
    strangers = foreign(table)

    assert any(Path(item.file).match(home) for item in writers()[table]), home
    assert sorted(map(str, crossing - strangers - {Statement(item.file) for item in strangers})) == []


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("insert into one (id) values (1) on conflict (id) do update set id = 2", {"one"}),
        ("with new as (insert into one (id)\nvalues (1)), gone as (delete from two) select", {"one", "two"}),
        ("update only one as row set id = 1 where id in (select id from two for no key update)", {"one"}),
        ("merge into one using two on true when matched then delete", {"one"}),
        ("select id from one for update skip locked", set()),
        ("select 1 -- then delete from one", set()),
    ],
)
def test_each_way_to_write_is_seen(statement: str, tables: set[str]) -> None:
    assert tables_written(statement) == tables
