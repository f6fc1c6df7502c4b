"""Tells statuses and customers' changes when they are due: one heap, one task, whatever their number.

Owns waiting, retrying and the bound on what waits. A sink delivers; where and in which form is the sink's.
"""

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from deploy.sandbox.customer_change import CustomerChange
from deploy.sandbox.status_plan import PlannedStatus, StatusEvent

#: what is told
Telling: TypeAlias = StatusEvent | CustomerChange

#: statuses waiting; what comes on top is dropped and counted
CAPACITY = 3_000_000
#: small, so that a batch does not hold up answers for longer than some milliseconds
BATCH_SIZE = 64
TICK_S = 0.005
RETRY_S = 0.5


class StatusSink(Protocol):
    """Where statuses go."""

    async def deliver(self, events: Sequence[Telling]) -> Sequence[Telling]:
        """Delivers in this order; returns those that did not arrive. A server that is away raises nothing."""
        ...

    async def close(self) -> None:
        """Gives up connections. Idempotent."""
        ...


class StatusEmitter:
    """At least once, in memory: what a sink does not take is tried again until it does."""

    def __init__(self, sink: StatusSink, capacity: int = CAPACITY) -> None:
        self._sink = sink
        self._capacity = capacity
        self._heap: list[tuple[float, int, Telling]] = []
        self._order = itertools.count()
        self._sooner = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self.delivered = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        return len(self._heap)

    def schedule(self, planned: Sequence[PlannedStatus]) -> None:
        """Takes statuses to be told after their delays from now."""
        now_s = self._clock()
        for status in planned:
            self._push(now_s + status.delay_s, status.event)

    async def tell_now(self, event: Telling) -> None:
        """Tells it before returning; where that fails, or is cancelled, it is left to the task."""
        try:
            undelivered = await self._sink.deliver([event])
        except asyncio.CancelledError:
            self._push(self._clock(), event)
            raise
        if undelivered:
            self._push(self._clock(), event)
        else:
            self.delivered += 1

    def forget(self) -> None:
        """Drops what waits and the counts."""
        self._heap.clear()
        self.delivered = self.dropped = 0

    async def run(self) -> None:
        """Tells statuses until cancelled."""
        while True:
            await self._wait_until_due()
            batch = self._take_due()
            undelivered = await self._sink.deliver(batch)
            self.delivered += len(batch) - len(undelivered)
            if undelivered:
                for event in undelivered:
                    self._push(self._clock(), event)
                await asyncio.sleep(RETRY_S)

    def _push(self, due_s: float, event: Telling) -> None:
        if len(self._heap) >= self._capacity:
            self.dropped += 1
            return
        heapq.heappush(self._heap, (due_s, next(self._order), event))
        if self._heap[0][0] == due_s:
            self._sooner.set()

    async def _wait_until_due(self) -> None:
        while not self._heap or self._heap[0][0] > self._clock():
            self._sooner.clear()
            if self._heap:
                # a tick at least, so that many statuses due close together leave as one batch
                wait_s = max(self._heap[0][0] - self._clock(), TICK_S)
                try:
                    async with asyncio.timeout(wait_s):
                        await self._sooner.wait()
                except TimeoutError:
                    continue
            else:
                await self._sooner.wait()

    def _take_due(self) -> list[Telling]:
        now_s = self._clock()
        batch: list[Telling] = []
        while self._heap and self._heap[0][0] <= now_s and len(batch) < BATCH_SIZE:
            batch.append(heapq.heappop(self._heap)[2])
        return batch
