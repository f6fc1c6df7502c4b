"""The crosswalk of `schema/README.md`: what it says is here is in the inventory, and nothing else is."""

import re
from collections.abc import Iterator
from typing import Final

from tests.contract.test_schema_inventory import README, read_inventory

HERE: Final = "| there | its columns | here | the columns | what differs |\n"
NOT_HERE: Final = "| there | its columns | would be |\n"
#: All tables that the hub has.
THEIRS: Final = {
    *("wch_conversations", "wch_messages", "wch_carts", "wch_customer_profiles", "wch_broadcast_recipients"),
    *("wch_sync_queue", "wch_notification_log", "wch_product_views", "wch_reengagement"),
    *("wch_dead_letter_queue", "wch_webhook_idempotency", "wch_rate_limits", "wch_circuit_breakers"),
    "wch_saga_state",
}
NAME: Final = re.compile(r"`([\w.]+)`")


def rows_below(heading: str) -> Iterator[list[str]]:
    _, found, below = README.read_text("utf-8").partition(heading)
    assert found
    for line in below.split("\n\n")[0].splitlines()[1:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def test_each_of_their_tables_is_in_the_crosswalk_and_no_other() -> None:
    named = {NAME.findall(row[0])[0] for heading in (HERE, NOT_HERE) for row in rows_below(heading)}

    assert named == THEIRS


def test_what_the_crosswalk_names_is_in_the_inventory() -> None:
    inventory = read_inventory()

    for _, _, table, columns, _ in rows_below(HERE):
        (name,) = NAME.findall(table)
        assert name in inventory
        assert NAME.findall(columns)
        assert set(NAME.findall(columns)) <= inventory[name].columns.keys(), name


def test_what_the_crosswalk_says_is_not_here_is_not() -> None:
    inventory = read_inventory()
    there = {
        *inventory,
        *(f"{name}.{column}" for name, table in inventory.items() for column in table.columns),
    }

    missing = {name for *_, place in rows_below(NOT_HERE) for name in NAME.findall(place)}

    assert missing
    assert missing.isdisjoint(there)
