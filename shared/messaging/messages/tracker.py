"""The one way in which a message's status moves: events are stored, then applied to their rows.

Owns the transactions and their order: an event is committed before its message is looked for, and whoever
commits a message looks for its events afterwards, so whichever comes second finds both. What events mean is
`shared.messaging.messages.judgement`, what a move brings with it `shared.messaging.messages.consequences`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from shared.coordination.client import RedisUnavailable
from shared.coordination.rate_shared import SharedRates
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.messaging.messages.consequences import Consequences, JudgedMessage, Slowed, write_cases
from shared.messaging.messages.event_store import (
    Place,
    Settled,
    find_matchable,
    find_waiting,
    insert_events,
    match_events,
    read_waiting,
    settle_events,
    store_events,
)
from shared.messaging.messages.judgement import Background, Message, judge, locate
from shared.messaging.messages.message_store import find_backgrounds, lock_messages
from shared.messaging.messages.rejected import bury_events
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import EVENT_STATES, Direction, MessageStatus, StatusOutcome
from shared.messaging.messages.values import (
    OWN_SOURCE,
    OwnEvent,
    Recorded,
    StatusEvent,
    StoredEvent,
    callback_data,
)
from shared.messaging.messages.weighing import Heard, weigh
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
_PLAIN: Final = Background()
_UNSETTLED: Final = (None, StatusOutcome.UNMATCHED)


class Tracker:
    """Stores and applies status events, for updater, sender, dlq-handler and scheduler."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        metrics: Metrics,
        durations: Durations,
        rates: SharedRates | None = None,
    ) -> None:
        """`rates`: of whoever applies statuses, which may tell that a number or a customer gets too much."""
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._metrics = metrics
        self._durations = durations
        self._rates = rates
        self._swept: Place | None = None

    async def store(self, events: Sequence[StatusEvent]) -> list[StoredEvent]:
        """Store events, each once, in a commit of its own; give them back with what became of them so far.

        `events` are distinct by key. One that was stored before comes back with its outcome.
        """
        return await store_events(self._database, events) if events else []

    async def apply(self, stored: Sequence[StoredEvent]) -> Mapping[int, StatusOutcome]:
        """Match stored events to messages and move them, in a transaction of its own; publish what follows.

        Gives the outcome of each event by id. Idempotent: events that are settled meanwhile stay so. A
        rejected one that waited until now is made a dead letter here; of any other the delivery is not done
        yet, and whoever has it makes the dead letter.
        """
        events = [item for item in stored if item.outcome in _UNSETTLED]
        outcomes = {item.id: item.outcome for item in stored if item.outcome is not None}
        if not events:
            return outcomes
        async with self._database.transaction() as connection:
            matched = await match_events(connection, events)
            consequences, found = await self._apply_matched(connection, events, matched)
            lost = {item.id: _without_message(item) for item in events if item.id not in found}
            rejected = [item for item in events if found.get(item.id) is StatusOutcome.REJECTED]
            buried = await bury_events(connection, [item for item in rejected if item.delivery is None])
            consequences.events.extend(buried)
            consequences.dead.extend(DeadReason.STATE_VIOLATION for _ in buried)
            settled: list[Settled] = [
                (item, matched[item.id], found[item.id]) for item in events if item.id in found
            ]
            # what nobody has in hand waits on as it is: whoever has it settles it, and keeps what it came as
            settled += [
                (item, None, lost[item.id])
                for item in events
                if item.id in lost and item.delivery is not None
            ]
            new = await settle_events(connection, settled)
            await self._outbox.record(connection, consequences.events)
        self._count([what for item, _, what in settled if item.id in new], consequences)
        if self._rates is not None:
            await _slow(self._rates, consequences.slowed)
        await self._outbox.publish(consequences.events)
        return outcomes | found | lost

    async def apply_stored(self, references: Sequence[str]) -> int:
        """Apply events that wait under these references (wamids, callback data), and publish.

        For whoever has just committed what they name. Returns how many were settled. Idempotent. One that
        cannot be applied is set aside for the scheduler, and keeps no other waiting.
        """
        waiting = await find_waiting(self._database, references) if references else []
        return await self._work_waiting(waiting)

    async def match_waiting(self) -> int:
        """Apply waiting events, not older than `status_unmatched_h`, whose message is there by now.

        What came lately is looked at each time; of what waits for longer so many pages, round and round: a
        number that is shared with another system leaves millions which never find a message.
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
        own = {item.message_id: item for item in events}
        locked = await lock_messages(connection, own)
        backgrounds = await find_backgrounds(connection, list(locked.messages))
        cases = [
            self._judge(
                message,
                [Sighting(_status_event(own[message.id], locked.at), None, own[message.id].attempt or 0)],
                backgrounds[message.id],
            )
            for message in locked.messages.values()
        ]
        answers = {
            (item.message_id, item.attempt or 0): (item.http_status, item.message_status) for item in events
        }
        consequences = await write_cases(
            connection, cases, self._durations, answers=answers, dead_letters=False
        )
        settled = [(case.before.id, case.judgement.outcomes[0]) for case in cases]
        await insert_events(connection, [case.sightings[0].event for case in cases], settled)
        await self._outbox.record(connection, consequences.events)
        self._count([outcome for _, outcome in settled], consequences)
        return Recorded(
            consequences.events, {case.before.id: case.judgement.message.status for case in cases}
        )

    async def _apply_matched(
        self, connection: Connection, events: Sequence[StoredEvent], matched: Mapping[int, UUID]
    ) -> tuple[Consequences, dict[int, StatusOutcome]]:
        """Judge and write the messages of matched events; gives the outcomes of those whose row is there."""
        locked = await lock_messages(connection, set(matched.values()))
        by_message: dict[UUID, list[StoredEvent]] = {}
        for item in events:
            message_id = matched.get(item.id)
            if message_id in locked.messages:
                by_message.setdefault(message_id, []).append(item)
        deep = [
            message_id
            for message_id, items in by_message.items()
            if _needs_background(locked.messages[message_id], items)
        ]
        backgrounds = await find_backgrounds(connection, deep)
        heard = [
            _hear(locked.messages[message_id], items, backgrounds.get(message_id, _PLAIN))
            for message_id, items in by_message.items()
        ]
        cases = [self._judge(*item) for item in await weigh(connection, heard)]
        consequences = await write_cases(connection, cases, self._durations, answers={}, dead_letters=True)
        outcomes = {
            item.event_id: outcome
            for case in cases
            for item, outcome in zip(case.sightings, case.judgement.outcomes, strict=True)
            if item.event_id is not None
        }
        return consequences, outcomes

    def _judge(
        self, message: Message, sightings: Sequence[Sighting], background: Background
    ) -> JudgedMessage:
        judgement = judge(message, sightings, background, self._durations.status_retry_attempts)
        traces = (item.event.trace_id for item in sightings if item.event.trace_id)
        return JudgedMessage(message, sightings, background, judgement, next(traces, str(message.id)))

    async def _work_waiting(self, rows: Sequence[asyncpg.Record]) -> int:
        return await self._aside.work(JOB, rows, lambda row: row["id"], self._apply_waiting)

    async def _apply_waiting(self, rows: Sequence[asyncpg.Record]) -> int:
        outcomes = await self.apply([read_waiting(row) for row in rows])
        return sum(outcome is not StatusOutcome.UNMATCHED for outcome in outcomes.values())

    def _count(self, outcomes: Iterable[StatusOutcome], consequences: Consequences) -> None:
        for outcome in outcomes:
            self._metrics.status_events.labels(outcome.value).inc()
        self._metrics.status_events.labels(StatusOutcome.IMPLIED.value).inc(consequences.implied)
        for reason in consequences.dead:
            self._metrics.dlq_messages.labels(reason.value).inc()


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


def _needs_background(message: Message, items: Sequence[StoredEvent]) -> bool:
    """Whether attempts matter: sending is not over, or an event fails it or comes from another attempt.

    A sent message with an error is one whose attempt failed and that is to be sent again.
    """
    return message.direction is Direction.OUTBOUND and (
        message.status is MessageStatus.QUEUED
        or (message.status is not MessageStatus.FAILED and message.error_code is not None)
        or any(
            item.event.status == MessageStatus.FAILED or item.event.wamid != message.wamid for item in items
        )
    )


def _hear(message: Message, items: Sequence[StoredEvent], background: Background) -> Heard:
    """Failures of the background that are among the events in hand are judged as these."""
    ids = {item.id for item in items}
    earlier = [item for item in background.failures if item.event_id not in ids]
    sightings = [
        Sighting(item.event, item.id, locate(item.event, message.id, background.attempts)) for item in items
    ]
    return message, sightings, replace(background, failures=earlier)


def _without_message(item: StoredEvent) -> StatusOutcome:
    return StatusOutcome.UNMATCHED if item.event.status in EVENT_STATES else StatusOutcome.IGNORED


def _status_event(own: OwnEvent, at: datetime) -> StatusEvent:
    error = [] if own.error is None else [own.error.model_dump(exclude_none=True)]
    return StatusEvent(
        source=OWN_SOURCE,
        status=own.status,
        occurred_at=at,
        wamid=own.wamid,
        callback_data=callback_data(own.message_id, own.attempt or 0),
        errors=error,
        details=None if own.message_status is None else {"message_status": own.message_status},
        trace_id=own.trace_id,
    )
