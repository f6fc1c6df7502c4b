"""What a table's upkeep says, done on a connection of a test."""

from shared.durations import DURATIONS
from shared.postgres.database import touched
from shared.tables import TABLES
from shared.upkeep import Retention, Table
from tests.support.rows import Connection


def table(name: str) -> Table:
    """What it says of itself."""
    return next(each for each in TABLES if each.name == name)


async def prune(conn: Connection, name: str, most: int) -> int:
    """One page of what is past its retention; returns how many rows went."""
    stays = table(name).stays
    assert isinstance(stays, Retention)
    return touched(await conn.execute(stays.prune, stays.older_than(DURATIONS), most))


async def read_gauge(conn: Connection, name: str) -> dict[str, float]:
    """What is counted of it, by label; without labels under the empty one."""
    (counted,) = table(name).counted
    rows = await conn.fetch(counted.statement, *counted.arguments)
    return {label[0] if label else "": value for *label, value in rows}
