"""Messages that wait for a row that somebody else has locked: each order key in a line of its own.

Owns the waiting only: who stands behind whom, when the first is tried again, and that nobody else waits with
them. What trying means is the consumer's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from shared.amqp.delivery import Delivery
from shared.amqp.headers import correlation_of
from shared.amqp.topology import LANES
from shared.consuming.arrangement import OrderKey
from shared.errors import StoreConflict
from shared.observability.logs import Operation, fields, get_logger

logger = get_logger(__name__)
#: What tries at once for the first time, and again: a try keeps a connection while its row is locked.
_FIRST_TRIES: Final = 32
_TRIES: Final = 6
#: First and longest pause between two tries of the first in line.
_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a line does with its first. `attempt` raises StoreConflict while its row is locked.

    `give_up` settles it when its patience is over; `release` gives back what is in line as the worker stops.
    """

    attempt: Callable[[Delivery], Awaitable[None]]
    give_up: Callable[[Delivery, StoreConflict], Awaitable[None]]
    release: Callable[[list[Delivery]], Awaitable[None]]


class Lines:
    """All lines of one consumer. A message without a key has one of its own."""

    def __init__(self, order_key: OrderKey, work: Work, patience_s: float, draining: asyncio.Event) -> None:
        self._order_key = order_key
        self._work = work
        self._patience_s = patience_s
        self._draining = draining
        self._lines: dict[object, deque[Delivery]] = {}
        self._first_tries = asyncio.Semaphore(_FIRST_TRIES)
        self._tries = asyncio.Semaphore(_TRIES)

    def pass_by(self, items: Iterable[Delivery]) -> list[Delivery]:
        """Those whose key has no line; the others now stand in theirs."""
        free: list[Delivery] = []
        for item in items:
            line = self._lines.get(self._key(item))
            (free if line is None else line).append(item)
        return free

    def open(self, items: Iterable[Delivery], tasks: asyncio.TaskGroup) -> None:
        """Each key of these gets a line, or they go to the end of it; nobody comes between them."""
        for item in items:
            key = self._key(item)
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = deque()
                tasks.create_task(self._serve(key, line), name="line behind a lock")
            line.append(item)

    def _key(self, item: Delivery) -> object:
        key = self._order_key(item)
        return item.tag if key is None else key

    async def _serve(self, key: object, line: deque[Delivery]) -> None:
        try:
            while line:
                if not await self._see_through(line[0]):
                    await self._work.release(list(line))
                    return
                line.popleft()
        finally:
            del self._lines[key]

    async def _see_through(self, item: Delivery) -> bool:
        """Try until it is settled, or as long as patience lasts; False where the worker stops meanwhile."""
        clock = asyncio.get_running_loop().time
        deadline, pause_s = clock() + self._patience_s, _PAUSE_S
        slots = self._first_tries
        while True:
            try:
                async with slots:
                    await self._work.attempt(item)
            except StoreConflict as error:
                if clock() > deadline:
                    await self._work.give_up(item, error)
                    return True
                if slots is self._first_tries:
                    _tell(item, error)
                slots = self._tries
            else:
                return True
            if await self._stops_within(pause_s):
                return False
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)

    async def _stops_within(self, pause_s: float) -> bool:
        try:
            async with asyncio.timeout(pause_s):
                await self._draining.wait()
        except TimeoutError:
            return False
        return True


def _tell(item: Delivery, error: StoreConflict) -> None:
    logger.warning(
        "a message of %s waits alone, others go on: %s",
        item.queue,
        error,
        extra=fields(
            operation=Operation.CONSUMING,
            trace_id=correlation_of(item),
            lane=LANES.get(item.queue),
            attempt=item.attempt,
        ),
    )
