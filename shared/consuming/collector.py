"""Micro-batching among concurrent messages: what several submit about the same time is worked together.

Owns the collecting and the handing out of results. What a flush does is its function's; it is called with up
to `size` items and gives one result each, in order. A flush that fails with an error of the data or at a
locked row is repeated item by item, so that only the one to blame fails or waits; any other error goes to all
who submitted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.errors import StoreDataError, StoreLocked

T = TypeVar("T")
R = TypeVar("R")

Flush = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


class Collector(Generic[T, R]):
    """Collects for at most `linger_s()` after the first item, and longer while all `flushes` are busy.

    Items are taken in the order of `submit`; so many `flushes` are at work beside each other. `ordered`:
    items that are repeated one by one are so in their order, else beside each other and all else. A flush may
    see an item twice, with others and then alone: where it raises, it must have done nothing.
    """

    def __init__(
        self,
        flush: Flush[T, R],
        *,
        size: int,
        linger_s: Callable[[], float],
        flushes: int,
        ordered: bool = False,
    ) -> None:
        self._flush = flush
        self._size = size
        self._linger_s = linger_s
        self._ordered = ordered
        self._slots = asyncio.Semaphore(flushes)
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: T) -> R:
        """The result of this item. Raises what its flush raised.

        Blocks until its flush is done, and for ever where nobody runs `run`. StoreDataError and StoreLocked
        are this item's own doing, for it was flushed alone; any other error all items of the flush get.
        Submitting again after an error is as safe as the flush is idempotent. Who is cancelled before the
        flush begins takes the item along; later the flush goes on, and its result is lost.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Flush until cancelled; those who still wait are cancelled with it. Must run beside all `submit`."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._arrived.wait()
                    await self._slots.acquire()
                    if len(self._waiting) < self._size:
                        await asyncio.sleep(self._linger_s())
                    group.create_task(self._work(self._take(), group), name="flush")
        finally:
            for _, future in self._waiting:
                future.cancel()

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        part, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        if not self._waiting:
            self._arrived.clear()
        return [(item, future) for item, future in part if not future.done()]

    async def _work(self, part: Sequence[tuple[T, asyncio.Future[R]]], group: asyncio.TaskGroup) -> None:
        """Flush a part; what must be repeated one by one keeps no slot, unless it has an order."""
        try:
            alone = [] if not part or await self._flush_all(part) else part
            if self._ordered:
                for one in alone:
                    await self._flush_all([one])
        finally:
            self._slots.release()
        if not self._ordered:
            for one in alone:
                group.create_task(self._flush_one(one), name="flush")

    async def _flush_one(self, one: tuple[T, asyncio.Future[R]]) -> None:
        await self._flush_all([one])

    async def _flush_all(self, part: Sequence[tuple[T, asyncio.Future[R]]]) -> bool:
        """Whether all of them have their result or their error; else each is to be flushed alone."""
        try:
            results = await self._flush([item for item, _ in part])
        except (StoreDataError, StoreLocked) as error:
            if len(part) > 1:
                return False
            _fail(part, error)
        except Exception as error:
            _fail(part, error)
        except BaseException:
            for _, future in part:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(part, results, strict=True):
                if not future.done():
                    future.set_result(result)
        return True


def _fail(part: Sequence[tuple[T, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in part:
        if not future.done():
            future.set_exception(error)
