"""Micro-batching among concurrent messages: what several submit about the same time is worked together.

Owns the collecting and the handing out of results. What a flush does is its function's; it is called with up
to `size` items and gives one result each, in order. A flush that fails with an error of the data is repeated
item by item, so that only the one to blame fails; any other error goes to all who submitted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.errors import StoreDataError

T = TypeVar("T")
R = TypeVar("R")

Flush = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


class Collector(Generic[T, R]):
    """Collects for at most `linger_s` after the first item, and longer while all `flushes` are busy.

    `run` must be running beside it. What somebody submitted who is cancelled before its flush is dropped.
    """

    def __init__(self, flush: Flush[T, R], *, size: int, linger_s: float, flushes: int) -> None:
        self._flush = flush
        self._size = size
        self._linger_s = linger_s
        self._slots = asyncio.Semaphore(flushes)
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: T) -> R:
        """The result of this item. Raises what its flush raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Flush until cancelled; those who still wait are cancelled with it."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._arrived.wait()
                    await self._slots.acquire()
                    if len(self._waiting) < self._size:
                        await asyncio.sleep(self._linger_s)
                    group.create_task(self._work(self._take()), name="flush")
        finally:
            for _, future in self._waiting:
                future.cancel()

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        part, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        if not self._waiting:
            self._arrived.clear()
        return [(item, future) for item, future in part if not future.done()]

    async def _work(self, part: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            if part:
                await self._flush_all(part)
        except BaseException:
            for _, future in part:
                future.cancel()
            raise
        finally:
            self._slots.release()

    async def _flush_all(self, part: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._flush([item for item, _ in part])
        except StoreDataError as error:
            if len(part) == 1:
                _fail(part, error)
                return
            for one in part:
                await self._flush_all([one])
        except Exception as error:
            _fail(part, error)
        else:
            for (_, future), result in zip(part, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(part: Sequence[tuple[T, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in part:
        if not future.done():
            future.set_exception(error)
