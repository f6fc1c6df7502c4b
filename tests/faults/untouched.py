"""Customers and numbers that no fault touches: they write and are answered at an even pace all through a run.

Their messages are part of the recorded load. What they wait beside a fault, compared with what they waited
before the first one, is judged by `tests.faults.waiting`. Owns how much they write.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self
from uuid import uuid4

from deploy.demo.invariants.evidence import InboundSent, ReplySent
from deploy.demo.record import Record, now_s
from shared.amqp.topology import INBOUND, OUTBOUND
from tests.faults.wire import SteadyWire

#: Business numbers of theirs. A fault may touch a customer of one of them, never one of these customers.
NUMBERS: Final = ("15550003001", "15550003002")
_EVERY_S: Final = 0.4


class Untouched:
    """`run` it in a task, `stop` it after the last fault. `names`: wamids and ids of replies."""

    def __init__(self, writing: SteadyWire, replying: SteadyWire, record: Record) -> None:
        self._writing = writing
        self._replying = replying
        self._record = record
        self._is_over = False
        self.names: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, record: Record) -> AsyncIterator[Self]:
        """With a connection for each of the two: who is refused must not keep the other waiting."""
        async with AsyncExitStack() as stack:
            writing, replying = [
                await stack.enter_async_context(SteadyWire.opened(url, record.published)) for _ in range(2)
            ]
            yield cls(writing, replying, record)

    @property
    def repeated(self) -> set[bytes]:
        """Bodies that may be on their queue twice."""
        return self._writing.repeated | self._replying.repeated

    async def run(self) -> None:
        """Write and answer until `stop`; returns once all of it is accepted."""
        async with asyncio.TaskGroup() as group:
            place = 0
            while not self._is_over:
                group.create_task(self._write(place))
                group.create_task(self._reply(place + 1))
                place += 2
                await asyncio.sleep(_EVERY_S)

    def stop(self) -> None:
        """Write nothing more."""
        self._is_over = True

    async def _write(self, place: int) -> None:
        number, customer = _address(place)
        wamid = f"wamid.untouched.{uuid4()}"
        self.names.add(wamid)
        self._record.inbound[wamid] = InboundSent(wamid, f"{number}/{customer}", now_s())
        body = {
            "wamid": wamid,
            "wa_id": customer,
            "timestamp": int(time.time()),
            "message_text": "hello",
            "phone_number_id": number,
        }
        await self._writing.publish(INBOUND, customer, body)

    async def _reply(self, place: int) -> None:
        number, customer = _address(place)
        reply_id = str(uuid4())
        self.names.add(reply_id)
        self._record.replies[reply_id] = ReplySent(reply_id, now_s())
        body = {
            "wa_id": customer,
            "phone_number_id": number,
            "genesys_message_id": reply_id,
            "message_text": "hello",
        }
        await self._replying.publish(OUTBOUND, f"reply.{customer}", body)


def _address(place: int) -> tuple[str, str]:
    """Number and customer; each customer has one message."""
    return NUMBERS[place // 2 % len(NUMBERS)], f"49176{place:05d}100"
