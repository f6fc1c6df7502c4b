"""A row that another session keeps locked: whoever needs it waits alone, everybody else goes on in order."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest
from redis.asyncio import Redis

from schema.migrator import latest_version
from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Told, Undone
from shared.consuming.handling import Handler
from shared.coordination.keys import mapping_lock_key
from shared.errors import StoreLocked
from shared.running.kit import Kit, Worker, WorkerSpec
from shared.running.process import WorkerProcess
from tests.support.campaigns import campaign, launch, nudge
from tests.support.cluster import Cluster
from tests.support.leftovers import lock_waiters
from tests.support.rows import add_campaign, add_mapping, add_message
from tests.support.sending import Sender, text
from tests.support.waiting import until
from workers.inbound_resolver.worker import SPEC as RESOLVER

LOCKED = "491700000001"
OTHERS = [f"4917000001{number:02}" for number in range(10)]


def inbound(customer: str, number: int) -> dict[str, Any]:
    return {
        "wamid": f"wamid.{customer}.{number}",
        "timestamp": "2026-01-15T10:30:00Z",
        "wa_id": customer,
        "message_text": "hello",
        "phone_number_id": "1001",
    }


@asynccontextmanager
async def locked(cluster: Cluster, statement: str, *arguments: object) -> AsyncIterator[None]:
    connection = await asyncpg.connect(cluster.database_url)
    try:
        async with connection.transaction():
            assert await connection.fetch(f"{statement} for update", *arguments)
            yield
    finally:
        await connection.close()


def told_of(cluster: Cluster) -> dict[str, list[str]]:
    """Wamids of `inbound.enriched` by customer, in the order in which they were told."""
    told: dict[str, list[str]] = defaultdict(list)
    for item in cluster.told("inbound.enriched"):
        told[item["wa_id"]].append(item["wamid"])
    return told


def is_told(cluster: Cluster, customer: str, count: int) -> Callable[[], bool]:
    return lambda: len(told_of(cluster)[customer]) >= count


#: Where a try of what is locked takes as long as this, nobody who stood with it would be told in a test.
NEVER_S = 600.0
CUT_SHORT = """
select pg_cancel_backend(pid) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""


async def test_one_customers_lock_keeps_only_that_customer(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = 5
    cluster.durations = replace(cluster.durations, lock_wait_s=NEVER_S)
    await add_mapping(cluster.conn, wa_id=LOCKED, phone_number_id="1001")

    async def is_alone() -> bool:
        """Its tries are cut short until it stands in a line of its own, whose next try then lasts."""
        if "waits alone, others go on" in caplog.text:
            return True
        await cluster.conn.execute(CUT_SHORT)
        return False

    async with cluster.running("inbound-resolver"):
        async with locked(cluster, "select from conversation_mappings where wa_id = $1", LOCKED):
            await cluster.publish("wa.inbound", LOCKED, inbound(LOCKED, 1))
            await until(is_alone)
            for number in range(1, rounds + 1):
                await cluster.publish("wa.inbound", LOCKED, inbound(LOCKED, number + 1))
                for customer in OTHERS:
                    await cluster.publish("wa.inbound", customer, inbound(customer, number))
                for customer in OTHERS:
                    await until(is_told(cluster, customer, number))
            assert told_of(cluster)[LOCKED] == []
        await until(is_told(cluster, LOCKED, rounds + 1))

    for customer in (LOCKED, *OTHERS):
        count = rounds + (customer == LOCKED)
        assert told_of(cluster)[customer] == [inbound(customer, n)["wamid"] for n in range(1, count + 1)]

    assert {item.headers["x-attempt"] for item in cluster.events} == {1}
    assert await cluster.depth("dlq-handler") == 0


async def test_messages_of_a_batch_leave_the_locked_one_behind(cluster: Cluster) -> None:
    await add_mapping(cluster.conn, wa_id=LOCKED, phone_number_id="1001")
    for number in (1, 2, 3):
        for customer in (OTHERS[0], LOCKED, *OTHERS[1:]):
            await cluster.publish("wa.inbound", customer, inbound(customer, number))
    async with cluster.running("inbound-resolver"):
        async with locked(cluster, "select from conversation_mappings where wa_id = $1", LOCKED):
            for customer in OTHERS:
                await until(is_told(cluster, customer, 3))
            assert told_of(cluster)[LOCKED] == []
        await until(is_told(cluster, LOCKED, 3))

    assert all(wamids == sorted(wamids) for wamids in told_of(cluster).values())


async def test_a_stopping_worker_gives_back_what_waits_for_a_lock(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """By itself, not because its time to drain is over."""
    await add_mapping(cluster.conn, wa_id=LOCKED, phone_number_id="1001")
    for number in (1, 2):
        await cluster.publish("wa.inbound", LOCKED, inbound(LOCKED, number))
    await cluster.publish("wa.inbound", OTHERS[0], inbound(OTHERS[0], 1))
    async with locked(cluster, "select from conversation_mappings where wa_id = $1", LOCKED):
        async with cluster.running("inbound-resolver"):
            await until(is_told(cluster, OTHERS[0], 1))
        assert "not done within DRAIN_SECONDS" not in caplog.text
        assert await cluster.depth("inbound-resolver") == 2
    async with cluster.running("inbound-resolver"):
        await until(is_told(cluster, LOCKED, 2))

    assert told_of(cluster)[LOCKED] == [inbound(LOCKED, number)["wamid"] for number in (1, 2)]


async def test_statuses_of_other_messages_pass_a_locked_one(cluster: Cluster) -> None:
    ids = [
        await add_message(cluster.conn, status="sent", wamid=f"wamid.{number}", lane="reply")
        for number in range(20)
    ]
    for number in range(20):
        status = {"wamid": f"wamid.{number}", "status": "read", "timestamp": "2026-01-15T10:30:00Z"}
        await cluster.publish("wa.status", "whatsapp", status)

    async def read() -> int:
        return int(await cluster.conn.fetchval("select count(*) from message_tracking where status = 'read'"))

    async def is_read(count: int) -> bool:
        return await read() == count

    async with cluster.running("status-updater"):
        async with locked(cluster, "select from message_tracking where id = $1", ids[7]):
            await until(lambda: is_read(19))
        await until(lambda: is_read(20))

    assert await cluster.depth("dlq-handler") == 0


async def test_correlations_of_other_conversations_pass_a_locked_one(cluster: Cluster) -> None:
    for number in range(10):
        mapping = await add_mapping(cluster.conn, wa_id=f"4917000002{number:02}")
        await add_message(
            cluster.conn, mapping_id=mapping, direction="INBOUND", status="received", wamid=f"wamid.{number}"
        )
        correlation = {
            "conversation_id": f"conv-{number}",
            "whatsapp_message_id": f"wamid.{number}",
            "communication_id": f"comm-{number}",
            "timestamp": "2026-01-15T10:30:00Z",
        }
        await cluster.publish("wa.correlation", "genesys", correlation)
    closing = {"conversation_id": "conv-3", "timestamp": "2026-01-15T10:31:00Z"}
    await cluster.publish("wa.correlation", "genesys.closed", closing)

    def correlated(count: int) -> Callable[[], bool]:
        return lambda: len(cluster.told("conversation.correlated")) == count

    async with cluster.running("inbound-resolver"):
        async with locked(cluster, "select from conversation_mappings where wa_id = '491700000203'"):
            await until(correlated(9))
        await until(lambda: len(cluster.told("conversation.closed")) == 1)

    assert correlated(10)()
    assert await cluster.depth("dlq-handler") == 0


async def test_dead_letters_of_other_messages_pass_a_locked_one_however_long(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps its reason, and is neither retried nor given up: there is nowhere to give it up to."""
    cluster.durations = replace(cluster.durations, lock_patience_s=0.5)
    ids = []
    for number in range(20):
        ids.append(await add_message(cluster.conn, client_message_id=f"c{number}", lane="reply"))
        body = orjson.dumps({"client_message_id": f"c{number}", "wa_id": OTHERS[0], "message_text": "hello"})
        headers = {"x-wabus-source-queue": "outbound-sender", "x-wabus-reason": "send_rejected"}
        headers |= {"x-wabus-routing-key": "reply.x", "x-wabus-exchange": "wa.outbound"}
        await cluster.publish("wa.dlx", "outbound-sender", body, headers)

    async def are_stored(count: int) -> bool:
        query = "select count(*) from dead_letter_queue where reason = 'send_rejected'"
        return bool(await cluster.conn.fetchval(query) == count)

    async with cluster.running("dlq-handler"):
        async with locked(cluster, "select from message_tracking where id = $1", ids[7]):
            await until(lambda: are_stored(19))
            await asyncio.sleep(3 * cluster.durations.lock_patience_s)
            assert await are_stored(19)
            assert "is retried" not in caplog.text
        await until(lambda: are_stored(20))
    failed = "select count(*) from message_tracking where status = 'failed' and error_code = 'send_rejected'"

    assert await cluster.conn.fetchval(failed) == 20


async def test_launches_of_other_campaigns_pass_a_locked_one(cluster: Cluster) -> None:
    await add_campaign(cluster.conn)
    for name in ("spring", "summer", "autumn"):
        await launch(cluster, campaign([{"wa_id": OTHERS[0]}], campaign_id=name))
        await nudge(cluster, name)

    def running(count: int) -> Callable[[], bool]:
        return lambda: len({item["campaign_id"] for item in cluster.told("campaign.updated")}) == count

    async with cluster.running("broadcast-batcher"):
        async with locked(cluster, "select from broadcast_campaigns where id = 'spring'"):
            await until(running(2))
        await until(running(3))

    assert await cluster.depth("dlq-handler") == 0


@pytest.mark.parametrize("table", ["conversation_mappings", "message_tracking"])
async def test_replies_to_others_pass_a_locked_customer(sender: Sender, table: str) -> None:
    """The answer of the Cloud API comes while the row is locked: it is written when it may be."""
    conn = sender.cluster.conn
    await add_mapping(conn, wa_id=LOCKED, phone_number_id="1001")
    async with sender.running():
        await sender.ask(text("c1", LOCKED))
        await sender.until_status("sent", "c1")
        async with locked(sender.cluster, f"select from {table}"):
            await sender.ask(text("c2", LOCKED))
            for number, customer in enumerate(OTHERS):
                await sender.ask(text(f"o{number}", customer))
            for number, _ in enumerate(OTHERS):
                await sender.until_status("sent", f"o{number}")
        await sender.until_status("sent", "c2")

    accepted = [item["to"] for item in await sender.sandbox.messages()]
    assert sorted(accepted) == sorted([LOCKED, LOCKED, *OTHERS])
    assert await sender.cluster.depth("dlq-handler") == 0


async def test_replies_to_others_pass_a_customer_whose_tries_last_for_ever(sender: Sender) -> None:
    """One reply of it is in a try, and more come: none of these holds up the intake of the others."""

    async def is_tried() -> bool:
        return await lock_waiters(sender.cluster.conn) > 0

    sender.cluster.durations = replace(sender.cluster.durations, lock_wait_s=NEVER_S)
    await add_mapping(sender.cluster.conn, wa_id=LOCKED, phone_number_id="1001")
    async with Redis.from_url(sender.cluster.redis_url) as redis, sender.running():
        async with locked(sender.cluster, "select from conversation_mappings"):
            await redis.set(mapping_lock_key("1001", LOCKED), "somebody", px=600_000)
            for round_number in (1, 2, 3):
                await sender.ask(text(f"c{round_number}", LOCKED))
                for number, customer in enumerate(OTHERS):
                    await sender.ask(text(f"o{round_number}.{number}", customer))
                for number, _ in enumerate(OTHERS):
                    await sender.until_status("sent", f"o{round_number}.{number}")
                await until(is_tried)
        for round_number in (1, 2, 3):
            await sender.until_status("sent", f"c{round_number}")
    rows = await sender.cluster.conn.fetch(
        "select client_message_id from message_tracking where client_message_id like 'c%' order by id"
    )

    assert [row[0] for row in rows] == ["c1", "c2", "c3"]


FIRST = f"wamid.{LOCKED}.1"


class OftenLocked(Handler):
    """Finds messages of one customer locked at their first look, and the first of them at its second, too."""

    def __init__(self) -> None:
        self.looks: Counter[str] = Counter()
        self.done: list[str] = []

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Told]]:
        yield [(item, self._look(item)) for item in batch]

    def _look(self, item: Delivery) -> Ack | Undone:
        wamid = orjson.loads(item.body)["wamid"]
        self.looks[wamid] += 1
        if LOCKED in wamid and self.looks[wamid] <= 1 + (wamid == FIRST):
            return Undone(StoreLocked("locked"))
        self.done.append(wamid)
        return Ack()


async def test_what_is_locked_again_in_its_line_stays_the_first_of_it(cluster: Cluster) -> None:
    """Who says of a message that its row is locked says it of its batch, or of the first in a line."""
    handler = OftenLocked()

    def compose(kit: Kit) -> Worker:
        worker = RESOLVER.compose(kit)
        return replace(worker, routes=[replace(route, handler=handler) for route in worker.routes])

    for number in (1, 2, 3):
        for customer in (OTHERS[0], LOCKED, OTHERS[1]):
            await cluster.publish("wa.inbound", customer, inbound(customer, number))
    spec = WorkerSpec(RESOLVER.name, compose)
    process = WorkerProcess(RESOLVER.name, [spec], cluster.settings(), latest_version(), cluster.durations)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await until(lambda: len(handler.done) == 9)
        process.stop()
    for customer in (OTHERS[0], LOCKED, OTHERS[1]):
        assert [wamid for wamid in handler.done if customer in wamid] == [
            inbound(customer, number)["wamid"] for number in (1, 2, 3)
        ]
