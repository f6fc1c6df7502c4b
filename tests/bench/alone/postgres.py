"""What PostgreSQL alone can do: the statements of a worker, by its own code, without RabbitMQ and Redis.

`python -m tests.bench.alone.postgres inbound COUNT` tracks messages and marks them published, `statuses`
stores and applies statuses; batches of 500, two under way. Prints one line of JSON: what it did a second, its
own CPU for each in milliseconds, and its memory in MB.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson
import uvloop

from shared.amqp.delivery import Delivery, Publication
from shared.coordination.rate_shared import SharedRates
from shared.durable.outbox import Outbox
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.consent_file import ConsentTexts
from shared.messaging.customers.following import Follower
from shared.messaging.customers.identities import Identities
from shared.messaging.customers.suppressions import Suppressions
from shared.messaging.messages import Tracker, event_of
from shared.payloads import StatusUpdate, decode
from shared.running.kit import Kit
from shared.settings.settings import Settings
from tests.bench.ground import memory_mb
from tests.bench.work import Payload, Work, payloads, prepare
from workers.inbound_resolver.consents import ConsentKeeper
from workers.inbound_resolver.intake import take_in
from workers.inbound_resolver.store import MessageStore

_BATCH: Final = 500
_AT_ONCE: Final = 2

Told = tuple[str, Payload]


class _ConfirmsAtOnce:
    """In place of RabbitMQ: every publication is confirmed."""

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """See `shared.amqp.broker.Publisher`."""
        return [None] * len(batch)


class Statements:
    """What the workers do with PostgreSQL, batch by batch."""

    def __init__(self, kit: Kit) -> None:
        database = kit.database
        outbox = Outbox(database, _ConfirmsAtOnce(), kit.durations)
        cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
        identities = Identities(database, outbox, cache, kit.metrics)
        follower = Follower(database, outbox, cache, kit.metrics)
        rates = SharedRates(kit.redis, kit.durations)
        texts = ConsentTexts.read(kit.settings.consent_words_file)
        suppressions = Suppressions.of(kit.settings.suppression_key)
        consents = ConsentKeeper(outbox, kit.metrics, texts, suppressions, kit.durations, "default")
        self._words = texts.words
        self._store = MessageStore(database, identities, consents, kit.durations, "default")
        self._tracker = Tracker(database, outbox, kit.metrics, kit.durations, rates, follower)

    async def track(self, batch: Sequence[Told]) -> None:
        """Customers' messages."""
        messages = take_in([_delivery(key, payload) for key, payload in batch], (), self._words).messages
        await self._store.resolve(messages)
        await self._store.mark_published([item.message.wamid for item in messages])

    async def follow(self, batch: Sequence[Told]) -> None:
        """Statuses."""
        updates = [decode(StatusUpdate, orjson.dumps(payload)) for _, payload in batch]
        stored = await self._tracker.store([event_of(update, "whatsapp", "bench") for update in updates])
        await self._tracker.apply(stored)


def _lanes(told: Sequence[Told], size: int) -> list[list[Sequence[Told]]]:
    """What is under way at once, in batches: a customer's are in one lane, so that none waits for another."""
    lanes: list[list[Told]] = [[] for _ in range(_AT_ONCE)]
    for key, payload in told:
        customer = payload.get("wa_id") or payload["recipient_id"]
        lanes[int(customer) % _AT_ONCE].append((key, payload))
    return [[lane[start : start + size] for start in range(0, len(lane), size)] for lane in lanes]


def _delivery(key: str, payload: Payload) -> Delivery:
    return Delivery("", "", key, orjson.dumps(payload), {}, None, None, None, False, 0, 0, 0.0)


async def measure(work: Work, count: int) -> dict[str, float]:
    """Work so many; the first tenth is not counted."""
    kit = Kit.build("bench", Settings.from_env(os.environ), DURATIONS)
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await prepare(work, connection, count)
    await connection.close()
    statements = Statements(kit)
    step = statements.track if work is Work.INBOUND else statements.follow
    lanes = _lanes(payloads(work, count), min(_BATCH, max(1, count // 20)))
    warm = [len(lane) // 10 + 1 for lane in lanes]

    async def run(batches: Sequence[Sequence[Told]]) -> None:
        for batch in batches:
            await step(batch)

    await asyncio.gather(*(run(lane[:first]) for lane, first in zip(lanes, warm, strict=True)))
    left = [lane[first:] for lane, first in zip(lanes, warm, strict=True)]
    began, used = time.monotonic(), time.process_time()
    await asyncio.gather(*map(run, left))
    took, used = time.monotonic() - began, time.process_time() - used
    done = sum(len(batch) for lane in left for batch in lane)
    await kit.database.close()
    return {"per_s": done / took, "cpu_ms": used / done * 1000, "memory_mb": memory_mb(os.getpid())}


if __name__ == "__main__":
    print(orjson.dumps(uvloop.run(measure(Work(sys.argv[1]), int(sys.argv[2])))).decode())
