"""`wabus shop publish|check`: recorded webhooks as a shop's gateway would publish them; what SHOPS_FILE says.

Owns options and what is told; the reading is `shared.commerce.shops`'.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import click

from shared.commerce.shops.check import describe_shop, find_gaps
from shared.commerce.shops.file import Shop, read_shops
from shared.commerce.shops.publishing import PLATFORMS, RecordedFacts, publish_facts, read_recorded
from shared.errors import BrokerError, SettingsError, WabusError
from shared.payloads.shop import DEFAULT_SHOP
from workers.cli.operation import json_option, read_settings, silence_logs
from workers.cli.printing import print_facts, print_json
from workers.cli.publishing import open_publisher


@click.group(epilog="\b\nExample:\n  wabus shop publish webhooks.jsonl --platform woocommerce")
def shop() -> None:
    """Publish what a shop says of carts, orders, products and customers; check what is chosen for shops."""
    silence_logs()


@shop.command(
    epilog="\b\nExample:\n  wabus shop publish webhooks.jsonl --platform woocommerce\n\n\b\nwebhooks.jsonl:\n"
    '  {"headers": {"X-WC-Webhook-Topic": "order.updated"}, "body": {"id": 727, ...}}'
)
@click.argument("path", metavar="FILE.jsonl", type=click.Path(path_type=Path))
@click.option("--platform", type=click.Choice(PLATFORMS), required=True, help="Whose webhooks they are.")
@click.option("--shop", "shop_id", default=DEFAULT_SHOP, show_default=True, metavar="ID", help="Which shop.")
@click.option("--currency", metavar="CODE", help="The shop's, for bodies that name none, such as EUR.")
@json_option
def publish(path: Path, platform: str, shop_id: str, currency: str | None, as_json: bool) -> None:
    """Publish each line of FILE.jsonl, after all of it was checked.

    A line is one delivery, with its headers and its body; where the body says no time, `received_at` does.
    For `--platform wabus` it is a routing key and a payload: {"key": "cart.updated", "body": {...}}.
    Published again it changes nothing.
    """
    settings = read_settings()
    recorded = read_recorded(path, platform, shop_id=shop_id, currency=currency)

    async def run() -> int:
        async with open_publisher(settings) as publisher:
            return await publish_facts(publisher, recorded.facts)

    try:
        published = asyncio.run(run())
    except BrokerError as error:
        raise WabusError(f"not all was published, which may be done again: {error}") from error
    _tell(recorded, published, as_json=as_json)


def _tell(recorded: RecordedFacts, published: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"lines": recorded.lines, "facts": published, "silent": recorded.silent})
        return
    silent = f", {recorded.silent} lines are no fact" if recorded.silent else ""
    click.echo(f"{published} facts of {recorded.lines} lines published{silent}")


@shop.command(epilog="\b\nExample:\n  SHOPS_FILE=shops.json wabus shop check --json")
@json_option
def check(as_json: bool) -> None:
    """Read SHOPS_FILE as the workers do, show each shop, and name what will never be sent.

    Exits 2 where a worker would not start with it.
    """
    path = read_settings().shops_file
    if path is None:
        raise SettingsError("SHOPS_FILE: not set: facts of shops are stored, and nothing goes out by itself")
    shops = read_shops(path)
    if as_json:
        print_json(
            {"shops": {name: describe_shop(item) | {"gaps": find_gaps(item)} for name, item in shops.items()}}
        )
    else:
        _print(shops)


def _print(shops: Mapping[str, Shop]) -> None:
    for name, item in shops.items():
        print_facts(f"Shop {name}", describe_shop(item))
        for gap in find_gaps(item):
            click.echo(f"  {gap}")
    if not shops:
        click.echo("SHOPS_FILE names no shop.")
