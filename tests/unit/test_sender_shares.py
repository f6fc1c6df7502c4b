"""Hands of a lane: what one number and one customer may take of them. Production's figures."""

from contextlib import suppress
from uuid import UUID

from shared.durations import DURATIONS
from tests.unit.test_sender_intake import candidate
from workers.outbound_sender.intake.admission import to_outgoing
from workers.outbound_sender.intake.shares import Shares
from workers.outbound_sender.intake.store import Address
from workers.outbound_sender.message import Outgoing

HANDS = 200
PREFETCH = 1000
#: More of one number than a process ever has.
BURST = 2 * PREFETCH


def message(number: str = "1001", customer: int = 0) -> Outgoing:
    address = Address(UUID(int=7), number, f"49170{customer:07}", f"49170{customer:07}", None)
    return to_outgoing(candidate(), UUID(int=1), address)


def shares(rate: float = 72.0) -> Shares:
    return Shares(HANDS, PREFETCH, lambda _: rate, DURATIONS)


def take(of: Shares, number: str, count: int) -> int:
    """How many of so many messages, each to another customer, get a hand."""
    return sum(of.take(message(number, customer)) for customer in range(count))


def test_a_burst_of_one_number_takes_half_of_the_hands() -> None:
    assert take(shares(), "1001", BURST) == HANDS / 2


def test_each_of_several_bursts_leaves_as_much_as_it_takes() -> None:
    of = shares()

    took = [take(of, f"{number}", BURST) for number in range(20)]

    assert took[:3] == [100, 50, 25]
    assert of.take(message("the first one of another"))


def test_a_number_has_no_more_in_hand_than_it_sends_while_one_may_wait() -> None:
    assert take(shares(rate=4.5), "1001", 100) == 9
    assert take(shares(rate=0.1), "1001", 100) == 1


def test_a_number_that_sends_as_fast_as_hands_come_free_is_not_put_off() -> None:
    assert take(shares(rate=900.0), "1001", BURST) == PREFETCH


def test_a_customer_has_no_more_in_hand_than_one_burst() -> None:
    of = shares(rate=900.0)

    assert sum(of.take(message(customer=1)) for _ in range(4_000)) == DURATIONS.pair_burst
    assert of.take(message(customer=2))


def test_a_hand_that_is_given_back_is_free() -> None:
    of = shares()
    take(of, "1001", BURST)
    assert not of.take(message())

    of.give_back(message(customer=3))

    assert of.take(message())


def test_of_a_batch_that_fails_no_hand_stays_taken() -> None:
    of = shares()

    with suppress(ConnectionError), of.taking() as hands:
        assert sum(hands.take(message("1001", customer)) for customer in range(1_000)) == HANDS / 2
        raise ConnectionError

    assert take(of, "1001", BURST) == HANDS / 2


def test_a_hand_that_a_batch_gives_back_is_given_back_once() -> None:
    of = shares()
    of.take(message("1001", 1))

    with suppress(ConnectionError), of.taking() as hands:
        again = message("1001", 2)
        hands.take(again)
        hands.give_back(again)
        raise ConnectionError

    assert take(of, "1001", BURST) == HANDS / 2 - 1


def test_hands_are_many_from_a_part_of_them_on() -> None:
    of = shares()
    assert not of.are_many

    take(of, "1001", 50)

    assert of.are_many
