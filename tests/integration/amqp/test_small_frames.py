"""A server with frames of 8 KiB: a message with large headers goes on its way and holds up nobody."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from shared.amqp.properties import DROPPED_HEADERS
from tests.integration.amqp.bench import Bench, bodies, take
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, publish_raw
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.waiting import until

FRAME_MAX: Final = 8192
#: A publisher's own frame takes it; with what we add to a copy it is too large.
LARGE: Final = {"x-large": "x" * 7950, "x-small": "kept"}
WA_ID: Final = "491700000001"


@pytest.fixture(scope="module")
def virtual_host(own_rabbitmq: OwnRabbitMQ) -> Iterator[str]:
    own_rabbitmq.set_frame_max(FRAME_MAX)
    yield own_rabbitmq.url
    own_rabbitmq.set_frame_max(131_072)


async def is_known(cluster: Cluster, wamid: str) -> bool:
    return bool(await cluster.conn.fetchval("select count(*) from message_tracking where wamid = $1", wamid))


def message(wamid: str) -> dict[str, Any]:
    return {"wamid": wamid, "wa_id": WA_ID, "timestamp": 1_790_000_000, "message_text": "hello"}


async def test_a_dead_message_with_large_headers_reaches_the_dead_letters(cluster: Cluster) -> None:
    # Given an invalid message whose headers fill a frame, and a good one behind it
    await publish_raw(cluster, "wa.inbound", WA_ID, b"{}", LARGE)
    await cluster.publish("wa.inbound", WA_ID, message("wamid.next"))
    # When
    async with cluster.running("inbound-resolver", "dlq-handler"):
        await until(lambda: is_known(cluster, "wamid.next"))

        async def is_stored() -> bool:
            return await count_letters(cluster) == 1

        await until(is_stored)
    # Then it says which header it went without, and kept the others
    row = await cluster.conn.fetchrow(
        "select reason, raw_body, headers->>'x-small', headers->>$1 from dead_letter_queue",
        DROPPED_HEADERS,
    )

    assert row is not None
    assert tuple(row) == ("invalid_payload", b"{}", "kept", "x-large")


async def test_a_retried_message_with_large_headers_comes_again(cluster: Cluster) -> None:
    """A correlation whose message is not known yet is retried, again and again, until it is."""
    correlation = (
        b'{"conversation_id": "c-1", "communication_id": "p-1", "whatsapp_message_id": "wamid.late"}'
    )
    async with cluster.running("inbound-resolver"):
        await publish_raw(cluster, "wa.correlation", "genesys", correlation, LARGE)
        await until(lambda: _is_retried(cluster))
        await cluster.publish("wa.inbound", WA_ID, message("wamid.late"))
        await until(lambda: bool(cluster.told("conversation.correlated")))

    assert [told["conversation_id"] for told in cluster.told("conversation.correlated")] == ["c-1"]
    assert await cluster.depth("dlq-handler") == 0


async def _is_retried(cluster: Cluster) -> bool:
    tiers = [await cluster.depth(f"inbound-resolver.correlation.retry.{tier}") for tier in ("5s", "30s")]
    return any(tiers)


async def test_a_deferred_message_with_large_headers_is_published_when_it_is_due(cluster: Cluster) -> None:
    await publish_raw(cluster, "wa.inbound", WA_ID, b"{}", LARGE)
    headers = {"x-large": "x" * 9000, "correlation_id": "t", "idempotency_key": "k", "x-attempt": 1}
    await cluster.conn.execute(
        "insert into deferred_messages (queue, exchange, routing_key, body, headers, reason, not_before)"
        " values ('inbound-resolver', 'wa.inbound', $1, $2, $3::text::jsonb, 'rate_limit', now())",
        WA_ID,
        b'{"wamid": "wamid.due", "wa_id": "491700000001", "timestamp": 1790000000}',
        json.dumps(headers),
    )
    async with cluster.running("inbound-resolver", "scheduler"):
        await until(lambda: is_known(cluster, "wamid.due"))
        await until(lambda: nothing_is_deferred(cluster))

    assert [told["wamid"] for told in cluster.told("inbound.enriched")] == ["wamid.due"]


async def nothing_is_deferred(cluster: Cluster) -> bool:
    return not await cluster.conn.fetchval("select count(*) from deferred_messages")


async def test_bodies_of_many_small_frames_are_whole(bench: Bench) -> None:
    sent = [b"x" * size for size in (0, FRAME_MAX - 8, FRAME_MAX - 7, 100_000)]
    async with bench.broker() as broker:
        batch = [bench.publication(number, body=body) for number, body in enumerate(sent)]
        assert await broker.publisher.publish(batch) == [None] * len(sent)

        taken = await take(await broker.inlet(bench.queue, prefetch=10), len(sent))

    assert bodies(taken) == sent
