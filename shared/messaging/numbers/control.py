"""Which business numbers may send, as an operator sees it and changes it.

Owns the operator's side of `business_numbers`; the sender pauses numbers too (`holds`), and reads the state
before each send.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import asyncpg

from shared.postgres.audit import record_audit
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.numbers", "control.sql")

NumberState: TypeAlias = Literal["active", "paused"]


@dataclass(frozen=True, slots=True)
class Number:
    """A business number as operators see it; `waiting` counts messages deferred because it is paused."""

    phone_number_id: str
    state: str
    since: datetime | None
    reason: str | None
    changed_by: str | None
    slowed_until: datetime | None
    marketing_held_until: datetime | None
    breaker: str
    waiting: int


@dataclass(frozen=True, slots=True)
class NumberChange:
    """What was done to one number; `released`: messages that need not wait any longer."""

    phone_number_id: str
    state: str
    changed: bool
    released: int


@dataclass(frozen=True, slots=True)
class NumberChanges:
    """What was done to several. `unseen`: were named, and no setting, conversation or earlier pause had."""

    changes: Sequence[NumberChange]
    unseen: Sequence[str]


async def read_numbers(database: Database, named: Iterable[str]) -> list[Number]:
    """The numbers that are known: `named` by the settings, by earlier pauses, by conversations.

    Raises StoreError.
    """
    rows = await database.fetch(_QUERIES["list"], sorted(set(named)))
    counted = await database.fetch(_QUERIES["count_waiting"], [row["phone_number_id"] for row in rows])
    return _with_waiting(rows, counted)


async def glance_at_numbers(database: Database, named: Iterable[str], most: int) -> list[Number]:
    """As `read_numbers`, however much waits: `waiting` is all that is deferred, counted up to `most`.

    Raises StoreError.
    """
    rows = await database.fetch(_QUERIES["list"], sorted(set(named)))
    numbers = [row["phone_number_id"] for row in rows]
    return _with_waiting(rows, await database.fetch(_QUERIES["count_deferred_of"], numbers, most))


async def change_numbers(
    database: Database,
    numbers: Sequence[str] | None,
    state: NumberState,
    *,
    named: Iterable[str],
    reason: str | None,
    by: str,
) -> NumberChanges:
    """Pause or resume these; None: every known number that is not so already. Audited.

    Idempotent: a number that is so already stays so, with the new reason. `named`: as for `read_numbers`.
    Raises StoreError.
    """
    known = {item.phone_number_id: item.state for item in await read_numbers(database, named)}
    others = [name for name, before in known.items() if before != state]
    chosen = others if numbers is None else sorted(set(numbers))
    changes = await _set_state(database, chosen, state, reason, by)
    return NumberChanges(changes, unseen=[name for name in chosen if name not in known])


def _with_waiting(rows: Sequence[asyncpg.Record], counted: Sequence[asyncpg.Record]) -> list[Number]:
    waiting = {row["phone_number_id"]: row["messages"] for row in counted}
    return [Number(**dict(row), waiting=waiting.get(row["phone_number_id"], 0)) for row in rows]


async def _set_state(
    database: Database, numbers: Sequence[str], state: NumberState, reason: str | None, by: str
) -> list[NumberChange]:
    async with database.transaction() as connection:
        rows = await connection.fetch(_QUERIES["set_state"], numbers, state, reason, by)
        released: dict[str, int] = {}
        if state == "active":
            rows_released = await connection.fetch(_QUERIES["count_waiting"], numbers)
            released = {row["phone_number_id"]: row["messages"] for row in rows_released}
        changes = [
            NumberChange(
                row["phone_number_id"], state, row["changed"], released.get(row["phone_number_id"], 0)
            )
            for row in rows
        ]
        for change in changes:
            details: dict[str, Any] = {"reason": reason, "changed": change.changed}
            await record_audit(
                connection,
                actor=by,
                action="number.pause" if state == "paused" else "number.resume",
                subject=change.phone_number_id,
                details=details | {"released": change.released},
            )
    return changes
