"""The inbound resolver on real servers."""

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest
from redis.asyncio import Redis

from shared.amqp.topology import ENRICHED, EVENTS
from tests.support.cluster import Cluster
from tests.support.leftovers import has_in_hand, work_off
from tests.support.waiting import until


def message(number: int = 1, customer: str = "491700000001", **fields: Any) -> dict[str, Any]:
    return {
        "wamid": f"wamid.{customer}.{number}",
        "timestamp": "2026-01-15T10:30:00Z",
        "wa_id": customer,
        "message_text": f"message {number}",
        "phone_number_id": "1001",
    } | fields


async def send(cluster: Cluster, *messages: dict[str, Any]) -> None:
    for item in messages:
        await cluster.publish("wa.inbound", item["wa_id"], item)


def enriched(cluster: Cluster) -> list[dict[str, Any]]:
    return cluster.told("inbound.enriched")


async def test_a_message_is_tracked_enriched_and_cached(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, redis_call_s=10.0)
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(contact_name="Ana", note="carried through", user_id="DE.8842"))
        await until(lambda: len(enriched(cluster)) == 1)
        await until(lambda: _count(cluster, "message_tracking where published_at is not null", 1))
    [told] = enriched(cluster)
    mapping = await cluster.conn.fetchrow("select * from conversation_mappings")
    tracked = await cluster.conn.fetchrow("select * from message_tracking")
    assert mapping is not None
    assert tracked is not None
    assert told["mapping_id"] == str(mapping["id"])
    assert told["conversation_id"] is None
    assert told["is_new_conversation"] is True
    assert told["note"] == "carried through"
    assert told["event_version"] == 1
    assert told["timestamp"] == "2026-01-15T10:30:00Z"
    assert (mapping["wa_id"], mapping["user_id"], mapping["contact_name"]) == (
        "491700000001",
        "DE.8842",
        "Ana",
    )
    assert mapping["last_message_id"] == tracked["wamid"] == told["wamid"]
    assert (tracked["direction"], tracked["status"]) == ("INBOUND", "received")
    async with Redis.from_url(cluster.redis_url) as redis:
        assert 86_000 < await redis.ttl("mapping:wa:1001:491700000001") <= 86_400


async def test_a_full_batch_goes_beside_one_that_hangs_save_for_its_customers(cluster: Cluster) -> None:
    slow, others = "491700000001", [f"49170000010{number}" for number in range(3)]
    async with cluster.running("inbound-resolver", BATCH_SIZE="2"):
        await send(cluster, message(1, slow))
        await until(lambda: _count(cluster, "message_tracking where published_at is not null", 1))
        async with cluster.conn.transaction():
            await cluster.conn.execute("select from conversation_mappings for update")
            await send(cluster, message(2, slow))
            await until(lambda: has_in_hand(cluster))
            await send(cluster, message(1, others[0]), message(3, slow))
            await send(cluster, message(1, others[1]), message(1, others[2]), message(4, slow))
            await until(lambda: len(enriched(cluster)) == 4)
            assert {told["wa_id"] for told in enriched(cluster)} == {slow, *others}
        await until(lambda: len(enriched(cluster)) == 7)
    told = [item["wamid"] for item in enriched(cluster) if item["wa_id"] == slow]

    assert told == [message(number, slow)["wamid"] for number in (1, 2, 3, 4)]


async def test_properties_of_what_is_published_follow_the_contract(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, message())
        await until(lambda: len(enriched(cluster)) == 1)
    [event] = [item for item in cluster.events if item.routing_key == "inbound.enriched"]

    assert event.content_type == "application/json"
    assert event.delivery_mode == 2
    assert event.type == "EnrichedInboundMessage"
    assert event.app_id == "wabus"
    assert event.timestamp is not None
    assert event.message_id != message()["wamid"]
    assert event.headers["x-idempotency-key"] == message()["wamid"]
    assert event.headers["x-attempt"] == 1
    assert str(event.headers["traceparent"]).startswith("00-")
    assert event.correlation_id


async def test_enriched_messages_wait_for_their_consumer(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, message())
        await until(lambda: _depth(cluster, "inbound.enriched", 1))
    [waiting] = await cluster.take("inbound.enriched")

    assert orjson.loads(waiting.body)["wamid"] == message()["wamid"]
    assert waiting.delivery_mode == 2


async def test_repetitions_are_published_once(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, publish_claim_s=30.0)
    async with cluster.running("inbound-resolver", "inbound-resolver"):
        await send(cluster, *(message(1) for _ in range(30)), message(2), *(message(1) for _ in range(30)))
        await send(cluster, message(3))
        await until(lambda: len(enriched(cluster)) >= 3)

    assert Counter(item["wamid"] for item in enriched(cluster)) == {
        message(1)["wamid"]: 1,
        message(2)["wamid"]: 1,
        message(3)["wamid"]: 1,
    }


async def test_one_message_of_a_mapping_is_new(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver", "inbound-resolver", "inbound-resolver"):
        await send(cluster, *(message(number) for number in range(40)))
        await until(lambda: len(enriched(cluster)) == 40)
    assert sum(item["is_new_conversation"] for item in enriched(cluster)) == 1
    assert await cluster.conn.fetchval("select count(*) from conversation_mappings") == 1


async def test_messages_of_a_customer_leave_one_replica_in_order(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, *(message(n, f"49170000000{n % 7}") for n in range(300)))
        await until(lambda: len(enriched(cluster)) == 300)
    for customer in range(7):
        texts = [item["message_text"] for item in enriched(cluster) if item["wa_id"].endswith(str(customer))]
        assert texts == [f"message {n}" for n in range(300) if n % 7 == customer]


async def test_a_closed_mapping_is_followed_by_a_new_one(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, redis_call_s=10.0)
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: len(enriched(cluster)) == 1)
        await correlate(cluster, message(1), "conv-1")
        await until(lambda: len(cluster.told("conversation.correlated")) == 1)
        await cluster.publish("wa.correlation", "genesys.closed", {"conversation_id": "conv-1"})
        await until(lambda: len(cluster.told("conversation.closed")) == 1)
        async with Redis.from_url(cluster.redis_url) as redis:
            assert await redis.exists("mapping:wa:1001:491700000001", "mapping:conv:conv-1") == 0
        await send(cluster, message(2))
        await until(lambda: len(enriched(cluster)) == 2)
    first, second = enriched(cluster)

    assert first["mapping_id"] != second["mapping_id"]
    assert second["is_new_conversation"] is True
    assert second["conversation_id"] is None


#: Bodies that no resolver can work, each with the reason why.
_BAD: Final = {
    b"not json": "invalid_payload",
    b"[1, 2]": "invalid_payload",
    b"\xff\xfe{}": "invalid_payload",
    b'{"wamid": "w", "wa_id": "4917000000"}': "invalid_payload",
    b'{"wamid": 5, "wa_id": "4917000000", "timestamp": "2026-01-15T10:30:00Z"}': "invalid_payload",
    b'{"wamid": "w\\u0000", "wa_id": "4917000000", "timestamp": 1768473000}': "invalid_payload",
    b'{"wamid": "w", "wa_id": "4917000000", "timestamp": 1e400}': "invalid_payload",
    b'{"a":' * 5000 + b"1" + b"}" * 5000: "invalid_payload",
    b'{"wamid": "' + b"w" * 2 * 1024 * 1024 + b'"}': "invalid_payload",
    b'{"wamid": "w", "wa_id": "4917000000", "timestamp": 1768473000, "media_url": "ftp://x/y"}': (
        "invalid_media_url"
    ),
}


async def test_a_bad_message_is_dead_and_its_neighbours_are_not(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        for number, body in enumerate(_BAD):
            await send(cluster, message(number))
            await cluster.publish("wa.inbound", "491700000001", body)
        await send(cluster, message(len(_BAD)))
        await until(lambda: len(enriched(cluster)) == len(_BAD) + 1)
        await until(lambda: _depth(cluster, "dlq-handler", len(_BAD)))
    dead = await cluster.take("dlq-handler")

    assert {item.body: item.headers["x-wabus-reason"] for item in dead} == _BAD
    for item in dead:
        assert item.headers["x-wabus-error"]
        assert item.headers["x-wabus-source-queue"] == "inbound-resolver"
        assert item.headers["x-wabus-exchange"] == "wa.inbound"
        assert item.headers["x-wabus-routing-key"] == "491700000001"


async def test_a_medium_is_taken_from_allowed_hosts_only(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver", MEDIA_URL_ALLOWED_HOSTS="media.example"):
        await send(cluster, message(1, media_url="https://media.example.evil.test/a"))
        await send(cluster, message(2, media_url="https://media.example/a"))
        await until(lambda: len(enriched(cluster)) == 1)
        await until(lambda: _depth(cluster, "dlq-handler", 1))
    assert enriched(cluster)[0]["wamid"] == message(2)["wamid"]
    [dead] = await cluster.take("dlq-handler")

    assert dead.headers["x-wabus-reason"] == "invalid_media_url"


async def test_an_enriched_message_that_reaches_no_queue_is_published_until_it_does(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    queues = [await cluster.channel.get_queue(name) for name in (ENRICHED, cluster.listener)]
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: len(enriched(cluster)) == 1)  # a start binds anew
        for queue, key in zip(queues, (ENRICHED, "#"), strict=True):
            await queue.unbind(EVENTS, key)
        try:
            await send(cluster, message(2))
            await until(lambda: "resolved messages wait to be published" in caplog.text)
            assert await _count(cluster, "message_tracking where published_at is null", 1)
        finally:
            for queue, key in zip(queues, (ENRICHED, "#"), strict=True):
                await queue.bind(EVENTS, key)
        await until(lambda: _count(cluster, "message_tracking where published_at is not null", 2))

    assert await cluster.depth(ENRICHED) == 2


async def test_a_correlation_goes_through_its_message_not_the_last_one(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, redis_call_s=10.0)
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1), message(2), message(3))
        await until(lambda: len(enriched(cluster)) == 3)
        await correlate(cluster, message(1), "conv-1", genesys_message_id="g-1")
        await correlate(cluster, message(1), "conv-1")
        await until(lambda: len(cluster.told("conversation.correlated")) == 1)
        await send(cluster, message(4))
        await until(lambda: len(enriched(cluster)) == 4)
    assert enriched(cluster)[3]["conversation_id"] == "conv-1"
    assert len(cluster.told("conversation.correlated")) == 1
    assert (
        await cluster.conn.fetchval("select wamid from message_tracking where genesys_message_id = 'g-1'")
        == message(1)["wamid"]
    )
    async with Redis.from_url(cluster.redis_url) as redis:
        assert await redis.exists("mapping:conv:conv-1") == 1


async def test_a_later_correlation_replaces_and_an_earlier_one_contradicts(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1), message(2), message(3))
        await until(lambda: len(enriched(cluster)) == 3)
        await correlate(cluster, message(2), "conv-1")
        await correlate(cluster, message(3), "conv-2")
        await until(lambda: len(cluster.told("conversation.correlated")) == 2)
        await correlate(cluster, message(1), "conv-3")
        await until(lambda: _depth(cluster, "dlq-handler", 1))
    [dead] = await cluster.take("dlq-handler")

    assert dead.headers["x-wabus-reason"] == "state_violation"
    assert await cluster.conn.fetchval("select conversation_id from conversation_mappings") == "conv-2"
    assert await cluster.conn.fetchval("select conversation_id from conversation_aliases") == "conv-1"


async def test_a_replaced_conversation_that_comes_again_with_its_message_changes_nothing(
    cluster: Cluster,
) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1), message(2))
        await until(lambda: len(enriched(cluster)) == 2)
        for number, conversation in ((1, "conv-1"), (2, "conv-2"), (1, "conv-1"), (2, "conv-2")):
            await correlate(cluster, message(number), conversation)
        await until(lambda: len(cluster.told("conversation.correlated")) == 2)
    await work_off(cluster, "inbound-resolver")

    assert await cluster.conn.fetchval("select conversation_id from conversation_mappings") == "conv-2"
    assert len(cluster.told("conversation.correlated")) == 2


async def test_a_correlation_before_its_message_waits_for_it(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await correlate(cluster, message(1), "conv-1")
        await until(lambda: _depth(cluster, "inbound-resolver.correlation", 0))
        await send(cluster, message(1))
        await until(lambda: len(cluster.told("conversation.correlated")) == 1)

    assert await cluster.conn.fetchval("select conversation_id from conversation_mappings") == "conv-1"
    assert await cluster.depth("dlq-handler") == 0


async def test_a_correlation_of_an_unknown_message_dies_after_its_retries(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await correlate(cluster, message(1), "conv-1")
        await until(lambda: _depth(cluster, "dlq-handler", 1))
    [dead] = await cluster.take("dlq-handler")

    assert dead.headers["x-wabus-reason"] == "mapping_not_found"
    assert dead.headers["x-wabus-attempts"] == 5


async def _depth(cluster: Cluster, queue: str, count: int) -> bool:
    return await cluster.depth(queue) == count


async def _count(cluster: Cluster, rows: str, count: int) -> bool:
    found: int = await cluster.conn.fetchval(f"select count(*) from {rows}")
    return found == count


async def correlate(cluster: Cluster, about: dict[str, Any], conversation_id: str, **fields: Any) -> None:
    correlation = {
        "conversation_id": conversation_id,
        "communication_id": f"comm-{conversation_id}",
        "whatsapp_message_id": about["wamid"],
    } | fields
    await cluster.publish("wa.correlation", "genesys", correlation)
