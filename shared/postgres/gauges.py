"""Gauges of the whole cluster that PostgreSQL tells: what tables say is counted of them.

Owns reading them into the metrics. Which they are is each table's (`shared.upkeep`).
"""

from collections.abc import Iterable

from shared.observability.metrics import Metrics, replace_values
from shared.postgres.database import Database
from shared.upkeep import Counted, Table


class TableGauges:
    """Of these tables."""

    def __init__(self, database: Database, metrics: Metrics, tables: Iterable[Table]) -> None:
        self._database = database
        self._counted = [
            (counted, getattr(metrics, counted.gauge)) for table in tables for counted in table.counted
        ]

    async def read(self) -> None:
        """Read all of them once. Raises StoreError."""
        for counted, gauge in self._counted:
            values = await self._read(counted)
            if counted.labelled:
                replace_values(gauge, values)
            else:
                gauge.set(values[""])

    def forget(self) -> None:
        """Another process reads them now: what was read here would grow stale."""
        for counted, gauge in self._counted:
            if counted.labelled:
                gauge.clear()
            else:
                gauge.set(0)

    async def _read(self, counted: Counted) -> dict[str, float]:
        """By label; without labels under the empty one."""
        rows = await self._database.fetch(counted.statement, *counted.arguments)
        return {(label[0] if label else ""): counted.numbers.get(value, value) for *label, value in rows}
