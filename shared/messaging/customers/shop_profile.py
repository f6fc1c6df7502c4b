"""What shops know of a customer, and what the customer's orders add up to, in their profile.

Owns these columns of `customer_profiles`. What a shop says is whole: the latest of any shop stands.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "shop_profile.sql")


@dataclass(frozen=True, slots=True)
class ShopProfile:
    """What one shop says of a customer. `source_…`: its place among whatever is said of them."""

    shop_id: str
    customer_id: str | None
    name: str | None
    email: str | None
    language: str | None
    timezone: str | None
    addresses: Sequence[dict[str, Any]] | None
    address: dict[str, Any] | None
    tags: Sequence[str] | None
    source_version: int
    source_updated_at: datetime
    source_hash: bytes


@dataclass(frozen=True, slots=True)
class OrderTotals:
    """What is added to a profile, or taken from it. `currency`: the profile's, where it has none yet."""

    phone: str
    orders: int
    spent: Decimal
    currency: str | None


async def find_by_shop_ids(
    connection: Connection, ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Who has these ids (shop, customer id); one that two persons have is nobody's. Raises StoreError."""
    if not ids:
        return {}
    shops, customer_ids = zip(*sorted(ids), strict=True)
    rows = await connection.fetch(_QUERIES["find_by_shop_ids"], list(shops), list(customer_ids))
    return {(row["shop_id"], row["customer_id"]): row["phone"] for row in rows}


async def show_shop_profile(connection: Connection, phone: str, told: ShopProfile) -> bytes | None:
    """Write it, unless the profile shows something later; gives the hash of what it shows then, if not this.

    What WhatsApp calls a customer stands before what a shop calls them. Raises StoreError.
    """
    shown = await connection.fetchval(
        _QUERIES["show_shop_profile"],
        phone,
        told.shop_id,
        told.customer_id,
        told.name,
        told.email,
        told.language,
        told.timezone,
        told.addresses,
        told.address,
        told.tags,
        told.source_version,
        told.source_updated_at,
        told.source_hash,
    )
    if shown is not None:
        return None
    found: bytes = await connection.fetchval(_QUERIES["shown_hash"], phone)
    return found


async def hold_profiles(connection: Connection, phones: Collection[str]) -> dict[str, str | None]:
    """Lock their profiles, made where there is none; gives their currencies. Raises StoreError."""
    ordered = sorted(set(phones))
    if not ordered:
        return {}
    await connection.execute(_QUERIES["make_profiles"], ordered)
    rows = await connection.fetch(_QUERIES["lock_profiles"], ordered)
    return {row["phone"]: row["currency"] for row in rows}


async def add_totals(connection: Connection, totals: Sequence[OrderTotals]) -> None:
    """Move the totals of profiles that are held. Raises StoreError."""
    for item in totals:
        await connection.execute(_QUERIES["add_totals"], item.phone, item.orders, item.spent, item.currency)
