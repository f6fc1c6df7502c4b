"""Waiting for deliveries: for the first and its company, or for many."""

import asyncio

import pytest

from shared.amqp.arrivals import Arrivals
from tests.unit.test_consuming import delivery


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any machine stalls."""
    monkeypatch.setattr("shared.amqp.arrivals._IDLE_S", 60.0)


def filled(count: int) -> Arrivals:
    arrivals = Arrivals()
    for tag in range(count):
        arrivals.put(delivery(tag))
    return arrivals


async def test_a_batch_is_what_came_while_it_lingered() -> None:
    arrivals = filled(0)
    taking = asyncio.create_task(arrivals.next_batch(3, 60))
    for tag in range(3):
        await asyncio.sleep(0)
        assert not taking.done()
        arrivals.put(delivery(tag))

    assert [item.tag for item in await taking] == [0, 1, 2]


async def test_without_lingering_one_is_enough() -> None:
    assert [item.tag for item in await filled(1).next_batch(3, 0)] == [0]


async def test_many_are_waited_for() -> None:
    arrivals = filled(2)
    taking = asyncio.create_task(arrivals.full_batch(3, asyncio.Event()))
    await asyncio.sleep(0.01)
    assert not taking.done()
    arrivals.put(delivery(2))
    arrivals.put(delivery(3))

    assert [item.tag for item in await taking] == [0, 1, 2]
    assert [item.tag for item in arrivals.empty()] == [3]


async def test_fewer_are_many_once_that_is_said_to_be_enough() -> None:
    arrivals, enough = filled(2), asyncio.Event()
    taking = asyncio.create_task(arrivals.full_batch(3, enough))
    await asyncio.sleep(0.01)
    assert not taking.done()
    enough.set()

    assert [item.tag for item in await taking] == [0, 1]
    assert await arrivals.full_batch(3, enough) == []


async def test_nobody_waits_for_what_is_closed() -> None:
    arrivals = filled(0)
    waiting = [
        asyncio.create_task(arrivals.full_batch(3, asyncio.Event())),
        asyncio.create_task(arrivals.next_batch(3, 60)),
    ]
    await asyncio.sleep(0)
    arrivals.close()

    assert await asyncio.gather(*waiting) == [[], []]
    assert await arrivals.next_batch(1, 60) == []


async def test_what_is_put_back_comes_again_in_its_place() -> None:
    arrivals = filled(4)
    first, second = await arrivals.next_batch(1, 0), await arrivals.next_batch(1, 0)
    arrivals.put_back(second)
    arrivals.put_back(first)

    assert [item.tag for item in await arrivals.next_batch(4, 0)] == [0, 1, 2, 3]


async def test_what_is_put_back_wakes_who_waits() -> None:
    arrivals = filled(1)
    taken = await arrivals.next_batch(1, 0)
    waiting = asyncio.create_task(arrivals.next_batch(1, 0))
    await asyncio.sleep(0)
    assert not waiting.done()
    arrivals.put_back(taken)

    assert await waiting == taken
