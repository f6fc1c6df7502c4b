"""Trouble of one business number: thousands of replies at once, and as many behind a pause.

Nobody else has to do with this number: whoever waits for it waits for somebody else's trouble.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final
from uuid import uuid4

import aio_pika
import asyncpg
import orjson

from deploy.demo.invariants.evidence import ReplySent
from deploy.demo.record import now_s
from shared.amqp.topology import OUTBOUND, OUTBOUND_REPLY
from tests.faults.fault import EVERY_WAIT, Fault, FaultKind
from tests.faults.place import Place
from tests.support.program import run_wabus
from tests.support.waiting import until

#: The number in trouble, and its rate in a rig: it is the limit, not two cores. A backlog outlasts the fault
#: by a minute or two, and whatever strikes next strikes it, too.
NUMBER: Final = "15550009001"
NUMBER_MPS: Final = 20
_COUNT: Final = 2_000
_STORED_S: Final = 90.0
#: A share of them that has left shows that the number sends; at 18 a second it takes some ten seconds.
_SHARE: Final = 0.1
_BEGUN_S: Final = 60.0


class _Replies:
    """Replies of the number, each to a customer of its own."""

    def __init__(self, name: str, first_digits: str, count: int, drawn: int) -> None:
        self.name = name
        self.customers = [f"{first_digits}{(drawn + place) % 100_000:05d}100" for place in range(count)]
        self._ids: list[str] = []

    async def publish(self, place: Place) -> None:
        """Publish all at once, without confirms, which would cost the rig more than the cluster.

        Returns once RabbitMQ has taken them: it does what a channel asks in order.
        """
        self._ids = [str(uuid4()) for _ in self.customers]
        async with await aio_pika.connect(place.servers.rabbitmq_url) as connection:
            channel = await connection.channel(publisher_confirms=False)
            exchange = await channel.get_exchange(OUTBOUND, ensure=False)

            async def publish_one(reply_id: str, customer: str) -> None:
                place.record.replies[reply_id] = ReplySent(reply_id, now_s())
                message = aio_pika.Message(_encode(reply_id, customer), delivery_mode=2)
                await exchange.publish(message, f"reply.{customer}")

            await asyncio.gather(*map(publish_one, self._ids, self.customers))
            await channel.get_queue(OUTBOUND_REPLY)
        place.record.published[OUTBOUND] += len(self._ids)

    async def until_counted(self, place: Place, query: str, timeout_s: float, share: float = 1.0) -> None:
        """Wait until a count of them, by their ids, is this share of them."""
        database = await asyncpg.connect(place.servers.database_url)

        async def are_counted() -> bool:
            await asyncio.sleep(0.2)
            return bool(await database.fetchval(query, self._ids) >= share * len(self._ids))

        try:
            await until(are_counted, timeout_s)
        finally:
            await database.close()


class Burst(_Replies):
    """Thousands of replies of one number at once: far more than it may send in a minute."""

    def __init__(self, count: int = _COUNT, drawn: int = 0) -> None:
        super().__init__("a burst of one number", "49174", count, drawn)

    async def strike(self, place: Place) -> None:
        """Publish them."""
        await self.publish(place)

    async def heal(self, place: Place) -> None:
        """Wait until it sends."""
        await self.until_counted(place, _LEFT, _BEGUN_S, _SHARE)


class Paused(_Replies):
    """A number is paused, and thousands of its replies wait; then it is resumed, and they go at its rate."""

    def __init__(self, count: int = _COUNT, drawn: int = 0) -> None:
        super().__init__("a paused number with a backlog", "49175", count, drawn)

    async def strike(self, place: Place) -> None:
        """Pause the number and publish; returns once all of them wait."""
        await _tell(place, "pause")
        await self.publish(place)
        await self.until_counted(place, _WAITING, _STORED_S)

    async def heal(self, place: Place) -> None:
        """Resume it, and wait until it sends."""
        await _tell(place, "resume")
        await self.until_counted(place, _LEFT, _BEGUN_S, _SHARE)


_WAITING: Final = """
select count(*) from deferred_messages as waiting
join message_tracking as message on message.id = waiting.message_id
where message.genesys_message_id = any($1::text[])
"""
_LEFT: Final = """
select count(*) from message_tracking where genesys_message_id = any($1::text[]) and status <> 'queued'
"""


async def _tell(place: Place, command: str) -> None:
    done = await run_wabus("number", command, NUMBER, environ={"DATABASE_URL": place.servers.database_url})
    assert done.code == 0, done.err


def _encode(reply_id: str, customer: str) -> bytes:
    body = {
        "wa_id": customer,
        "phone_number_id": NUMBER,
        "genesys_message_id": reply_id,
        "message_text": "hello",
    }
    return orjson.dumps(body)


def _make(fault: Callable[..., Fault], random: Random) -> Fault:
    return fault(drawn=random.randrange(100_000))


def _kinds() -> Sequence[FaultKind]:
    makers: Sequence[Callable[..., Burst | Paused]] = (Burst, Paused)
    return [
        FaultKind(make().name, partial(_make, make), lasts_s=(3.0, 8.0), spares=EVERY_WAIT) for make in makers
    ]


KINDS: Final = tuple(_kinds())
