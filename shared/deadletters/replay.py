"""Replaying dead letters: claimed, published to where they came from, then marked.

Owns the order that makes two operators at once produce one message: the claim is a guarded update with a
lease by the database clock. A replay that ends between its publish and its mark can be claimed again after
the lease; the second copy names the same dead letter in `x-replay-of`, by which its worker knows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from shared.amqp.broker import Publisher
from shared.amqp.delivery import (
    ATTEMPT,
    ATTEMPTS,
    DEFERRED_ID,
    DELIVERY_COUNT,
    ERROR,
    EXCHANGE,
    IDEMPOTENCY_KEY,
    MESSAGE_ID,
    REASON,
    REPLAY_OF,
    ROUTING_KEY,
    SOURCE_QUEUE,
    Publication,
)
from shared.amqp.headers import bounded_key, plain
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import DLQ_HANDLER, describe_unrouted, is_bound
from shared.deadletters.store import QUERIES
from shared.durable.aside import RowsAside
from shared.durations import Durations
from shared.errors import PublishRefused, Unpublishable, WabusError
from shared.observability.tracing import read_trace
from shared.postgres.audit import record_audit_of_each
from shared.postgres.database import CLAIMED_BYTES, Database
from shared.reasons import DeadReason

#: Ids of one call: what is claimed is published within the lease, and its bodies are in memory.
CHUNK: Final = 50
#: Error of a dead letter that came straight into the dead letters' queue.
NOWHERE: Final = "it has no queue to go back to"
#: The scheduler's job, in `rows_set_aside`.
JOB: Final = "replays"

_OURS: Final = frozenset(
    {
        ATTEMPT,
        ATTEMPTS,
        DEFERRED_ID,
        DELIVERY_COUNT,
        ERROR,
        EXCHANGE,
        IDEMPOTENCY_KEY,
        MESSAGE_ID,
        REASON,
        REPLAY_OF,
        ROUTING_KEY,
        SOURCE_QUEUE,
        "CC",
        "BCC",
    }
)
_BROKERS_OWN: Final = ("x-death", "x-first-death-", "x-last-death-")

Row: TypeAlias = Mapping[str, Any] | asyncpg.Record


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of the ids given: published and marked, back to pending (and why), or not ours to claim.

    Of the failed, `unpublishable` would fail again, and `refused` were by their own destination only.
    """

    replayed: tuple[UUID, ...] = ()
    failed: tuple[tuple[UUID, str], ...] = ()
    not_claimed: tuple[UUID, ...] = ()
    unpublishable: tuple[UUID, ...] = ()
    refused: tuple[UUID, ...] = ()

    def __add__(self, other: "ReplayReport") -> "ReplayReport":
        return ReplayReport(
            self.replayed + other.replayed,
            self.failed + other.failed,
            self.not_claimed + other.not_claimed,
            self.unpublishable + other.unpublishable,
            self.refused + other.refused,
        )


class Replayer:
    """Puts dead letters back to work."""

    def __init__(self, database: Database, publisher: Publisher, durations: Durations) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._publisher = publisher
        self._durations = durations

    async def replay(
        self,
        ids: Sequence[UUID],
        *,
        by: str,
        why: str,
        accept_duplicate: bool = False,
        routing_key: str | None = None,
        body: bytes | None = None,
        audited: bool = True,
    ) -> ReplayReport:
        """Replay up to `CHUNK` dead letters; `send_ambiguous` ones only where a duplicate is accepted.

        `routing_key` is for unrouted ones, in place of their own; `body` for one, in place of what died.
        `audited`: an operator does it, and the audit log gets a line for each.
        Raises StoreError; what was published by then and not marked can be claimed again after its lease.
        """
        if not ids:
            return ReplayReport()
        lease = timedelta(seconds=self._durations.replay_claim_s)
        rows = await self._database.fetch(QUERIES["claim"], list(ids), lease, by, accept_duplicate)
        rows.sort(key=lambda row: (-row["priority"], row["stored_at"], row["id"]))
        claimed = {row["id"] for row in rows}
        errors = await self._publish([_changed(row, routing_key, body) for row in rows])
        await self._unclaim([row for row in rows if row["id"] in errors])
        action = ("dlq.replay" if body is None else "dlq.edit") if audited else None
        await self._mark([row for row in rows if row["id"] not in errors], by, why, action)
        return ReplayReport(
            replayed=tuple(row["id"] for row in rows if row["id"] not in errors),
            failed=tuple((letter, str(error)) for letter, error in errors.items()),
            unpublishable=_of_kind(errors, Unpublishable),
            refused=_of_kind(errors, PublishRefused),
            not_claimed=tuple(letter for letter in ids if letter not in claimed),
        )

    async def replay_due(self, limit: int = 1000) -> ReplayReport:
        """Replay what an error of the database killed and what is due by itself.

        For the scheduler; safe to run by several. Ends early once RabbitMQ takes none; a destination that
        refuses its own keeps back no other's.
        """
        total = ReplayReport()
        tried: list[UUID] = []
        await self._database.execute(QUERIES["leave_to_people"], self._durations.auto_replays, limit)
        while len(tried) < limit:
            rows = await self._database.fetch(
                QUERIES["due_by_themselves"],
                timedelta(seconds=self._durations.auto_replay_s),
                self._durations.auto_replays,
                CHUNK,
                CLAIMED_BYTES,
                tried,
            )
            if not rows:
                break
            ids = [row["id"] for row in rows]
            tried += ids
            report = await self.replay(ids, by="scheduler", why="automatic replay", audited=False)
            total += report
            for letter in report.unpublishable:
                await self._aside.put(JOB, letter, dict(report.failed)[letter])
            if len(report.failed) > len(report.unpublishable) + len(report.refused):
                break
        return total

    async def _publish(self, rows: Sequence[Row]) -> dict[UUID, WabusError]:
        """Publish what has somewhere to go and can be read; returns the errors."""
        errors: dict[UUID, WabusError] = {}
        publications: dict[UUID, Publication] = {}
        for row in rows:
            try:
                publications[row["id"]] = _publication_of(row)
            except Unpublishable as error:
                errors[row["id"]] = error
        outcomes = await self._publisher.publish(list(publications.values()))
        refused = zip(publications, outcomes, strict=True)
        return errors | {letter: outcome for letter, outcome in refused if outcome is not None}

    async def _unclaim(self, rows: Sequence[asyncpg.Record]) -> None:
        if rows:
            await self._database.execute(QUERIES["unclaim"], *_claims(rows))

    async def _mark(self, rows: Sequence[asyncpg.Record], by: str, why: str, action: str | None) -> None:
        if not rows:
            return
        async with self._database.transaction() as connection:
            marked = await connection.fetch(QUERIES["mark_replayed"], *_claims(rows), by, why)
            if action is not None:
                letters = [str(row["id"]) for row in marked]
                await record_audit_of_each(
                    connection, actor=by, action=action, subjects=letters, details={"why": why}
                )
            firsts = [row["replay_of"] for row in marked if row["replay_of"] is not None]
            await connection.execute(QUERIES["count_on_first"], firsts)


async def rehearse(database: Database, ids: Sequence[UUID], routing_key: str | None) -> ReplayReport:
    """What a replay of these would not put back, and why, as far as that is known without the broker."""
    rows = [_changed(row, routing_key, None) for row in await database.fetch(QUERIES["targets"], list(ids))]
    lost = ((row["id"], _lost_target(row)) for row in rows)
    return ReplayReport(failed=tuple((letter, why) for letter, why in lost if why is not None))


def _of_kind(errors: Mapping[UUID, WabusError], kind: type[WabusError]) -> tuple[UUID, ...]:
    return tuple(letter for letter, error in errors.items() if isinstance(error, kind))


def _publication_of(row: Row) -> Publication:
    if (lost := _lost_target(row)) is not None:
        raise Unpublishable(lost)
    try:
        return publication_of(row)
    except Exception as error:
        raise Unpublishable(f"it cannot be read ({type(error).__name__})") from error


def publication_of(row: Row) -> Publication:
    """The original message again: its body and headers, from the first attempt on."""
    headers = row["headers"]
    metadata = row["metadata"] or {}
    back = {REPLAY_OF: str(row["id"])}
    if row["failed_message"] is not None:
        back[MESSAGE_ID] = str(row["failed_message"])
    unrouted = row["reason"] == DeadReason.UNROUTED
    if not unrouted:
        back |= {EXCHANGE: row["exchange"] or "", ROUTING_KEY: row["routing_key"] or ""}
    key = bounded_key(headers.get(IDEMPOTENCY_KEY)) or bounded_key(metadata.get("message_id"))
    return Publication(
        exchange=row["exchange"] if unrouted else "",
        routing_key=row["routing_key"] if unrouted else row["source_queue"],
        body=row["raw_body"],
        type=payload_name(row["source_queue"], row["routing_key"] or ""),
        idempotency_key=key or str(row["id"]),
        correlation_id=read_trace(metadata.get("correlation_id")).trace_id,
        mandatory=True,
        headers=publishers_headers(headers) | back,
    )


def publishers_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers without what we and the broker set on the way to the dead letters."""
    return {
        name: plain(value)
        for name, value in headers.items()
        if name not in _OURS and not name.startswith(_BROKERS_OWN)
    }


def _changed(row: asyncpg.Record, routing_key: str | None, body: bytes | None) -> Row:
    changed = dict(row)
    if routing_key is not None and row["reason"] == DeadReason.UNROUTED:
        changed["routing_key"] = routing_key
    if body is not None:
        changed["raw_body"] = body
    return changed


def _lost_target(row: Row) -> str | None:
    """Why it cannot go back; None where it can.

    An exchange of ours has an alternate, which takes what no queue does: RabbitMQ would confirm it, and it
    would be dead again.
    """
    if row["reason"] != DeadReason.UNROUTED:
        return NOWHERE if row["source_queue"] in ("", DLQ_HANDLER) else None
    exchange, routing_key = row["exchange"], row["routing_key"] or ""
    if not exchange:
        return NOWHERE
    if not is_bound(exchange, routing_key):
        return f"{describe_unrouted(exchange, routing_key)}; give --routing-key"
    return None


def _claims(rows: Sequence[asyncpg.Record]) -> tuple[list[UUID], list[Any]]:
    return [row["id"] for row in rows], [row["claimed_until"] for row in rows]
