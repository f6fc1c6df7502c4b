"""The workers' one way of consuming: batches are taken and begun, until the queue is drained.

Owns the loop: when a batch is taken, what of it is begun beside what is at work, and what is tried while the
queue stands still. What becomes of what was begun, and what an error means, is `processing`.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from shared.consuming.arrangement import Arrangement, arrange
from shared.consuming.hands import Hands
from shared.consuming.processing import Processing
from shared.consuming.route import Concurrent, OneBatch, Overlapping, Route
from shared.consuming.standing import Standing
from shared.consuming.workbench import Workbench

#: How often a queue that stands still looks whether it may try.
_LOOK_S = 0.1
#: So many times as long a batch is waited for while more than one is in hand: small ones cost as much.
_BUSY = 10
#: Redelivered messages worked at once, where batches are not: few, for a killer takes them along.
_CHAINS_AT_ONCE = 8


class Consumer:
    """Consumes one queue as its route says, until drained."""

    def __init__(self, route: Route, inlet: Inlet, bench: Workbench) -> None:
        self._options = route.options
        self._order_key = route.order_key
        self._inlet = inlet
        self._bench = bench
        at_once = route.options.at_once
        self._slots = asyncio.Semaphore(at_once.batches if isinstance(at_once, Concurrent) else 1)
        self._hands = Hands(route.order_key)
        self._aside: list[Delivery] = []
        self._random = Random()  # noqa: S311 - it shuffles work, it guards nothing
        self._draining = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        failing_since = bench.health.follow(route.publishes)
        self.standing = Standing(inlet, bench.state, bench.durations, failing_since)
        self._processing = Processing(route, inlet, bench, self.standing, self._tasks, self._draining)

    @property
    def queue(self) -> str:
        """What it consumes."""
        return self._inlet.queue

    async def run(self) -> None:
        """Work until `drain`; returns when nothing is in hand."""
        async with self._tasks:
            watching = self._tasks.create_task(self._watch(), name=f"watch {self._inlet.queue}")
            while not self._draining.is_set():
                await (self._stand_still() if self.standing.is_still else self._turn())
            watching.cancel()
            await self._inlet.release(self._processing.lines.pass_by(self._aside))
        await self._inlet.release(self.standing.let_go_all())

    async def drain(self) -> None:
        """Take no more; what is in hand is finished by `run`."""
        self._draining.set()
        await self._inlet.close()

    async def _watch(self) -> None:
        """Give back in time what nobody began, whatever the loop waits for."""
        while True:
            await asyncio.sleep(self._bench.durations.store_probe_s)
            self.standing.look()
            if let_go := self.standing.let_go():
                await self._bench.settlement.give_back(self._inlet, let_go)

    async def _stand_still(self) -> None:
        """Begin nothing but one delivery, when it may be tried; the others are for those who can work."""
        self._bench.state.progress(self._inlet.queue)
        if not self.standing.may_try:
            await asyncio.sleep(_LOOK_S)
            return
        self.standing.begin_try()
        batch = await self._inlet.next_batch(1, 0)
        if batch:
            self.standing.end_try()
            self.standing.take(batch)
            await self._processing.work_part(batch, is_try=True)

    async def _turn(self) -> None:
        """Take a batch and begin it."""
        match self._options.at_once:
            case OneBatch():
                await self._take_one_by_one()
            case Overlapping():
                await self._take_overlapping()
            case Concurrent():
                await self._take_concurrent()

    async def _take_one_by_one(self) -> None:
        """Begin a batch when the one before it is done: its redelivered messages first."""
        arranged = self._arrange(await self._next_batch())
        if arranged.chains:
            async with self._slots:
                await self._work_redelivered(arranged)
        if arranged.fresh:
            await self._begin_in_slot(arranged.fresh)

    async def _take_concurrent(self) -> None:
        """Begin each part of a batch once a slot is free."""
        arranged = self._arrange(await self._next_batch())
        for part in arranged.parts:
            await self._begin_in_slot(part)

    async def _take_overlapping(self) -> None:
        """Begin a batch beside another: a full one, or where nothing is in hand, what is there.

        Small batches beside each other would cost more than they gain.
        """
        hands = self._hands
        await hands.free.wait()
        missing = max(1, self._options.batch_size - len(self._aside))
        if hands.empty.is_set() and not self._aside:
            batch = await self._inlet.next_batch(missing, self._options.linger_s)
        else:
            batch = await self._inlet.full_batch(missing, hands.empty)
        arranged = self._arrange(batch)
        if arranged.chains:
            await hands.empty.wait()
            await self._work_redelivered(arranged)
        begun, self._aside = hands.split(arranged.fresh)
        if begun:
            hands.begin(begun)
            self._begin(begun, partial(hands.end, begun))
        elif self._aside:
            await hands.empty.wait()

    async def _next_batch(self) -> list[Delivery]:
        is_busy = self._processing.in_hand >= self._options.batch_size
        linger_s = self._options.linger_s * (_BUSY if is_busy else 1)
        return await self._inlet.next_batch(self._options.batch_size, linger_s)

    def _arrange(self, batch: Sequence[Delivery]) -> Arrangement:
        self.standing.take(batch)
        self._bench.state.progress(self._inlet.queue)
        return arrange([*self._aside, *batch], self._order_key, self._random)

    async def _work_redelivered(self, arranged: Arrangement) -> None:
        """Alone, in a queue whose batches are worked one by one: a killer among them takes none along."""
        once, often = arranged.once_redelivered, arranged.often_redelivered
        # after a crash they are everything that was in hand, each with a commit and a confirm of its own: one
        # after the other would hold up the queue for many seconds
        await self._work_chains(once, _CHAINS_AT_ONCE)
        await self._work_chains(often, 1)

    async def _work_chains(self, chains: Sequence[Sequence[Delivery]], at_once: int) -> None:
        """So many chains beside each other, the deliveries of each one by one."""
        slots = asyncio.Semaphore(at_once)

        async def work(chain: Sequence[Delivery]) -> None:
            async with slots:
                for item in chain:
                    await self._processing.work_part([item])

        async with asyncio.TaskGroup() as group:
            for chain in chains:
                group.create_task(work(chain), name=f"work {self._inlet.queue}")

    async def _begin_in_slot(self, part: Sequence[Delivery]) -> None:
        await self._slots.acquire()
        self._begin(part, self._slots.release)

    def _begin(self, part: Sequence[Delivery], end: Callable[[], None]) -> None:
        """Work a part in a task of its own; `end` makes room for another one."""

        async def work() -> None:
            try:
                await self._processing.work_part(part)
            finally:
                end()

        self._tasks.create_task(work(), name=f"work {self._inlet.queue}")
