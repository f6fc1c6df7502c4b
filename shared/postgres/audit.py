"""`audit_log`: who did what to what.

Owns the writing, in the transaction of the deed, so that there is no deed without its line; and the reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.postgres", "audit.sql")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One deed. `details`: with which options, and what came of it."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Any


@dataclass(frozen=True, slots=True)
class AuditExcerpt:
    """Lines of the log, oldest first, and how many match."""

    lines: Sequence[AuditLine]
    total: int


async def record_audit(
    connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Write down who did what, in the transaction of the deed."""
    await record_audit_of_each(connection, actor=actor, action=action, subjects=[subject], details=details)


async def record_audit_of_each(
    connection: Connection, *, actor: str, action: str, subjects: Sequence[str], details: Mapping[str, Any]
) -> None:
    """Write a line for each subject of one deed, in its transaction."""
    await connection.execute(_QUERIES["record"], actor, action, list(subjects), dict(details))


async def read_audit(
    database: Database,
    *,
    since: datetime | None = None,
    younger_than_s: float | None = None,
    actor: str | None = None,
    subjects: Sequence[str] | None = None,
    limit: int | None = None,
) -> AuditExcerpt:
    """The newest `limit` lines that match; what is None does not restrict. Raises StoreError."""
    age = None if younger_than_s is None else timedelta(seconds=younger_than_s)
    rows = await database.fetch(_QUERIES["list"], since, age, actor, subjects, limit)
    lines = [AuditLine(*(row[name] for name in AuditLine.__slots__)) for row in rows]
    return AuditExcerpt(lines, rows[0]["total"] if rows else 0)
