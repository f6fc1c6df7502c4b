"""What has arrived of one queue and was not taken yet: filled one by one, taken in batches.

Owns the waiting for a batch. Knows no channel, and acknowledges nothing.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.amqp.delivery import Delivery

#: An idle consumer returns an empty batch this often, so that its worker can show that it turns.
_IDLE_S: Final = 1.0


class Arrivals:
    """Deliveries in the order in which they came. One task at a time may wait for them."""

    def __init__(self) -> None:
        self._items: deque[Delivery] = deque()
        self._size = 1
        self._closed = False
        self._any = asyncio.Event()
        self._full = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        """One more."""
        self._items.append(delivery)
        self._any.set()
        if len(self._items) >= self._size:
            self._full.set()

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Again, as if they had not been taken."""
        self._items = deque(sorted([*deliveries, *self._items], key=lambda delivery: delivery.tag))
        self._any.set()
        if len(self._items) >= self._size:
            self._full.set()

    def empty(self) -> list[Delivery]:
        """Take all that is there, at once."""
        left = list(self._items)
        self._items.clear()
        return left

    def close(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        self._any.set()
        self._full.set()

    async def next_batch(self, size: int, linger_s: float) -> list[Delivery]:
        """See `shared.amqp.broker.Inlet`."""
        self._size = size
        if not self._items and not self._closed:
            self._any.clear()
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._any.wait()
            except TimeoutError:
                return []
        if self._items and len(self._items) < size and not self._closed:
            self._full.clear()
            try:
                async with asyncio.timeout(linger_s):
                    await self._full.wait()
            except TimeoutError:
                pass
        return self._take(size)

    async def full_batch(self, size: int, enough: asyncio.Event) -> list[Delivery]:
        """See `shared.amqp.broker.Inlet`."""
        self._size = size
        if len(self._items) < size and not self._closed and not enough.is_set():
            self._full.clear()
            waits = [asyncio.ensure_future(event.wait()) for event in (self._full, enough)]
            try:
                done, _ = await asyncio.wait(waits, timeout=_IDLE_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if not done:
                return []
        return self._take(size)

    def _take(self, size: int) -> list[Delivery]:
        return [self._items.popleft() for _ in range(min(size, len(self._items)))]
