"""Resolver and correlator killed between any two of their steps: nothing lost, nothing twice."""

from collections import Counter
from typing import Any

import pytest

from tests.e2e.points import after, before, before_ack, commit_to_publish, publish_to_mark
from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.leftovers import count, is_all_told, keys_told, nothing_waits, work_off
from tests.support.processes import Processes
from tests.support.waiting import until

_PUBLISHER = "shared.amqp.kept.publisher:KeptPublisher"
_STORE = "workers.inbound_resolver.store:MessageStore"
_RESOLVER = "workers.inbound_resolver.resolver:InboundResolver"

CUSTOMERS = [f"49170000000{number}" for number in range(5)]


def messages() -> list[dict[str, Any]]:
    """Four messages of each customer, each twice."""
    return [
        {
            "wamid": f"wamid.{customer}.{number}",
            "timestamp": 1768473000 + number,
            "wa_id": customer,
            "message_text": f"message {number}",
            "phone_number_id": "1001",
        }
        for number in range(4)
        for customer in CUSTOMERS
        for _ in range(2)
    ]


async def send_all(cluster: Cluster) -> list[str]:
    """Publish them; gives their wamids."""
    for message in messages():
        await cluster.publish("wa.inbound", message["wa_id"], message)
    return sorted({message["wamid"] for message in messages()})


@pytest.mark.parametrize(
    ("point", "may_repeat"),
    [
        pytest.param(before(f"{_STORE}.resolve"), False, id="before the commit"),
        pytest.param(after(f"{_STORE}.resolve"), False, id="commit to publish"),
        pytest.param(publish_to_mark("EnrichedInboundMessage"), True, id="publish to mark"),
        pytest.param(after(f"{_STORE}.mark_published"), False, id="mark to ack"),
        pytest.param(before_ack("inbound-resolver", nth=2), False, id="second ack"),
        pytest.param(after(f"{_RESOLVER}._publish", nth=2), False, id="a later batch"),
    ],
)
async def test_each_message_is_tracked_once_and_told_under_one_key(
    cluster: Cluster, processes: Processes, point: CrashPoint, may_repeat: bool
) -> None:
    wamids = await send_all(cluster)
    # a first batch of all customers, so that none is beside it
    await processes.crash("inbound-resolver", point, BATCH_SIZE="16", BATCH_LINGER_MS="5000")
    async with cluster.running("inbound-resolver"):
        await until(lambda: set(keys_told(cluster, "inbound.enriched")) == set(wamids))
        await until(lambda: _is_published(cluster, len(wamids)))
    await work_off(cluster, "inbound-resolver")
    told = Counter(keys_told(cluster, "inbound.enriched"))
    rows = await cluster.conn.fetch("select wamid from message_tracking")
    assert sorted(row["wamid"] for row in rows) == wamids
    assert set(told.values()) <= ({1, 2} if may_repeat else {1})
    _assert_one_new_message_each(cluster)


async def test_what_is_told_again_is_the_same(cluster: Cluster, processes: Processes) -> None:
    await send_all(cluster)
    await processes.crash("inbound-resolver", publish_to_mark("EnrichedInboundMessage"))
    published = await cluster.conn.fetchval("select count(*) from message_tracking")
    assert published
    await until(lambda: len(cluster.told("inbound.enriched")) == published)
    first = {item["wamid"]: item for item in cluster.told("inbound.enriched")}

    def again() -> dict[str, dict[str, Any]]:
        later = cluster.told("inbound.enriched")[published:]
        return {item["wamid"]: item for item in later if item["wamid"] in first}

    async with cluster.running("inbound-resolver"):
        await until(lambda: again().keys() == first.keys())

    assert _untraced(again()) == _untraced(first)


async def test_a_copy_is_not_acknowledged_while_another_replica_publishes_its_message(
    cluster: Cluster, processes: Processes
) -> None:
    message = await _resolve_one(cluster)
    await cluster.conn.execute(
        """update message_tracking
           set published_at = null, publish_claimed_by = gen_random_uuid(),
               publish_claimed_until = 'infinity'"""
    )
    await cluster.publish("wa.inbound", message["wa_id"], message)
    await processes.crash("inbound-resolver", before(f"{_STORE}.resolve", nth=2))  # it looks again
    await until(lambda: _is_deep(cluster, "inbound-resolver", 1))

    assert len(cluster.told("inbound.enriched")) == 1
    assert await count(cluster, "message_tracking where published_at is null") == 1


def _untraced(told: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without the trace: a gateway that gives none gets another one with each delivery."""
    return {wamid: item | {"trace_id": ""} for wamid, item in told.items()}


async def _is_published(cluster: Cluster, rows: int) -> bool:
    return await count(cluster, "message_tracking where published_at is not null") == rows


def _assert_one_new_message_each(cluster: Cluster) -> None:
    new = {
        (item["wa_id"], item["wamid"])
        for item in cluster.told("inbound.enriched")
        if item["is_new_conversation"]
    }
    assert sorted(customer for customer, _ in new) == CUSTOMERS


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(commit_to_publish("conversation.correlated"), id="commit to publish"),
        pytest.param(publish_to_mark("conversation.correlated"), id="publish to mark"),
        pytest.param(before_ack("inbound-resolver.correlation"), id="mark to ack"),
    ],
)
async def test_a_correlation_is_told_under_one_key(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    message = await _resolve_one(cluster)
    told = {"conversation_id": "conv-1", "communication_id": "c", "whatsapp_message_id": message["wamid"]}
    await cluster.publish("wa.correlation", "genesys", told)
    await processes.crash("inbound-resolver", point)
    async with cluster.running("inbound-resolver", "scheduler"):
        await until(lambda: _is_told(cluster, "conversation.correlated"))
    await work_off(cluster, "inbound-resolver")

    assert len(set(keys_told(cluster, "conversation.correlated"))) == 1
    assert await cluster.conn.fetchval("select conversation_id from conversation_mappings") == "conv-1"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(commit_to_publish("conversation.closed"), id="commit to publish"),
        pytest.param(publish_to_mark("conversation.closed"), id="publish to mark"),
        pytest.param(before_ack("inbound-resolver.correlation"), id="mark to ack"),
    ],
)
async def test_a_closing_is_told_under_one_key(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    await _resolve_one(cluster)
    await cluster.conn.execute("update conversation_mappings set conversation_id = 'conv-1'")
    await cluster.publish("wa.correlation", "genesys.closed", {"conversation_id": "conv-1"})
    await processes.crash("inbound-resolver", point)
    async with cluster.running("inbound-resolver", "scheduler"):
        await until(lambda: _is_told(cluster, "conversation.closed"))
    await work_off(cluster, "inbound-resolver")

    assert len(set(keys_told(cluster, "conversation.closed"))) == 1
    assert await cluster.conn.fetchval("select status from conversation_mappings") == "closed"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before(f"{_PUBLISHER}.publish", showing="exchange='wa.retry'"), id="before the copy"),
        pytest.param(after(f"{_PUBLISHER}.publish", showing="exchange='wa.retry'"), id="copy to ack"),
    ],
)
async def test_a_correlation_that_comes_too_early_survives_on_its_way_to_a_retry(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    wamid = messages()[0]["wamid"]
    told = {"conversation_id": "conv-1", "communication_id": "c", "whatsapp_message_id": wamid}
    await cluster.publish("wa.correlation", "genesys", told)
    await processes.crash("inbound-resolver", point)
    await _resolve_one(cluster)
    async with cluster.running("inbound-resolver", "scheduler"):
        await until(lambda: _is_told(cluster, "conversation.correlated"))

    assert await cluster.conn.fetchval("select conversation_id from conversation_mappings") == "conv-1"
    assert len(set(keys_told(cluster, "conversation.correlated"))) == 1


async def _resolve_one(cluster: Cluster) -> dict[str, Any]:
    message = messages()[0]
    async with cluster.running("inbound-resolver"):
        await cluster.publish("wa.inbound", message["wa_id"], message)
        await until(lambda: _is_published(cluster, 1))
    return message


async def _is_deep(cluster: Cluster, queue: str, depth: int) -> bool:
    return await cluster.depth(queue) == depth


async def _is_told(cluster: Cluster, event_type: str) -> bool:
    """Told, and nothing left to tell or to work."""
    rests = await is_all_told(cluster) and await nothing_waits(cluster)
    return rests and bool(cluster.told(event_type))
