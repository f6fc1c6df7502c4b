"""What becomes of a delivery: exactly one of four, given by a handler, carried out by the settlement."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from shared.amqp.delivery import Delivery
from shared.errors import StoreLocked, StoreUnavailable
from shared.reasons import DeadReason


@dataclass(frozen=True, slots=True)
class Ack:
    """Done: effects are committed."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Again after the next delay tier, counted. After `attempts` retries it is dead as `exhausted`."""

    reason: str
    error: str
    exhausted: DeadReason = DeadReason.MAX_RETRIES_EXCEEDED
    attempts: int = 4
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Defer:
    """Stored and looked at again `delay_s` from now by the database clock, not counted.

    None: when the event comes that the reason names. `slows_number`: the wait is that of its whole number.
    From `ends_at` on it is looked at whatever holds it. `is_stored`: the handler has seen to its row.
    """

    reason: str
    delay_s: float | None
    message_id: UUID | None = None
    phone_number_id: str | None = None
    customer: str | None = None
    lane: str | None = None
    slows_number: bool = False
    ends_at: datetime | None = None
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    """To the dead letters. `message_id` names the tracked message, where there is one."""

    reason: DeadReason
    error: str
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Undone:
    """No disposition, and nothing was done for it. It comes again: here or not, where the store went away;

    here, alone and before all that came after it, where its row is locked.
    """

    error: StoreUnavailable | StoreLocked


Disposition: TypeAlias = Ack | Retry | Defer | Dead


#: What a handler says of a delivery.
Told = tuple[Delivery, Disposition | Undone]


def sort_out(
    group: Iterable[Told],
) -> tuple[
    list[tuple[Delivery, Disposition]],
    list[tuple[Delivery, StoreUnavailable]],
    list[tuple[Delivery, StoreLocked]],
]:
    """Part what a handler told: what has a disposition, whose store is away, whose row is locked."""
    done: list[tuple[Delivery, Disposition]] = []
    away: list[tuple[Delivery, StoreUnavailable]] = []
    locked: list[tuple[Delivery, StoreLocked]] = []
    for delivery, told in group:
        match told:
            case Undone(StoreLocked() as error):
                locked.append((delivery, error))
            case Undone(StoreUnavailable() as error):
                away.append((delivery, error))
            case Ack() | Retry() | Defer() | Dead() as disposition:
                done.append((delivery, disposition))
    return done, away, locked
