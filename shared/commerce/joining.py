"""Rows of a customer who turned out to be another follow them, after the two were joined.

Owns the order of it, in one transaction of its own: the join tells of itself with its commit, at least once.
Done again it finds nothing to do. Orders bring along what they add to a profile.
"""

from typing import Final

from shared.commerce.carts.facts import FoldedFacts, follow_carts
from shared.commerce.catalogue.store import follow_views
from shared.commerce.notices.following import follow_notices
from shared.commerce.orders.facts import follow_orders
from shared.commerce.shops.holding import carts_of_key, take_turns
from shared.messaging.customers.notation import notations
from shared.messaging.customers.shop_profile import hold_profiles
from shared.messaging.customers.whose import customers_of
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce", "joining.sql")


async def follow_join(connection: Connection, merged: str, customer: str, trace_id: str) -> FoldedFacts:
    """Whatever was `merged`'s becomes that of whoever `customer` is now. Raises StoreError."""
    stays = (await customers_of(connection, [customer]))[customer]
    gone = [name for name in notations(merged) if name != stays]
    shops = [row["shop_id"] for row in await connection.fetch(_QUERIES["find_shops"], gone)]
    now = await take_turns(
        connection, [carts_of_key(shop, name) for shop in shops for name in (*gone, stays)]
    )
    currencies = await hold_profiles(connection, [stays])
    folded = await follow_carts(connection, shops, gone, stays, now, trace_id)
    await follow_orders(connection, gone, stays, currencies.get(stays))
    await follow_views(connection, gone, stays)
    await follow_notices(connection, gone, stays)
    return folded
