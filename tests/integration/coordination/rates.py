"""Both implementations of the rate rules on one virtual clock, and a crowd of senders that ask them.

The shared one is the shipped Lua, run by a real Redis, with the test's clock in place of `TIME`.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from shared.coordination.client import Argument, RedisClient, Script
from shared.coordination.permits import Ask, LimitCause, Permit, Wait
from shared.coordination.rate_local import LocalRates
from shared.coordination.rate_shared import SharedRates
from shared.durations import Durations

NUMBER = "106540352242922"


class VirtualClock:
    """Microseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_us = 1_800_000_000_000_000

    def __call__(self) -> float:
        return self.now_us / 1e6

    def pass_s(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)


class ClockedClient(RedisClient):
    """A client whose scripts see the test's clock."""

    clock: VirtualClock

    async def run_script(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> list[object]:
        assert "redis.call('TIME')" in script.source
        clocked = Script.of(script.source.replace("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))
        seconds, microseconds = divmod(self.clock.now_us, 1_000_000)
        reply: list[object] = await super().run_script(clocked, keys, (*arguments, seconds, microseconds))
        return reply


class Rates:
    """Either implementation behind one face."""

    def __init__(self, kind: str, client: ClockedClient, durations: Durations) -> None:
        self.clock = VirtualClock()
        client.clock = self.clock
        self._shared = SharedRates(client, durations) if kind == "shared" else None
        self.local = LocalRates(durations, self.clock)

    async def permit(
        self,
        customer: str = "any",
        *,
        lane: str = "reply",
        mps: float = 80.0,
        patience_s: float = 2.0,
        number: str = NUMBER,
    ) -> Permit | Wait:
        ask = Ask(number, customer, lane, mps, patience_s)
        return await self._shared.permit(ask) if self._shared else self.local.permit(ask)

    async def slow(self, retry_after_s: float | None, number: str = NUMBER) -> None:
        if self._shared:
            await self._shared.slow(number, retry_after_s)
        else:
            self.local.slow(number, retry_after_s)

    async def back_off_pair(self, customer: str, n: int, number: str = NUMBER) -> None:
        if self._shared:
            await self._shared.back_off_pair(number, customer, n)
        else:
            self.local.back_off_pair(number, customer, n)


@dataclass
class Crowd:
    """Senders that always have a message in their lane, each to another customer."""

    rates: Rates
    mps: float
    lateness_s: float = 0.01
    granted_at_us: dict[str, list[int]] = field(default_factory=dict)
    asked: int = 0

    async def send_for(self, seconds: float, lanes: Sequence[str]) -> None:
        """One head waiter for each entry of `lanes` asks and comes back when told to, a little late."""
        clock = self.rates.clock
        end_us = clock.now_us + round(seconds * 1e6)
        dice = random.Random(7)
        customers = count(self.asked)
        due = [(clock.now_us, turn, lane) for turn, lane in enumerate(lanes)]
        while due[0][0] < end_us:
            at_us, turn, lane = heapq.heappop(due)
            clock.now_us = max(clock.now_us, at_us)
            self.asked += 1
            match await self.rates.permit(f"customer {next(customers)}", lane=lane, mps=self.mps):
                case Permit():
                    self.granted_at_us.setdefault(lane, []).append(clock.now_us)
                    next_us = clock.now_us
                case Wait(wait_s, cause):
                    assert cause is not LimitCause.PAIR
                    next_us = clock.now_us + round((wait_s + dice.uniform(0, self.lateness_s)) * 1e6)
            heapq.heappush(due, (next_us, turn + len(lanes), lane))
        clock.now_us = end_us

    @property
    def total(self) -> int:
        return sum(map(len, self.granted_at_us.values()))

    def count(self, lane: str) -> int:
        return len(self.granted_at_us.get(lane, ()))

    def most_in_a_second(self) -> int:
        """The most permits in any window of one second."""
        times = sorted(at for lane in self.granted_at_us.values() for at in lane)
        most, first = 0, 0
        for last, at_us in enumerate(times):
            while at_us - times[first] >= 1_000_000:
                first += 1
            most = max(most, last - first + 1)
        return most
