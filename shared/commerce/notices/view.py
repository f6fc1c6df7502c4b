"""Automatic messages for people who ask: a list, one of them whole, and why a customer got one or not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from shared.messaging.customers.people import read_known
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "view.sql")
#: So far back a customer's messages are explained.
EXPLAINED: Final = timedelta(days=90)

#: A notice by the names of its columns; `variables` and `trace` decoded.
ShownNotice: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExplainedNotice:
    """What became of a notice: its status, or that it was skipped and why.

    `rule`: which one decided last, `until` when it is decided anew; `decisions`: of the last five.
    """

    id: UUID
    created_at: datetime
    shop_id: str
    type: str
    status: str
    reason: str | None
    rule: str | None
    until: datetime | None
    sent_at: datetime | None
    decisions: Sequence[Mapping[str, Any]]


async def list_notices(
    database: Database, *, status: str | None, kind: str | None, customer: str | None, limit: int
) -> list[ShownNotice]:
    """The latest notices, of a status, a type, a person where given. Raises StoreError."""
    names = None if customer is None else (await read_known(database, customer)).names
    rows = await database.fetch(_QUERIES["list"], status, kind, names, limit)
    return [dict(row) for row in rows]


async def find_notice(database: Database, notice: UUID) -> ShownNotice | None:
    """One notice with all that is known of it; None where there is none. Raises StoreError."""
    row = await database.fetchrow(_QUERIES["show"], notice)
    if row is None:
        return None
    return dict(row) | {name: json.loads(row[name]) for name in ("variables", "trace")}


async def explain_notices(database: Database, customer: str) -> list[ExplainedNotice]:
    """What became of each automatic message to a person in 90 days, oldest first. Raises StoreError."""
    known = await read_known(database, customer)
    return [_explain(row) for row in await database.fetch(_QUERIES["why"], known.names, EXPLAINED)]


def _explain(row: asyncpg.Record) -> ExplainedNotice:
    decisions = json.loads(row["trace"])
    last = decisions[-1] if decisions else {}
    until = last.get("until")
    return ExplainedNotice(
        id=row["id"],
        created_at=row["created_at"],
        shop_id=row["shop_id"],
        type=row["type"],
        status=row["status"],
        reason=row["skip_reason"] or row["error_message"] or row["error_code"],
        rule=last.get("rule"),
        until=None if until is None or row["status"] != "pending" else datetime.fromisoformat(until),
        sent_at=row["sent_at"],
        decisions=decisions,
    )
