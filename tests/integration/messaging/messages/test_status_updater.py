"""The status updater on real servers: what gateways publish, down to rows and events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead
from shared.amqp.topology import STATUS_UPDATER
from tests.support.cluster import Cluster
from tests.support.rows import Connection, add_mapping, add_message
from tests.support.tracking import FINAL, Tracking, add_outbound, at, row_of, tracking
from tests.support.waiting import until
from workers.status_updater.updater import StatusUpdater

RANK = ("sent", "delivered", "failed", "read")
KINDS = st.tuples(st.sampled_from(RANK), st.sampled_from([1, 2, 3]))


def update(status: str, second: float = 0, wamid: str = "wamid.1", **fields: Any) -> dict[str, Any]:
    errors = {"errors": [{"code": FINAL, "title": "undeliverable"}]} if status == "failed" else {}
    return {"wamid": wamid, "status": status, "timestamp": at(second).isoformat(), **errors, **fields}


async def report(cluster: Cluster, *updates: dict[str, Any] | bytes, source: str = "whatsapp") -> None:
    for item in updates:
        await cluster.publish("wa.status", source, item)


async def is_settled(cluster: Cluster, events: int) -> bool:
    query = "select count(*) from status_events where outcome is not null"
    return bool(await cluster.conn.fetchval(query) == events)


@pytest.fixture
async def tracked(database_url: str) -> AsyncIterator[Tracking]:
    async with tracking(database_url) as value:
        yield value


async def handle(tracked: Tracking, *bodies: bytes, **headers: Any) -> list[Any]:
    """Dispositions of a batch, in its order."""
    batch = [
        Delivery(
            queue=STATUS_UPDATER,
            exchange="wa.status",
            routing_key="whatsapp",
            body=body,
            headers=headers,
            correlation_id=None,
            message_id=None,
            published_at=None,
            redelivered=False,
            tag=tag,
            generation=1,
            received_at=0.0,
        )
        for tag, body in enumerate(bodies)
    ]
    updater = StatusUpdater("status-updater", tracked.tracker, tracked.metrics)
    settled = [item async for group in updater.handle(batch) for item in group]
    assert sorted(delivery.tag for delivery, _ in settled) == list(range(len(batch)))
    return [disposition for _, disposition in sorted(settled, key=lambda item: item[0].tag)]


async def test_statuses_walk_a_message_and_are_told(cluster: Cluster) -> None:
    message_id = await add_outbound(cluster.conn, "queued", wamid="wamid.1", attempts=[])
    async with cluster.running("status-updater"):
        await report(cluster, update("sent", 1), update("read", 3))
        await until(lambda: len(cluster.told("message.updated")) == 3)
        await until(lambda: is_settled(cluster, 2))
    row = await row_of(cluster.conn, message_id)
    assert (row["status"], row["sent_at"], row["delivered_at"], row["read_at"]) == (
        "read",
        at(1),
        None,
        at(3),
    )
    told = cluster.told("message.updated")

    assert [(item["new_status"], item["implied"]) for item in told] == [
        ("sent", False),
        ("delivered", True),
        ("read", False),
    ]
    assert len(cluster.told("outbound.sent")) == 1
    assert await cluster.conn.fetchval("select bool_and(published_at is not null) from outbox_events")


async def test_a_number_beyond_64_bits_is_stored_with_its_status(tracked: Tracking, conn: Connection) -> None:
    await add_outbound(conn, "sent", wamid="wamid.1")
    body = b'{"wamid":"wamid.1","status":"delivered","timestamp":1768473000,"x":1%s}' % (b"0" * 30)

    assert await handle(tracked, body) == [Ack()]

    stored = await conn.fetchval("select details ->> 'x' from status_events where status = 'delivered'")

    assert stored == "1" + "0" * 30


async def test_a_status_in_any_case_is_the_one_in_lower_case(cluster: Cluster) -> None:
    message_id = await add_outbound(cluster.conn)
    async with cluster.running("status-updater"):
        await report(cluster, *(update(word, 1) for word in ("Delivered", "delivered", "DELIVERED")))
        await report(cluster, update("Warming_Up", 2))
        await until(lambda: is_settled(cluster, 2))

        async def is_worked() -> bool:
            return await cluster.depth(STATUS_UPDATER) == 0

        await until(is_worked)

    stored = await cluster.conn.fetch(
        "select status, outcome from status_events where source = 'whatsapp' order by id"
    )

    assert sorted(map(tuple, stored)) == [("Warming_Up", "ignored"), ("delivered", "applied")]
    assert (await row_of(cluster.conn, message_id))["status"] == "delivered"


async def test_any_order_delay_and_repetition_ends_in_the_same_row(cluster: Cluster) -> None:
    numbers = count()

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(st.lists(KINDS, min_size=1, max_size=6), st.randoms(use_true_random=False))
    def rows_are_equal(events: list[tuple[str, int]], random: Any) -> None:
        orders = [random.sample(events, len(events)) for _ in range(4)]
        rows = asyncio.run_coroutine_threadsafe(play(orders), loop).result(60)
        assert rows == [expected(events)] * len(orders)

    async def play(orders: Sequence[Sequence[tuple[str, int]]]) -> list[dict[str, Any]]:
        wamids = [f"wamid.{next(numbers)}" for _ in orders]
        ids = [
            await add_outbound(cluster.conn, "queued", wamid=wamid, attempts=[("sent", wamid)])
            for wamid in wamids
        ]
        for wamid, order in zip(wamids, orders, strict=True):
            await report(cluster, *(update(status, second, wamid) for status, second in order))
        query = "select count(*) from status_events where wamid = any($1) and outcome is not null"
        stored = sum(len(set(order)) for order in orders)

        async def is_done() -> bool:
            settled = await cluster.conn.fetchval(query, wamids)
            return bool(settled == stored and await cluster.depth(STATUS_UPDATER) == 0)

        await until(is_done)
        rows = [await row_of(cluster.conn, message_id) for message_id in ids]
        return [{name: value for name, value in row.items() if name != "wamid"} for row in rows]

    loop = asyncio.get_running_loop()
    async with cluster.running("status-updater", "status-updater", BATCH_SIZE="3"):
        await asyncio.to_thread(rows_are_equal)


def expected(events: Sequence[tuple[str, int]]) -> dict[str, Any]:
    status = max((kind for kind, _ in events), key=RANK.index)
    times = {kind: [at(second) for its, second in events if its == kind] for kind in RANK}
    failed = status == "failed"
    return {
        "status": status,
        **{f"{kind}_at": min(seconds, default=None) for kind, seconds in times.items()},
        "error_code": str(FINAL) if failed else None,
        "error_message": "undeliverable" if failed else None,
    }


async def test_bodies_that_are_no_status_are_dead_and_their_neighbours_are_worked(cluster: Cluster) -> None:
    message_id = await add_outbound(cluster.conn)
    bad: dict[bytes, str] = {
        b"{not json": "not valid JSON",
        b"\xff\xfe{}": "not UTF-8",
        b"[]": "not a JSON object",
        b'{"status": "sent", "timestamp": "1768478400"}': "wamid",
        b'{"wamid": "w", "status": 7, "timestamp": "1768478400"}': "status",
        b'{"wamid": "w", "status": "sent", "timestamp": "yesterday"}': "timestamp",
        b'{"wamid": "a\\u0000b", "status": "sent", "timestamp": "1768478400"}': "NUL",
        b'{"wamid": "w", "status": "sent", "timestamp": 1e400}': "timestamp",
        b'{"wamid": "w", "status": "sent", "timestamp": "1768478400", "x": '
        + b"[" * 300
        + b"]" * 300
        + b"}": "",
        b'{"wamid": "' + b"w" * 300 + b'", "status": "sent", "timestamp": "1768478400"}': "wamid",
        b'{"x": "' + b"x" * (2 * 1024 * 1024) + b'"}': "1048576",
    }
    await report(cluster, *bad, update("delivered", 1))
    async with cluster.running("status-updater"):
        await until(lambda: is_settled(cluster, 1))

        async def are_dead() -> bool:
            return await cluster.depth("dlq-handler") == len(bad)

        await until(are_dead)
    letters = await cluster.take("dlq-handler")
    assert {letter.body for letter in letters} == set(bad)
    for letter in letters:
        assert letter.headers["x-wabus-reason"] == "invalid_payload"
        assert letter.headers["x-wabus-source-queue"] == STATUS_UPDATER
        assert bad[letter.body] in str(letter.headers["x-wabus-error"])

    assert (await row_of(cluster.conn, message_id))["status"] == "delivered"


async def test_a_status_that_never_applies_is_dead_as_a_state_violation(cluster: Cluster) -> None:
    mapping = await add_mapping(cluster.conn)
    values = {"mapping_id": mapping, "direction": "INBOUND", "status": "received", "wamid": "wamid.in"}
    await add_message(cluster.conn, **values)
    async with cluster.running("status-updater"):
        await report(cluster, update("delivered", 1, "wamid.in"))
        await until(lambda: is_settled(cluster, 1))

        async def is_dead() -> bool:
            return await cluster.depth("dlq-handler") == 1

        await until(is_dead)
    [letter] = await cluster.take("dlq-handler")

    assert letter.headers["x-wabus-reason"] == "state_violation"
    assert orjson.loads(letter.body)["status"] == "delivered"
    assert await cluster.conn.fetchval("select outcome from status_events") == "rejected"
    assert cluster.told("message.updated") == []


async def test_an_event_without_a_message_waits_and_is_acknowledged(cluster: Cluster) -> None:
    async with cluster.running("status-updater"):
        await report(cluster, update("delivered", 1, wamid="wamid.nobody"))
        await until(lambda: is_settled(cluster, 1))
    row = await cluster.conn.fetchrow("select outcome, message_id, source from status_events")

    assert row is not None
    assert tuple(row) == ("unmatched", None, "whatsapp")
    assert await cluster.depth(STATUS_UPDATER) == 0


async def test_the_agent_platforms_status_names_its_own_id(cluster: Cluster) -> None:
    message_id = await add_outbound(cluster.conn, genesys_message_id="g1")
    status = {"genesys_message_id": "g1", "status": "delivered", "timestamp": at(5).timestamp()}
    async with cluster.running("status-updater"):
        await report(cluster, status, source="genesys")
        await until(lambda: is_settled(cluster, 1))

    assert await cluster.conn.fetchval("select source from status_events") == "genesys"
    assert (await row_of(cluster.conn, message_id))["delivered_at"] == at(5)


async def test_copies_in_one_batch_are_one_event_and_duplicates(tracked: Tracking, conn: Any) -> None:
    await add_outbound(conn)
    body = orjson.dumps(update("delivered", 1))

    assert await handle(tracked, body, body, body) == [Ack()] * 3
    assert await handle(tracked, body) == [Ack()]
    assert tracked.count("applied") == 1
    assert tracked.count("duplicate") == 3
    assert tracked.metrics.duplicate_messages.labels("status-updater")._value.get() == 3
    assert await conn.fetchval("select count(*) from status_events") == 1


async def test_what_the_event_said_is_kept(tracked: Tracking, conn: Any) -> None:
    await add_outbound(conn)
    body = update("failed", 1, recipient_id="491700000001", pricing={"billable": True}, colour="blue")
    await handle(tracked, orjson.dumps(body))
    row = await conn.fetchrow("select details, errors from status_events")
    details = orjson.loads(row["details"])

    assert details["pricing"] == {"billable": True}
    assert (details["recipient_id"], details["colour"]) == ("491700000001", "blue")
    assert orjson.loads(row["errors"])[0]["code"] == FINAL


async def test_a_replayed_violation_is_judged_again(tracked: Tracking, conn: Any) -> None:
    await add_outbound(conn)
    body = orjson.dumps(update("processed", 1))
    [first] = await handle(tracked, body)
    assert isinstance(first, Dead)
    [replayed] = await handle(tracked, body, **{"x-replay-of": "7d2c1f6e-0000-4000-8000-000000000000"})

    assert isinstance(replayed, Dead)
    assert await conn.fetchval("select count(*) from status_events") == 1
