"""The broadcast batcher on real servers: its batches. Launching and controls have files of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson

from shared.amqp.client import build_broker
from shared.amqp.topology import Topology
from shared.durable.outbox import Outbox
from shared.messaging.campaigns import finish_campaigns
from shared.messaging.customers.consent import record_consent_events
from shared.messaging.customers.consent_rules import ConsentEvent
from shared.messaging.customers.erasure import erase
from shared.messaging.customers.suppressions import Suppressions
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.support.campaigns import (
    BATCHER,
    BULK_QUEUE,
    become,
    campaign,
    control,
    counts,
    customer,
    customers,
    has_counts,
    idle,
    is_depth,
    is_state,
    launch,
    nudge,
    queued_messages,
    ticking,
    told_of,
)
from tests.support.cluster import Cluster
from tests.support.rows import add_mapping, add_message, insert
from tests.support.waiting import until
from workers.broadcast_batcher.batches import Batches
from workers.cli.publishing import open_publisher

DELAY = "select next_batch_at - now() from broadcast_campaigns where id = 'spring'"


async def test_a_batch_queues_messages_of_the_bulk_lane(cluster: Cluster) -> None:
    recipients = [{"wa_id": "491700000001", "variables": {"name": "Ana", "rest": 12.5}}]
    components = [{"type": "body", "parameters": [{"type": "text", "text": "{{name}}: {{ rest }}"}]}]
    template = {"name": "welcome", "language": "en", "components": components}
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(recipients, template=template, category="utility"))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 1))
    [message] = await cluster.take(BULK_QUEUE)
    assert message.routing_key == "bulk.491700000001"
    assert message.type == "OutboundMessage"
    outbox = await cluster.conn.fetchrow("select * from outbox_events where event_type = 'OutboundMessage'")
    assert outbox is not None
    assert outbox["published_at"] is not None
    assert message.headers["x-idempotency-key"] == str(outbox["id"])
    [launched] = [event for event in cluster.events if event.routing_key == "campaign.updated"]

    assert message.correlation_id == launched.correlation_id
    assert orjson.loads(message.body) == {
        "conversation_id": None,
        "client_message_id": "campaign:spring:491700000001",
        "campaign_id": "spring",
        "wa_id": "491700000001",
        "phone_number_id": "1001",
        "category": "utility",
        "template": {
            "name": "welcome",
            "language": "en",
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana: 12.5"}]}],
        },
    }


async def test_each_batch_takes_its_size_and_sets_the_time_of_the_next(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(120), batch_delay_ms=3_600_000))
        await until(lambda: is_state(cluster, "running"))
        for queued in (50, 100, 120):
            await cluster.conn.execute(
                "update broadcast_campaigns set next_batch_at = now() where id = 'spring'"
            )
            await nudge(cluster)
            await nudge(cluster)
            await until(partial(is_depth, cluster, BULK_QUEUE, queued))
            await idle(cluster)
            assert (await counts(cluster))["queued"] == queued
            delay = await cluster.conn.fetchval(DELAY)
            assert timedelta(minutes=59) < delay <= timedelta(hours=1)
    names = [message["wa_id"] for message in await queued_messages(cluster)]

    assert sorted(names) == [customer(number) for number in range(120)]


async def test_a_batch_that_comes_late_leaves_half_a_delay_before_the_next(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(60), batch_delay_ms=3_600_000))
        await until(lambda: is_state(cluster, "running"))
        await cluster.conn.execute("update broadcast_campaigns set next_batch_at = now() - interval '1 day'")
        await nudge(cluster)
        await until(lambda: is_depth(cluster, BULK_QUEUE, 50))
        delay = await cluster.conn.fetchval(DELAY)

    assert timedelta(minutes=29) < delay <= timedelta(minutes=30)


async def test_two_replicas_with_the_same_nudges_make_one_batch(cluster: Cluster) -> None:
    async with cluster.running(BATCHER, BATCHER, BATCHER, BATCH_SIZE="1", PREFETCH="1"):
        await launch(cluster, campaign(customers(200), batch_delay_ms=3_600_000))
        await until(lambda: is_state(cluster, "running"))
        await asyncio.gather(*(nudge(cluster) for _ in range(30)))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 50))
        await idle(cluster)

    assert await counts(cluster) == {"queued": 50, "pending": 150}
    assert await cluster.depth(BULK_QUEUE) == 50


async def test_no_more_is_queued_than_ten_seconds_of_the_numbers_rate(cluster: Cluster) -> None:
    async with cluster.running(BATCHER, BATCHER, WHATSAPP_NUMBER_MPS="3"), ticking(cluster):
        await launch(cluster, campaign(customers(40), batch_size=20, batch_delay_ms=1))
        await launch(cluster, campaign(customers(40), campaign_id="summer", batch_size=20, batch_delay_ms=1))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 27))
        for _ in range(5):
            await nudge(cluster)
            await nudge(cluster, "summer")
        await idle(cluster)
        assert await queued_of_all(cluster) == 27
        await become(cluster, "queued", "sent", 9)
        await until(lambda: is_depth(cluster, BULK_QUEUE, 36))
        assert await queued_of_all(cluster) == 27
        await until_drained(cluster, 80)

        assert await counts(cluster) == await counts(cluster, "summer") == {"sent": 40}


async def test_a_number_slower_than_a_message_in_ten_seconds_still_sends(cluster: Cluster) -> None:
    async with cluster.running(BATCHER, WHATSAPP_NUMBER_MPS="0.01"), ticking(cluster):
        await launch(cluster, campaign(customers(2), batch_delay_ms=1))
        await until_drained(cluster, 2)
    assert len(await queued_messages(cluster)) == 2


async def test_the_opted_out_are_skipped(cluster: Cluster) -> None:
    await insert(cluster.conn, "customer_profiles", phone=customer(0), opt_in_marketing=False)
    await insert(cluster.conn, "customer_profiles", phone=customer(1), notification_opt_out=True)
    await insert(cluster.conn, "customer_profiles", phone=customer(2), opt_in_marketing=True)
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(4)))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 2, "queued": 2}))
        await launch(cluster, campaign(customers(4), campaign_id="bills", category="utility"))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 1, "queued": 3}, "bills"))
    names = [message["wa_id"] for message in await queued_messages(cluster)]

    assert sorted(names) == sorted([customer(2), customer(3), customer(0), customer(2), customer(3)])


async def test_whoever_was_erased_after_a_refusal_is_skipped_in_a_later_list(cluster: Cluster) -> None:
    key = "a key of sixteen bytes or more"
    suppressions = Suppressions(key.encode())
    refusal = ConsentEvent(customer(0), "marketing", False, "message", None, None, "trace-1")
    database = Database(cluster.database_url)
    async with database.transaction() as connection:
        await record_consent_events(connection, [refusal])
    await erase(database, customer(0), TABLES, by="ana", dry_run=False, suppressions=suppressions)
    await database.close()

    async with cluster.running(BATCHER, SUPPRESSION_KEY=key), ticking(cluster):
        await launch(cluster, campaign(customers(2)))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 1, "queued": 1}))

    assert [item["source"] for item in cluster.told("consent.changed")] == ["suppression"]


async def test_free_text_goes_only_to_whom_wrote_to_this_number_lately(cluster: Cluster) -> None:
    await wrote(cluster, customer(0))
    await wrote(cluster, customer(1), phone_number_id="other")
    await wrote(cluster, customer(2), hours_ago=25)
    await wrote(cluster, customer(3), status="closed")
    await wrote(cluster, customer(4), direction="OUTBOUND")
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(6), message_text="Hello"))
        await until(lambda: has_counts(cluster, {"skipped: window_closed": 4, "queued": 2}))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 2))

    assert {message["wa_id"] for message in await queued_messages(cluster)} == {customer(0), customer(3)}


async def test_whoever_lacks_a_variable_is_skipped(cluster: Cluster) -> None:
    await wrote(cluster, customer(0))
    await wrote(cluster, customer(1))
    recipients = [
        {"wa_id": customer(0), "variables": {"name": "Ana"}},
        {"wa_id": customer(1), "variables": {"name": ""}},
    ]
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(recipients, message_text="Hello {{name}}"))
        await until(lambda: has_counts(cluster, {"skipped: missing_variable": 1, "queued": 1}))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 1))
    [message] = await queued_messages(cluster)

    assert message["message_text"] == "Hello Ana"


async def test_a_campaign_whose_recipients_are_all_skipped_is_done(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(2), message_text="Hello"))
        await until(lambda: is_state(cluster, "done"))
        await until(lambda: len(cluster.told("campaign.updated")) == 2)
    [done] = [event for event in cluster.told("campaign.updated") if event["new_status"] == "done"]

    assert (done["old_status"], done["recipients"]) == ("running", {"skipped": 2})


async def test_a_campaign_is_done_when_nobody_is_pending_or_queued(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(3)))
        await until(lambda: has_counts(cluster, {"queued": 3}))
        assert await finish(cluster) == 0
        await become(cluster, "queued", "sent", 1)
        await become(cluster, "queued", "failed", 1)
        assert await finish(cluster) == 0
        await become(cluster, "queued", "sent", 1)
        await launch(cluster, campaign(customers(1), campaign_id="other"))
        await until(lambda: is_state(cluster, "running", "other"))
        assert sorted(await asyncio.gather(finish(cluster), finish(cluster))) == [0, 1]
    assert await is_state(cluster, "done")
    told = [event for event in told_of(cluster) if event["new_status"] == "done"]

    assert [event["recipients"] for event in told] == [{"sent": 2, "failed": 1}]
    assert await cluster.conn.fetchval(
        "select finished_at is not null from broadcast_campaigns where id = 'spring'"
    )


async def test_messages_that_could_not_be_published_after_the_commit_are_not_lost(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(3), batch_delay_ms=3_600_000))
        await until(lambda: is_state(cluster, "running"))
    await make_batch_without_broker(cluster)
    assert await counts(cluster) == {"queued": 3}
    assert await cluster.depth(BULK_QUEUE) == 0
    async with cluster.running(BATCHER), on_outbox(cluster) as (_, outbox):
        await nudge(cluster)
        await until(lambda: publish_unmarked(outbox))
        await idle(cluster)
    names = [message["wa_id"] for message in await queued_messages(cluster)]

    assert names == [customer(number) for number in range(3)]


async def test_a_recipient_is_queued_once_whatever_is_repeated(cluster: Cluster) -> None:
    told = campaign(customers(30), batch_size=10, batch_delay_ms=1)
    async with cluster.running(BATCHER, BATCHER), ticking(cluster):
        await launch(cluster, told)
        await until(lambda: has_counts(cluster, {"queued": 30}))
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, told)
        await nudge(cluster)
        await idle(cluster)
        await become(cluster, "queued", "sent")
        await launch(cluster, told)
        await nudge(cluster)
        await idle(cluster)
    names = [message["wa_id"] for message in await queued_messages(cluster)]

    assert sorted(names) == [customer(number) for number in range(30)]


async def test_a_campaign_goes_on_with_another_replica(cluster: Cluster) -> None:
    async with ticking(cluster):
        async with cluster.running(BATCHER):
            await launch(cluster, campaign(customers(60), batch_size=10, batch_delay_ms=200))
            await until(lambda: has_at_least(cluster, "queued", 10))
        async with cluster.running(BATCHER):
            await until(lambda: has_counts(cluster, {"queued": 60}))

    assert len({message["wa_id"] for message in await queued_messages(cluster)}) == 60


async def test_a_nudge_for_a_campaign_that_is_not_known_does_nothing(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await nudge(cluster, "nobody's")
        await control(cluster, "cancel")
        await until(lambda: is_state(cluster, "cancelled"))
        await idle(cluster)

    assert await cluster.depth("dlq-handler") == 0


@asynccontextmanager
async def on_outbox(cluster: Cluster) -> AsyncIterator[tuple[Database, Outbox]]:
    """What the scheduler works with."""
    database = Database(cluster.database_url)
    try:
        async with open_publisher(cluster.settings()) as publisher:
            yield database, Outbox(database, publisher, cluster.durations)
    finally:
        await database.close()


async def finish(cluster: Cluster) -> int:
    async with on_outbox(cluster) as (database, outbox):
        return await finish_campaigns(database, outbox)


async def make_batch_without_broker(cluster: Cluster) -> None:
    """All of a batch but its publishing: as if its replica had died after the commit."""
    durations = replace(cluster.durations, publish_confirm_s=0.01)
    publisher = build_broker(cluster.rabbitmq_url, "never run", Topology(()), durations).publisher
    database = Database(cluster.database_url)
    outbox = Outbox(database, publisher, durations)
    batches = Batches(
        database,
        outbox,
        Metrics(),
        Suppressions(),
        durations,
        mps_of=lambda _: 80.0,
        default_number="1001",
    )
    try:
        await batches.make_next("spring")
    finally:
        await database.close()


async def publish_unmarked(outbox: Outbox) -> bool:
    events = [item for name in await outbox.destinations() for item in await outbox.claim_unmarked(name, 100)]
    return await outbox.publish(events) > 0


async def until_drained(cluster: Cluster, total: int) -> None:
    """Play the sender until so many were sent."""

    async def all_sent() -> bool:
        await become(cluster, "queued", "sent")
        sent: int = await cluster.conn.fetchval(
            "select count(*) from broadcast_recipients where status = 'sent'"
        )
        return sent == total

    await until(all_sent)


async def queued_of_all(cluster: Cluster) -> int:
    found: int = await cluster.conn.fetchval(
        "select count(*) from broadcast_recipients where status = 'queued'"
    )
    return found


async def wrote(
    cluster: Cluster,
    wa_id: str,
    *,
    phone_number_id: str = "1001",
    hours_ago: int = 0,
    status: str = "active",
    direction: str = "INBOUND",
) -> None:
    """A message of this customer, or to them."""
    mapping_id = await add_mapping(cluster.conn, wa_id=wa_id, phone_number_id=phone_number_id, status=status)
    await add_message(
        cluster.conn,
        mapping_id=mapping_id,
        direction=direction,
        status="received" if direction == "INBOUND" else "sent",
        created_at=datetime.now(UTC) - timedelta(hours=hours_ago),
    )


async def has_at_least(cluster: Cluster, status: str, number: int) -> bool:
    return (await counts(cluster)).get(status, 0) >= number
