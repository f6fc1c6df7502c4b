"""How many of a lane's hands one number, and one customer, may take.

Owns the counts and the rule: a number may have as many messages in hand as hands are free beside them. So one
burst takes half of them, two take a third each, and the first message of another number finds a free one. A
customer has no more than may go in one burst. Who finds no hand is deferred: the database keeps its place,
and gives it back at the number's rate.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from shared.durations import Durations

#: A number whose half of the hands is sent within this is not put off: it frees one as fast as one is needed.
_SOON_S: Final = 0.25
#: From this share of the hands on they are many.
_MANY: Final = 0.2

K = TypeVar("K")


class InLine(Protocol):
    """A message that may take a hand."""

    @property
    def number(self) -> str: ...

    @property
    def chain(self) -> tuple[str, str, str]: ...


class Taking:
    """The hands taken for a batch."""

    def __init__(self, shares: "Shares") -> None:
        self._shares = shares
        self._taken: dict[int, InLine] = {}

    def take(self, message: InLine) -> bool:
        """Take a hand for a message, where its number and its customer may have one more."""
        if not self._shares.take(message):
            return False
        self._taken[id(message)] = message
        return True

    def give_back(self, message: InLine) -> None:
        """It does not go after all."""
        self._shares.give_back(self._taken.pop(id(message)))

    def give_back_all(self) -> None:
        """None of them goes."""
        for message in self._taken.values():
            self._shares.give_back(message)


class Shares:
    """The hands of one lane in one process. `rate_of` gives what a number may send a second.

    `most`: what a number may have in hand that is never put off.
    """

    def __init__(self, hands: int, most: int, rate_of: Callable[[str], float], durations: Durations) -> None:
        self._hands = hands
        self._unbounded = most
        self._rate_of = rate_of
        self._durations = durations
        self._taken: Counter[str] = Counter()
        self._of_customers: Counter[tuple[str, str, str]] = Counter()

    @property
    def are_many(self) -> bool:
        """Whether so many are taken that few would notice a moment more."""
        return self._taken.total() >= self._hands * _MANY

    @contextmanager
    def taking(self) -> Iterator[Taking]:
        """Take hands for a batch; where it fails, none of them stays taken."""
        taking = Taking(self)
        try:
            yield taking
        except BaseException:
            taking.give_back_all()
            raise

    def take(self, message: InLine) -> bool:
        """Take a hand for a message, where its number and its customer may have one more."""
        free = self._hands - self._taken.total()
        if self._taken[message.number] >= self._most(message.number, free):
            return False
        if self._of_customers[message.chain] >= self._durations.pair_burst:
            return False
        self._taken[message.number] += 1
        self._of_customers[message.chain] += 1
        return True

    def give_back(self, message: InLine) -> None:
        """It is done, or put off."""
        _take_one(self._taken, message.number)
        _take_one(self._of_customers, message.chain)

    def _most(self, number: str, free: int) -> int:
        """And no more than is sent while one may wait in hand."""
        rate = self._rate_of(number)
        if rate * _SOON_S >= self._hands / 2:
            return self._unbounded
        return max(1, min(free, int(rate * self._durations.held_in_hand_s)))


def _take_one(counts: Counter[K], key: K) -> None:
    """Keys at zero are forgotten: there are as many customers as messages."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
