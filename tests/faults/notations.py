"""Customers whose phone has two notations: somebody writes under both at once, or is answered under both.

To a release that knows no persons they are two customers, to this one they are one: wherever workers of both
are at it, the two meet over the same conversation. Their messages are part of the recorded load.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import uuid4

from deploy.demo.day import NUMBERS
from deploy.demo.invariants.evidence import InboundSent, ReplySent
from deploy.demo.record import Record, now_s
from shared.amqp.topology import INBOUND, OUTBOUND
from tests.faults.wire import SteadyWire

_EVERY_S: Final = 0.5
#: Who wrote so many turns ago writes once more: mostly to workers of another release.
_AGAIN: Final = 12

#: Says something of a number, a person and one of their addresses.
_Act = Callable[[str, str, str], Coroutine[Any, Any, None]]


class TwoNotations:
    """`run` it in a task, `stop` it after the last fault."""

    def __init__(self, wire: SteadyWire, record: Record) -> None:
        self._wire = wire
        self._record = record
        self._is_over = False

    async def run(self) -> None:
        """Write and answer until `stop`; returns once all of it is accepted."""
        async with asyncio.TaskGroup() as group:
            place = 0
            while not self._is_over:
                for writer in (place, place - _AGAIN):
                    if writer >= 0:
                        self._at_once(group, writer, self._write)
                self._at_once(group, place + 1, self._reply)
                place += 2
                await asyncio.sleep(_EVERY_S)

    def stop(self) -> None:
        """Write nothing more."""
        self._is_over = True

    def _at_once(self, group: asyncio.TaskGroup, place: int, act: _Act) -> None:
        """Under both notations of this person, of which the first is WhatsApp's."""
        local = f"8{place:04d}100"
        phone, other = f"5531{local}", f"55319{local}"
        self._record.known_as = {**self._record.known_as, phone: frozenset((phone, other))}
        number = NUMBERS[place // 2 % len(NUMBERS)]
        for address in (phone, other):
            group.create_task(act(number, phone, address))

    async def _write(self, number: str, phone: str, address: str) -> None:
        wamid = f"wamid.notation.{uuid4()}"
        stray = None if address == phone else address
        self._record.inbound[wamid] = InboundSent(wamid, f"{number}/{phone}", now_s(), stray)
        body = {
            "wamid": wamid,
            "wa_id": address,
            "timestamp": int(time.time()),
            "message_text": "hello",
            "phone_number_id": number,
        }
        await self._wire.publish(INBOUND, address, body)

    async def _reply(self, number: str, _phone: str, address: str) -> None:
        reply_id = str(uuid4())
        self._record.replies[reply_id] = ReplySent(reply_id, now_s())
        body = {
            "wa_id": address,
            "phone_number_id": number,
            "genesys_message_id": reply_id,
            "message_text": "hello",
        }
        await self._wire.publish(OUTBOUND, f"reply.{address}", body)
