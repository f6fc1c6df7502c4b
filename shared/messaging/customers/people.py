"""Whose an address is, for people who ask: the customer, and each address that is or was theirs.

Owns the reading. By it a person is shown, followed and erased under any of their addresses, past ones too;
whose message it is that comes in or is to go out, `whose` tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.messaging.customers.notation import notations, platform_notation
from shared.messaging.customers.whose import KnownAddress, addresses_of
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "people.sql")


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A person. `customer` is their key; `before`: addresses that conversations of before alone tell."""

    customer: str
    addresses: Sequence[KnownAddress]
    before: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Under which rows may know them: the key, and each address in all of its notations."""
        told = (self.customer, *(row.address for row in self.addresses), *self.before)
        return list(dict.fromkeys(name for address in told for name in notations(address)))


async def read_known(store: "Database | Connection", address: str) -> KnownCustomer:
    """The person whose this address is, or whose it was last. Raises StoreError.

    What rows of before say counts where no row of `customer_addresses` does: an id beside a phone.
    """
    customer = await store.fetchval(_QUERIES["customer_of"], platform_notation(address))
    if customer is None:
        before = await store.fetchval(_QUERIES["customer_before"], address)
        customer = platform_notation(before or address)
    addresses = await addresses_of(store, customer)
    names = [name for row in addresses for name in notations(row.address)] or [*notations(customer)]
    rows = await store.fetch(_QUERIES["addresses_before"], names)
    return KnownCustomer(customer, addresses, [row["address"] for row in rows])
