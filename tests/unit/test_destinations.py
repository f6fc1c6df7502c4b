"""Where the scheduler publishes to: one that refuses is left alone, and nobody waits for it."""

import asyncio

import pytest

from workers.scheduler.republishing import Destinations


async def test_one_that_refuses_is_left_alone_and_the_others_are_served() -> None:
    served: list[str] = []

    async def work(name: str) -> int | None:
        served.append(name)
        return None if name == "full" else 3

    destinations = Destinations(first_s=60, longest_s=60)

    assert await destinations.serve(["full", "free", "idle"], work) == 6
    assert await destinations.serve(["full", "free"], work) == 3
    assert served == ["full", "free", "idle", "free"]


async def test_one_that_takes_again_what_it_is_given_is_served_like_any_other() -> None:
    answers: list[int | None] = [None, 3, 3]

    async def work(_: str) -> int | None:
        return answers.pop(0)

    destinations = Destinations(first_s=0, longest_s=0)

    assert [await destinations.serve(["full"], work) for _ in range(3)] == [0, 3, 3]


async def test_what_one_raises_comes_after_the_others_were_served() -> None:
    served: list[str] = []

    async def work(name: str) -> int | None:
        if name == "broken":
            raise ValueError(name)
        for _ in range(10):  # it takes longer than the other does to fail
            await asyncio.sleep(0)
        served.append(name)
        return 1

    with pytest.raises(ValueError, match="broken"):
        await Destinations(first_s=60, longest_s=60).serve(["broken", "free"], work)

    assert served == ["free"]
