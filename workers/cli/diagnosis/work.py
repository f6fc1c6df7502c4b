"""The state of the work as the database knows it: who acts, what is paused, what waits for too long."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import asyncpg

from shared.durations import DURATIONS
from shared.postgres.database import Database
from shared.postgres.lease import lapsed_s
from shared.postgres.queries import Queries
from shared.upkeep import MOST_COUNTED
from workers.cli.diagnosis.finding import Finding, Level
from workers.cli.printing import format_time

SUBJECT: Final = "work"
_QUERIES: Final = Queries("workers.cli.diagnosis", "doctor.sql")
#: What is late by more than this is not just under way.
_LATE: Final = timedelta(seconds=60)
_SCHEDULER: Final = "wabus worker scheduler"
_NOTIFIER: Final = "wabus worker notifier"


async def look_at_work(database: Database, found: list[Finding]) -> None:
    """Look at all of it. Raises StoreError."""
    found.append(_scheduler(await lapsed_s(database, "scheduler")))
    paused = await database.fetch(_QUERIES["paused_numbers"])
    found.extend([_paused(row) for row in paused] or [_well("numbers", "none is paused")])
    breakers = await database.fetch(_QUERIES["open_breakers"])
    found.extend([_breaker(row) for row in breakers] or [_well("breakers", "none is open")])
    found.append(_deferrals(await database.fetch(_QUERIES["overdue_deferrals"], _LATE)))
    found.append(_outbox(await database.fetchrow(_QUERIES["unmarked_outbox"], _LATE)))
    aside = await database.fetch(_QUERIES["rows_set_aside"])
    found.extend([_set_aside(row) for row in aside] or [_well("rows", "none is set aside")])
    found.append(_identity(await database.fetchrow(_QUERIES["identity"], MOST_COUNTED)))
    carts = await database.fetchrow(_QUERIES["overdue_carts"], _LATE, MOST_COUNTED)
    found.append(_overdue("carts", carts, _SCHEDULER))
    notices = await database.fetchrow(_QUERIES["overdue_notices"], _LATE, MOST_COUNTED)
    found.append(_overdue("notices", notices, f"{_NOTIFIER}; {_SCHEDULER}"))
    found.append(_dead_letters(await database.fetch(_QUERIES["pending_dead_letters"])))


def _scheduler(lapsed: float | None) -> Finding:
    if lapsed is not None and lapsed <= DURATIONS.scheduler_lease_stale_s:
        return _well("scheduler", "acts")
    idle = "nothing that was deferred, is due or was left over goes out"
    if lapsed is None:
        return Finding(SUBJECT, "scheduler", Level.WARN, f"never ran: {idle}", _SCHEDULER)
    return Finding(SUBJECT, "scheduler", Level.ERROR, f"gone for {lapsed:.0f} s: {idle}", _SCHEDULER)


def _paused(row: asyncpg.Record) -> Finding:
    number, why = row["phone_number_id"], row["reason"] or "no reason given"
    detail = (
        f"{number} is paused since {format_time(row['since'])} by {row['changed_by'] or 'unknown'}: {why}"
    )
    return Finding(SUBJECT, "numbers", Level.WARN, detail, f"wabus number resume {number}")


def _breaker(row: asyncpg.Record) -> Finding:
    since = "" if row["open_s"] is None else f" for {row['open_s']:.0f} s"
    detail = f"{row['service']} is open{since}, after {row['failures']} failures in a row"
    mend = "nothing: it tries again by itself once the Cloud API answers (see cloud-api above)"
    return Finding(SUBJECT, "breakers", Level.WARN, detail, mend)


def _deferrals(rows: Sequence[asyncpg.Record]) -> Finding:
    if not rows:
        return _well("deferred", "none is overdue")
    counts = ", ".join(f"{row['messages']} {row['reason']}" for row in rows)
    oldest_s = max(row["overdue_s"] for row in rows)
    detail = f"overdue by up to {oldest_s:.0f} s: {counts}"
    return Finding(SUBJECT, "deferred", Level.WARN, detail, f"{_SCHEDULER}; wabus worker outbound-sender")


def _outbox(row: asyncpg.Record | None) -> Finding:
    if row is None or not row["events"]:
        return _well("outbox", "all is published")
    detail = f"{row['events']} events are not published, the oldest for {row['oldest_s']:.0f} s"
    return Finding(SUBJECT, "outbox", Level.WARN, detail, _SCHEDULER)


def _set_aside(row: asyncpg.Record) -> Finding:
    detail = (
        f"{row['job']}: {row['rows']} set aside since {format_time(row['since'])}, such as {row['example']}:"
        f" {row['reason']}"
    )
    mend = "correct or delete that row: it is tried again every hour, now after `delete from rows_set_aside`"
    return Finding(SUBJECT, "rows", Level.WARN, detail, mend)


def _identity(row: asyncpg.Record | None) -> Finding:
    if row is None or not row["unnamed"]:
        return _well("identity", "every conversation names its customer")
    total = max(row["conversations"], row["unnamed"])
    read = total - row["unnamed"]
    detail = f"{read:,} of {total:,} conversations are read"
    if read and row["since_s"] is not None:
        detail += f", about {max(1, round(row['unnamed'] * row['since_s'] / read / 60)):,} min"
    return Finding(SUBJECT, "identity", Level.OK, f"{detail}: until then a person of before may be several")


def _overdue(check: str, row: asyncpg.Record | None, mend: str) -> Finding:
    if row is None or not row["rows"]:
        return _well(check, "none is overdue")
    number = f"{row['rows']:,}" if row["rows"] < MOST_COUNTED else f"{MOST_COUNTED:,} or more"
    detail = f"{number} are overdue, the oldest for {row['overdue_s']:.0f} s"
    return Finding(SUBJECT, check, Level.WARN, detail, mend)


def _dead_letters(rows: Sequence[asyncpg.Record]) -> Finding:
    if not rows:
        return _well("dead letters", "none is pending")
    counts = ", ".join(f"{row['letters']} {row['reason']}" for row in rows)
    return Finding(SUBJECT, "dead letters", Level.WARN, f"pending: {counts}", "wabus dlq list")


def _well(check: str, detail: str) -> Finding:
    return Finding(SUBJECT, check, Level.OK, detail)
