"""A session that locks the row of one customer for long, as an erasure or a careless operator does."""

import asyncio
import time
from random import Random
from typing import Any, Final
from uuid import uuid4

import aio_pika
import asyncpg
import orjson

from deploy.demo.invariants.evidence import InboundSent, ReplySent
from deploy.demo.record import now_s
from shared.amqp.topology import INBOUND, OUTBOUND
from tests.faults import untouched
from tests.faults.fault import EVERY_WAIT, FaultKind
from tests.faults.injections.postgres import Background, Connection
from tests.faults.place import Place
from tests.support.waiting import until

_MESSAGES: Final = 5
_KNOWN_S: Final = 30.0
_LOCK: Final = """
select from conversation_mappings where phone_number_id = $1 and wa_id = $2 and status = 'active' for update
"""
_IS_KNOWN: Final = (
    "select exists (select from message_tracking where wamid = $1 and published_at is not null)"
)


class LockedRow(Background):
    """The mapping of one customer is locked, and the customer goes on writing and being answered.

    `number`: the business number; others of its customers are not touched. `wamids`: what the customer
    writes; `replies`: how often the customer is answered.
    """

    name = "the row of one customer locked"

    def __init__(self, number: str = untouched.NUMBERS[0], drawn: int = 0) -> None:
        super().__init__()
        self.customer = f"49173{drawn:05d}100"
        self.replies = _MESSAGES
        self.wamids: list[str] = []
        self._number = number

    async def strike(self, place: Place) -> None:
        """Let the customer become known, lock the row, and publish what has to wait for it."""
        await self._publish(place, writes=1, replies=0)
        await self._until_known(place)
        await super().strike(place)
        await self._publish(place, writes=_MESSAGES, replies=self.replies)

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        async with connection.transaction():
            await connection.execute(_LOCK, self._number, self.customer)
            started.set()
            await asyncio.Event().wait()

    async def _until_known(self, place: Place) -> None:
        database = await asyncpg.connect(place.servers.database_url)

        async def is_known() -> bool:
            return bool(await database.fetchval(_IS_KNOWN, self.wamids[0]))

        try:
            await until(is_known, _KNOWN_S)
        finally:
            await database.close()

    async def _publish(self, place: Place, writes: int, replies: int) -> None:
        async with await aio_pika.connect(place.servers.rabbitmq_url) as connection:
            channel = await connection.channel()
            for _ in range(writes):
                exchange = await channel.get_exchange(INBOUND, ensure=False)
                await exchange.publish(_message(self._write(place)), self.customer)
            for _ in range(replies):
                exchange = await channel.get_exchange(OUTBOUND, ensure=False)
                await exchange.publish(_message(self._reply(place)), f"reply.{self.customer}")
        place.record.published[INBOUND] += writes
        place.record.published[OUTBOUND] += replies

    def _write(self, place: Place) -> dict[str, Any]:
        wamid = f"wamid.locked.{uuid4()}"
        self.wamids.append(wamid)
        place.record.inbound[wamid] = InboundSent(wamid, f"{self._number}/{self.customer}", now_s())
        return self._body({"wamid": wamid, "timestamp": int(time.time())})

    def _reply(self, place: Place) -> dict[str, Any]:
        reply_id = str(uuid4())
        place.record.replies[reply_id] = ReplySent(reply_id, now_s())
        return self._body({"genesys_message_id": reply_id})

    def _body(self, fields: dict[str, Any]) -> dict[str, Any]:
        fixed = {"wa_id": self.customer, "phone_number_id": self._number, "message_text": "hello"}
        return fixed | fields


def _message(body: dict[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(orjson.dumps(body), delivery_mode=2)


def _make(random: Random) -> LockedRow:
    return LockedRow(drawn=random.randrange(100_000))


#: Longer than two of the workers' lock time-outs (5 s).
KINDS: Final = (FaultKind(LockedRow.name, _make, lasts_s=(10.5, 14.0), spares=EVERY_WAIT),)
