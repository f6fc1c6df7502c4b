"""Breakers in the table `circuit_breakers`, locked and written in the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.durations import Durations
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import CIRCUIT_STATES, Metrics
from shared.postgres.database import Connection
from shared.postgres.queries import Queries
from workers.outbound_sender.circuit import Circuit, Health, note

logger = get_logger(__name__)
_QUERIES = Queries("workers.outbound_sender", "claims.sql")


class CircuitStore:
    """Reads breakers with their rows locked, writes them back, and says so when one changes."""

    def __init__(self, metrics: Metrics, durations: Durations) -> None:
        self._metrics = metrics
        self._durations = durations

    async def lock(
        self, connection: Connection, numbers: Sequence[str], answered: Sequence[str] = ()
    ) -> dict[str, Circuit]:
        """The breakers of these numbers, until the transaction's end; a missing row is not among them.

        Of numbers that `answered` only those that this changes. To be called once in a transaction: rows are
        locked in one order, so that nobody waits for who waits for them.
        """
        rows = await connection.fetch(_QUERIES["lock_circuits"], list(numbers), list(answered))
        return {row["service"]: circuit_of(row) for row in rows}

    async def write(self, connection: Connection, number: str, circuit: Circuit) -> None:
        """Write one back. Its row is there, and locked."""
        await connection.execute(
            _QUERIES["write_circuit"],
            number,
            circuit.state,
            circuit.failures,
            list(circuit.failed_messages),
            circuit.probes,
            timedelta(seconds=circuit.open_for_s),
            timedelta(seconds=circuit.probe_lease_s),
        )
        self._show(number, circuit)

    async def note(self, connection: Connection, healths: Mapping[str, Sequence[Health]]) -> None:
        """Take note of what requests said, by number. Nothing is written where all is well."""
        if not healths:
            return
        failing = [number for number, said in healths.items() if not all(one.answered for one in said)]
        well = [number for number in healths if number not in failing]
        if failing:
            await connection.execute(_QUERIES["ensure_circuits"], failing)
        locked = await self.lock(connection, failing, well)
        if closed := [number for number in locked if number in well]:
            for row in await connection.fetch(_QUERIES["close_circuits"], closed):
                self._show(row["service"], Circuit())
        for number in failing:
            circuit = locked[number]
            noted = note(circuit, healths[number], self._durations)
            if noted != circuit:
                await self.write(connection, number, noted)
            if noted.state == "open" and circuit.state != "open":
                logger.error(
                    "breaker of number %s opens after %d failures in a row",
                    number,
                    noted.failures,
                    extra=fields(operation=Operation.CIRCUIT_BREAKING),
                )

    def _show(self, number: str, circuit: Circuit) -> None:
        self._metrics.circuit_state.labels(number).set(CIRCUIT_STATES[circuit.state])


def circuit_of(row: Any) -> Circuit:
    """A breaker's columns as a value."""
    return Circuit(
        state=row["state"],
        failures=row["failures"],
        failed_messages=tuple(row["failed_messages"]),
        probes=row["probes"],
        open_for_s=row["open_for_s"],
        probe_lease_s=row["probe_lease_s"],
    )
