"""The circuit breaker of a business number: when it opens, whom it lets through, when it closes. Pure.

Owns the rules. Time comes as ages by the database's clock; the row is in `circuit_breakers`, shared by all
replicas under the number's id (`service`), and read and written by `breaker_store`. A number that only
messages speak of has none of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from shared.durations import Durations

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """`failed_messages`: distinct messages of the failures in a row. `probe_lease_s`: left of the leases."""

    state: State = "closed"
    failures: int = 0
    failed_messages: tuple[UUID, ...] = ()
    probes: int = 0
    open_for_s: float = 0.0
    probe_lease_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """What one request says of the number: it was answered, or it failed (time-out, 5xx, refused)."""

    message_id: UUID
    answered: bool


def admit(circuit: Circuit, durations: Durations) -> Circuit | None:
    """May one message go now? The circuit after it went, else None: `deferral.sql` knows when it may."""
    match circuit.state:
        case "closed":
            return circuit
        case "open" if circuit.open_for_s < durations.breaker_open_s:
            return None
        case "open":
            return _probe(replace(circuit, state="half_open", probes=0), durations)
        case "half_open" if circuit.probe_lease_s <= 0:
            return _probe(replace(circuit, probes=0), durations)
        case "half_open" if circuit.probes < durations.breaker_probes:
            return _probe(circuit, durations)
        case "half_open":
            return None


def note(circuit: Circuit, healths: Iterable[ApiHealth], durations: Durations) -> Circuit:
    """The circuit after these requests, in their order.

    While it is open, late answers of requests from before change nothing.
    """
    for health in healths:
        if circuit.state == "open":
            return circuit
        circuit = Circuit() if health.answered else _fail(circuit, health.message_id, durations)
    return circuit


def _probe(circuit: Circuit, durations: Durations) -> Circuit:
    return replace(circuit, probes=circuit.probes + 1, probe_lease_s=durations.breaker_probe_lease_s)


def _fail(circuit: Circuit, message_id: UUID, durations: Durations) -> Circuit:
    failures = circuit.failures + 1
    messages = circuit.failed_messages
    if message_id not in messages and len(messages) < durations.breaker_messages:
        messages = (*messages, message_id)
    reached = failures >= durations.breaker_failures and len(messages) >= durations.breaker_messages
    is_open = reached or circuit.state == "half_open"
    return Circuit("open" if is_open else "closed", failures, messages)
