"""The rate limiter of a sender: who of this process may ask next, and how long a message waits in hand.

Owns the queue of each number and lane, of which the first few ask, in their order, and the choice between
the shared rates and this process's own part of them while Redis is away. The rules themselves are in
`rate_shared` and `rate_local`; what becomes of a message that must wait too long is the sender's.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from shared.coordination.client import RedisClient, RedisUnavailable
from shared.coordination.permits import Ask, Granted, LimitCause, Permit, TooLong, Wait, rate_of
from shared.coordination.rate_local import LocalRates
from shared.coordination.rate_shared import SharedRates
from shared.durations import DURATIONS, Durations

#: Heads of several processes come back spread over this share of their wait, so that none always loses.
_SPREAD: Final = 0.25
#: Messages of one queue that are asked for in one call.
_ASKED_TOGETHER: Final = 50
#: Enough that the next one asks as soon as one is granted, and customers at their own limit block nobody.
_MOST_ASKING: Final = 64


@dataclass(slots=True, eq=False)
class _WaitingMessage:
    """A message that asks, until it is answered or gives up."""

    ask: Ask
    deadline: float
    answer: "asyncio.Future[Permit | Wait]"


@dataclass(slots=True, eq=False)
class _LaneQueue:
    """The messages of one number and lane: those who ask, in their order, and behind them who may not yet.

    `asker` asks for all of them. `members` counts both kinds, and who waits aside for its own customer.
    """

    may_ask: asyncio.Semaphore
    asking: deque[_WaitingMessage] = field(default_factory=deque)
    asker: "asyncio.Task[None] | None" = None
    members: int = 0


class RateLimiter:
    """Limits per business number, per customer and per lane, shared by all replicas.

    `observe_wait(lane, seconds)` is called for each `wait`, granted or not. Never raises for Redis's sake.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        observe_wait: Callable[[str, float], None],
        durations: Durations = DURATIONS,
    ) -> None:
        self._shared = SharedRates(client, durations)
        self._local = LocalRates(durations)
        self._observe_wait = observe_wait
        self._durations = durations
        self._queues: dict[tuple[str, str], _LaneQueue] = {}

    def set_consumers(self, count: int) -> None:
        """How many processes consume the queue: without Redis each takes its part of the rate."""
        self._local.consumers = max(1, count)

    async def permit(self, ask: Ask) -> Permit | Wait:
        """May this message go now? Asks once; a permit is used up by being given."""
        try:
            return await self._shared.permit(ask)
        except RedisUnavailable:
            return self._local.permit(ask)

    async def _permit_many(self, asks: Sequence[Ask]) -> list[Permit | Wait]:
        try:
            return await self._shared.permit_many(asks)
        except RedisUnavailable:
            return self._local.permit_many(asks)

    async def slow(self, number: str, retry_after_s: float | None) -> None:
        """The platform refused the number for its rate (130429, HTTP 429): stop, then go on more slowly.

        The rate is halved, to no less than a tenth, and recovers within a minute. The stop lasts
        `retry_after_s`, else 0.3 s; at a tenth it doubles while refusals go on: while each comes within as
        long as the last stop lasted. Refusals during the stop count as the same one.
        """
        try:
            await self._shared.slow(number, retry_after_s)
        except RedisUnavailable:
            self._local.slow(number, retry_after_s)

    async def back_off_pair(self, number: str, customer: str, n: int) -> None:
        """The platform refused the pair for its rate (131056): only that customer waits, 4^n s."""
        try:
            await self._shared.back_off_pair(number, customer, n)
        except RedisUnavailable:
            self._local.back_off_pair(number, customer, n)

    async def wait(
        self, number: str, customer: str, lane: str, mps: float, max_wait_s: float | None = None
    ) -> Granted | TooLong:
        """Wait for a permit, in order per lane, and at most `max_wait_s` (default: what may be held in hand).

        That time, and what is observed, begin when the message may ask: before, it is merely in line. A
        customer at their own limit waits aside, so that others go on. `mps` is the number's allowance.
        """
        clock = asyncio.get_running_loop().time
        patience_s = self._durations.held_in_hand_s if max_wait_s is None else max_wait_s
        ask = Ask(number, customer, lane, mps, patience_s)
        queue = self._join(ask)
        try:
            async with queue.may_ask:
                started_at = clock()
                answer = await self._wait(queue, ask, started_at + patience_s)
                waited_s = clock() - started_at
        finally:
            queue.members -= 1
            self._forget_idle(ask, queue)
        self._observe_wait(lane, waited_s)
        match answer:
            case Permit():
                return Granted(waited_s)
            case Wait(wait_s, LimitCause.NUMBER):
                # The wait of a head is to the next token, not to the end of a crowd that took all patience.
                return TooLong(max(wait_s, patience_s), LimitCause.NUMBER)
            case Wait(wait_s, cause):
                return TooLong(wait_s, cause)

    def _join(self, ask: Ask) -> _LaneQueue:
        """As many may ask as a lane at its least share serves while one waits in hand."""
        queue = self._queues.get((ask.number, ask.lane))
        if queue is None:
            durations = self._durations
            least = rate_of(ask.mps, durations) * durations.lane_min_share
            most = max(1, min(_MOST_ASKING, int(least * durations.held_in_hand_s)))
            queue = self._queues[ask.number, ask.lane] = _LaneQueue(asyncio.Semaphore(most))
        queue.members += 1
        return queue

    def _forget_idle(self, ask: Ask, queue: _LaneQueue) -> None:
        """A queue in which nobody is, and whose asker has ended, is kept no longer."""
        if not queue.members and queue.asker is None:
            del self._queues[ask.number, ask.lane]

    async def _wait(self, queue: _LaneQueue, ask: Ask, deadline: float) -> Permit | Wait:
        clock = asyncio.get_running_loop().time
        while True:
            answer = await self._take_turn(queue, ask, deadline)
            match answer:
                case Wait(wait_s, LimitCause.PAIR) if clock() + wait_s <= deadline:
                    await asyncio.sleep(wait_s)
                case _:
                    return answer

    async def _take_turn(self, queue: _LaneQueue, ask: Ask, deadline: float) -> Permit | Wait:
        waiting = _WaitingMessage(ask, deadline, asyncio.get_running_loop().create_future())
        queue.asking.append(waiting)
        if queue.asker is None:
            queue.asker = asyncio.create_task(self._serve(ask, queue), name="rate asker")
        try:
            async with asyncio.timeout_at(deadline):
                return await waiting.answer
        except TimeoutError:
            return Wait(len(queue.asking) / rate_of(ask.mps, self._durations), LimitCause.NUMBER)

    async def _serve(self, ask: Ask, queue: _LaneQueue) -> None:
        """Ask in their order for those who may, until nobody does. `ask` is of the same number and lane."""
        try:
            while queue.asking:
                await self._ask_for(queue.asking)
        except Exception as error:
            for waiting in queue.asking:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            queue.asking.clear()
        finally:
            queue.asker = None
            self._forget_idle(ask, queue)

    async def _ask_for(self, asking: deque[_WaitingMessage]) -> None:
        """One question for the first of them. Those who are answered, or have gone, leave the queue."""
        clock = asyncio.get_running_loop().time
        line = [waiting for waiting in islice(asking, _ASKED_TOGETHER) if not waiting.answer.done()]
        if line:
            patience_s = max(0.0, line[0].deadline - clock())
            asks = [replace(line[0].ask, patience_s=patience_s), *(waiting.ask for waiting in line[1:])]
            for waiting, answer in zip(line, await self._permit_many(asks), strict=False):
                match answer:
                    case Wait(wait_s, cause) if cause is not LimitCause.PAIR:
                        await self._heed(asking, answer, clock() + wait_s)
                    case _:
                        _resolve(waiting, answer)
        while asking and asking[0].answer.done():
            asking.popleft()

    async def _heed(self, asking: deque[_WaitingMessage], answer: Wait, until: float) -> None:
        """The number must wait: those without so much time go, the others stay in the queue meanwhile."""
        for waiting in asking:
            if until > waiting.deadline:
                _resolve(waiting, answer)
        if not all(waiting.answer.done() for waiting in asking):
            await asyncio.sleep(answer.wait_s + self._spread_s(answer.wait_s))

    def _spread_s(self, wait_s: float) -> float:
        longest_s = min(wait_s * _SPREAD, self._durations.lane_return_s / 2)
        return random.uniform(0, longest_s)  # noqa: S311 - no secret


def _resolve(waiting: _WaitingMessage, answer: Permit | Wait) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(answer)
