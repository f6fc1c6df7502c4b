"""Dead letters as they are looked at: chosen by a selection, one line each, or one with everything."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from shared.deadletters.storing import raw_base64
from shared.payloads import DLQMessage


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters; what is empty or None does not restrict. Ages count from when it was stored."""

    ids: tuple[UUID, ...] = ()
    reasons: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    older_than_s: float | None = None
    newer_than_s: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing restricts it."""
        return self == Selection()

    def arguments(self) -> tuple[Any, ...]:
        """Parameters of the statements that filter, in their order."""
        return (
            list(self.reasons) or None,
            list(self.queues) or None,
            _interval(self.older_than_s),
            _interval(self.newer_than_s),
            list(self.ids) or None,
        )


@dataclass(frozen=True, slots=True)
class LetterLine:
    """A dead letter in a list, without its body. `lapsed`: a replay of it ended before it was marked."""

    id: UUID
    source_queue: str
    exchange: str | None
    routing_key: str | None
    reason: str
    error_message: str | None
    headers: dict[str, Any]
    attempts: int
    priority: int
    status: str
    message_id: UUID | None
    replay_of: UUID | None
    replay_count: int
    created_at: datetime
    replayed_at: datetime | None
    dismissed_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    body_bytes: int
    age_s: float
    lapsed: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with everything. `later_deaths`: the dead letters of its replays."""

    message: DLQMessage
    raw_body: bytes
    columns: dict[str, Any]
    later_deaths: tuple[UUID, ...]


def read_line(row: asyncpg.Record) -> LetterLine:
    """A row of the statement `list`."""
    return LetterLine(**dict(row))


def body_of(row: asyncpg.Record) -> tuple[Any, str | None]:
    """`original_payload` and `raw_body_base64` of a row: the second where the body is not JSON."""
    return row["payload"], raw_base64(row["raw_body"]) if row["payload"] is None else None


def read_letter(row: asyncpg.Record) -> Letter:
    """A row of the statement `get`."""
    payload, raw_body = body_of(row)
    message = DLQMessage(
        id=row["id"],
        original_payload=payload,
        raw_body_base64=raw_body,
        reason=row["reason"],
        error_message=row["error_message"],
        retry_count=max(0, row["attempts"] - 1),
        timestamp=row["created_at"],
        source_queue=row["source_queue"],
        routing_key=row["routing_key"],
        headers=row["headers"],
    )
    columns = dict(row)
    later_deaths = columns.pop("later_deaths")
    for name in ("payload", "raw_body", "dedupe_key"):
        del columns[name]
    return Letter(message, row["raw_body"], columns, tuple(later_deaths or ()))


def _interval(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
