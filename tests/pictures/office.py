"""A contact centre of a few agents and a shop on a watched cluster: what a dashboard shows on most days."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from deploy.stack import Kind
from shared.amqp.topology import ENRICHED
from tests.support.watched_cluster import Sent, Watched, conversation
from tests.support.watched_shop import shopping
from tests.support.watched_traffic import trouble

_ROUND_S: Final = 1.0
#: Seconds between two waves of customers, and between two of all that goes wrong on a day.
_WAVE_S, _TROUBLE_S = 80.0, 20


@asynccontextmanager
async def opened(watched: Watched) -> AsyncIterator[None]:
    """At work until the block ends."""
    connection = await aio_pika.connect(watched.servers[Kind.RABBITMQ].url)
    async with connection, asyncio.TaskGroup() as group:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("wa.events", ENRICHED)
        await queue.consume(_take, no_ack=True)
        serving = group.create_task(_serve(watched))
        yield
        serving.cancel()


async def _take(_message: AbstractIncomingMessage) -> None:
    """The agents' side has it."""


async def _serve(watched: Watched) -> None:
    """Customers write; what the agents' side says of it follows in the next round."""
    numbers, answers = count(), list[Sent]()
    for second in count():
        written = [list(conversation(next(numbers))) for _ in range(_customers(second))]
        await watched.publish(*(first for first, *_ in written), *answers, *shopping(second))
        answers = [message for _, *rest in written for message in rest]
        if second % _TROUBLE_S == 0:
            await watched.publish(*trouble(second))
        await asyncio.sleep(_ROUND_S)


def _customers(second: int) -> int:
    """Waves of one to five."""
    return 3 + round(2 * math.sin(2 * math.pi * second / _WAVE_S))
