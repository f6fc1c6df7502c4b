"""What the platform calls a customer: in the answer to a send, and in a message's statuses. Pure.

Owns what is new in it beside what their mapping says. Following it is `following`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from shared.messaging.customers.addresses import read_address

NamedBy: TypeAlias = Literal["answer", "status"]
_INDIVIDUAL: Final = (None, "individual")


@dataclass(frozen=True, slots=True)
class MappedCustomer:
    """Whom a message goes to, as its mapping says: the person, the address named last, their id."""

    customer: str
    wa_id: str
    user_id: str | None = None

    @property
    def phone(self) -> str | None:
        """A phone of theirs, in the platform's notation as far as it told; None where none is known."""
        return next((address for address in (self.wa_id, self.customer) if address.isdigit()), None)


@dataclass(frozen=True, slots=True)
class Naming:
    """Where the customer of a message is named: in its answer or in a status, at a time."""

    message_id: UUID
    source: NamedBy
    at: datetime
    trace_id: str


@dataclass(frozen=True, slots=True)
class NamedCustomer:
    """What the platform said of a customer and their mapping does not say: at least one address.

    `wa_id`: where the next message goes, their phone or what stands in its place. `user_id`: the
    business-scoped id beside it.
    """

    naming: Naming
    mapped: MappedCustomer
    wa_id: str | None
    user_id: str | None


def hear(naming: Naming, mapped: MappedCustomer, wa_id: object, user_id: object) -> NamedCustomer | None:
    """What is new of what was said; None where nothing is. What is no address says nothing."""
    if wa_id in (None, mapped.wa_id) and user_id in (None, mapped.user_id, mapped.wa_id):
        return None
    named, named_id = _read(wa_id), _read(user_id)
    if named_id is not None and named_id.isdigit():
        named_id = None
    if named in (None, mapped.wa_id) and named_id in (None, mapped.user_id, mapped.wa_id):
        return None
    return NamedCustomer(naming, mapped, named, named_id)


def is_individual(recipient_type: object) -> bool:
    """Whether a status tells of a person, not of a group."""
    return recipient_type in _INDIVIDUAL


def _read(said: object) -> str | None:
    return read_address(said) if isinstance(said, str) else None
