"""`wabus order show`: what a shop says of an order.

Owns options and tables; the reading is `shared.commerce.orders`'.
"""

from dataclasses import asdict
from typing import Any

import click

from shared.commerce.orders.store import StoredOrder, find_orders
from shared.postgres.database import Database
from workers.cli.cart import print_items
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_facts, print_json, print_table


@click.group(epilog="\b\nExample:\n  wabus order show default 727")
def order() -> None:
    """Look at orders."""


@order.command(epilog="\b\nExample:\n  wabus order show default 727 --json")
@click.argument("shop_id", metavar="SHOP")
@click.argument("order_id", metavar="ID")
@json_option
def show(shop_id: str, order_id: str, as_json: bool) -> None:
    """Show an order, with its parcels, its refunds and what its customer's totals hold of it.

    Exits 1 where there is none.
    """

    async def read(database: Database) -> StoredOrder | None:
        return (await find_orders(database, {(shop_id, order_id)})).get((shop_id, order_id))

    found = run_on_database(read_settings(), read)
    if found is None:
        raise click.ClickException(f"{shop_id} {order_id}: no such order")
    facts = _describe(found)
    if as_json:
        print_json(facts)
        return
    items, refunds, trackings = facts.pop("items"), facts.pop("refunds"), facts.pop("trackings")
    print_facts(f"Order {order_id} of {shop_id}", facts)
    print_items(items)
    if refunds:
        rows = ((key, item["amount"], item["currency"]) for key, item in refunds.items())
        print_table("Refunds", ("id", "amount", "currency"), rows)
    if trackings:
        parcels = ((key, item.get("carrier"), item["at"], item.get("url")) for key, item in trackings.items())
        print_table("Parcels", ("number", "carrier", "told", "url"), parcels)


def _describe(found: StoredOrder) -> dict[str, Any]:
    hidden = ("customer_stamp", "source_hash")
    row = {name: value for name, value in asdict(found.row).items() if name not in hidden}
    return row | {"first_seen_at": found.first_seen_at}
