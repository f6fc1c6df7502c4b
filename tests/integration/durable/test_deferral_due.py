"""Who of the deferred is due: the database decides, and what is held by an event costs nothing meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from shared.amqp.disposition import Defer
from shared.amqp.topology import OUTBOUND_BULK, OUTBOUND_REPLY
from shared.durable.deferral import (
    DeferralStore,
    Window,
    recall_campaign,
    release_campaign,
    release_followers,
)
from shared.durations import DURATIONS
from shared.errors import StoreDataError
from shared.postgres.database import Database
from tests.integration.durable.test_deferral import delivery
from tests.support.rows import Connection, add_mapping, add_message, insert
from tests.support.waiting import until

A, B = "1001", "2002"
#: The window of a lane with one sender, in production.
WINDOW = Window(total=DURATIONS.deferred_window, other=72)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> DeferralStore:
    return DeferralStore(database, DURATIONS)


async def test_nothing_of_a_paused_number_is_due_until_it_is_resumed(
    conn: Connection, store: DeferralStore
) -> None:
    await insert(conn, "business_numbers", phone_number_id=A, state="paused")
    [held] = await fill(conn, A, 1, reason="number_paused")
    [other] = await fill(conn, B, 1)
    assert await due(store) == [other]

    await conn.execute("update business_numbers set state = 'active'")

    assert await due(store) == [held]


async def test_a_number_that_is_slowed_down_waits_as_one(conn: Connection, store: DeferralStore) -> None:
    message = await add_message(conn)
    wait = Defer("rate_limit", 60, message_id=message, phone_number_id=A, slows_number=True)
    began = await conn.fetchval("select now()")
    await store.store([(delivery(1, {}), wait)])
    ended = await conn.fetchval("select now()")
    [other] = await fill(conn, B, 1)
    assert await due(store) == [other]
    slowed_until = await conn.fetchval("select slowed_until from business_numbers")
    assert began <= slowed_until - timedelta(seconds=60) <= ended

    await conn.execute("update business_numbers set slowed_until = now()")

    assert len(await due(store)) == 1


async def test_a_shorter_wait_does_not_end_a_longer_one_of_the_number(
    conn: Connection, store: DeferralStore
) -> None:
    began = await conn.fetchval("select now()")
    for seconds in (60, 3):
        wait = Defer("rate_limit", seconds, await add_message(conn), A, slows_number=True)
        await store.store([(delivery(1, {}), wait)])

    slowed_until = await conn.fetchval("select slowed_until from business_numbers")

    assert slowed_until >= began + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("breaker", "probes"),
    [
        ({"state": "open", "opened_s": 29}, 0),
        ({"state": "open", "opened_s": 31}, 2),
        ({"state": "half_open", "probes": 1, "lease_s": 20}, 1),
        ({"state": "half_open", "probes": 2, "lease_s": 20}, 0),
        ({"state": "half_open", "probes": 2, "lease_s": -1}, 2),
        ({"state": "closed"}, 72),
    ],
)
async def test_behind_a_breaker_only_its_probes_are_due(
    conn: Connection, store: DeferralStore, breaker: dict[str, Any], probes: int
) -> None:
    await fill(conn, A, 100, reason="circuit_open")
    await conn.execute(
        "insert into circuit_breakers (service, state, probes, opened_at, probes_until) "
        "values ($1, $2, $3, now() - $4::interval, now() + $5::interval)",
        A,
        breaker["state"],
        breaker.get("probes", 0),
        timedelta(seconds=breaker.get("opened_s", 0)),
        timedelta(seconds=breaker.get("lease_s", 0)),
    )

    assert len(await due(store)) == probes


async def test_of_a_number_no_more_is_out_than_its_window_and_what_is_done_makes_room(
    conn: Connection, store: DeferralStore
) -> None:
    ids = await fill(conn, A, 200)

    assert await due(store) == ids[:72]
    assert await due(store) == []

    await store.remove(ids[:10])

    assert await due(store) == ids[72:82]


async def test_numbers_share_what_may_be_out_whoever_came_first(
    conn: Connection, store: DeferralStore
) -> None:
    first = await fill(conn, A, 200)
    second = await fill(conn, B, 200)

    claimed = await due(store)

    assert [item for item in claimed if item in first] == first[:40]
    assert [item for item in claimed if item in second] == second[:40]
    assert set(claimed[:2]) == {first[0], second[0]}


async def test_a_number_of_its_own_rate_has_a_window_of_its_own(
    conn: Connection, store: DeferralStore
) -> None:
    ids = await fill(conn, A, 30)

    claimed = await store.claim_due(OUTBOUND_REPLY, Window(80, 72, {A: 18}))

    assert [item.id for item in claimed] == ids[:18]


async def test_a_message_deferred_again_without_a_wait_keeps_its_place(
    conn: Connection, store: DeferralStore
) -> None:
    first, second = await add_message(conn), await add_message(conn)
    for message in (first, second, first):
        await store.store([(delivery(1, {}), Defer("rate_limit", 0, message, A))])

    assert [await message_of(conn, row) for row in await due(store)] == [first, second]


async def test_of_a_customer_and_lane_the_first_is_due_and_the_end_of_each_lets_the_next_go(
    conn: Connection, store: DeferralStore
) -> None:
    mapping = await add_mapping(conn)
    messages = [await add_message(conn, mapping_id=mapping, lane="reply") for _ in range(3)]
    await put_behind(store, messages)
    assert [await message_of(conn, row) for row in await due(store)] == messages[:1]

    for ended, follower in pairwise(messages):
        await end(conn, ended)
        [row] = await due(store)
        assert await message_of(conn, row) == follower


async def test_another_lane_of_the_customer_does_not_wait(conn: Connection, store: DeferralStore) -> None:
    mapping = await add_mapping(conn)
    await add_message(conn, mapping_id=mapping, lane="reply")
    other = await add_message(conn, mapping_id=mapping, lane="bulk")
    await put_behind(store, [other], lane="bulk")

    assert [await message_of(conn, row) for row in await due(store, OUTBOUND_BULK)] == [other]


async def test_who_waits_behind_a_message_that_ends_at_that_moment_is_not_forgotten(
    conn: Connection, store: DeferralStore, database: Database
) -> None:
    mapping = await add_mapping(conn)
    earlier, later = [await add_message(conn, mapping_id=mapping, lane="reply") for _ in range(2)]
    async with database.transaction() as ending:
        await ending.execute("select id from message_tracking where id = $1 for update", earlier)
        storing = asyncio.create_task(put_behind(store, [later]))
        await until(lambda: is_waiting_for_a_lock(conn))
        await ending.execute("update message_tracking set status = 'sent' where id = $1", earlier)
        await release_followers(ending, [(A, "491700000001", "reply")])
    await storing

    [row] = await due(store)

    assert await message_of(conn, row) == later


async def test_what_waits_behind_a_message_that_is_gone_is_found(
    conn: Connection, store: DeferralStore
) -> None:
    mapping = await add_mapping(conn)
    gone, first, second = [await add_message(conn, mapping_id=mapping, lane="reply") for _ in range(3)]
    await put_behind(store, [first, second])
    assert await store.release_forgotten() == 0
    await conn.execute("delete from message_tracking where id = $1", gone)

    assert await store.release_forgotten() == 1

    [row] = await due(store)

    assert await message_of(conn, row) == first


async def test_what_has_expired_goes_back_to_be_told_whatever_holds_it(
    conn: Connection, store: DeferralStore
) -> None:
    await insert(conn, "business_numbers", phone_number_id=A, state="paused")
    ended = await conn.fetchval("select now() - interval '1 second'")
    mapping = await add_mapping(conn)
    first, expired = [await add_message(conn, mapping_id=mapping, lane="reply") for _ in range(2)]
    await store.store([(delivery(1, {}), Defer("number_paused", 0, first, A, ends_at=None))])
    await store.store([(delivery(2, {}), Defer("earlier_message", None, expired, A, ends_at=ended))])

    [row] = await due(store)

    assert await message_of(conn, row) == expired
    assert await due(store) == []


async def test_a_campaign_that_stops_takes_back_what_waits_and_one_that_goes_on_lets_it_go(
    conn: Connection, store: DeferralStore
) -> None:
    await insert(conn, "business_numbers", phone_number_id=A, state="paused")
    await insert(conn, "broadcast_campaigns", id="spring", status="paused")
    waiting = await add_message(conn, campaign_id="spring")
    sent = await add_message(conn, campaign_id="spring", status="sent")
    await store.store([(delivery(1, {}), Defer("number_paused", 0, waiting, A))])
    await store.store([(delivery(2, {}), Defer("campaign_paused", None, sent, B))])
    assert await due(store) == []

    await recall_campaign(conn, "spring")  # type: ignore[arg-type]
    assert [await message_of(conn, row) for row in await due(store)] == [waiting]

    await release_campaign(conn, "spring")  # type: ignore[arg-type]

    assert [await message_of(conn, row) for row in await due(store)] == [sent]


async def test_a_retry_whose_campaign_goes_on_before_it_is_stored_does_not_wait(
    conn: Connection, store: DeferralStore
) -> None:
    await insert(conn, "broadcast_campaigns", id="spring", status="running")
    sent = await add_message(conn, campaign_id="spring", status="sent")

    await store.store([(delivery(1, {}), Defer("campaign_paused", None, sent, B))])

    assert len(await due(store)) == 1


async def due(store: DeferralStore, queue: str = OUTBOUND_REPLY) -> list[UUID]:
    return [item.id for item in await store.claim_due(queue, WINDOW)]


async def fill(conn: Connection, number: str, count: int, reason: str = "rate_limit") -> list[UUID]:
    """Rows of so many customers of a number, oldest first."""
    rows = await conn.fetch(
        """insert into deferred_messages
               (queue, exchange, routing_key, body, headers, reason, not_before, phone_number_id, customer,
                lane)
           select 'outbound-sender', 'wa.outbound', 'reply.x', '{}',
                  '{"x-attempt": 1, "correlation_id": "t", "idempotency_key": "k"}', $3,
                  now() - interval '1 hour' + place * interval '1 second', $1, '4917' || place, 'reply'
           from generate_series(1, $2) as place
           returning id""",
        number,
        count,
        reason,
    )
    return [row["id"] for row in rows]


async def put_behind(store: DeferralStore, messages: Sequence[UUID], lane: str = "reply") -> None:
    """Store messages of one customer as the sender does that finds no hand for them."""
    queue = OUTBOUND_REPLY if lane == "reply" else OUTBOUND_BULK
    await store.store(
        [
            (
                delivery(tag, {}, queue),
                Defer("earlier_message", None, message, A, customer="491700000001", lane=lane),
            )
            for tag, message in enumerate(messages)
        ]
    )


async def end(conn: Connection, message: UUID) -> None:
    """What the tracker does when a message is sent; its row goes when its delivery is acknowledged."""
    await conn.execute("update message_tracking set status = 'sent' where id = $1", message)
    await release_followers(conn, [(A, "491700000001", "reply")])  # type: ignore[arg-type]
    await conn.execute("delete from deferred_messages where message_id = $1", message)


async def message_of(conn: Connection, row: UUID) -> UUID:
    found: UUID = await conn.fetchval("select message_id from deferred_messages where id = $1", row)
    return found


async def is_waiting_for_a_lock(conn: Connection) -> bool:
    waits = """select exists (select from pg_stat_activity
                              where datname = current_database() and wait_event_type = 'Lock')"""
    return bool(await conn.fetchval(waits))


async def test_a_row_that_cannot_be_read_is_set_aside_and_the_others_go(
    conn: Connection, store: DeferralStore
) -> None:
    [broken, *others] = await fill(conn, A, 3)
    await conn.execute("update deferred_messages set headers = '{}' where id = $1", broken)

    assert await due(store) == others
    aside = await conn.fetchrow("select job, row_key from rows_set_aside")

    assert tuple(aside or ()) == ("deferred messages", str(broken))


async def test_deliveries_that_are_stored_at_once_share_a_transaction_and_each_is_answered(
    conn: Connection, store: DeferralStore
) -> None:
    messages = [await add_message(conn) for _ in range(20)]

    stored = await asyncio.gather(
        *(store.store([(delivery(1, {}), Defer("rate_limit", 0, message, A))]) for message in messages)
    )

    ids = {row["id"]: row["message_id"] for row in await conn.fetch("select * from deferred_messages")}
    assert len(ids) == 20
    answered = [{ids[row] for row in rows} for rows in stored]
    assert all(message in found for message, found in zip(messages, answered, strict=True))
    transactions = await conn.fetchval("select count(distinct xmin::text) from deferred_messages")

    assert transactions == 1


async def test_of_rows_stored_together_only_the_one_to_blame_is_refused(
    conn: Connection, store: DeferralStore
) -> None:
    await conn.execute("alter table deferred_messages add constraint refusing check (lane <> 'bad')")
    messages = [await add_message(conn) for _ in range(5)]
    lanes = ["1", "2", "bad", "4", "5"]

    outcomes = await asyncio.gather(
        *(
            store.store([(delivery(1, {}), Defer("rate_limit", 0, message, A, lane=lane))])
            for message, lane in zip(messages, lanes, strict=True)
        ),
        return_exceptions=True,
    )

    assert [isinstance(outcome, StoreDataError) for outcome in outcomes] == [lane == "bad" for lane in lanes]
    assert await conn.fetchval("select count(*) from deferred_messages") == 4
