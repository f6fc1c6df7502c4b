"""Rows of before name their customer: a page at a time, by an index of none but them, which grows empty.

The place is kept in memory alone, to pass over what is done; who begins anew begins at what is left. Old
workers write such rows as long as any runs: so it looks again, which costs nothing.
"""

import time
from typing import Any, Final

from shared.durable.aside import RowsAside
from shared.messaging.customers.before import KINDS, RowsOfBefore, Unnamed
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database

logger = get_logger(__name__)
#: In `rows_set_aside`.
_JOB: Final = "rows of before"
#: Rows of one page: locked together, for some hundredths of a second.
_ROWS: Final = 2_000
#: Pages of one run, and seconds after which it begins none: the others wait for the next. A page of persons
#: who are joined one by one takes some seconds.
_PAGES: Final = 100
_RUN_S: Final = 30.0


class BeforeJob:
    """Names the customers of rows of before, so many in a run."""

    def __init__(self, database: Database, before: RowsOfBefore, *, rows: int = _ROWS) -> None:
        self._aside = RowsAside(database)
        self._before = before
        self._rows = rows
        self._places = [kind.beginning for kind in KINDS]
        self._named = 0

    async def run(self) -> int:
        """Name what is found in so many pages; returns how many rows. Says once that nothing is left."""
        named, pages, left = 0, 0, False
        ends_at = time.monotonic() + _RUN_S
        for number, kind in enumerate(KINDS):
            while pages < _PAGES and time.monotonic() < ends_at:
                rows = await self._before.find(kind, self._places[number], self._rows)
                named += await self._work(kind, rows)
                pages += 1
                self._places[number] = rows[-1][kind.place] if rows else kind.beginning
                if len(rows) < self._rows:
                    self._places[number] = kind.beginning
                    left = left or bool(rows)
                    break
            else:
                left = True
        self._tell(named, left=left)
        return named

    async def _work(self, kind: Unnamed, rows: Any) -> int:
        return await self._aside.work(
            _JOB, rows, lambda row: row["key"], lambda part: self._before.name(kind, part)
        )

    def _tell(self, named: int, *, left: bool) -> None:
        self._named += named
        if self._named and not left:
            logger.info(
                "all rows of before name their customer now: %d were read",
                self._named,
                extra=fields(operation=Operation.SCHEDULING),
            )
            self._named = 0
