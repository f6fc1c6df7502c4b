"""The workers' one way of consuming: batches in, dispositions out.

Owns the loop, what is in hand, and what an error means: with a store that is away the queue stands still, a
conflict and an error of the data are pinned to their message by splitting the batch; whose row is locked
waits for it alone. Decisions are the handler's, carrying them out the settlement's.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from math import inf
from random import Random

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Dead, Disposition, Retry, sort_out
from shared.consuming.arrangement import Arrangement, OrderKey, arrange
from shared.consuming.handling import ConsumerOptions, Handler, observe_wait
from shared.consuming.hands import Hands
from shared.consuming.late import LateCopies
from shared.consuming.lines import Lines, Work
from shared.consuming.settlement import Settled, Settlement
from shared.consuming.standing import Standing
from shared.consuming.store_gate import StoreGate
from shared.durations import Durations
from shared.errors import (
    BrokerError,
    PublishRefused,
    StoreConflict,
    StoreDataError,
    StoreLocked,
    StoreUnavailable,
)
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.reasons import DeadReason

logger = get_logger(__name__)
#: How often a queue that stands still looks whether it may try.
_LOOK_S = 0.1
#: Tries in place of a batch that met a deadlock or the like, before its messages are worked one by one.
_CONFLICT_TRIES = 3
#: So many times as long a batch is waited for while more than one is in hand: small ones cost as much.
_BUSY = 10
#: Redelivered messages worked at once, where batches are not: few, for a killer takes them along.
_CHAINS_AT_ONCE = 8


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
        failing_since: Callable[[], float | None],
    ) -> None:
        """`failing_since`: since when (monotonic) what this queue's work must publish is not taken, if so."""
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
        self._slots = asyncio.Semaphore(options.batches)
        self._hands = Hands(order_key)
        self._aside: list[Delivery] = []
        self._in_hand = 0
        self._random = Random()  # noqa: S311 - it shuffles work, it guards nothing
        self._draining = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        waiting = Work(self._work_in_line, self._give_up, inlet.release)
        patience_s = durations.lock_patience_s if options.gives_up else inf
        self._lines = Lines(order_key, waiting, patience_s, self._draining)
        inflight = metrics.inflight.labels(worker)
        self._late = LateCopies(settlement, inlet, gate, inflight, self._put_back)
        self.standing = Standing(inlet, state, durations, failing_since)

    @property
    def queue(self) -> str:
        """What it consumes."""
        return self._inlet.queue

    async def run(self) -> None:
        """Work until `drain`; returns when nothing is in hand."""
        async with self._tasks as work:
            watching = work.create_task(self._watch(), name=f"watch {self._inlet.queue}")
            while not self._draining.is_set():
                if self.standing.is_still:
                    await self._stand_still()
                else:
                    await (self._overlap if self._options.overlapping else self._turn)(work)
            watching.cancel()
            await self._inlet.release(self._lines.pass_by(self._aside))
        await self._inlet.release(self.standing.let_go_all())

    async def drain(self) -> None:
        """Take no more; what is in hand is finished by `run`."""
        self._draining.set()
        await self._inlet.close()

    async def _watch(self) -> None:
        """Give back in time what nobody began, whatever the loop waits for."""
        while True:
            await asyncio.sleep(self._durations.store_probe_s)
            self.standing.look()
            if let_go := self.standing.let_go():
                await self._settlement.give_back(self._inlet, let_go)

    async def _stand_still(self) -> None:
        """Begin nothing but one delivery, when it may be tried; the others are for those who can work."""
        self._state.progress(self._inlet.queue)
        if not self.standing.may_try:
            await asyncio.sleep(_LOOK_S)
            return
        self.standing.begin_try()
        batch = await self._inlet.next_batch(1, 0)
        if batch:
            self.standing.end_try()
            self.standing.take(batch)
            await self._work_part(batch, is_try=True)

    async def _turn(self, work: asyncio.TaskGroup) -> None:
        """Take a batch and begin it once a slot is free."""
        linger_s = self._options.linger_s * (_BUSY if self._in_hand >= self._options.batch_size else 1)
        batch = await self._inlet.next_batch(self._options.batch_size, linger_s)
        self.standing.take(batch)
        self._state.progress(self._inlet.queue)
        arranged = arrange(batch, self._order_key, self._random)
        parts = arranged.parts
        if self._options.batches == 1 and arranged.chains:
            async with self._slots:
                await self._work_redelivered(arranged)
            parts = [arranged.fresh] if arranged.fresh else []
        for part in parts:
            await self._slots.acquire()
            work.create_task(self._work(part, self._slots.release), name=f"work {self._inlet.queue}")

    async def _overlap(self, work: asyncio.TaskGroup) -> None:
        """Take a batch and begin it beside another: a full one, or where nothing is in hand, what is there.

        Small batches beside each other would cost more than they gain.
        """
        hands = self._hands
        await hands.free.wait()
        missing = max(1, self._options.batch_size - len(self._aside))
        if hands.empty.is_set() and not self._aside:
            batch = await self._inlet.next_batch(missing, self._options.linger_s)
        else:
            batch = await self._inlet.full_batch(missing, hands.empty)
        self.standing.take(batch)
        self._state.progress(self._inlet.queue)
        arranged = arrange([*self._aside, *batch], self._order_key, self._random)
        if arranged.chains:
            await hands.empty.wait()
            await self._work_redelivered(arranged)
        begun, self._aside = hands.split(arranged.fresh)
        if begun:
            hands.begin(begun)
            work.create_task(self._work(begun, partial(hands.end, begun)), name=f"work {self._inlet.queue}")
        elif self._aside:
            await hands.empty.wait()

    async def _work_redelivered(self, arranged: Arrangement) -> None:
        """Alone, in a queue whose batches are worked one by one: a killer among them takes none along."""
        once, often = arranged.once_redelivered, arranged.often_redelivered
        # after a crash they are everything that was in hand, each with a commit and a confirm of its own: one
        # after the other would hold up the queue for many seconds
        await self._work_chains(once, _CHAINS_AT_ONCE)
        await self._work_chains(often, 1)

    async def _work_chains(self, chains: Sequence[Sequence[Delivery]], at_once: int) -> None:
        slots = asyncio.Semaphore(at_once)

        async def work(chain: Sequence[Delivery]) -> None:
            async with slots:
                for item in chain:
                    await self._work_part([item])

        async with asyncio.TaskGroup() as group:
            for chain in chains:
                group.create_task(work(chain), name=f"work {self._inlet.queue}")

    async def _work(self, part: Sequence[Delivery], end: Callable[[], None]) -> None:
        try:
            await self._work_part(part)
        finally:
            end()

    async def _work_part(self, part: Sequence[Delivery], *, is_try: bool = False) -> None:
        part = self.standing.begin(part, is_try=is_try)
        if not part:
            return
        inflight = self._metrics.inflight.labels(self._worker)
        inflight.inc(len(part))
        self._in_hand += len(part)
        self._metrics.batch_size.labels(self._worker).observe(len(part))
        observe_wait(self._metrics, self._worker, part)
        try:
            await self._work_through(part, is_try=is_try)
        finally:
            inflight.dec(len(part))
            self._in_hand -= len(part)
            self.standing.end()

    async def _work_through(self, part: Sequence[Delivery], *, is_try: bool) -> None:
        """Until each has its disposition, stands in a line, or a server that this needs is away.

        Whose row is locked opens a line, so that the rest of the part goes on.
        """
        pending = {id(delivery): delivery for delivery in self._lines.pass_by(part)}
        try:
            await self._work_off(pending, is_try=is_try)
        except StoreConflict:
            self._lines.open(pending.values(), self._tasks)

    async def _work_in_line(self, delivery: Delivery) -> None:
        await self._work_off({id(delivery): delivery}, is_try=False)

    async def _give_up(self, delivery: Delivery, error: StoreConflict) -> None:
        verdict = Retry("lock_timeout", str(error), exhausted=DeadReason.LOCK_TIMEOUT)
        await self._settle_all({id(delivery): delivery}, verdict)

    async def _work_off(self, pending: dict[int, Delivery], *, is_try: bool) -> None:
        """Put back what a server that is away keeps from being done. Raises StoreConflict for the rest."""
        try:
            await self._work_pending(pending)
        except StoreUnavailable as error:
            self._gate.shut(error)
            await self._put_back(list(pending.values()), is_try=is_try)
        except BrokerError as error:
            logger.warning(
                "%d deliveries of %s cannot be done: %s",
                len(pending),
                self._inlet.queue,
                error,
                extra=fields(operation=Operation.PUBLISHING),
            )
            if is_try and not isinstance(error, PublishRefused):
                self.standing.put_off()
            await self._put_back(list(pending.values()))

    async def _work_pending(self, pending: dict[int, Delivery]) -> None:
        """Raises StoreUnavailable, BrokerError, StoreConflict; `pending` are then without a disposition."""
        conflicts = 0
        while pending:
            try:
                await self._handle(pending)
            except (StoreUnavailable, BrokerError):
                raise
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
                done, away, locked = sort_out(group)
                if done:
                    await self._settle(pending, done)
                if away:
                    self._gate.shut(away[0][1])
                    await self._put_back([pending.pop(id(delivery)) for delivery, _ in away])
                if locked:
                    self._set_aside(pending, locked)
        if pending:
            raise RuntimeError(f"{len(pending)} deliveries got no disposition")

    def _set_aside(
        self, pending: dict[int, Delivery], locked: Sequence[tuple[Delivery, StoreLocked]]
    ) -> None:
        """They get lines at once, since their batch may last. Raises StoreLocked where nobody else is left:
        a single one may stand in its line already.
        """
        if len(locked) == len(pending):
            raise locked[0][1]
        self._lines.open([pending.pop(id(delivery)) for delivery, _ in locked], self._tasks)

    async def _blame(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        """One of several is to blame: work each alone. A single one is the culprit."""
        if len(pending) == 1:
            await self._settle_all(pending, verdict)
            self.standing.note(failed=True)
            return
        alone = list(pending.values())
        pending.clear()
        for place, delivery in enumerate(alone):
            if self.standing.is_still:
                await self._put_back(alone[place:])
                return
            await self._work_through([delivery], is_try=False)

    async def _put_back(self, deliveries: Sequence[Delivery], *, is_try: bool = False) -> None:
        """Nothing is done for them that counts. They wait here for a while, or for others.

        The one that found PostgreSQL away is kept for the next try, for no longer than what was begun.
        """
        oldest = min((delivery.received_at for delivery in deliveries), default=0.0)
        is_spent = time.monotonic() - oldest >= self._durations.hold_when_store_away_s
        if self._draining.is_set():
            await self._inlet.release(deliveries)
        elif is_spent or (self.standing.is_overdue and not is_try):
            await self._settlement.give_back(self._inlet, deliveries)
        else:
            self.standing.put_back(deliveries)

    async def _settle_all(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        late = await self._settlement.settle(self._inlet, [(item, verdict) for item in pending.values()])
        pending.clear()
        self._late.see_through(late, self._tasks)

    async def _settle(self, pending: dict[int, Delivery], group: Sequence[Settled]) -> None:
        late = await self._settlement.settle(self._inlet, group)
        duration = self._metrics.message_duration.labels(self._worker)
        now = time.monotonic()
        for delivery, _ in group:
            del pending[id(delivery)]
            duration.observe(now - delivery.received_at)
            self.standing.note(failed=False)
        self._late.see_through(late, self._tasks)
