"""The job that ends ambiguity: sends of which no answer is known, after the wait for their status."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from shared.amqp.delivery import REPLAY_OF
from shared.amqp.topology import STATUS_UPDATER
from shared.deadletters.storing import DeadLetter, store_dead_letters
from shared.durable.ambiguous import postpone, release
from shared.durable.aside import RowsAside
from shared.durable.deferral import remove_rows
from shared.durable.outbox import OutboxEvent
from shared.errors import StoreUnavailable
from shared.ids import read_uuid, time_ordered_uuid
from shared.messaging.messages import OwnEvent, Tracker
from shared.messaging.messages.attempts import abandon_attempts, give_up_attempts
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import SendError
from shared.postgres.database import CLAIMED_BYTES, Connection
from shared.reasons import DeadReason
from shared.running.kit import Kit
from workers.scheduler.reconciliation import Doubt, Reconciliation, decide
from workers.scheduler.statements import QUERIES

logger = get_logger(__name__)
_ERROR = "nobody knows whether the Cloud API took it, and it must not be sent twice"
_ROWS = 200
#: For so much of the wait the queue of statuses must be empty.
_HEARD_OUT = 0.05
#: What `shared.durable.deferral` keeps beside the message's headers.
OWN_HEADERS = ("correlation_id", "idempotency_key")


@dataclass(frozen=True, slots=True)
class _AmbiguousRow:
    """One row with its verdict."""

    row: asyncpg.Record
    verdict: Reconciliation


@dataclass(frozen=True, slots=True)
class _Hearing:
    """How long statuses could be stored, and whether their queue was empty at each look for some time."""

    well_s: float
    is_out: bool


class AmbiguityJob:
    """Decides about due ambiguous messages; see `workers.scheduler.reconciliation`."""

    def __init__(self, kit: Kit, tracker: Tracker) -> None:
        self._database = kit.database
        self._aside = RowsAside(kit.database)
        self._broker = kit.broker
        self._outbox = kit.outbox
        self._metrics = kit.metrics
        self._durations = kit.durations
        self._tracker = tracker
        self._well_since: float | None = None
        self._empty_since: float | None = None

    async def run(self) -> int:
        """Decide about all that is due now; returns how many."""
        hearing = await self._listen()
        try:
            rows = await self._database.fetch(QUERIES["find_due_ambiguous"], _ROWS, CLAIMED_BYTES)
            ids: list[UUID] = [row["message_id"] for row in rows]
            return await self._aside.work(
                "ambiguous sends", ids, str, lambda part: self._decide(hearing, part)
            )
        except StoreUnavailable:
            self.forget()
            raise

    def forget(self) -> None:
        """Begin to look anew: looks were missed, or nobody could store what came."""
        self._well_since = self._empty_since = None

    async def _listen(self) -> _Hearing:
        """What an updater has in hand is in no queue: one look at an empty one says little."""
        state = await self._broker.queue_state(STATUS_UPDATER)
        now = time.monotonic()
        if self._well_since is None:
            self._well_since = now
        if state is None or state.messages:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        since, least_s = self._empty_since, self._durations.ambiguous_wait_s * _HEARD_OUT
        return _Hearing(now - self._well_since, since is not None and now - since >= least_s)

    async def _decide(self, hearing: _Hearing, ids: Sequence[UUID]) -> int:
        async with self._database.transaction() as connection:
            rows = await _lock_due(connection, ids)
            reached = await connection.fetchval(QUERIES["reached_by_statuses"]) if rows else None
            cases = [
                _AmbiguousRow(row, decide(_doubt(row, hearing, reached), self._durations)) for row in rows
            ]
            events = await self._carry_out(connection, cases)
        await self._outbox.publish(events)
        return len(cases)

    async def _carry_out(self, connection: Connection, cases: Sequence[_AmbiguousRow]) -> list[OutboxEvent]:
        by_verdict: dict[Reconciliation, list[asyncpg.Record]] = {verdict: [] for verdict in Reconciliation}
        for case in cases:
            by_verdict[case.verdict].append(case.row)
            self._report(case)
        again = timedelta(seconds=self._durations.ambiguous_wait_s / 10)
        await postpone(connection, _ids(by_verdict[Reconciliation.WAIT]), again)
        await abandon_attempts(connection, *_attempts(by_verdict[Reconciliation.RESEND]))
        await release(
            connection, _ids(by_verdict[Reconciliation.RESEND] + by_verdict[Reconciliation.RELEASE])
        )
        return await self._give_up(connection, by_verdict[Reconciliation.GIVE_UP])

    async def _give_up(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> list[OutboxEvent]:
        if not rows:
            return []
        await give_up_attempts(connection, *_attempts(rows))
        error = SendError(code=DeadReason.SEND_AMBIGUOUS.value, message=_ERROR)
        recorded = await self._tracker.record_own(
            connection,
            [OwnEvent(row["message_id"], "failed", trace_id=_trace_id(row), error=error) for row in rows],
        )
        dead = [row for row in rows if recorded.statuses.get(row["message_id"]) == "failed"]
        stored = await store_dead_letters(connection, [_dead_letter(row) for row in dead])
        await self._outbox.record(connection, stored)
        self._metrics.dlq_messages.labels(DeadReason.SEND_AMBIGUOUS.value).inc(len(stored))
        await remove_rows(connection, _ids(rows))
        return [*recorded.events, *stored]

    def _report(self, case: _AmbiguousRow) -> None:
        if case.verdict in (Reconciliation.RESEND, Reconciliation.GIVE_UP):
            logger.warning(
                "ambiguous message %s: %s",
                case.row["message_id"],
                case.verdict.value,
                extra=fields(operation=Operation.SEND_RECONCILIATION, trace_id=_trace_id(case.row)),
            )


async def _lock_due(connection: Connection, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    locked = await connection.fetch(QUERIES["lock_messages"], list(ids))
    return await connection.fetch(QUERIES["lock_ambiguous"], [row["id"] for row in locked])


def _doubt(row: asyncpg.Record, hearing: _Hearing, reached: datetime | None) -> Doubt:
    since = row["since"]
    came_later = reached is not None and since is not None and reached > since
    return Doubt(
        status=row["status"],
        outcome=row["outcome"],
        has_attempt=row["attempt"] is not None,
        age_s=row["age_s"] or 0.0,
        statuses_current=came_later or hearing.is_out,
        well_s=hearing.well_s,
        has_news=row["has_news"],
        lane=row["lane"],
        on_ambiguous=_on_ambiguous(row["body"]),
        resends=row["resends"],
    )


def _on_ambiguous(body: bytes) -> str | None:
    """The message's own wish; its body was valid when it was accepted."""
    value: Any = orjson.loads(body)
    return value.get("on_ambiguous") if isinstance(value, dict) else None


def _trace_id(row: asyncpg.Record) -> str:
    return str(row["headers"].get("correlation_id") or row["message_id"])


def _ids(rows: Sequence[asyncpg.Record]) -> list[UUID]:
    return [row["id"] for row in rows]


def _attempts(rows: Sequence[asyncpg.Record]) -> tuple[list[UUID], list[int]]:
    return [row["message_id"] for row in rows], [row["attempt"] for row in rows]


def _dead_letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=time_ordered_uuid(),
        dedupe_key=f"ambiguous:{row['message_id']}",
        source_queue=row["queue"],
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        reason=DeadReason.SEND_AMBIGUOUS,
        error_message=_ERROR,
        raw_body=row["body"],
        headers={name: value for name, value in row["headers"].items() if name not in OWN_HEADERS},
        attempts=row["attempt"],
        correlation_id=_trace_id(row),
        message_id=row["message_id"],
        replay_of=read_uuid(row["headers"].get(REPLAY_OF)),
    )
