"""What sending came to, written: attempts, messages, and what follows for numbers, campaigns and customers.

Owns that transaction, for several messages at once, and that an answer in hand is never lost while the store
is away: it is written once the store is back, and nothing is sent again because of it. How a message's
status moves, and the events about it, are `shared.tracking`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal
from uuid import UUID

from shared.durations import Durations
from shared.errors import StoreConflict, StoreError, StoreLocked, StoreUnavailable
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import CampaignUpdated, SendError, encode
from shared.postgres.database import Connection, Database
from shared.postgres.outbox import Outbox, OutboxEvent, event
from shared.postgres.queries import Queries
from shared.tracking import OwnEvent, Tracker
from workers.outbound_sender.circuit import Health
from workers.outbound_sender.circuit_store import CircuitStore
from workers.outbound_sender.message import Outgoing

logger = get_logger(__name__)
_QUERIES = Queries("workers.outbound_sender", "results.sql")
#: Deadlocks and lock time-outs in a row that are worth a line.
_TOLD_CONFLICTS = 10


class Effect(Enum):
    """What else follows from an ending."""

    PAUSE_NUMBER = auto()
    PAUSE_CAMPAIGN = auto()
    OPT_OUT = auto()
    SKIP_RECIPIENT = auto()


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, or (`attempt` None) that a message ends without one.

    `is_over`: the message itself is sent or failed for good.
    """

    message: Outgoing
    attempt: int | None
    outcome: Literal["sent", "failed", "ambiguous", "abandoned"]
    is_over: bool
    wamid: str | None = None
    http_status: int | None = None
    code: str | None = None
    text: str | None = None
    health: Health | None = None
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What stands after it. `status` of a message that is over; `was_open`: the attempt was ours to close."""

    status: str | None
    was_open: bool


class ResultStore:
    """Writes endings."""

    def __init__(
        self,
        database: Database,
        tracker: Tracker,
        circuits: CircuitStore,
        outbox: Outbox,
        durations: Durations,
    ) -> None:
        self._database = database
        self._tracker = tracker
        self._circuits = circuits
        self._outbox = outbox
        self._durations = durations

    async def record(self, endings: Sequence[Ending]) -> list[Written]:
        """Write endings, waiting for a store that is away; then tell what follows from them.

        One alone waits for a locked row, too; several raise StoreLocked.
        """
        written, events = await self._write_in_time(endings)
        wamids = [ending.wamid for ending in endings if ending.wamid is not None]
        await asyncio.gather(self._outbox.publish(events), self._apply_stored(wamids))
        return written

    async def _write_in_time(self, endings: Sequence[Ending]) -> tuple[list[Written], list[OutboxEvent]]:
        """What was answered is known here only: a conflict, too, is tried again for as long as may be."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._durations.hold_when_store_away_s
        conflicts = 0
        while True:
            try:
                return await self._write(endings)
            except (StoreUnavailable, StoreConflict) as error:
                if clock() > deadline or (isinstance(error, StoreLocked) and len(endings) > 1):
                    raise
                conflicts = conflicts + 1 if isinstance(error, StoreConflict) else 0
                if conflicts in (0, _TOLD_CONFLICTS):
                    logger.warning(
                        "%d results of sending wait to be written: %s",
                        len(endings),
                        error,
                        extra=fields(operation=Operation.OUTBOUND_SEND),
                    )
            pause_s = self._durations.store_probe_s
            await asyncio.sleep(min(0.01 * conflicts, pause_s) if conflicts else pause_s)

    async def _write(self, endings: Sequence[Ending]) -> tuple[list[Written], list[OutboxEvent]]:
        pending = [item for item in endings if not item.is_over and item.attempt is not None]
        async with self._database.transaction() as connection:
            if pending:
                ids = sorted({ending.message.id for ending in endings})
                await connection.execute(_QUERIES["lock_messages"], ids)
            closed = await _close(connection, pending)
            over = [_own_event(ending) for ending in endings if ending.is_over]
            recorded = await self._tracker.record_own(connection, over)
            told = await self._follow(connection, endings)
            await self._circuits.note(connection, _healths(endings))
            await self._outbox.record(connection, told)
        written = [
            Written(recorded.statuses.get(ending.message.id), ending.message.id in closed)
            for ending in endings
        ]
        return written, [*recorded.events, *told]

    async def _follow(self, connection: Connection, endings: Sequence[Ending]) -> list[OutboxEvent]:
        """Carry out the effects; returns the events to tell."""
        effects: dict[Effect, list[Ending]] = {}
        for ending in endings:
            if ending.effect is not None:
                effects.setdefault(ending.effect, []).append(ending)
        told: list[OutboxEvent] = []
        # In one order, as all locks: numbers, campaigns, customers, recipients.
        for effect, concerned in sorted(effects.items(), key=lambda item: item[0].value):
            match effect:
                case Effect.PAUSE_NUMBER:
                    await _pause_numbers(connection, concerned)
                case Effect.PAUSE_CAMPAIGN:
                    told += await _pause_campaigns(connection, concerned)
                case Effect.OPT_OUT:
                    customers = [ending.message.customer for ending in concerned]
                    await connection.execute(_QUERIES["opt_out"], customers)
                case Effect.SKIP_RECIPIENT:
                    await connection.execute(_QUERIES["skip_recipients"], _ids(concerned))
        return told

    async def _apply_stored(self, wamids: Sequence[str]) -> None:
        """Statuses that came before the answer. Where that fails, however, the scheduler matches them."""
        if not wamids:
            return
        try:
            await self._tracker.apply_stored(wamids)
        except StoreError as error:
            logger.warning(
                "statuses of %d messages are left to the scheduler: %s",
                len(wamids),
                error,
                extra=fields(operation=Operation.STATUS_MATCHING),
            )


async def _close(connection: Connection, pending: Sequence[Ending]) -> set[UUID]:
    if not pending:
        return set()
    columns = zip(
        *(
            (item.message.id, item.attempt, item.outcome, item.http_status, item.code, item.text)
            for item in pending
        ),
        strict=True,
    )
    rows = await connection.fetch(_QUERIES["close_attempts"], *map(list, columns))
    return {row["message_id"] for row in rows}


async def _pause_numbers(connection: Connection, endings: Sequence[Ending]) -> None:
    columns = zip(
        *((item.message.number, item.text, item.message.id, item.attempt) for item in endings), strict=True
    )
    for row in await connection.fetch(_QUERIES["pause_numbers"], *map(list, columns)):
        logger.error(
            "number %s is paused, its messages wait for `wabus number resume`: %s",
            row["phone_number_id"],
            row["reason"],
            extra=fields(operation=Operation.NUMBER_CONTROL),
        )


async def _pause_campaigns(connection: Connection, endings: Sequence[Ending]) -> list[OutboxEvent]:
    reasons = [ending.text for ending in endings]
    rows = await connection.fetch(_QUERIES["pause_campaigns"], _ids(endings), reasons)
    await connection.execute(_QUERIES["return_recipients"], _ids(endings))
    told = []
    for row in rows:
        logger.error(
            "campaign %s is paused: %s",
            row["id"],
            row["reason"],
            extra=fields(operation=Operation.CAMPAIGN_CONTROL),
        )
        trace_id = row["correlation_id"] or endings[0].message.trace_id
        updated = CampaignUpdated(
            campaign_id=row["id"],
            old_status="running",
            new_status="paused",
            reason=row["reason"],
            timestamp=row["at"],
            trace_id=trace_id,
        )
        told.append(
            event(
                "campaign.updated",
                encode(updated),
                aggregate=("campaign", row["id"]),
                correlation_id=trace_id,
            )
        )
    return told


def _ids(endings: Iterable[Ending]) -> list[UUID]:
    return [ending.message.id for ending in endings]


def _own_event(ending: Ending) -> OwnEvent:
    is_sent = ending.outcome == "sent"
    return OwnEvent(
        ending.message.id,
        "sent" if is_sent else "failed",
        trace_id=ending.message.trace_id,
        attempt=ending.attempt,
        wamid=ending.wamid,
        error=None if is_sent else SendError(code=ending.code or "unknown", message=ending.text),
        http_status=ending.http_status,
    )


def _healths(endings: Sequence[Ending]) -> dict[str, list[Health]]:
    healths: dict[str, list[Health]] = {}
    for ending in endings:
        if ending.health is not None:
            healths.setdefault(ending.message.number, []).append(ending.health)
    return healths
