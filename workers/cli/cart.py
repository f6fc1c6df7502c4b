"""`wabus cart list|show|stats`: what shops say of carts, and what became of them.

Owns options and tables; the reading is `shared.commerce.carts`'.
"""

from dataclasses import asdict, astuple
from datetime import timedelta
from typing import Final, get_args

import click

from shared.commerce.carts.row import CartRow, CartStatus
from shared.commerce.carts.stats import read_cart_stats
from shared.commerce.carts.store import CartLine, find_latest, list_carts
from shared.messaging.customers.people import read_known
from shared.payloads.shop import DEFAULT_SHOP
from shared.postgres.database import Database
from workers.cli.customer import CustomerParam
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_facts, print_json, print_table

_COLUMNS: Final = (
    *("shop", "cart", "customer", "status", "reason", "lines", "total", "currency", "active at", "order"),
)


@click.group(epilog="\b\nExample:\n  wabus cart list --status active")
def cart() -> None:
    """Look at carts."""


@cart.command("list", epilog="\b\nExample:\n  wabus cart list --phone +491700000001 --json")
@click.option("--shop", "shop_id", metavar="ID", help="Of one shop.")
@click.option("--status", type=click.Choice(get_args(CartStatus)), help="In one state.")
@click.option("--phone", type=CustomerParam(), help="Of one customer, by any of their addresses.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
def list_(shop_id: str | None, status: str | None, phone: str | None, limit: int, as_json: bool) -> None:
    """List carts, the newest first."""

    async def read(database: Database) -> list[CartLine]:
        addresses = None if phone is None else (await read_known(database, phone)).names
        return await list_carts(database, shop_id=shop_id, status=status, addresses=addresses, limit=limit)

    lines = run_on_database(read_settings(), read)
    if as_json:
        print_json({"carts": [asdict(line) for line in lines]})
        return
    rows = (
        (
            line.shop_id,
            line.cart_id,
            line.customer_phone,
            line.status,
            line.status_reason,
            line.items,
            line.total,
            line.currency,
            line.last_activity_at,
            line.recovered_order_id,
        )
        for line in lines
    )
    print_table("", _COLUMNS, rows)


@cart.command(epilog="\b\nExample:\n  wabus cart show c-1 --shop default")
@click.argument("cart_id", metavar="CART")
@click.option(
    "--shop", "shop_id", default=DEFAULT_SHOP, show_default=True, metavar="ID", help="Of which shop."
)
@json_option
def show(cart_id: str, shop_id: str, as_json: bool) -> None:
    """Show the latest cart of this id, whole. Exits 1 where there is none."""

    async def read(database: Database) -> list[CartRow]:
        return await find_latest(database, {(shop_id, cart_id)})

    found = run_on_database(read_settings(), read)
    if not found:
        raise click.ClickException(f"{shop_id} {cart_id}: no such cart")
    facts = _describe(found[0])
    if as_json:
        print_json(facts)
        return
    items = facts.pop("items")
    print_facts(f"Cart {cart_id} of {shop_id}", facts)
    print_items(items)


@cart.command(epilog="\b\nExample:\n  wabus cart stats --days 7")
@click.option("--shop", "shop_id", metavar="ID", help="Of one shop.")
@click.option(
    "--days",
    type=click.IntRange(1, 90),
    default=30,
    show_default=True,
    help="Closed ones of so many days; they are kept for 90.",
)
@json_option
def stats(shop_id: str | None, days: int, as_json: bool) -> None:
    """Count carts: the open ones, those that were closed lately, and what the recovered ones brought.

    Revenue is told for each currency, less refunds. A cart is recovered where an order came of it after a
    reminder, and converted where its customer bought without one.
    """
    told = run_on_database(
        read_settings(),
        lambda database: read_cart_stats(database, closed_within=timedelta(days=days), shop_id=shop_id),
    )
    if as_json:
        print_json({"days": days, **asdict(told)})
        return
    columns = ("shop", "status", "reason", "carts", "reminded", "held out")
    print_table(f"Open carts, and those closed in {days} days", columns, map(astuple, told.states))
    if told.recovered:
        print_table("Recovered", ("shop", "currency", "carts", "revenue"), map(astuple, told.recovered))


def _describe(row: CartRow) -> dict[str, object]:
    hidden = ("items_hash", "customer_stamp", "source_hash")
    return {name: value for name, value in asdict(row).items() if name not in hidden}


def print_items(items: object) -> None:
    """The lines of a cart or an order."""
    assert isinstance(items, list)
    columns = ("product_id", "variation_id", "quantity", "price", "product_name")
    if items:
        print_table("Items", columns, ([item.get(name) for name in columns] for item in items))
