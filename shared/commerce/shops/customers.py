"""Who the customer of a fact is: by their address on WhatsApp, by a phone as they typed it, by the shop's id.

Owns the order of these. Whom nobody can tell is None: the fact is kept all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.commerce.shops.phones import read_phone
from shared.messaging.customers.shop_profile import find_by_shop_ids
from shared.messaging.customers.whose import customers_of
from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class ToldCustomer:
    """How a fact names its customer; each may be absent."""

    shop_id: str
    wa_id: str | None = None
    phone: str | None = None
    country: str | None = None
    customer_id: str | None = None

    @property
    def address(self) -> str | None:
        """Their address on WhatsApp, as far as the fact itself tells it."""
        if self.wa_id is not None:
            return self.wa_id
        return None if self.phone is None else read_phone(self.phone, self.country)


async def find_customers(connection: Connection, named: Sequence[ToldCustomer]) -> list[str | None]:
    """The customer of each. Raises StoreError."""
    addresses = [item.address for item in named]
    asked = {
        (item.shop_id, item.customer_id)
        for item, address in zip(named, addresses, strict=True)
        if address is None and item.customer_id is not None
    }
    by_id = await find_by_shop_ids(connection, asked)
    known = await customers_of(connection, [address for address in addresses if address is not None])
    return [
        by_id.get((item.shop_id, item.customer_id or "")) if address is None else known[address]
        for item, address in zip(named, addresses, strict=True)
    ]
