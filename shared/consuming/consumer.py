"""The workers' one way of consuming: batches in, dispositions out.

Owns the loop, what is in hand, and what an error means: a store that is away is waited for, a conflict and an
error of the data are pinned to their message by splitting the batch; whose row is locked waits for it alone.
Decisions are the handler's, carrying them out the settlement's.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Protocol

from shared.amqp.delivery import Delivery, Inlet
from shared.consuming.arrangement import Arrangement, OrderKey, arrange
from shared.consuming.brake import Brake
from shared.consuming.disposition import Dead, Disposition, Retry
from shared.consuming.gate import StoreGate
from shared.consuming.hands import Hands
from shared.consuming.lines import Lines, Work
from shared.consuming.settlement import Settled, Settlement
from shared.durations import Durations
from shared.errors import StoreConflict, StoreDataError, StoreLocked, StoreUnavailable
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.reasons import DeadReason

logger = get_logger(__name__)
BRAKE_REASON = "unexpected errors run wild"
#: Tries in place of a batch that met a deadlock or the like, before its messages are worked one by one.
_CONFLICT_TRIES = 3
#: Redelivered messages worked at once, where batches are not: few, for a killer takes them along.
_CHAINS_AT_ONCE = 8


class Handler(Protocol):
    """Decides what becomes of a batch. Effects are committed before a disposition is given."""

    def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Give each delivery of the batch exactly one disposition, in groups, as they are done.

        May be called again with those that got none, after an error of the store; so it is idempotent.
        """
        ...


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How one queue is consumed. `batches`: how many may be worked at once, each begun when it is there.

    `overlapping`, in place of `batches`: two, the second one begun only when it is full, and no two messages
    of one order key at once.
    """

    batch_size: int
    linger_s: float
    batches: int = 1
    overlapping: bool = False


class Consumer:
    """Consumes one queue with one handler, until drained."""

    def __init__(
        self,
        worker: str,
        inlet: Inlet,
        handler: Handler,
        settlement: Settlement,
        gate: StoreGate,
        state: WorkerState,
        metrics: Metrics,
        durations: Durations,
        options: ConsumerOptions,
        order_key: OrderKey,
    ) -> None:
        self._worker = worker
        self._inlet = inlet
        self._handler = handler
        self._settlement = settlement
        self._gate = gate
        self._state = state
        self._metrics = metrics
        self._durations = durations
        self._options = options
        self._order_key = order_key
        self._brake = Brake(durations.brake_window, durations.brake_share)
        self._slots = asyncio.Semaphore(options.batches)
        self._hands = Hands(order_key)
        self._aside: list[Delivery] = []
        self._random = Random()  # noqa: S311 - it shuffles work, it guards nothing
        self._draining = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        waiting = Work(self._work_in_line, self._give_up, inlet.release)
        self._lines = Lines(order_key, waiting, durations.lock_patience_s, self._draining)
        gate.guard(inlet)

    @property
    def queue(self) -> str:
        """What it consumes."""
        return self._inlet.queue

    async def run(self) -> None:
        """Work until `drain`; returns when nothing is in hand."""
        async with self._tasks as work:
            while not self._draining.is_set():
                await self._gate.wait_until_open()
                await self._heed_brake()
                size = 1 if self._brake.is_tripped else self._options.batch_size
                await (self._overlap if self._options.overlapping else self._turn)(size, work)
            await self._inlet.release(self._lines.pass_by(self._aside))

    async def drain(self) -> None:
        """Take no more; what is in hand is finished by `run`."""
        self._draining.set()
        await self._inlet.close()

    async def _heed_brake(self) -> None:
        if not self._brake.is_tripped:
            self._state.not_ready.discard(BRAKE_REASON)
            self._state.stall_reasons.discard(BRAKE_REASON)
            return
        if BRAKE_REASON not in self._state.not_ready:
            logger.error(
                "more than half of the last deliveries of %s failed unexpectedly: one every %g s is tried",
                self._inlet.queue,
                self._durations.brake_probe_s,
                extra=fields(operation=Operation.CONSUMING),
            )
        self._state.not_ready.add(BRAKE_REASON)
        self._state.stall_reasons.add(BRAKE_REASON)
        try:
            async with asyncio.timeout(self._durations.brake_probe_s):
                await self._draining.wait()
        except TimeoutError:
            pass

    async def _turn(self, size: int, work: asyncio.TaskGroup) -> None:
        """Take a batch and begin it once a slot is free."""
        batch = await self._inlet.next_batch(size, self._options.linger_s)
        self._state.progress(self._inlet.queue)
        arranged = arrange(batch, self._order_key, self._random)
        parts = arranged.parts
        if self._options.batches == 1 and arranged.chains:
            async with self._slots:
                await self._work_redelivered(arranged)
            parts = [arranged.fresh] if arranged.fresh else []
        for part in parts:
            await self._slots.acquire()
            work.create_task(self._work(part), name=f"work {self._inlet.queue}")

    async def _overlap(self, size: int, work: asyncio.TaskGroup) -> None:
        """Take a batch and begin it beside another: a full one, or where nothing is in hand, what is there.

        Small batches beside each other would cost more than they gain.
        """
        hands = self._hands
        await hands.free.wait()
        missing = max(1, size - len(self._aside))
        if hands.empty.is_set() and not self._aside:
            batch = await self._inlet.next_batch(missing, self._options.linger_s)
        else:
            batch = await self._inlet.full_batch(missing, hands.empty)
        self._state.progress(self._inlet.queue)
        arranged = arrange([*self._aside, *batch], self._order_key, self._random)
        if arranged.chains:
            await hands.empty.wait()
            await self._work_redelivered(arranged)
        begun, self._aside = hands.split(arranged.fresh)
        if begun:
            hands.begin(begun)
            work.create_task(self._work_beside(begun), name=f"work {self._inlet.queue}")
        elif self._aside:
            await hands.empty.wait()

    async def _work_redelivered(self, arranged: Arrangement) -> None:
        """Alone, in a queue whose batches are worked one by one: a killer among them takes none along."""
        once, often = arranged.once_redelivered, arranged.often_redelivered
        if len(once) > 1:
            await self._work_chains(once)
        else:
            often = [*once, *often]
        for chain in often:
            for item in chain:
                await self._work_part([item])

    async def _work_chains(self, chains: Sequence[Sequence[Delivery]]) -> None:
        """Messages of several keys redelivered for the first time at once, where batches go one by one.

        After a crash they are everything that was in hand: each with a commit and a confirm of its own, one
        after the other would hold up the queue for many seconds.
        """
        at_once = asyncio.Semaphore(_CHAINS_AT_ONCE)

        async def work(chain: Sequence[Delivery]) -> None:
            async with at_once:
                for item in chain:
                    await self._work_part([item])

        async with asyncio.TaskGroup() as group:
            for chain in chains:
                group.create_task(work(chain), name=f"work {self._inlet.queue}")

    async def _work(self, part: Sequence[Delivery]) -> None:
        try:
            await self._work_part(part)
        finally:
            self._slots.release()

    async def _work_beside(self, part: Sequence[Delivery]) -> None:
        try:
            await self._work_part(part)
        finally:
            self._hands.end(part)

    async def _work_part(self, part: Sequence[Delivery]) -> None:
        inflight = self._metrics.inflight.labels(self._worker)
        inflight.inc(len(part))
        self._metrics.batch_size.labels(self._worker).observe(len(part))
        self._observe_wait(part)
        try:
            await self._work_through(part)
        finally:
            inflight.dec(len(part))

    async def _work_through(self, part: Sequence[Delivery]) -> None:
        """Work what stands in no line. Whose row is locked opens one, so the rest of the part goes on."""
        pending = {id(delivery): delivery for delivery in self._lines.pass_by(part)}
        try:
            await self._work_pending(pending)
        except StoreConflict:
            self._lines.open(pending.values(), self._tasks)

    async def _work_in_line(self, delivery: Delivery) -> None:
        await self._work_pending({id(delivery): delivery})

    async def _give_up(self, delivery: Delivery, error: StoreConflict) -> None:
        verdict = Retry("lock_timeout", str(error), exhausted=DeadReason.LOCK_TIMEOUT)
        await self._settle_all({id(delivery): delivery}, verdict)

    async def _work_pending(self, pending: dict[int, Delivery]) -> None:
        """Work until none is pending. Raises StoreConflict for those that are still."""
        conflicts = 0
        while pending:
            try:
                await self._handle(pending)
            except StoreUnavailable as error:
                if not await self._gate.hold(error):
                    await self._inlet.release(list(pending.values()))
                    return
            except StoreConflict as error:
                conflicts += 1
                if isinstance(error, StoreLocked) or conflicts >= _CONFLICT_TRIES:
                    raise
                await asyncio.sleep(self._random.uniform(0.01, 0.05) * conflicts)
            except StoreDataError as error:
                await self._blame(pending, Dead(DeadReason.DATABASE_ERROR, str(error)))
            except Exception as error:
                logger.exception(
                    "unexpected error in a batch of %s",
                    self._inlet.queue,
                    extra=fields(operation=Operation.CONSUMING),
                )
                text = f"unexpected {type(error).__name__}"
                verdict = Retry("unexpected_error", text, exhausted=DeadReason.UNEXPECTED_ERROR)
                await self._blame(pending, verdict)

    async def _handle(self, pending: dict[int, Delivery]) -> None:
        async with aclosing(self._handler.handle(list(pending.values()))) as groups:  # type: ignore[type-var]
            async for group in groups:
                await self._settle(pending, group)
        if pending:
            raise RuntimeError(f"{len(pending)} deliveries got no disposition")

    async def _blame(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        """One of several is to blame: work each alone. A single one is the culprit."""
        if len(pending) == 1:
            self._brake.note(failed=True)
            await self._settle_all(pending, verdict)
            return
        alone = list(pending.values())
        pending.clear()
        for place, delivery in enumerate(alone):
            await self._heed_brake()
            if self._brake.is_tripped and self._draining.is_set():
                await self._inlet.release(alone[place:])
                return
            await self._work_through([delivery])

    async def _settle_all(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        group = [(delivery, verdict) for delivery in pending.values()]
        await self._settlement.settle(self._inlet, group)
        pending.clear()

    async def _settle(self, pending: dict[int, Delivery], group: Sequence[Settled]) -> None:
        await self._settlement.settle(self._inlet, group)
        duration = self._metrics.message_duration.labels(self._worker)
        now = time.monotonic()
        for delivery, _ in group:
            del pending[id(delivery)]
            duration.observe(now - delivery.received_at)
            self._brake.note(failed=False)

    def _observe_wait(self, part: Sequence[Delivery]) -> None:
        """The broker's timestamps are whole seconds: half of one is taken off, on average right."""
        wait = self._metrics.queue_wait.labels(self._worker)
        now = time.time()
        for delivery in part:
            if delivery.published_at is not None:
                wait.observe(max(0.0, now - delivery.published_at - 0.5))
