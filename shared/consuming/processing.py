"""What becomes of the deliveries that one queue has begun, and what an error means for them.

With a store that is away the queue stands still; a conflict and an error of the data are pinned to their
message by splitting the part; whose row is locked waits for it alone. Decisions are the handler's, carrying
them out the settlement's.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from math import inf
from random import Random

from shared.amqp import hops
from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Dead, Disposition, Retry, sort_out
from shared.amqp.topology import LANES
from shared.consuming.handling import observe_wait
from shared.consuming.late import LateCopies
from shared.consuming.lines import Lines, Work
from shared.consuming.route import Route
from shared.consuming.settlement import Settled
from shared.consuming.standing import Standing
from shared.consuming.workbench import Workbench
from shared.errors import (
    BrokerError,
    PublishRefused,
    StoreConflict,
    StoreDataError,
    StoreLocked,
    StoreUnavailable,
)
from shared.observability.logs import Operation, fields, get_logger
from shared.reasons import DeadReason

logger = get_logger(__name__)
#: Tries in place of a part that met a deadlock or the like, before its messages are worked one by one.
_CONFLICT_TRIES = 3


class Processing:
    """Works parts of one queue's batches, many at once if asked to.

    `pending` are, by identity, the deliveries of a part that have no disposition yet. `in_hand` counts what
    was begun; `lines` are those of messages whose rows somebody else has locked.
    """

    def __init__(
        self,
        route: Route,
        inlet: Inlet,
        bench: Workbench,
        standing: Standing,
        tasks: asyncio.TaskGroup,
        draining: asyncio.Event,
    ) -> None:
        """`tasks`: where what outlasts its part goes on. `draining` is set when the worker stops."""
        self._handler = route.handler
        self._inlet = inlet
        self._lane = LANES.get(inlet.queue, "")
        self._bench = bench
        self._standing = standing
        self._tasks = tasks
        self._draining = draining
        self._inflight = bench.metrics.inflight.labels(bench.worker)
        self._age = bench.ages.consume(inlet.queue)
        self._random = Random()  # noqa: S311 - it spreads tries, it guards nothing
        self._late = LateCopies(inlet, bench, self._put_back)
        waiting = Work(self._work_first_in_line, self._give_up, inlet.release)
        patience_s = bench.durations.lock_patience_s if route.options.gives_up else inf
        self.lines = Lines(route.order_key, waiting, patience_s, draining)
        self.in_hand = 0

    async def work_part(self, part: Sequence[Delivery], *, is_try: bool = False) -> None:
        """Begin what was taken, unless the queue stands still by now, and work it.

        Returns when each delivery is settled, stands in a line, was put back or given back. Raises nothing
        that the handler raises. `is_try`: the one that is tried while the queue stands still.
        """
        part = self._standing.begin(part, is_try=is_try)
        if not part:
            return
        metrics, worker = self._bench.metrics, self._bench.worker
        self._inflight.inc(len(part))
        self.in_hand += len(part)
        metrics.batch_size.labels(worker).observe(len(part))
        observe_wait(metrics, worker, self._lane, part)
        hops.begin(part, worker)
        self._age.begin(part)
        try:
            await self._work_past_locks(part, is_try=is_try)
        finally:
            self._age.end(part)
            self._inflight.dec(len(part))
            self.in_hand -= len(part)
            self._standing.end()

    async def _work_past_locks(self, part: Sequence[Delivery], *, is_try: bool) -> None:
        """Whose row is locked opens a line, so that the rest of the part goes on."""
        pending = {id(delivery): delivery for delivery in self.lines.pass_by(part)}
        try:
            await self._work_or_put_back(pending, is_try=is_try)
        except StoreConflict:
            self.lines.open(pending.values(), self._tasks)

    async def _work_first_in_line(self, delivery: Delivery) -> None:
        """A try of a line's: raises StoreConflict while the row is locked."""
        await self._work_or_put_back({id(delivery): delivery}, is_try=False)

    async def _work_or_put_back(self, pending: dict[int, Delivery], *, is_try: bool) -> None:
        """Raises StoreConflict for those that are not put back."""
        await self._or_put_back(self._handle_all(pending), pending, is_try=is_try)

    async def _or_put_back(
        self, work: Awaitable[None], pending: dict[int, Delivery], *, is_try: bool = False
    ) -> None:
        """What a server that is away keeps this work from doing is put back."""
        try:
            await work
        except StoreUnavailable as error:
            self._bench.gate.shut(error)
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
                self._standing.put_off()
            await self._put_back(list(pending.values()))

    async def _handle_all(self, pending: dict[int, Delivery]) -> None:
        """Handle until none is pending: once more after a conflict, each alone after an error of one's own.

        Raises StoreUnavailable, BrokerError, StoreConflict; `pending` are then without a disposition.
        """
        conflicts = 0
        while pending:
            try:
                await self._handle_once(pending)
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

    async def _handle_once(self, pending: dict[int, Delivery]) -> None:
        """Hand all of them over, and carry out what is said of each as it is said."""
        async with aclosing(self._handler.handle(list(pending.values()))) as groups:  # type: ignore[type-var]
            async for group in groups:
                done, away, locked = sort_out(group)
                if done:
                    await self._settle(pending, done)
                if away:
                    self._bench.gate.shut(away[0][1])
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
        self.lines.open([pending.pop(id(delivery)) for delivery, _ in locked], self._tasks)

    async def _blame(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        """One of several is to blame: work each alone. A single one is the culprit."""
        if len(pending) == 1:
            await self._settle_all(pending, verdict)
            self._standing.note(failed=True)
            return
        alone = list(pending.values())
        pending.clear()
        for place, delivery in enumerate(alone):
            if self._standing.is_still:
                await self._put_back(alone[place:])
                return
            await self._work_past_locks([delivery], is_try=False)

    async def _give_up(self, delivery: Delivery, error: StoreConflict) -> None:
        verdict = Retry("lock_timeout", str(error), exhausted=DeadReason.LOCK_TIMEOUT)
        pending = {id(delivery): delivery}
        await self._or_put_back(self._settle_all(pending, verdict), pending)

    async def _put_back(self, deliveries: Sequence[Delivery], *, is_try: bool = False) -> None:
        """Nothing is done for them that counts. They wait here for a while, or for others.

        The one that found PostgreSQL away is kept for the next try, for no longer than what was begun.
        """
        hops.put_back(deliveries)
        oldest = min((delivery.received_at for delivery in deliveries), default=0.0)
        is_spent = time.monotonic() - oldest >= self._bench.durations.hold_when_store_away_s
        if self._draining.is_set():
            await self._inlet.release(deliveries)
        elif is_spent or (self._standing.is_overdue and not is_try):
            await self._bench.settlement.give_back(self._inlet, deliveries)
        else:
            self._standing.put_back(deliveries)

    async def _settle_all(self, pending: dict[int, Delivery], verdict: Disposition) -> None:
        settled = [(item, verdict) for item in pending.values()]
        late = await self._bench.settlement.settle(self._inlet, settled)
        pending.clear()
        self._late.see_through(late, self._tasks)

    async def _settle(self, pending: dict[int, Delivery], group: Sequence[Settled]) -> None:
        late = await self._bench.settlement.settle(self._inlet, group)
        duration = self._bench.metrics.message_duration.labels(self._bench.worker, self._lane)
        now = time.monotonic()
        for delivery, _ in group:
            del pending[id(delivery)]
            duration.observe(now - delivery.received_at)
            self._standing.note(failed=False)
        self._late.see_through(late, self._tasks)
