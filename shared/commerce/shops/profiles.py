"""What a shop says of a customer, into their profile.

Owns the reading of such a fact; the profile's columns are messaging's.
"""

from collections.abc import Sequence
from typing import Any

from shared.commerce.shops.customers import ToldCustomer, find_customers
from shared.commerce.shops.stamps import FactOutcome
from shared.messaging.customers.shop_profile import ShopProfile, show_shop_profile
from shared.payloads import CustomerUpdated
from shared.payloads.digest import digest
from shared.postgres.database import Connection


async def fold_profiles_of_shops(
    connection: Connection, told: Sequence[CustomerUpdated]
) -> list[FactOutcome]:
    """Show each in its customer's profile, in the caller's transaction; what became of each.

    Raises StoreError.
    """
    named = [
        ToldCustomer(fact.shop_id, fact.wa_id, fact.phone, fact.country, fact.customer_id) for fact in told
    ]
    customers = await find_customers(connection, named)
    outcomes = [FactOutcome.UNREACHABLE] * len(told)
    known = [(phone, index) for index, phone in enumerate(customers) if phone is not None]
    for phone, index in sorted(known):
        profile = read_profile(told[index])
        shown = await show_shop_profile(connection, phone, profile)
        if shown is None:
            outcomes[index] = FactOutcome.APPLIED
        else:
            same = shown == profile.source_hash
            outcomes[index] = FactOutcome.DUPLICATE if same else FactOutcome.LATE
    return outcomes


def read_profile(fact: CustomerUpdated) -> ShopProfile:
    """What it says. The address is the default one, else the first. Pure."""
    content = fact.model_dump(mode="json", warnings=False, exclude={"updated_at", "version", "event_id"})
    return ShopProfile(
        shop_id=fact.shop_id,
        customer_id=fact.customer_id,
        name=fact.name,
        email=fact.email,
        language=fact.language,
        timezone=fact.timezone,
        addresses=fact.addresses,
        address=_default_of(fact.addresses or ()),
        tags=fact.tags,
        source_version=fact.version or 0,
        source_updated_at=fact.updated_at,
        source_hash=digest(content),
    )


def _default_of(addresses: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return next((item for item in addresses if item.get("default") is True), None) or next(
        iter(addresses), None
    )
