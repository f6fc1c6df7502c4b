"""Micro-batching among concurrent messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.consuming.collector import Collector
from shared.errors import StoreConflict, StoreDataError, StoreLocked
from tests.support.waiting import until


class Doubler:
    """Doubles numbers, keeps what it was called with; negative ones are bad data, 14's row is locked."""

    def __init__(self) -> None:
        self.flushed: list[list[int]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.flushed.append(list(items))
        await self.may_go.wait()
        if any(item < 0 for item in items):
            raise StoreDataError("a negative number")
        if 13 in items:
            raise StoreConflict("deadlock")
        if 14 in items:
            raise StoreLocked("a row is locked")
        return [item * 2 for item in items]


@asynccontextmanager
async def collecting(doubler: Doubler, *, size: int = 10, flushes: int = 1) -> AsyncIterator["Numbers"]:
    collector = Collector(doubler, size=size, linger_s=lambda: 0.001, flushes=flushes)
    task = asyncio.create_task(collector.run())
    try:
        yield collector
    finally:
        task.cancel()
        await asyncio.wait({task})


Numbers = Collector[int, int]


async def test_what_comes_together_is_flushed_together_and_answered_each() -> None:
    doubler = Doubler()
    async with collecting(doubler) as collector:
        assert await asyncio.gather(*map(collector.submit, range(5))) == [0, 2, 4, 6, 8]

    assert doubler.flushed == [[0, 1, 2, 3, 4]]


async def test_a_crowd_is_flushed_in_parts_of_the_size_in_order() -> None:
    doubler = Doubler()
    async with collecting(doubler, size=2) as collector:
        await asyncio.gather(*map(collector.submit, range(5)))

    assert doubler.flushed == [[0, 1], [2, 3], [4]]


async def test_what_comes_during_a_flush_waits_for_it_and_grows() -> None:
    doubler = Doubler()
    doubler.may_go.clear()
    async with collecting(doubler) as collector:
        first = asyncio.create_task(collector.submit(1))
        await until(lambda: bool(doubler.flushed))
        others = [asyncio.create_task(collector.submit(number)) for number in (2, 3)]
        await asyncio.sleep(0.01)
        assert doubler.flushed == [[1]]
        doubler.may_go.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6]

    assert doubler.flushed == [[1], [2, 3]]


async def test_bad_data_fails_its_own_submitter_only() -> None:
    async with collecting(Doubler()) as collector:
        results = await asyncio.gather(*map(collector.submit, (1, -1, 2)), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], StoreDataError)
    assert results[2] == 4


async def test_a_locked_row_keeps_its_own_submitter_only() -> None:
    async with collecting(Doubler()) as collector:
        results = await asyncio.gather(*map(collector.submit, (1, 14, 2)), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], StoreLocked)
    assert results[2] == 4


async def test_any_other_error_is_everybodys_and_the_next_flush_goes_on() -> None:
    async with collecting(Doubler()) as collector:
        results = await asyncio.gather(*map(collector.submit, (1, 13)), return_exceptions=True)
        assert [type(result) for result in results] == [StoreConflict, StoreConflict]
        assert await collector.submit(3) == 6


async def test_who_is_cancelled_before_the_flush_takes_nothing_along() -> None:
    doubler = Doubler()
    doubler.may_go.clear()
    async with collecting(doubler) as collector:
        first = asyncio.create_task(collector.submit(1))
        await until(lambda: bool(doubler.flushed))
        gone, stays = (asyncio.create_task(collector.submit(number)) for number in (2, 3))
        await asyncio.sleep(0)
        gone.cancel()
        doubler.may_go.set()
        assert [await first, await stays] == [2, 6]

    assert doubler.flushed == [[1], [3]]


async def test_the_end_leaves_nobody_waiting() -> None:
    doubler = Doubler()
    doubler.may_go.clear()
    async with collecting(doubler) as collector:
        in_flush = asyncio.create_task(collector.submit(1))
        await until(lambda: bool(doubler.flushed))
        waiting = asyncio.create_task(collector.submit(2))
        await asyncio.sleep(0)
    for task in (in_flush, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
