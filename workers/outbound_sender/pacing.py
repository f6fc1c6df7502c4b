"""When a message may go as far as rates are concerned, and what must wait too long to be kept in hand.

Owns which rate a number has, and that permits which a stall held up do not go out together. The queue before
a permit, and the rates themselves, are `shared.coordination.rate`; how long it may get is `intake.shares`.
"""

import asyncio
import time
from functools import lru_cache
from typing import Final

from shared.coordination.permits import TooLong, rate_of
from shared.coordination.rate import RateLimiter
from shared.durations import Durations
from shared.settings.settings import Settings
from workers.outbound_sender.message import Outgoing

#: Requests begin at this share of what the platform allows (more than permits are given), and so many
#: seconds' worth of them may begin together.
_OF_ALLOWED: Final = 0.94
_AT_ONCE_S: Final = 0.02
#: Numbers whose allowance is kept at hand: it is asked for with each message.
_ALLOWANCES_KEPT: Final = 1000


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
        self._durations = durations
        self._spacings: dict[str, RequestSpacing] = {}
        self._mps = lru_cache(_ALLOWANCES_KEPT)(lambda number: settings.number(number).mps)

    async def wait(self, message: Outgoing) -> TooLong | None:
        """None with a permit in hand, else why not, and for how long."""
        mps = self._mps(message.number)
        answer = await self._limiter.wait(message.number, message.customer, message.lane, mps)
        return answer if isinstance(answer, TooLong) else None

    async def begin(self, number: str) -> None:
        """Wait, with a permit in hand, until the request may begin."""
        spacing = self._spacings.get(number)
        if spacing is None:
            spacing = self._spacings[number] = RequestSpacing(self._mps(number))
        await spacing.begin()

    def rate(self, number: str) -> float:
        """What a number may send a second."""
        return rate_of(self._mps(number), self._durations)

    async def slow_number(self, number: str, retry_after_s: float | None) -> None:
        """The platform refused the number for its rate."""
        await self._limiter.slow(number, retry_after_s)

    async def slow_customer(self, message: Outgoing, n: int) -> None:
        """The platform refused the customer for the pair's rate, the n-th time in a row."""
        await self._limiter.back_off_pair(message.number, message.customer, n)
