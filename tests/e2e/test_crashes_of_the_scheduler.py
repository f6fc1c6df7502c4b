"""The scheduler killed in the middle of its jobs: another one goes on, and nothing happens twice."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson
import pytest

from tests.e2e.points import after, before, commit_to_publish, publish_to_mark
from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.leftovers import count, is_all_told, keys_told, nothing_waits
from tests.support.processes import Processes
from tests.support.rows import add_mapping, add_message, insert
from tests.support.sending import NUMBER, Sender, text
from tests.support.waiting import until

_AMBIGUITY: Final = "workers.scheduler.ambiguity:AmbiguityJob"
_DEFERRALS: Final = "shared.durable.deferral:DeferralStore"
_LEASE: Final = "shared.postgres.lease:Lease"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(after(f"{_LEASE}.take"), id="lease to job"),
        pytest.param(before(f"{_DEFERRALS}.claim_due"), id="before the claim"),
        pytest.param(after(f"{_DEFERRALS}.claim_due"), id="claim to publish"),
        pytest.param(publish_to_mark("OutboundMessage"), id="after the publish"),
    ],
)
async def test_what_is_due_is_sent_once(sender: Sender, processes: Processes, point: CrashPoint) -> None:
    for number in range(5):
        await defer(sender.cluster, f"c{number}", f"49170000000{number}")
    await processes.crash("scheduler", point)
    async with sender.cluster.running("scheduler"), sender.running():
        await until(lambda: is_done(sender.cluster))
    customers = [message["to"] for message in await sender.sandbox.messages()]

    assert sorted(customers) == [f"49170000000{number}" for number in range(5)]
    assert await count(sender.cluster, "message_tracking where status = 'sent'") == 5


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before("shared.durable.outbox:Outbox.record"), id="before the commit"),
        pytest.param(commit_to_publish("conversation.expired"), id="commit to publish"),
        pytest.param(publish_to_mark("conversation.expired"), id="publish to mark"),
    ],
)
async def test_an_expiry_is_told_under_one_key(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    for number in range(5):
        await add_mapping(
            cluster.conn, wa_id=f"49170000000{number}", last_activity_at=await hours_ago(cluster, 25)
        )
    await processes.crash("scheduler", point)
    async with cluster.running("scheduler"):
        await until(lambda: is_done(cluster))

    assert len(set(keys_told(cluster, "conversation.expired"))) == 5
    assert {item["mapping_id"] for item in cluster.told("conversation.expired")} == {
        str(row["id"])
        for row in await cluster.conn.fetch("select id from conversation_mappings where status = 'expired'")
    }


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(after("shared.durable.outbox:Outbox.claim_unmarked"), id="claim to publish"),
        pytest.param(publish_to_mark("conversation.closed"), id="publish to mark"),
    ],
)
async def test_what_others_left_unmarked_is_told_under_its_key(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    event_id: UUID = await insert(
        cluster.conn,
        "outbox_events",
        aggregate_id="1",
        aggregate_type="conversation_mapping",
        event_type="conversation.closed",
        payload='{"event_version": 1}',
        correlation_id="trace-1",
        claimed_until=await hours_ago(cluster, 1),
    )
    await processes.crash("scheduler", point)
    async with cluster.running("scheduler"):
        await until(lambda: is_done(cluster))

    assert set(keys_told(cluster, "conversation.closed")) == {str(event_id)}


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(after(f"{_AMBIGUITY}._give_up"), id="decided, not committed"),
        pytest.param(commit_to_publish("outbound.failed"), id="commit to publish"),
        pytest.param(publish_to_mark("outbound.failed"), id="publish to mark"),
    ],
)
async def test_an_ambiguous_message_is_given_up_once(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    message = await make_ambiguous(cluster)
    await processes.crash("scheduler", point)
    async with cluster.running("scheduler"):
        await until(lambda: is_done(cluster))

    assert await count(cluster, "message_tracking where id = $1 and status = 'failed'", message) == 1
    assert await count(cluster, "dead_letter_queue where reason = 'send_ambiguous'") == 1
    assert len(set(keys_told(cluster, "outbound.failed"))) == 1
    assert len(set(keys_told(cluster, "deadletter.stored"))) == 1
    assert len(set(keys_told(cluster, "message.updated"))) == 1


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(after(f"{_AMBIGUITY}._carry_out"), id="decided, not committed"),
        pytest.param(before(f"{_DEFERRALS}.claim_due", nth=2), id="released, not published"),
        pytest.param(publish_to_mark("OutboundMessage"), id="published"),
    ],
)
async def test_an_ambiguous_reply_is_sent_again_once(
    sender: Sender, processes: Processes, point: CrashPoint
) -> None:
    await sender.sandbox.change(fault={"code": None, "http_status": 502, "times": 1})
    async with sender.running():
        await sender.ask(text())
        await sender.until_deferred("ambiguous")
    await processes.crash("scheduler", point)
    async with sender.cluster.running("scheduler"), sender.running():
        await until(lambda: is_done(sender.cluster))
    [accepted] = await sender.sandbox.messages()

    assert accepted["callback_data"] == f"{(await sender.row())['id']}:2"
    assert await count(sender.cluster, "message_tracking where status = 'sent'") == 1


async def is_done(cluster: Cluster) -> bool:
    """Nothing is deferred, in a queue, or untold; nobody is idle and active."""
    return (
        await count(cluster, "deferred_messages") == 0
        and await count(
            cluster,
            "conversation_mappings where last_activity_at < now() - interval '24 hours'"
            " and status = 'active'",
        )
        == 0
        and await is_all_told(cluster)
        and await nothing_waits(cluster)
    )


async def hours_ago(cluster: Cluster, hours: float) -> object:
    """A time of the database."""
    return await cluster.conn.fetchval("select now() - $1::interval", timedelta(hours=hours))


async def defer(cluster: Cluster, client_id: str, to: str, among: str = "reply", **columns: object) -> None:
    """A message stored for later, now due."""
    values = {
        "queue": "outbound-sender" if among == "reply" else f"outbound-sender.{among}",
        "exchange": "wa.outbound",
        "routing_key": f"{among}.{to}",
        "body": orjson.dumps(text(client_id, to)),
        "headers": '{"x-attempt": 1, "correlation_id": "trace-1", "idempotency_key": "key-1"}',
        "reason": "rate_limit",
        "not_before": await hours_ago(cluster, 1),
    }
    await insert(cluster.conn, "deferred_messages", **values | columns)


async def make_ambiguous(cluster: Cluster) -> UUID:
    """A message of the bulk lane whose only attempt ended an hour ago, nobody knows how."""
    customer = "491700000001"
    then = await hours_ago(cluster, 1)
    mapping = await add_mapping(cluster.conn, wa_id=customer, phone_number_id=NUMBER)
    message = await add_message(cluster.conn, mapping_id=mapping, lane="bulk", client_message_id="c1")
    await insert(
        cluster.conn,
        "send_attempts",
        message_id=message,
        attempt=1,
        started_at=then,
        finished_at=then,
        outcome="ambiguous",
    )
    await defer(
        cluster,
        "c1",
        customer,
        "bulk",
        reason="ambiguous",
        message_id=message,
        phone_number_id=NUMBER,
        customer=customer,
        lane="bulk",
    )
    return message
