"""Breakers of numbers in the table `circuit_breakers`, locked and written in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from shared.durations import Durations
from shared.messaging.numbers.breaker import ApiHealth, Circuit, note
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import CIRCUIT_STATES, Metrics
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

logger = get_logger(__name__)
_QUERIES = Queries("shared.messaging.numbers", "breaker.sql")


#: The breaker that all numbers share of which we know nothing but what a message says.
UNKNOWN_NUMBERS: Final = "(unknown)"


class CircuitStore:
    """Reads breakers with their rows locked, writes them back, and says so when one changes.

    `configured`: the numbers that the settings name. Which others have a breaker of their own is decided by
    `ensure_circuits`.
    """

    def __init__(self, metrics: Metrics, durations: Durations, configured: Iterable[str] = ()) -> None:
        self._metrics = metrics
        self._durations = durations
        self._configured = sorted(configured)

    async def lock(self, connection: Connection, services: Iterable[str]) -> dict[str, Circuit]:
        """These breakers, until the transaction's end; a missing row is not among them.

        All that a transaction needs in one call: rows are locked in their order.
        """
        rows = await connection.fetch(_QUERIES["lock_circuits"], sorted(services))
        return {row["service"]: circuit_of(row) for row in rows}

    async def write(self, connection: Connection, service: str, circuit: Circuit) -> None:
        """Write one back. Its row is there, and locked."""
        await connection.execute(
            _QUERIES["write_circuit"],
            service,
            circuit.state,
            circuit.failures,
            list(circuit.failed_messages),
            circuit.probes,
            timedelta(seconds=circuit.open_for_s),
            timedelta(seconds=circuit.probe_lease_s),
        )
        self._show(service, circuit)

    async def note(self, connection: Connection, healths: Mapping[str, Sequence[ApiHealth]]) -> None:
        """Take note of what requests said, by number. Nothing is written where all is well."""
        if not healths:
            return
        failing = {number for number, said in healths.items() if not all(one.answered for one in said)}
        found = await self._find(connection, healths)
        strangers = [row for row in found if row["service"] == UNKNOWN_NUMBERS]
        if strangers:
            known = await self._ensure(connection, [row["number"] for row in strangers])
            # An answer is also for those whose breaker let it go; a failure is its own number's alone.
            found = [
                known[row["number"]] if row["number"] in failing & known.keys() else row for row in found
            ]
        said: dict[str, list[ApiHealth]] = {}
        touched = set()
        for row in found:
            said.setdefault(row["service"], []).extend(healths[row["number"]])
            if row["disturbed"] or row["number"] in failing:
                touched.add(row["service"])
        if not touched:
            return
        for service, circuit in (await self.lock(connection, touched)).items():
            await self._note(connection, service, circuit, said[service])

    async def services(self, connection: Connection, numbers: Iterable[str]) -> dict[str, str]:
        """Which breaker lets whom go."""
        found = await self._find(connection, numbers)
        if strangers := [row["number"] for row in found if row["service"] == UNKNOWN_NUMBERS]:
            found += (await self._ensure(connection, strangers)).values()
        return {row["number"]: row["service"] for row in found}

    async def _find(self, connection: Connection, numbers: Iterable[str]) -> list[Any]:
        return list(await connection.fetch(_QUERIES["find_circuits"], sorted(numbers), UNKNOWN_NUMBERS))

    async def _ensure(self, connection: Connection, strangers: Sequence[str]) -> dict[str, Any]:
        """What has no breaker of its own gets one as soon as something but a message speaks of it: it must
        not wait for the trouble of numbers that nobody knows. Returns what is found of them then.
        """
        await connection.execute(_QUERIES["ensure_circuits"], strangers, self._configured, UNKNOWN_NUMBERS)
        return {row["number"]: row for row in await self._find(connection, strangers)}

    async def _note(
        self, connection: Connection, service: str, circuit: Circuit, said: Sequence[ApiHealth]
    ) -> None:
        noted = note(circuit, said, self._durations)
        if noted != circuit:
            await self.write(connection, service, noted)
        if noted.state == "open" and circuit.state != "open":
            logger.error(
                "breaker of number %s opens after %d failures in a row",
                service,
                noted.failures,
                extra=fields(operation=Operation.CIRCUIT_BREAKING),
            )

    def _show(self, service: str, circuit: Circuit) -> None:
        self._metrics.circuit_state.labels(service).set(CIRCUIT_STATES[circuit.state])


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
