"""Reading and dismissing dead letters."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.deadletters.letters import Letter, LetterLine, Selection, body_of, read_letter, read_line
from shared.postgres.audit import record_audit_of_each
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from shared.reasons import DeadReason

QUERIES = Queries("shared.deadletters")


class DeadLetterStore:
    """Reads and settles `dead_letter_queue`; replaying is `shared.deadletters.replay`'s."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, selection: Selection, limit: int, *, settled: bool = False) -> list[LetterLine]:
        """Open dead letters in the order of their worth, or the settled ones; without bodies."""
        rows = await self._database.fetch(QUERIES["list"], not settled, *selection.arguments(), limit)
        return [read_line(row) for row in rows]

    async def bodies(self, ids: Sequence[UUID]) -> dict[UUID, tuple[Any, str | None]]:
        """`original_payload` and `raw_body_base64` of each, as in a DLQMessage."""
        rows = await self._database.fetch(QUERIES["bodies"], list(ids))
        return {row["id"]: body_of(row) for row in rows}

    async def count_by_reason(self, selection: Selection, *, settled: bool = False) -> dict[str, int]:
        """How many of each reason, most first."""
        rows = await self._database.fetch(QUERIES["count_by_reason"], not settled, *selection.arguments())
        return {row["reason"]: row["letters"] for row in rows}

    async def glance_at_pending(self, most: int) -> dict[str, int]:
        """How many of each reason wait, most first, each counted up to `most`."""
        rows = await self._database.fetch(QUERIES["glance_at_pending"], list(DeadReason), most)
        return {row["reason"]: row["letters"] for row in rows}

    async def choose(self, selection: Selection, limit: int | None) -> list[tuple[UUID, str]]:
        """Ids and reasons of what may be replayed or dismissed now."""
        rows = await self._database.fetch(QUERIES["choose"], *selection.arguments(), limit)
        return [(row["id"], row["reason"]) for row in rows]

    async def find(self, beginning: str) -> Sequence[UUID]:
        """Ids that begin with these hex digits (dashes do not count): none, one, or two of many.

        Raises ValueError for what is no beginning of an id.
        """
        digits = beginning.replace("-", "")
        if not 0 < len(digits) <= 32:
            raise ValueError("an id has 1 to 32 hex digits")
        lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        return [row["id"] for row in await self._database.fetch(QUERIES["find"], lowest, highest)]

    async def get(self, letter_id: UUID) -> Letter | None:
        """One with everything."""
        row = await self._database.fetchrow(QUERIES["get"], letter_id)
        return None if row is None else read_letter(row)

    async def dismiss(self, ids: Sequence[UUID], *, by: str, why: str) -> list[UUID]:
        """Settle without a replay; returns those that were still open. The rows are kept, and audited."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(QUERIES["dismiss"], list(ids), by, why)
            dismissed = [row["id"] for row in rows]
            await record_audit_of_each(
                connection,
                actor=by,
                action="dlq.dismiss",
                subjects=list(map(str, dismissed)),
                details={"why": why},
            )
        return dismissed

    async def count_pending(self) -> int:
        """How many wait for a person or for their automatic replay."""
        return int(await self._database.fetchval(QUERIES["count_pending"]))
