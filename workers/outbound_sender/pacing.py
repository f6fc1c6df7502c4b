"""When a message may go as far as rates are concerned, and what must wait too long to be kept in hand.

Owns how many messages of a number and lane ask for a permit at once: those behind them are merely in line,
and their time does not run. How long that line may get is `shares`; the rates themselves are
`shared.coordination.rate`. Owns, too, that permits which a stall held up do not go out together.
"""

import asyncio
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.coordination.permits import TooLong, rate_of
from shared.coordination.rate import RateLimiter
from shared.durations import Durations
from shared.settings.settings import Settings
from workers.outbound_sender.message import Outgoing

#: Enough that the next one asks as soon as one is granted, and customers at their own limit block nobody.
_MOST_ASKING: Final = 64
#: Requests begin at this share of what the platform allows (more than permits are given), and so many
#: seconds' worth of them may begin together.
_OF_ALLOWED: Final = 0.94
_AT_ONCE_S: Final = 0.02
#: Numbers whose rate is kept at hand: it is asked for with each message.
_RATES_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class _LaneQueue:
    """Messages of one number and lane: a few of them ask, the others wait until they may."""

    mps: float
    asking: asyncio.Semaphore


class RequestSpacing:
    """When the requests of one number begin: evenly, and hardly more in a second than the platform allows it.

    A permit is counted when it is given. Between that and the request lie a commit and whatever the machine
    does meanwhile, and what was given over some seconds would begin in one. Each process keeps it for itself.
    """

    def __init__(self, mps: float) -> None:
        self._interval_s = 1 / (mps * _OF_ALLOWED)
        self._next_at = 0.0
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        """Wait until a request may begin; who comes first goes first. What was not used is not saved up."""
        async with self._turn:
            if (wait_s := self._next_at - _AT_ONCE_S - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._next_at = max(self._next_at, time.monotonic()) + self._interval_s


class Pacer:
    """Hands out permits to send."""

    def __init__(self, limiter: RateLimiter, settings: Settings, durations: Durations) -> None:
        self._limiter = limiter
        self._settings = settings
        self._durations = durations
        self._lines: dict[tuple[str, str], _LaneQueue] = {}
        self._spacings: dict[str, RequestSpacing] = {}
        #: What a number may send a second.
        self.rate = lru_cache(_RATES_KEPT)(self._rate)

    async def wait(self, message: Outgoing) -> TooLong | None:
        """None with a permit in hand, else why not, and for how long."""
        line = self._line(message.number, message.lane)
        async with line.asking:
            answer = await self._limiter.wait(message.number, message.customer, message.lane, line.mps)
        return answer if isinstance(answer, TooLong) else None

    async def begin(self, number: str) -> None:
        """Wait, with a permit in hand, until the request may begin."""
        spacing = self._spacings.get(number)
        if spacing is None:
            spacing = self._spacings[number] = RequestSpacing(self._settings.number(number).mps)
        await spacing.begin()

    def _rate(self, number: str) -> float:
        return rate_of(self._settings.number(number).mps, self._durations)

    async def slow_number(self, number: str, retry_after_s: float | None) -> None:
        """The platform refused the number for its rate."""
        await self._limiter.slow(number, retry_after_s)

    async def slow_customer(self, message: Outgoing, n: int) -> None:
        """The platform refused the customer for the pair's rate, the n-th time in a row."""
        await self._limiter.back_off_pair(message.number, message.customer, n)

    def _line(self, number: str, lane: str) -> _LaneQueue:
        """As many may ask as a lane at its least share serves while one waits in hand."""
        line = self._lines.get((number, lane))
        if line is None:
            durations = self._durations
            served = int(self.rate(number) * durations.lane_min_share * durations.held_in_hand_s)
            asking = asyncio.Semaphore(max(1, min(_MOST_ASKING, served)))
            line = _LaneQueue(self._settings.number(number).mps, asking)
            self._lines[(number, lane)] = line
        return line
