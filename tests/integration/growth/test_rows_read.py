"""What runs by itself or for a message reads no more than what is under way, however much has gathered."""

from pathlib import Path
from typing import Final

import pytest

from shared.postgres.database import Database
from shared.postgres.queries import parse_queries
from tests.integration.growth.catalogue import PER_MESSAGE, PERIODIC, Measured
from tests.integration.growth.exceptions import EXCEPTIONS
from tests.integration.growth.measuring import measure

ROOT: Final = Path(__file__).resolve().parents[3]
FILES: Final = sorted(path for folder in ("shared", "workers") for path in (ROOT / folder).rglob("*.sql"))


def statements() -> dict[str, str]:
    """Every named statement of shipped code, by file and name."""
    return {
        f"{path.relative_to(ROOT)}:{name}": statement
        for path in FILES
        for name, statement in parse_queries(path.read_text("utf-8")).items()
    }


def test_every_statement_is_measured_or_says_why_not() -> None:
    measured = {str(item) for item in (*PERIODIC, *PER_MESSAGE)}

    assert measured.isdisjoint(EXCEPTIONS)
    assert sorted(measured | EXCEPTIONS.keys()) == sorted(statements())


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("item", [*PERIODIC, *PER_MESSAGE], ids=str)
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
