"""What a death does to the outbound message in it: failed once, never while an attempt may still succeed."""

import json
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.payloads import OutboundMessage, decode
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, kill, letters, publish_dead, publish_raw
from tests.support.rows import add_campaign, add_mapping, add_message, insert
from tests.support.waiting import until

BODY: dict[str, Any] = {
    "wa_id": "491700000001",
    "client_message_id": "c1",
    "message_text": "hello",
    "colour": "blue",
}
RAW = orjson.dumps(BODY)
HASH = decode(OutboundMessage, RAW).content_hash()


async def add_queued(cluster: Cluster, **columns: Any) -> UUID:
    mapping_id = columns.pop("mapping_id", None) or await add_mapping(cluster.conn)
    values = {"lane": "reply", "client_message_id": "c1", "content_hash": HASH} | columns
    message_id = await add_message(cluster.conn, mapping_id=mapping_id, **values)
    await insert(
        cluster.conn,
        "outbound_bodies",
        message_id=message_id,
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.491700000001",
        body=RAW,
    )
    return message_id


async def die(
    cluster: Cluster, body: bytes = RAW, reason: str = "max_retries_exceeded", **headers: Any
) -> None:
    """A worker of replies gave this message up; the handler has stored it."""
    before = await count_letters(cluster)
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, body, queue="outbound-sender", reason=reason, **headers)
        await until(lambda: _is_stored(cluster, before + 1))


async def _is_stored(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) >= count


async def status_of(cluster: Cluster, message_id: UUID) -> str:
    return str(await cluster.conn.fetchval("select status from message_tracking where id = $1", message_id))


async def told_failed(cluster: Cluster) -> list[dict[str, Any]]:
    """Every `outbound.failed` in the outbox."""
    rows = await cluster.conn.fetch("select payload from outbox_events where event_type = 'outbound.failed'")
    return [json.loads(row["payload"]) for row in rows]


@pytest.mark.parametrize("named", ["by our id", "by the sender's id"])
async def test_a_queued_message_that_dies_has_failed(cluster: Cluster, named: str) -> None:
    message_id = await add_queued(cluster)
    headers: dict[str, Any] = {"x_wabus_message_id": str(message_id)} if named == "by our id" else {}

    await die(cluster, **headers)
    await die(cluster, b"another", **headers)

    row = await cluster.conn.fetchrow("select * from message_tracking")
    assert row is not None
    assert (row["status"], row["error_code"]) == ("failed", "max_retries_exceeded")
    assert row["failed_at"] is not None
    failed = [event for event in await told_failed(cluster) if event.get("message_id") == str(message_id)]

    assert len(failed) == 1
    assert failed[0]["error"]["code"] == "max_retries_exceeded"
    assert failed[0]["client_message_id"] == "c1"
    assert failed[0]["wa_id"] == "491700000001"
    assert failed[0]["colour"] == "blue"
    assert len(cluster.told("message.updated")) == 1
    assert (await letters(cluster))[0]["message_id"] == message_id


async def test_what_the_broker_killed_has_failed_too(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    await publish_raw(cluster, "wa.outbound", "reply.491700000001", RAW)
    await kill(cluster, "outbound-sender")

    async with cluster.running("dlq-handler"):
        await until(lambda: _is_stored(cluster, 1))

    assert await status_of(cluster, message_id) == "failed"
    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "delivery_limit"


async def test_a_message_that_died_before_it_became_a_row_is_told_with_its_ids(cluster: Cluster) -> None:
    await die(cluster, reason="mapping_not_found")

    [event] = await told_failed(cluster)

    assert event["client_message_id"] == "c1"
    assert event["wa_id"] == "491700000001"
    assert event["colour"] == "blue"
    assert event["error"]["code"] == "mapping_not_found"
    assert "message_id" not in event
    assert "message_text" not in event


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b"not json", {}),
        (b"[1]", {}),
        (b'{"client_message_id": "c9", "wa_id": 5, "genesys_message_id": ""}', {"client_message_id": "c9"}),
    ],
)
async def test_an_invalid_message_is_told_with_what_ids_it_has(
    cluster: Cluster, body: bytes, ids: dict[str, str]
) -> None:
    await die(cluster, body, reason="invalid_payload")

    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "invalid_payload"
    assert {name: event[name] for name in event if name.endswith("message_id") or name == "wa_id"} == ids


async def test_an_outbound_message_without_a_lane_is_told_as_failed(cluster: Cluster) -> None:
    async with cluster.running("dlq-handler"):
        await publish_raw(cluster, "wa.outbound", "no.lane", RAW)
        await until(lambda: _is_stored(cluster, 1))

    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "unrouted"


@pytest.mark.parametrize("outcome", [None, "ambiguous"])
async def test_a_message_with_an_undecided_attempt_is_left_to_reconciliation(
    cluster: Cluster, outcome: str | None
) -> None:
    message_id = await add_queued(cluster)
    await insert(cluster.conn, "send_attempts", message_id=message_id, attempt=1, outcome=outcome)
    await publish_raw(cluster, "wa.outbound", "reply.491700000001", RAW, {"x-note": "kept"})
    await kill(cluster, "outbound-sender")

    async with cluster.running("dlq-handler"):
        await until(lambda: _is_stored(cluster, 1))

    assert await status_of(cluster, message_id) == "queued"
    assert await told_failed(cluster) == []
    [row] = await cluster.conn.fetch("select * from deferred_messages")
    assert (row["reason"], row["message_id"], row["queue"]) == ("ambiguous", message_id, "outbound-sender")
    assert (row["exchange"], row["routing_key"]) == ("wa.outbound", "reply.491700000001")
    assert (row["phone_number_id"], row["customer"], row["lane"]) == ("1001", "491700000001", "reply")
    assert bytes(row["body"]) == RAW
    headers = json.loads(row["headers"])

    assert headers["x-note"] == "kept"
    assert {"correlation_id", "idempotency_key", "x-attempt"} <= headers.keys()


async def test_the_row_of_a_deferred_message_that_kills_is_kept_for_reconciliation(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    await insert(cluster.conn, "send_attempts", message_id=message_id, attempt=1)
    deferred_id = await insert(
        cluster.conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.491700000001",
        body=RAW,
        reason="rate_limit",
        not_before=await cluster.conn.fetchval("select now()"),
        message_id=message_id,
    )
    await publish_raw(cluster, "", "outbound-sender", RAW, {"x-wabus-deferred-id": str(deferred_id)})
    await kill(cluster, "outbound-sender")

    async with cluster.running("dlq-handler"):
        await until(lambda: _is_stored(cluster, 1))

    [row] = await cluster.conn.fetch("select * from deferred_messages")

    assert row["id"] != deferred_id
    assert (row["reason"], row["message_id"]) == ("ambiguous", message_id)


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
async def test_a_message_that_was_sent_or_ended_is_left_as_it_is(cluster: Cluster, status: str) -> None:
    message_id = await add_queued(cluster, status=status)

    await die(cluster, x_wabus_message_id=str(message_id))

    assert await status_of(cluster, message_id) == status
    assert await told_failed(cluster) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (orjson.dumps(BODY | {"message_text": "something else"}), "state_violation"),
        (orjson.dumps(BODY | {"message_text": "something else"}), "delivery_limit"),
        (orjson.dumps(BODY | {"media_url": 7}), "invalid_payload"),
    ],
)
async def test_another_message_with_the_same_id_is_left_alone(
    cluster: Cluster, body: bytes, reason: str
) -> None:
    message_id = await add_queued(cluster)

    await die(cluster, body, reason=reason)

    assert await status_of(cluster, message_id) == "queued"
    assert await told_failed(cluster) == []


async def test_a_replay_that_dies_fails_its_own_row(cluster: Cluster) -> None:
    mapping_id = await add_mapping(cluster.conn)
    first = await add_queued(cluster, mapping_id=mapping_id, status="failed")
    await die(cluster, x_wabus_message_id=str(first))
    [letter] = await letters(cluster)
    replay = await add_queued(cluster, mapping_id=mapping_id, replay_of=first)

    await die(cluster, x_wabus_message_id=str(first), x_replay_of=str(letter["id"]))

    assert await status_of(cluster, replay) == "failed"
    [event] = await told_failed(cluster)

    assert event["message_id"] == str(replay)
    assert (await letters(cluster))[-1]["message_id"] == replay


async def test_the_recipient_of_a_campaign_fails_with_its_message(cluster: Cluster) -> None:
    await add_campaign(cluster.conn)
    message_id = await add_queued(cluster, campaign_id="spring")
    for wa_id, message in (("491700000001", message_id), ("491700000002", None), ("491700000003", None)):
        await insert(
            cluster.conn,
            "broadcast_recipients",
            campaign_id="spring",
            wa_id=wa_id,
            status="pending" if wa_id.endswith("3") else "queued",
            message_id=message,
        )

    await die(cluster, x_wabus_message_id=str(message_id))
    for wa_id in ("491700000002", "491700000003"):
        ids = {"wa_id": wa_id, "campaign_id": "spring", "client_message_id": f"campaign:spring:{wa_id}"}
        await die(cluster, orjson.dumps(BODY | ids), reason="invalid_media_url")

    rows = await cluster.conn.fetch(
        "select wa_id, status, error_code from broadcast_recipients order by wa_id"
    )

    assert [tuple(row) for row in rows] == [
        ("491700000001", "failed", "max_retries_exceeded"),
        ("491700000002", "failed", "invalid_media_url"),
        ("491700000003", "pending", None),
    ]


async def test_messages_that_wait_behind_a_dead_one_may_go(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    await insert(
        cluster.conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.491700000001",
        body=b"{}",
        reason="earlier_message",
        not_before=None,
        phone_number_id="1001",
        customer="491700000001",
        lane="reply",
    )

    await die(cluster, x_wabus_message_id=str(message_id))

    assert await cluster.conn.fetchval("select not_before <= now() from deferred_messages")


async def test_dead_letters_of_other_queues_fail_no_message(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, RAW, queue="status-updater", x_wabus_message_id=str(message_id))
        await until(lambda: _is_stored(cluster, 1))

    assert await status_of(cluster, message_id) == "queued"
    assert await told_failed(cluster) == []
