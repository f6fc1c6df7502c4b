"""What is stored of one customer, told without a text of theirs.

Owns the reading, for people; what an erasure covers is `erasure`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.consent import StoredConsent, read_consents
from shared.messaging.customers.people import KnownCustomer, read_known
from shared.postgres.audit import AuditLine, read_audit
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "profile.sql")


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A row of `customer_profiles`. `opt_in_marketing` None: never asked; `consent_source`: who told it."""

    phone: str
    name: str | None
    opt_in_marketing: bool | None
    marketing_opted_at: datetime | None
    consent_source: str | None
    notification_opt_out: bool
    last_interaction_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ShopFigures:
    """What a shop said of them last, and what their paid orders add up to in `currency`."""

    source_shop: str | None
    wc_customer_id: str | None
    email: str | None
    language: str | None
    timezone: str | None
    tags: list[str] | None
    last_known_address: dict[str, Any] | None
    total_orders: int
    total_spent: Decimal
    currency: str | None


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """How many conversations, how many of them `active`, and how many messages in them."""

    conversations: int
    active: int
    messages: int


@dataclass(frozen=True, slots=True)
class StoredCustomer:
    """All of it. `shop`: None where no shop told of them.

    `audit`: what operators did to them under any of their addresses, oldest first.
    `consents`: what was said of their consent, latest first; none of an answer that is older than its proofs.
    """

    known: KnownCustomer
    profile: CustomerProfile | None
    stored: StoredCounts
    audit: Sequence[AuditLine]
    shop: ShopFigures | None
    consents: Sequence[StoredConsent] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether no profile, address or conversation is stored: the audit log may know of them still."""
        return self.profile is None and not self.stored.conversations and not self.known.addresses

    @property
    def last_erasure(self) -> AuditLine | None:
        """When they were erased last, if ever."""
        erasures = [line for line in self.audit if line.action == "profile.erase"]
        return erasures[-1] if erasures else None


async def read_customer(database: Database, address: str) -> StoredCustomer:
    """What is stored of the person with this address, a past one too. Raises StoreError."""
    known = await read_known(database, address)
    row = await database.fetchrow(_QUERIES["profile"], known.customer, known.names)
    stored = await database.fetchrow(_QUERIES["conversations"], known.names)
    assert stored is not None
    subjects = [audit_subject(name) for name in dict.fromkeys([address, *known.names])]
    audit = await read_audit(database, subjects=subjects)
    told = await database.fetchrow(_QUERIES["shop_figures"], known.names)
    figures = None if told is None else ShopFigures(**dict(told))
    profile = None if row is None else CustomerProfile(**dict(row))
    consents = await read_consents(database, known.names)
    counts = StoredCounts(**dict(stored))
    return StoredCustomer(known, profile, counts, audit.lines, figures, consents)
