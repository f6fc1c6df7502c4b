"""Making dead letters: as the settlement publishes them, as the broker does, and straight in the table."""

from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg

from tests.support.cluster import Cluster
from tests.support.waiting import until


async def publish_dead(
    cluster: Cluster,
    body: bytes = b'{"wamid": "wamid.1"}',
    *,
    queue: str = "inbound-resolver",
    reason: str = "invalid_payload",
    message_id: str | None = None,
    **headers: Any,
) -> None:
    """Publish a dead letter as a worker's settlement does; names of headers are given with underscores."""
    ours = {
        "x-wabus-reason": reason,
        "x-wabus-error": "wa_id: field required",
        "x-wabus-attempts": 1,
        "x-wabus-source-queue": queue,
        "x-wabus-exchange": "wa.inbound",
        "x-wabus-routing-key": "491700000001",
        "x-idempotency-key": str(uuid4()),
        "x-attempt": 1,
    }
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    await publish_raw(cluster, "wa.dlx", queue, body, {**ours, **given}, message_id=message_id)


async def publish_raw(
    cluster: Cluster,
    exchange: str,
    routing_key: str,
    body: bytes,
    headers: dict[str, Any] | None = None,
    *,
    message_id: str | None = None,
) -> None:
    """Publish anything anywhere; the client gives it a message id where none is given."""
    message = aio_pika.Message(body, headers=headers or {}, message_id=message_id, delivery_mode=2)
    target = (
        await cluster.channel.get_exchange(exchange, ensure=False)
        if exchange
        else cluster.channel.default_exchange
    )
    await target.publish(message, routing_key=routing_key)


async def kill(cluster: Cluster, queue: str) -> None:
    """Be a worker that dies of the only message of a queue, until the broker gives it up."""
    source = await cluster.channel.get_queue(queue, ensure=False)

    async def is_given_up() -> bool:
        message = await source.get(fail=False)
        if message is not None:
            await message.reject(requeue=True)
        return await cluster.depth("dlq-handler") > 0

    await until(is_given_up)


async def letters(cluster: Cluster) -> list[asyncpg.Record]:
    """All dead letters, oldest first."""
    return await cluster.conn.fetch("select * from dead_letter_queue order by created_at, id")


async def count_letters(cluster: Cluster) -> int:
    return int(await cluster.conn.fetchval("select count(*) from dead_letter_queue"))


async def insert_letter(cluster: Cluster, **columns: Any) -> asyncpg.Record:
    """A dead letter of an inbound message, straight into the table."""
    values: dict[str, Any] = {
        "source_queue": "inbound-resolver",
        "exchange": "wa.inbound",
        "routing_key": "491700000001",
        "reason": "invalid_payload",
        "error_message": "wa_id: field required",
        "payload": '{"wamid": "wamid.1"}',
        "raw_body": b'{"wamid": "wamid.1"}',
        "headers": "{}",
        "attempts": 1,
    } | columns
    names = ", ".join(values)
    places = ", ".join(f"${place}" for place in range(1, len(values) + 1))
    row = await cluster.conn.fetchrow(
        f"insert into dead_letter_queue ({names}) values ({places}) returning *", *values.values()
    )
    assert row is not None
    return row
