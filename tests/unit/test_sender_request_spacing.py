"""Permits that a stall held up do not go out together."""

import asyncio
import time
from bisect import bisect_left

from workers.outbound_sender.pacing import RequestSpacing


async def begin_all(spacing: RequestSpacing, count: int) -> list[float]:
    begun: list[float] = []

    async def begin() -> None:
        await spacing.begin()
        begun.append(time.monotonic())

    await asyncio.gather(*(begin() for _ in range(count)))
    return begun


async def test_no_second_of_any_alignment_has_more_requests_than_the_number_is_allowed() -> None:
    begun = await begin_all(RequestSpacing(200), 400)

    most = max(place + 1 - bisect_left(begun, at - 0.99) for place, at in enumerate(begun))

    assert (len(begun), most <= 200) == (400, True)


async def test_who_comes_first_begins_first() -> None:
    spacing, order = RequestSpacing(50), list[int]()

    async def begin(place: int) -> None:
        await spacing.begin()
        order.append(place)

    await asyncio.gather(*(begin(place) for place in range(8)))

    assert order == list(range(8))


async def test_what_was_not_used_is_not_saved_up() -> None:
    spacing = RequestSpacing(20)
    await spacing.begin()
    await asyncio.sleep(1)

    waiting = [asyncio.ensure_future(spacing.begin()) for _ in range(20)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) <= 2

    await asyncio.gather(*waiting)
