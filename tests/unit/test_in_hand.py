"""Which tags may still be answered, and when consuming must stop: arithmetic, without a channel."""

from typing import Final

import pytest

from shared.amqp.delivery import Delivery
from shared.amqp.in_hand import InHand
from tests.unit.test_consuming import delivery

ALLOWED: Final = 100


class Hand:
    """What is in hand of a channel, and how often something changed."""

    def __init__(self) -> None:
        self.changes = 0
        self.of = InHand("busy", ALLOWED, self.note)
        self.of.begin_generation()

    def note(self) -> None:
        self.changes += 1

    def add(self, tag: int, size: int = 1) -> Delivery:
        item = delivery(tag, generation=self.of.generation, body=b"x" * size)
        self.of.add(item)
        return item


@pytest.fixture
async def hand() -> Hand:
    return Hand()


async def test_what_is_done_from_the_lowest_on_has_one_answer(hand: Hand) -> None:
    first, second, third, fourth = (hand.add(tag) for tag in (1, 2, 3, 4))

    assert hand.of.acknowledge([fourth, second]) == (None, [2, 4])
    assert hand.of.acknowledge([first]) == (1, [])
    assert hand.of.acknowledge([third]) == (3, [])
    assert hand.of.is_empty


async def test_a_tag_is_answered_once(hand: Hand) -> None:
    first, second = hand.add(1), hand.add(2)

    assert hand.of.give_back([second, second]) == [2]
    assert hand.of.acknowledge([first, second]) == (1, [])
    assert hand.of.acknowledge([first, second]) == (None, [])
    assert hand.of.give_back([first, second]) == []


async def test_a_tag_of_another_channel_answers_for_nothing(hand: Hand) -> None:
    old = hand.add(1)
    hand.of.begin_generation()
    new = hand.add(1)

    assert hand.of.acknowledge([old]) == (None, [])
    assert hand.of.give_back([old]) == []
    hand.of.put_back([old])

    assert hand.of.arrivals.empty() == [new]


async def test_too_many_bytes_stop_consuming_until_half_of_them_are_done(hand: Hand) -> None:
    first, second = hand.add(1, 40), hand.add(2, 60)
    assert (hand.of.is_throttled, hand.changes) == (False, 0)

    refused = hand.add(3)

    assert (hand.of.is_throttled, hand.of.has_refused, hand.changes) == (True, True, 1)
    assert hand.of.acknowledge([first]) == (1, [])
    assert hand.of.is_throttled, "more than half of what is allowed is there"
    assert hand.of.acknowledge([second]) == (2, [])
    assert (hand.of.is_throttled, hand.changes) == (False, 2)
    (left,) = hand.of.take_refused()

    assert (left.tag, left.body) == (refused.tag, b"")
    assert hand.of.give_back([left]) == [3]


async def test_no_answer_for_many_covers_what_was_refused(hand: Hand) -> None:
    first = hand.add(1, 100)
    hand.add(2)
    assert hand.of.give_back([first]) == [1]
    third = hand.add(3)

    assert hand.of.acknowledge([third]) == (None, [3])


async def test_one_alone_is_never_refused(hand: Hand) -> None:
    large = hand.add(1, 10 * ALLOWED)

    assert hand.of.arrivals.empty() == [large]
    assert not hand.of.is_throttled


async def test_of_large_bodies_few_are_taken_at_once_until_they_are_done(hand: Hand) -> None:
    assert hand.of.prefetch(50) == 50
    first = hand.add(1, 90)
    hand.add(2, 50)

    assert hand.of.prefetch(50) == 1
    assert not hand.of.is_over_large_bodies
    hand.of.acknowledge([first])
    assert hand.of.prefetch(50) == 2
    hand.of.give_back(hand.of.take_refused())
    assert hand.of.is_over_large_bodies
    hand.of.forget_large_bodies()

    assert hand.of.prefetch(50) == 50


async def test_what_is_dropped_is_as_if_it_had_never_come(hand: Hand) -> None:
    hand.add(1, 90)
    hand.add(2, 90)

    hand.of.drop()

    assert hand.of.is_empty
    assert not hand.of.is_throttled
    assert hand.of.arrivals.empty() == hand.of.take_refused() == []
