"""The dlq-handler on real servers: everything dead is stored once, whole, whatever it is."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from shared.amqp.delivery import Delivery
from shared.running.kit import Kit
from shared.tasks import end_tasks
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, kill, letters, publish_dead, publish_raw
from tests.support.leftovers import has_in_hand
from tests.support.paces import FAST
from tests.support.waiting import until
from workers.dlq_handler.worker import compose


async def stored(cluster: Cluster, count: int = 1) -> list[Any]:
    """The dead letters once there are so many."""
    await until(lambda: _holds(cluster, count))
    return await letters(cluster)


async def _holds(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) >= count


async def test_a_dead_letter_of_ours_is_stored_with_its_history(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b'{"wamid": "wamid.1", "n": 1}', x_wabus_attempts=5, x_note="kept")
        [row] = await stored(cluster)
        await until(lambda: bool(cluster.told("deadletter.stored")))
    assert row["status"] == "pending"
    assert (row["source_queue"], row["reason"], row["attempts"]) == ("inbound-resolver", "invalid_payload", 5)
    assert (row["exchange"], row["routing_key"]) == ("wa.inbound", "491700000001")
    assert row["error_message"] == "wa_id: field required"
    assert bytes(row["raw_body"]) == b'{"wamid": "wamid.1", "n": 1}'
    assert json.loads(row["payload"]) == {"wamid": "wamid.1", "n": 1}
    assert json.loads(row["headers"])["x-note"] == "kept"
    [told] = cluster.told("deadletter.stored")

    assert told["id"] == str(row["id"])
    assert told["original_payload"] == {"wamid": "wamid.1", "n": 1}
    assert told["retry_count"] == 4
    assert "raw_body_base64" not in told


async def test_the_line_of_a_dead_letter_names_it_and_where_it_came_from(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b'{"wamid": "wamid.1"}', x_wabus_attempts=5)
        [row] = await stored(cluster)

    [record] = [record for record in caplog.records if "stored as" in record.message]
    line = vars(record)["wabus"]
    assert (
        record.message == "dead letter of inbound-resolver stored as invalid_payload: wa_id: field required"
    )
    assert line["dead_letter_id"] == str(row["id"])
    assert (line["operation"], line["code"], line["attempt"]) == ("dead_letter_storing", "invalid_payload", 5)


async def test_what_no_queue_is_bound_for_is_stored_as_unrouted(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await cluster.publish("wa.broadcast", "no.such.key", {"campaign_id": "spring"})
        [row] = await stored(cluster)

    assert row["reason"] == "unrouted"
    assert (row["source_queue"], row["exchange"], row["routing_key"]) == (
        "wa.broadcast",
        "wa.broadcast",
        "no.such.key",
    )
    assert row["error_message"] == "wa.broadcast has no queue for 'no.such.key': keys are campaign.<key>"


async def test_what_the_broker_killed_is_stored_with_its_origin(cluster: Cluster) -> None:
    await cluster.publish("wa.inbound", "491700000007", {"wamid": "wamid.killer"}, headers={"x-note": "kept"})
    await kill(cluster, "inbound-resolver")

    async with cluster.running("dlq-handler"):
        [row] = await stored(cluster)

    assert row["reason"] == "delivery_limit"
    assert (row["source_queue"], row["exchange"], row["routing_key"]) == (
        "inbound-resolver",
        "wa.inbound",
        "491700000007",
    )
    assert json.loads(row["headers"])["x-note"] == "kept"


async def test_what_the_broker_killed_after_a_retry_keeps_its_first_origin(cluster: Cluster) -> None:
    headers = {"x-wabus-exchange": "wa.status", "x-wabus-routing-key": "whatsapp", "x-attempt": 3}
    await publish_raw(cluster, "wa.retry", "status-updater.retry.5s", b'{"status": "sent"}', headers)
    await kill(cluster, "status-updater")

    async with cluster.running("dlq-handler"):
        [row] = await stored(cluster)

    assert (row["source_queue"], row["reason"], row["attempts"]) == ("status-updater", "delivery_limit", 3)
    assert (row["exchange"], row["routing_key"]) == ("wa.status", "whatsapp")


BODIES = {
    "not JSON": b"not json",
    "empty": b"",
    "null": b"null",
    "a NUL character": b'{"a": "x\\u0000y"}',
    "a NUL byte": b'{"a": "x\x00y"}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "NaN": b'{"a": NaN}',
    "a huge number": b'{"a": 1e400}',
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "nesting that a parser takes": b"[" * 900 + b"]" * 900,
}


async def test_a_body_that_jsonb_does_not_take_is_stored_byte_for_byte(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        for kind, body in BODIES.items():
            await publish_dead(cluster, body, x_wabus_error=kind)
        rows = await stored(cluster, len(BODIES))
        await until(lambda: len(cluster.told("deadletter.stored")) == len(BODIES))

    kinds = {str(row["id"]): row["error_message"] for row in rows}
    assert {row["error_message"]: bytes(row["raw_body"]) for row in rows} == BODIES
    assert [row["error_message"] for row in rows if row["payload"] not in (None, "null")] == []
    for told in cluster.told("deadletter.stored"):
        kind = kinds.pop(told["id"])
        body, shown = BODIES[kind], base64.b64decode(told["raw_body_base64"])
        assert told["original_payload"] is None, kind
        assert body.startswith(shown), kind
        assert (shown == body) is not told.get("raw_body_cut", False), kind
        assert len(shown) == min(len(body), 64 * 1024), kind


async def test_bodies_of_two_mebibytes_are_stored_whole(cluster: Cluster) -> None:
    body = json.dumps({"wamid": "w" * 2_000, "text": "x" * 2 * 1024 * 1024}).encode()
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, body)
        await publish_dead(cluster, body[:-1])
        rows = await stored(cluster, 2)
        await until(lambda: len(cluster.told("deadletter.stored")) == 2)

    assert {bytes(row["raw_body"]) for row in rows} == {body, body[:-1]}


async def test_headers_of_every_kind_are_stored(cluster: Cluster) -> None:
    headers: dict[str, Any] = {
        "bytes": bytearray(b"\xff\x00"),
        "decimal": Decimal("1.50"),
        "time": datetime(2026, 1, 15, 10, 30, tzinfo=UTC),
        "table": {"list": [1, {"deeper": bytearray(b"z")}], "nul": "a\x00b"},
        "escaped": "a\\u0000b",
        "float": 0.5,
        "none": None,
        "large": 2**62,
        "nul\x00name": "x",
    }
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, **headers)
        [row] = await stored(cluster)
        await until(lambda: bool(cluster.told("deadletter.stored")))
    kept = json.loads(row["headers"])

    assert kept["bytes"] == base64.b64encode(b"\xff\x00").decode()
    assert kept["decimal"] == "1.50"
    assert kept["time"] == "2026-01-15T10:30:00+00:00"
    assert kept["table"] == {"list": [1, {"deeper": "eg=="}], "nul": "a\ufffdb"}
    assert kept["escaped"] == "a\\u0000b"
    assert kept["large"] == 2**62


async def test_a_reason_that_is_unknown_or_missing_is_still_stored(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, reason="no such reason")
        await publish_raw(cluster, "wa.dlx", "status-updater", b"{}", {"x-wabus-error": 7})
        await publish_raw(cluster, "", "dlq-handler", b"{}")
        rows = await stored(cluster, 3)

    assert {row["reason"] for row in rows} == {"unexpected_error"}
    assert {row["source_queue"] for row in rows} == {"inbound-resolver", "status-updater", "dlq-handler"}


async def test_a_death_published_twice_under_one_key_is_stored_once(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        for _ in range(2):
            await publish_dead(cluster, x_idempotency_key="wamid.1")
        await publish_dead(cluster, b"marker")
        rows = await stored(cluster, 2)

    assert sorted(bytes(row["raw_body"]) for row in rows) == [b"marker", b'{"wamid": "wamid.1"}']
    assert await count_letters(cluster) == 2
    assert len(cluster.told("deadletter.stored")) == 2


async def test_a_message_without_any_id_that_died_twice_is_stored_once(cluster: Cluster) -> None:
    """The second time under the part of its key that repetitions share."""
    async with cluster.running("dlq-handler"):
        for made in ("made-ab:1", "made-ab:2", "made-ab"):
            await publish_dead(cluster, x_idempotency_key=made)
        await publish_dead(cluster, b"marker")
        await until(lambda: _is_stored(cluster, b"marker"))

    assert await count_letters(cluster) == 3  # two that look the same, and the marker


async def _is_stored(cluster: Cluster, body: bytes) -> bool:
    return any(bytes(row["raw_body"]) == body for row in await letters(cluster))


async def test_what_dies_again_after_it_was_dismissed_is_stored_again(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, x_idempotency_key="wamid.1")
        await stored(cluster)
        await cluster.conn.execute("update dead_letter_queue set status = 'dismissed', dismissed_at = now()")
        await publish_dead(cluster, x_idempotency_key="wamid.1")
        rows = await stored(cluster, 2)

    assert [row["status"] for row in rows] == ["dismissed", "pending"]


async def test_messages_that_look_the_same_are_all_kept(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        for _ in range(3):
            await publish_raw(cluster, "wa.outbound", "no.lane", b"{}", message_id="the same")
        rows = await stored(cluster, 3)
    assert len(rows) == 3


@pytest.mark.parametrize("exchange", ["wa.broadcast", "wa.dlx"])
async def test_what_is_delivered_again_is_stored_once(cluster: Cluster, exchange: str) -> None:
    if exchange == "wa.dlx":
        await publish_dead(cluster, b"once")
    else:
        await publish_raw(cluster, exchange, "no.such.key", b"once")
    await store_and_end_before_the_acknowledgement(cluster)
    assert await count_letters(cluster) == 1

    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b"marker")
        await stored(cluster, 2)

    assert sorted(bytes(row["raw_body"]) for row in await letters(cluster)) == [b"marker", b"once"]
    assert await cluster.depth("dlq-handler") == 0


async def store_and_end_before_the_acknowledgement(cluster: Cluster) -> None:
    """What a dlq-handler does that is killed between its commit and its acknowledgement."""
    kit = Kit.build("dlq-handler", cluster.settings(), FAST)
    [route] = compose(kit).routes
    async with asyncio.TaskGroup() as group:
        await kit.broker.run(group)
        inlet = await kit.broker.inlet(route.queue, 10)
        batch: list[Delivery] = []
        while not batch:
            batch = await inlet.next_batch(10, 0.05)
        async for _ in route.handler.handle(batch):
            pass
        await end_tasks(kit.broker.tasks)
    await kit.database.close()
    await kit.redis.close()


async def test_a_statement_that_fails_holds_nothing_up_for_ever(cluster: Cluster) -> None:
    """Whatever PostgreSQL refuses of a dead letter, its bytes are stored, and its neighbours beside it."""
    await cluster.conn.execute(
        "alter table dead_letter_queue add constraint refused check (not headers ? 'x-refused')"
    )
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b'{"good": 1}')
        await publish_dead(cluster, b'{"bad": 1}', x_refused="yes")
        await publish_dead(cluster, b'{"good": 2}')
        rows = await stored(cluster, 3)
    bad = next(row for row in rows if bytes(row["raw_body"]) == b'{"bad": 1}')

    assert bad["payload"] is None
    assert "x-refused" in json.loads(bad["headers"])["unreadable"]
    assert bad["reason"] == "invalid_payload"
    assert {row["payload"] for row in rows} == {None, '{"good": 1}', '{"good": 2}'}
    assert await cluster.depth("dlq-handler") == 0


async def test_a_lock_held_for_long_delays_a_dead_letter_and_no_more(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table dead_letter_queue in access exclusive mode")
            await publish_dead(cluster, b"waits")
            await until(lambda: has_in_hand(cluster))
        [row] = await stored(cluster)

    assert bytes(row["raw_body"]) == b"waits"
    assert row["reason"] == "invalid_payload"


async def test_a_dead_letter_of_a_replay_names_the_first_of_its_chain(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b"first")
        [first] = await stored(cluster)
        await publish_dead(cluster, b"second", x_replay_of=str(first["id"]))
        await stored(cluster, 2)
        second = (await letters(cluster))[-1]
        await publish_dead(cluster, b"third", x_replay_of=str(second["id"]))
        await publish_dead(cluster, b"stray", x_replay_of=str(uuid4()))
        rows = await stored(cluster, 4)
    by_body = {bytes(row["raw_body"]): row["replay_of"] for row in rows}

    assert by_body == {b"first": None, b"second": first["id"], b"third": first["id"], b"stray": None}
