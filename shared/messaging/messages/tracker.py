"""The one way in which a message's status moves: events are stored, then applied to their rows.

Owns the transactions and their order: an event is committed before its message is looked for, and whoever
commits a message looks for its events afterwards, so whichever comes second finds both. What events mean is
`shared.messaging.messages.judgement`, what a move brings with it `shared.messaging.messages.consequences`.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from shared.coordination.client import RedisUnavailable
from shared.coordination.rate_shared import SharedRates
from shared.deadletters.storing import tell_stored
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.messaging.customers.consent import count_changes
from shared.messaging.customers.following import Follower
from shared.messaging.messages.consequences import Consequences, FollowMessages, Slowed, write_cases
from shared.messaging.messages.event_store import (
    Place,
    find_matchable,
    find_waiting,
    insert_events,
    read_waiting,
    settle_events,
    store_events,
)
from shared.messaging.messages.judged import HeardMessage, JudgedMessage, judge_message
from shared.messaging.messages.message_spans import tell_statuses
from shared.messaging.messages.reading import read_matched, read_own
from shared.messaging.messages.rejected import bury_events
from shared.messaging.messages.settling import SettlingPlan, plan_settling
from shared.messaging.messages.states import StatusOutcome
from shared.messaging.messages.values import OwnEvent, Recorded, StatusEvent, StoredEvent
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason

logger = get_logger(__name__)
#: Events that waited which are applied together.
_PAGE: Final = 1000
#: The scheduler's job, in `rows_set_aside`.
JOB: Final = "unmatched statuses"
#: Events that wait for less are looked at at every turn, of the others so many pages.
_LATELY_H: Final = 5 / 60
_PAGES_OF_OLD: Final = 5
_UNSETTLED: Final = (None, StatusOutcome.UNMATCHED)


class Tracker:
    """Stores and applies status events, for updater, sender, dlq-handler and scheduler.

    Each method blocks as its statements do: at a locked row each for `lock_wait_s`, else for 20 s at most. It
    raises StoreUnavailable, StoreConflict (StoreLocked at a locked row) and StoreDataError; of the
    transaction that failed nothing is written. It may be repeated, and be called by several at once: an event
    is stored once and settled once. That something cannot be published is not raised: it is in the outbox,
    and the scheduler publishes it. Events may come in any order: what becomes of their message is the same.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        metrics: Metrics,
        durations: Durations,
        rates: SharedRates | None = None,
        follower: Follower | None = None,
        follow: FollowMessages | None = None,
    ) -> None:
        """`rates`: of whoever applies statuses, which may tell that a number or a customer gets too much.

        `follower`: of the same, for they tell what the platform calls the customer. `follow`: moves with the
        messages what hangs on them.
        """
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._metrics = metrics
        self._durations = durations
        self._rates = rates
        self._follower = follower
        self._follow = follow
        self._swept: Place | None = None

    async def store(self, events: Sequence[StatusEvent]) -> list[StoredEvent]:
        """Store events, each once, in a commit of its own; give them back with what became of them so far.

        `events` are distinct by key. One that was stored before comes back with its outcome.
        """
        return await store_events(self._database, events) if events else []

    async def apply(self, stored: Sequence[StoredEvent]) -> Mapping[int, StatusOutcome]:
        """Read, judge, plan and write in a transaction of its own; publish what follows.

        Gives the outcome of each event by id; events that are settled meanwhile stay so. A rejected one that
        waited until now is made a dead letter here; of any other the delivery is not done yet, and whoever
        has it makes the dead letter. Blocks for publishing, too, when all of it is committed.
        """
        events = [item for item in stored if item.outcome in _UNSETTLED]
        outcomes = {item.id: item.outcome for item in stored if item.outcome is not None}
        if not events:
            return outcomes
        async with self._database.transaction() as connection:
            matched = await read_matched(connection, events)
            cases = self._judge(matched.heard)
            plan = plan_settling(events, matched.named, cases)
            consequences, new = await self._write(connection, cases, plan)
        self._count(new, consequences)
        tell_stored(consequences.dead, logging.WARNING)
        self._observe_deliveries(cases)
        if self._rates is not None:
            await _slow(self._rates, consequences.slowed)
        tell_statuses(cases)
        await self._outbox.publish(consequences.events)
        if self._follower is not None and matched.customers:
            await self._follower.follow_as_may_be(matched.customers)
        return {**outcomes, **plan.outcomes}

    async def apply_stored(self, references: Sequence[str]) -> int:
        """Apply events that wait under these references (wamids, callback data), and publish.

        For whoever has just committed what they name. Returns how many were settled. One that cannot be
        applied is set aside, and one whose row is locked is passed over; the scheduler tries both again.
        """
        waiting = await find_waiting(self._database, references) if references else []
        return await self._work_waiting(waiting)

    async def match_waiting(self) -> int:
        """Apply waiting events, not older than `status_unmatched_h`, whose message is there by now.

        What came lately is looked at each time; of what waits for longer so many pages, round and round: a
        number that is shared with another system leaves millions which never find a message. Blocks for as
        long as these pages take. It keeps its place: one task at a time. Returns how many were settled.
        """
        settled = 0
        place: Place | None = None
        while True:
            found, place = await find_matchable(self._database, place, _LATELY_H, _PAGE)
            settled += await self._work_waiting(found)
            if place is None:
                break
        for _ in range(_PAGES_OF_OLD):
            found, self._swept = await find_matchable(
                self._database, self._swept, self._durations.status_unmatched_h, _PAGE
            )
            settled += await self._work_waiting(found)
            if self._swept is None:
                break
        return settled

    async def record_own(self, connection: Connection, events: Sequence[OwnEvent]) -> Recorded:
        """Record our own `sent` and `failed` in the caller's transaction, at most one event a message.

        Locks the rows in id order, ends the attempts, moves rows and recipients, records `message.updated`,
        `outbound.sent` and `outbound.failed`, lets followers go. After the commit the caller publishes
        `Recorded.events`, and after `sent` calls `apply_stored` with the wamids. A `failed` counts only if no
        other attempt can succeed and the row is not final. It stores no dead letter: that is the caller's.
        """
        if not events:
            return Recorded([], {})
        cases = self._judge(await read_own(connection, events))
        answers = {
            (item.message_id, item.attempt or 0): (item.http_status, item.message_status) for item in events
        }
        consequences = await write_cases(
            connection,
            cases,
            self._durations,
            answers=answers,
            dead_letters=False,
            follow=self._follow,
        )
        settled = [(case.before.id, case.judgement.outcomes[0]) for case in cases]
        await insert_events(connection, [case.sightings[0].event for case in cases], settled)
        await self._outbox.record(connection, consequences.events)
        self._count([outcome for _, outcome in settled], consequences)
        return Recorded(
            consequences.events, {case.before.id: case.judgement.message.status for case in cases}
        )

    def _judge(self, heard: Sequence[HeardMessage]) -> list[JudgedMessage]:
        return [judge_message(item, self._durations.status_retry_attempts) for item in heard]

    async def _write(
        self, connection: Connection, cases: Sequence[JudgedMessage], plan: SettlingPlan
    ) -> tuple[Consequences, list[StatusOutcome]]:
        """Write what was judged and planned; gives also the outcomes that events did not have before."""
        moved = await write_cases(
            connection, cases, self._durations, answers={}, dead_letters=True, follow=self._follow
        )
        buried = await bury_events(connection, plan.dying)  # before its event is settled, for then it is gone
        new = await settle_events(connection, plan.settled)
        events = [*moved.events, *buried]
        await self._outbox.record(connection, events)
        outcomes = [what for item, _, what in plan.settled if item.id in new]
        return replace(moved, events=events, rejected=len(buried)), outcomes

    async def _work_waiting(self, rows: Sequence[asyncpg.Record]) -> int:
        return await self._aside.work(JOB, rows, lambda row: row["id"], self._apply_waiting)

    async def _apply_waiting(self, rows: Sequence[asyncpg.Record]) -> int:
        outcomes = await self.apply([read_waiting(row) for row in rows])
        return sum(outcome is not StatusOutcome.UNMATCHED for outcome in outcomes.values())

    def _count(self, outcomes: Iterable[StatusOutcome], consequences: Consequences) -> None:
        for outcome in outcomes:
            self._metrics.status_events.labels(outcome.value).inc()
        self._metrics.status_events.labels(StatusOutcome.IMPLIED.value).inc(consequences.implied)
        for letter in consequences.dead:
            self._metrics.dlq_messages.labels(letter.reason.value).inc()
        count_changes(self._metrics, consequences.refused)
        if consequences.rejected:
            self._metrics.dlq_messages.labels(DeadReason.STATE_VIOLATION.value).inc(consequences.rejected)

    def _observe_deliveries(self, cases: Iterable[JudgedMessage]) -> None:
        for case in cases:
            if (seconds := case.arrived_after_s) is not None:
                self._metrics.delivery.labels(case.before.lane or "").observe(seconds)


async def _slow(rates: SharedRates, slowed: Sequence[Slowed]) -> None:
    """As the sender does with the same error in an answer. Without Redis only the message itself waits."""
    try:
        for item in slowed:
            if item.customer is None:
                await rates.slow(item.number, None)
            else:
                await rates.back_off_pair(item.number, item.customer, item.n)
    except RedisUnavailable as error:
        logger.warning(
            "a status tells of a rate limit, and no sender hears of it: %s",
            error,
            extra=fields(operation=Operation.STATUS_MATCHING),
        )
