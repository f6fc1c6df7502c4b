"""What sending came to, written: attempts, messages, and what follows for numbers, campaigns and customers.

Owns that transaction, for several messages at once, and that an answer in hand is never lost while the store
is away: it is written once the store is back, and nothing is sent again because of it. How a message's
status moves, and the events about it, are `shared.messaging.messages`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal
from uuid import UUID

from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import Durations
from shared.errors import StoreConflict, StoreError, StoreLocked, StoreUnavailable
from shared.messaging.campaigns.recipients import skip_cancelled
from shared.messaging.messages import OwnEvent, Tracker
from shared.messaging.messages.attempts import close_attempts
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.scopes import Failure, Held, WaitsFor, hold_for
from shared.messaging.messages.variables import name_variables
from shared.messaging.numbers.breaker import ApiHealth
from shared.messaging.numbers.breaker_store import CircuitStore
from shared.messaging.numbers.holds import carry_out, read_evidence, read_templates
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import SendError
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries
from workers.outbound_sender.message import Outgoing

logger = get_logger(__name__)
_QUERIES = Queries("workers.outbound_sender.results")
#: Deadlocks and lock time-outs in a row that are worth a line.
_TOLD_CONFLICTS = 10


class Effect(Enum):
    """What else follows from an ending."""

    SKIP_RECIPIENT = auto()


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended, or (`attempt` None) that a message ends without one.

    `is_over`: the message itself is sent or failed for good. `weighed`: of this class of error, and over only
    if the others say so, whose part in it is read when it is written. `page`: see `answer.Refused`; stored
    beside the text, and nowhere else.
    """

    message: Outgoing
    attempt: int | None
    outcome: Literal["sent", "failed", "ambiguous", "abandoned"]
    is_over: bool
    wamid: str | None = None
    http_status: int | None = None
    code: str | None = None
    text: str | None = None
    health: ApiHealth | None = None
    effect: Effect | None = None
    weighed: ErrorClass | None = None
    message_status: str | None = None
    page: str = ""

    @property
    def stored_text(self) -> str | None:
        """What the attempt keeps."""
        return f"{self.text}: {self.page}" if self.page else self.text


@dataclass(frozen=True, slots=True)
class Written:
    """What stands after it. `status` of a message that is over; `was_open`: the attempt was ours to close.

    Of a weighed ending: `hold` is what the message waits for (None: it is over), `is_returned` that its
    recipient is its campaign's again, `text` what is said of it with the variable named.
    """

    status: str | None
    was_open: bool
    hold: WaitsFor | None = None
    is_returned: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class _CarriedOutWaits:
    """What became of weighed endings, by message: what each waits for, and who was given back."""

    holds: Mapping[UUID, WaitsFor | None]
    returned: frozenset[UUID]
    events: list[OutboxEvent]


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

    async def record(self, endings: Sequence[AttemptResult]) -> list[Written]:
        """Write endings, waiting for a store that is away; then tell what follows from them.

        One alone waits for a locked row, too; several raise StoreLocked.
        """
        written, events = await self._write_in_time(endings)
        wamids = [ending.wamid for ending in endings if ending.wamid is not None]
        await asyncio.gather(self._outbox.publish(events), self._apply_stored(wamids))
        return written

    async def _write_in_time(
        self, endings: Sequence[AttemptResult]
    ) -> tuple[list[Written], list[OutboxEvent]]:
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

    async def _write(self, endings: Sequence[AttemptResult]) -> tuple[list[Written], list[OutboxEvent]]:
        async with self._database.transaction() as connection:
            endings = await _name(connection, endings)
            pending = [item for item in endings if not item.is_over and item.attempt is not None]
            if pending:
                ids = sorted({ending.message.id for ending in endings})
                await connection.execute(_QUERIES["lock_messages"], ids)
            closed = await _close(connection, pending)
            weighed = await self._weigh(connection, [item for item in pending if item.message.id in closed])
            settled = [_settle(ending, weighed.holds) for ending in endings]
            over = [_own_event(ending) for ending in settled if ending.is_over]
            recorded = await self._tracker.record_own(connection, over)
            await self._follow(connection, settled)
            await self._circuits.note(connection, _healths(endings))
            await self._outbox.record(connection, weighed.events)
        written = [
            Written(
                recorded.statuses.get(ending.message.id),
                ending.message.id in closed,
                weighed.holds.get(ending.message.id),
                ending.message.id in weighed.returned,
                ending.text,
            )
            for ending in endings
        ]
        return written, [*recorded.events, *weighed.events]

    async def _weigh(self, connection: Connection, closed: Sequence[AttemptResult]) -> _CarriedOutWaits:
        """Decide what waits and what is over by itself, and carry it out. The attempts are closed."""
        failures = [_failure(ending, ending.weighed) for ending in closed if ending.weighed is not None]
        evidence = await read_evidence(connection, failures, by_status=False)
        holds = {
            item.message_id: hold_for(item.error_class, evidence[item.message_id], item.attempt)
            for item in failures
        }
        held = [Held(item, hold) for item in failures if (hold := holds[item.message_id]) is not None]
        done = await carry_out(connection, held, self._durations, by="outbound-sender")
        return _CarriedOutWaits(holds, done.returned, done.events)

    async def _follow(self, connection: Connection, endings: Sequence[AttemptResult]) -> None:
        """Carry out the effects."""
        skipped = [item.message.id for item in endings if item.effect is Effect.SKIP_RECIPIENT]
        await skip_cancelled(connection, skipped)

    async def _apply_stored(self, wamids: Sequence[str]) -> None:
        """Statuses that came before the answer. Where that fails the scheduler matches them."""
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
        except Exception:  # the sends are recorded: a status fails none of them
            logger.exception(
                "statuses of %d messages are left to the scheduler",
                len(wamids),
                extra=fields(operation=Operation.STATUS_MATCHING),
            )


async def _name(connection: Connection, endings: Sequence[AttemptResult]) -> Sequence[AttemptResult]:
    """With the variable that each refused parameter is about."""
    refused = [item.message.id for item in endings if item.weighed is ErrorClass.PARAMETER]
    if not refused:
        return endings
    templates = await read_templates(connection, refused)
    return [
        _naming(item, templates.get(item.message.id)) if item.weighed is ErrorClass.PARAMETER else item
        for item in endings
    ]


def _naming(ending: AttemptResult, unfilled: object) -> AttemptResult:
    template = ending.message.payload.template
    if template is None:
        return ending
    named = name_variables(ending.code or "", ending.text or "", template.components, unfilled)
    return replace(ending, text=f"{ending.text} [{named}]") if named else ending


async def _close(connection: Connection, pending: Sequence[AttemptResult]) -> set[UUID]:
    rows = [
        (item.message.id, item.attempt, item.outcome, item.http_status, item.code, item.stored_text)
        for item in pending
    ]
    return await close_attempts(connection, rows)


def _failure(ending: AttemptResult, error_class: ErrorClass) -> Failure:
    assert ending.attempt is not None
    return Failure(
        ending.message.id, ending.attempt, error_class, ending.code or "unknown", ending.text or ""
    )


def _settle(ending: AttemptResult, holds: Mapping[UUID, WaitsFor | None]) -> AttemptResult:
    """A weighed one is over where it waits for nothing."""
    is_over = ending.message.id in holds and holds[ending.message.id] is None
    return replace(ending, is_over=True) if is_over else ending


def _own_event(ending: AttemptResult) -> OwnEvent:
    is_sent = ending.outcome == "sent"
    return OwnEvent(
        ending.message.id,
        "sent" if is_sent else "failed",
        trace_id=ending.message.trace_id,
        attempt=ending.attempt,
        wamid=ending.wamid,
        error=None if is_sent else SendError(code=ending.code or "unknown", message=ending.stored_text),
        http_status=ending.http_status,
        message_status=ending.message_status,
    )


def _healths(endings: Sequence[AttemptResult]) -> dict[str, list[ApiHealth]]:
    healths: dict[str, list[ApiHealth]] = {}
    for ending in endings:
        if ending.health is not None:
            healths.setdefault(ending.message.number, []).append(ending.health)
    return healths
