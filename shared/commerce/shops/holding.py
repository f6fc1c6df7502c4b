"""What facts of one cart, order or customer take in turns, on whatever replica they are folded.

Owns the keys and their order. A row that is not there yet has no lock of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.shops", "holding.sql")


def cart_key(shop_id: str, cart_id: str) -> str:
    """The turn of a cart."""
    return f"cart\n{shop_id}\n{cart_id}"


def carts_of_key(shop_id: str, customer: str) -> str:
    """The turn of whichever cart is a customer's open one."""
    return f"carts of\n{shop_id}\n{customer}"


def order_key(shop_id: str, order_id: str) -> str:
    """The turn of an order."""
    return f"order\n{shop_id}\n{order_id}"


def product_key(shop_id: str, product_id: str) -> str:
    """The turn of a product."""
    return f"product\n{shop_id}\n{product_id}"


async def take_turns(connection: Connection, keys: Iterable[str]) -> datetime:
    """Wait for the turn of each, and hold it until the commit; gives the database's time then.

    Before any row is locked, once a transaction: nobody waits for one who waits for them. Raises StoreError.
    """
    await connection.execute(_QUERIES["take_turns"], sorted(set(keys)))
    return await read_time(connection)


async def read_time(connection: Connection) -> datetime:
    """The database's time, by which carts are closed on every replica. Raises StoreError."""
    at: datetime = await connection.fetchval(_QUERIES["time"])
    return at
