"""What facts of shops say of consent, into the events of their customers.

Owns the reading of `accepts_marketing`; what follows of events is messaging's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeGuard

from shared.commerce.shops.customers import ToldCustomer, find_customers
from shared.messaging.customers.consent import record_consent_events
from shared.messaging.customers.consent_rules import ConsentEvent, RecordedConsents, events_of_change
from shared.messaging.customers.suppressions import Suppressions
from shared.payloads import CartUpdated, ConsentChange, CustomerUpdated, Payload
from shared.postgres.database import Connection

#: Who told, where a shop's own box was ticked or not.
SHOP_BOX: Final = "shop"
ConsentFact: TypeAlias = ConsentChange | CustomerUpdated | CartUpdated


def says_consent(fact: Payload) -> TypeGuard[ConsentFact]:
    """Whether it says something of consent. Pure."""
    if isinstance(fact, CustomerUpdated | CartUpdated):
        return fact.accepts_marketing is not None
    return isinstance(fact, ConsentChange)


@dataclass(frozen=True, slots=True)
class ToldConsent:
    """A fact that says something of consent, and the trace of what it came with."""

    fact: ConsentFact
    trace_id: str


async def record_consents_of_shops(
    connection: Connection, told: Sequence[ToldConsent], suppressions: Suppressions
) -> RecordedConsents:
    """Keep what they say, in the caller's transaction and before it locks any profile.

    A fact whose customer nobody can tell gives none. What is given is the caller's to
    record, tell and count, as of `record_consent_events`. Raises StoreError.
    """
    changes = [
        event
        for item in told
        if isinstance(item.fact, ConsentChange)
        for event in events_of_change(item.fact, item.trace_id)
    ]
    boxes = [
        (item.fact, item.fact.accepts_marketing, item.trace_id)
        for item in told
        if not isinstance(item.fact, ConsentChange) and item.fact.accepts_marketing is not None
    ]
    named = [
        ToldCustomer(fact.shop_id, fact.wa_id, fact.phone, fact.country, fact.customer_id)
        for fact, _, _ in boxes
    ]
    customers = await find_customers(connection, named) if named else []
    answers = [
        ConsentEvent(
            who.address or customer,
            "marketing",
            accepts,
            SHOP_BOX,
            fact.updated_at,
            fact.event_id or fact.shop_id,
            trace_id,
        )
        for who, customer, (fact, accepts, trace_id) in zip(named, customers, boxes, strict=True)
        if customer is not None
    ]
    return await record_consent_events(connection, [*changes, *answers], suppressions)
