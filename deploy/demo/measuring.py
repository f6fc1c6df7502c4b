"""Measures what this machine carries, so that the day offers no more than that.

Owns the customers who write for it. They are judged as all others are.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Final

from deploy.demo.agents import Agents
from deploy.demo.customers import Customer, Incoming
from deploy.demo.day import NUMBERS
from deploy.demo.record import Record
from deploy.demo.timetable import hand_in
from deploy.demo.wire import Publishing

#: Conversations that are open at once: enough to keep every worker busy.
_OPEN: Final = 40
_LOOK_S: Final = 0.005
#: How long the last of them may take; what they still have open then is the day's burden.
_END_S: Final = 20.0


async def measure_machine(wire: Publishing, record: Record, agents: Agents, duration_s: float) -> float:
    """Conversations a second: a message, the agent's reply to it, and all their statuses."""
    newcomers, began, opened = _newcomers(), time.monotonic(), 0
    while (elapsed_s := time.monotonic() - began) < duration_s:
        if opened - record.heard["outbound.sent"] < _OPEN:
            customer = next(newcomers)
            agents.know([customer])
            await hand_in(customer, customer.incoming[0], wire, record)
            opened += 1
        else:
            await asyncio.sleep(_LOOK_S)
    carried = record.heard["outbound.sent"] / elapsed_s
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while record.heard["outbound.sent"] < opened:  # noqa: ASYNC110 - a count of what others say
                await asyncio.sleep(_LOOK_S)
    return carried


def _newcomers() -> Iterator[Customer]:
    """People who write once and are answered at once."""
    for place in count():
        wa_id = f"49177{place // 900:05d}{place % 900:03d}"
        incoming = Incoming(f"wamid.measured.{place}", 0.0, "Are you there?")
        yield Customer(
            wa_id, NUMBERS[place % len(NUMBERS)], f"Newcomer {place}", (incoming,), replies=1, at_once=True
        )
