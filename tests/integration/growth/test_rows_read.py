"""What runs by itself or for a message reads no more than what is under way, however much has gathered."""

import ast
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from shared.postgres.database import Database
from shared.postgres.queries import parse_queries
from tests.integration.growth.catalogue import CATALOGUE
from tests.integration.growth.exceptions import EXCEPTIONS
from tests.integration.growth.figures import Measured
from tests.integration.growth.measuring import measure

ROOT: Final = Path(__file__).resolve().parents[3]
FILES: Final = sorted(path for folder in ("shared", "workers") for path in (ROOT / folder).rglob("*.sql"))


#: Statements that stand in a module: one row by its key, or tables with a row for each business number.
IN_MODULES: Final = {
    "shared/postgres/connecting.py": 2,
    "shared/postgres/lease.py": 3,
    "shared/postgres/rights.py": 1,
    "shared/postgres/silence.py": 1,
    "shared/running/probes.py": 1,
    "shared/running/process.py": 1,
    "shared/running/timekeeping.py": 1,
}
#: Tables with fewer rows than 200,000 in the big database, each with why it never has as many.
SMALL_BY_NATURE: Final = {
    "business_numbers": "a row for each number of the business",
    "circuit_breakers": "a row for each number of the business, and one for the unknown",
    "products": "a row for each product and variation of a shop",
    "leases": "a row for each job that one replica does",
    "rows_set_aside": "a row for each that a job cannot work, for an hour",
    "schema_migrations": "a row for each migration",
}
SQL: Final = re.compile(r"\s*(select\s|insert into|update\s|delete from|with\s\w+ as)")


@cache
def statements() -> Mapping[str, str]:
    """Every named statement of shipped code, by file and name."""
    return {
        f"{path.relative_to(ROOT)}:{name}": statement
        for path in FILES
        for name, statement in parse_queries(path.read_text("utf-8")).items()
    }


def test_every_statement_is_measured_or_says_why_not() -> None:
    measured = {str(item) for item in CATALOGUE}

    assert measured.isdisjoint(EXCEPTIONS)
    assert sorted(measured | EXCEPTIONS.keys()) == sorted(statements())


def test_hardly_a_statement_stands_in_a_module() -> None:
    found: Counter[str] = Counter()
    for folder in ("shared", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found[str(path.relative_to(ROOT))] += sum(
                map(_is_statement, ast.walk(ast.parse(path.read_text())))
            )

    assert +found == IN_MODULES


def _is_statement(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SQL.match(node.value) is not None
        and len(node.value.split()) > 2
    )


async def test_each_table_that_grows_has_many_rows(big_url: str) -> None:
    database = Database(big_url, size=1)
    try:
        tables = await database.fetch("select tablename from pg_tables where schemaname = 'public'")
        counted = {table: await database.fetchval(f"select count(*) from {table}") for (table,) in tables}
    finally:
        await database.close()

    assert {table for table, rows in counted.items() if rows < 200_000} == SMALL_BY_NATURE.keys(), counted


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        (
            "shared/messaging/conversations/upkeep.sql:count_active",
            "select count(*) from conversation_mappings where status = 'active'",
        ),
        (
            "shared/deadletters/queries.sql:count_pending_dead_letters",
            "select count(*) from dead_letter_queue where status = 'pending'",
        ),
    ],
)
async def test_beyond_what_is_counted_a_gauge_tells_an_estimate(big_url: str, name: str, exact: str) -> None:
    database = Database(big_url, size=1)
    try:
        counted = await database.fetchval(exact)
        told = [await database.fetchval(statements()[name], most) for most in (10_000, 2_000_000)]
    finally:
        await database.close()

    assert told == [pytest.approx(counted, rel=0.05), counted]


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("item", CATALOGUE, ids=str)
async def test_a_statement_reads_what_is_under_way(big_url: str, item: Measured, *, generic: bool) -> None:
    database = Database(big_url, size=1)
    try:
        async with database.connection() as connection:
            statement = statements()[str(item)]
            reading = await measure(connection, statement, item.arguments, generic=generic)
    finally:
        await database.close()

    assert reading.rows <= item.most_rows, reading.plan
    assert reading.pages <= item.most_pages, reading.plan
