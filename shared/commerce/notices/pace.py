"""How fast notices are handed to the sender: never more than it sends of a number in some seconds. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from shared.durations import Durations
from shared.messaging.numbers.ahead import allowance

#: A notice that finds no room is looked at again after this at the earliest.
_LEAST_WAIT_S = 1.0


@dataclass(slots=True)
class NumberQueue:
    """What of a number may still be queued, `room`, and how many are to wait for that, at `mps` a second."""

    room: int
    mps: float
    waiting: int = 0

    @classmethod
    def of(cls, mps: float, queued: int, durations: Durations) -> Self:
        """With so many queued already."""
        return cls(allowance(mps, queued, durations), durations.number_rate_share * mps)

    def take(self) -> timedelta | None:
        """Take a place; without one, how long to wait: those behind wait longer, so that few look in vain."""
        if self.room > 0:
            self.room -= 1
            return None
        self.waiting += 1
        return timedelta(seconds=max(_LEAST_WAIT_S, self.waiting / self.mps))
