"""The sender's intake at a customer whom somebody else has locked: nobody else waits, and the order stays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg
import orjson
import pytest
from redis.asyncio import Redis

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Undone
from shared.coordination.keys import mapping_lock_key
from shared.errors import StoreLocked
from shared.messaging.conversations.cache import MappingCache
from shared.observability.metrics import Metrics
from shared.running.kit import Kit
from tests.support.cluster import Cluster
from tests.support.rows import add_mapping
from tests.support.sending import NUMBER, text
from tests.unit.test_consuming import delivery
from workers.outbound_sender.intake.addressing import AddressBook
from workers.outbound_sender.intake.admission import Admission
from workers.outbound_sender.intake.candidates import take_in
from workers.outbound_sender.intake.shares import Shares
from workers.outbound_sender.intake.store import IntakeStore
from workers.outbound_sender.message import Outgoing

LOCKED = "491700000001"
OTHER = "491700000002"
KEY = mapping_lock_key(NUMBER, LOCKED)
PAIR_BURST = 5


@asynccontextmanager
async def row_lock(cluster: Cluster) -> AsyncIterator[None]:
    connection = await asyncpg.connect(cluster.database_url)
    try:
        async with connection.transaction():
            await connection.fetch("select from conversation_mappings where wa_id = $1 for update", LOCKED)
            yield
    finally:
        await connection.close()


@dataclass
class Intake:
    """An admission on real servers, asked as the sender asks it."""

    admission: Admission
    shares: Shares
    metrics: Metrics

    async def admit(self, *deliveries: Delivery, patiently: bool = False) -> list[object]:
        """What becomes of each, in order."""
        candidates = take_in(deliveries, ()).candidates
        with self.shares.taking() as hands:
            admitted = await self.admission.admit(candidates, hands, patiently=patiently)
        return [admitted[item] for item in candidates]

    async def admit_left(self, item: Delivery) -> object:
        """As the consumer has it done with the first in its line."""
        with self.admission.left.admitting([item]):
            [admitted] = await self.admit(item, patiently=True)
        return admitted


@pytest.fixture
async def intake(cluster: Cluster) -> AsyncIterator[Intake]:
    durations = replace(cluster.durations, lock_wait_s=0.1, pair_burst=PAIR_BURST)
    kit = Kit.build("outbound-sender", cluster.settings(), durations)
    await add_mapping(cluster.conn, wa_id=LOCKED, phone_number_id=NUMBER)
    await add_mapping(cluster.conn, wa_id=OTHER, phone_number_id=NUMBER)
    try:
        store = IntakeStore(kit.database)
        cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
        book = AddressBook(store, cache, kit.metrics, NUMBER)
        admission = Admission(store, book, kit.locks, kit.metrics)
        yield Intake(admission, Shares(100, 100, lambda _: 1000.0, durations), kit.metrics)
    finally:
        await kit.redis.close()
        await kit.database.close()


def reply(client_id: str, customer: str) -> Delivery:
    return replace(
        delivery(), queue="outbound-sender", body=orjson.dumps(text(client_id, customer)), headers={}
    )


def is_left(admitted: object) -> bool:
    return isinstance(admitted, Undone) and isinstance(admitted.error, StoreLocked)


async def test_a_locked_row_leaves_only_its_customer_behind(cluster: Cluster, intake: Intake) -> None:
    async with row_lock(cluster):
        first, other, second = await intake.admit(
            reply("c1", LOCKED), reply("o1", OTHER), reply("c2", LOCKED)
        )

    assert is_left(first)
    assert is_left(second)
    assert isinstance(other, Outgoing)


async def test_a_customer_whom_another_process_has_is_left_at_once(cluster: Cluster, intake: Intake) -> None:
    """Waiting for it is done beside all others, who would else wait as long."""
    async with Redis.from_url(cluster.redis_url) as redis:
        await redis.set(KEY, "somebody", px=60_000)
        [locked, other] = await intake.admit(reply("c1", LOCKED), reply("o1", OTHER))

        assert is_left(locked)
        assert isinstance(other, Outgoing)
        assert await redis.get(KEY) == b"somebody"


async def test_nobody_overtakes_a_message_that_was_left(cluster: Cluster, intake: Intake) -> None:
    """Though the row is free again: it comes first, and its followers in their order."""
    first, second, third = (reply(f"c{number}", LOCKED) for number in (1, 2, 3))
    async with row_lock(cluster):
        assert is_left((await intake.admit(first))[0])

    assert is_left((await intake.admit(second))[0])
    assert isinstance(await intake.admit_left(first), Outgoing)
    assert is_left((await intake.admit(third))[0]), "the second is still to come"
    assert isinstance(await intake.admit_left(second), Outgoing)
    assert isinstance(await intake.admit_left(third), Outgoing)
    assert isinstance((await intake.admit(reply("c4", LOCKED)))[0], Outgoing)

    rows = await cluster.conn.fetch("select client_message_id from message_tracking order by id")

    assert [row[0] for row in rows] == ["c1", "c2", "c3", "c4"]


async def test_who_is_locked_still_stays_left(cluster: Cluster, intake: Intake) -> None:
    first = reply("c1", LOCKED)
    async with row_lock(cluster):
        assert is_left((await intake.admit(first))[0])
        with pytest.raises(StoreLocked):
            await intake.admit_left(first)

        assert first in intake.admission.left


async def test_one_that_is_given_up_costs_its_followers_a_second_look(
    cluster: Cluster, intake: Intake
) -> None:
    async with row_lock(cluster):
        assert is_left((await intake.admit(reply("c1", LOCKED)))[0])

    follower = reply("c2", LOCKED)
    [admitted] = await intake.admit(follower)

    assert isinstance(await intake.admit_left(follower) if is_left(admitted) else admitted, Outgoing)


async def test_who_is_left_holds_no_hand(cluster: Cluster, intake: Intake) -> None:
    intake.shares = Shares(100, 100, lambda _: 1000.0, replace(cluster.durations, pair_burst=1))
    first = reply("c1", LOCKED)
    async with row_lock(cluster):
        assert is_left((await intake.admit(first))[0])

    assert isinstance(await intake.admit_left(first), Outgoing)


async def test_a_message_that_is_known_takes_no_lock(intake: Intake) -> None:
    def taken() -> float | None:
        return intake.metrics.registry.get_sample_value(
            "wabus_lock_acquire_seconds_count", {"outcome": "acquired"}
        )

    await intake.admit(reply("c1", OTHER))
    before = taken()

    assert before == 1

    assert isinstance((await intake.admit(reply("c1", OTHER)))[0], Outgoing)

    assert taken() == before
