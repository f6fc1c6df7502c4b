"""Two that apply events of one message at the same moment, held up at its row until both are there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import pytest

from shared.messaging.messages import OwnEvent
from tests.support.leftovers import lock_waiters
from tests.support.rows import Connection
from tests.support.tracking import Tracking, add_outbound, at, happened, named, row_of, steps, told, tracking
from tests.support.waiting import until

T = TypeVar("T")


@pytest.fixture
async def tracked(database_url: str) -> AsyncIterator[Tracking]:
    async with tracking(database_url) as value:
        yield value


async def at_once(tracked: Tracking, conn: Connection, *calls: Awaitable[T]) -> Sequence[T]:
    """Start all of them while the messages are locked; let them go when each waits for a lock."""
    async with tracked.database.transaction() as holder:
        await holder.fetch("select from message_tracking for update")
        tasks = [asyncio.ensure_future(call) for call in calls]

        async def all_wait() -> bool:
            return await lock_waiters(conn) == len(tasks)

        await until(all_wait)
    return await asyncio.gather(*tasks)


async def test_neither_of_two_updaters_undoes_the_other(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn)
    await at_once(tracked, conn, tracked.hear(happened("delivered", 1)), tracked.hear(happened("read", 2)))
    row = await row_of(conn, message_id)

    assert (row["status"], row["delivered_at"], row["read_at"]) == ("read", at(1), at(2))
    assert [step[1] for step in await steps(conn)] == ["delivered", "read"]


async def test_one_event_in_two_hands_is_applied_and_counted_once(
    tracked: Tracking, conn: Connection
) -> None:
    await add_outbound(conn)
    await at_once(tracked, conn, *(tracked.hear(happened("delivered", 1)) for _ in range(3)))

    assert await conn.fetchval("select outcome from status_events") == "applied"
    assert len(await steps(conn)) == 1
    assert [tracked.count(name) for name in ("applied", "duplicate", "late")] == [1, 0, 0]


async def test_sender_and_updater_tell_of_a_send_once(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    event = happened("sent", 1, wamid="wamid.x", callback_data=named(message_id))
    own = OwnEvent(message_id, "sent", "trace", attempt=1, wamid="wamid.x")
    await at_once(tracked, conn, tracked.hear(event), _recording(tracked, own))
    assert len(await told(conn, "outbound.sent")) == 1
    assert await steps(conn) == [("queued", "sent", False)]
    rows = await conn.fetch("select source, outcome from status_events")

    assert sorted(row["outcome"] for row in rows) == ["applied", "duplicate"]


async def _recording(tracked: Tracking, own: OwnEvent) -> list[str]:
    return [item.event_type for item in (await tracked.record(own)).events]
