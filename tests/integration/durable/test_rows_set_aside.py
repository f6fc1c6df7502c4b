"""A row that a job cannot work is set aside with a reason, and keeps no other row waiting."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from shared.durable.aside import RowsAside
from shared.errors import StoreConflict, StoreDataError, StoreError, StoreMisconfigured
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.program import run_wabus
from tests.support.rows import Connection, add_message, insert
from tests.support.upkeep import read_gauge
from tests.support.waiting import until

LONG = "9" * 400
PAST = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Worker:
    """Works numbers, all or none: negative ones are bad rows, 13 is locked, 7 is nobody's fault."""

    def __init__(self) -> None:
        self.done: list[int] = []

    async def __call__(self, rows: Sequence[int]) -> int:
        if 7 in rows:
            raise StoreMisconfigured("no right")
        if any(row < 0 for row in rows):
            raise StoreDataError("a bad row")
        if 13 in rows:
            raise StoreConflict("locked")
        self.done += rows
        return len(rows)


@pytest.fixture
async def aside(database_url: str) -> AsyncIterator[RowsAside]:
    database = Database(database_url)
    yield RowsAside(database)
    await database.close()


async def test_only_the_culprits_of_a_page_are_set_aside(aside: RowsAside, conn: Connection) -> None:
    worker = Worker()
    page = [1, 2, -3, 4, 13, 5, -6, 8]
    assert await aside.work("a job", page, str, worker) == 5
    assert worker.done == [1, 2, 4, 5, 8]
    rows = await conn.fetch("select job, row_key, reason from rows_set_aside order by row_key")

    assert [tuple(row) for row in rows] == [("a job", "-3", "a bad row"), ("a job", "-6", "a bad row")]
    assert await read_gauge(conn, "rows_set_aside") == {"a job": 2}


@pytest.mark.parametrize("page", [[1, 7, 2], list(range(-60, 0))], ids=["a right is missing", "all fail"])
async def test_what_is_no_rows_fault_sets_none_aside(
    aside: RowsAside, conn: Connection, page: list[int]
) -> None:
    with pytest.raises(StoreError):
        await aside.work("a job", page, str, Worker())
    assert await read_gauge(conn, "rows_set_aside") == {}


async def test_a_row_is_tried_again_after_an_hour(aside: RowsAside, conn: Connection) -> None:
    await aside.put("a job", 1, "bad")
    await aside.put("a job", 2, "bad")
    await conn.execute("update rows_set_aside set since = now() - interval '61 minutes' where row_key = '1'")

    assert await aside.forgive() == 1
    assert await read_gauge(conn, "rows_set_aside") == {"a job": 1}


async def test_an_unreadable_status_keeps_no_other_waiting(cluster: Cluster) -> None:
    for number in range(5):
        await add_message(cluster.conn, status="sent", wamid=f"wamid.{number}", lane="reply")
        errors = ["no object"] if number == 2 else [{"code": LONG}] if number == 3 else None
        await insert(
            cluster.conn,
            "status_events",
            wamid=f"wamid.{number}",
            source="whatsapp",
            status="failed" if errors else "read",
            occurred_at=PAST,
            errors=None
            if errors is None
            else json.dumps(errors).replace('"999', "999").replace('999"', "999"),
        )

    async def is_settled() -> bool:
        query = "select count(*) from status_events where outcome = 'applied'"
        return bool(await cluster.conn.fetchval(query) == 4)

    async def is_aside() -> bool:
        return bool(await cluster.conn.fetchval("select count(*) from rows_set_aside") == 1)

    async with cluster.running("scheduler"):
        await until(is_settled)
        await until(is_aside)
    row = await cluster.conn.fetchrow("select job, reason from rows_set_aside")
    assert row is not None
    assert tuple(row) == ("unmatched statuses", "unexpected AttributeError")
    for arguments in (("doctor", "--json"), ("message", "show", "wamid.3")):
        outcome = await run_wabus(*arguments, environ=cluster.environment())
        if arguments[0] == "doctor":
            [found] = [item for item in outcome.json["findings"] if item["check"] == "rows"]
            assert "unmatched statuses: 1 set aside" in found["detail"]
            assert found["mend"]
