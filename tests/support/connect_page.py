"""`deploy/connect.md` as its tests read it, with the page for shops: tables and commands."""

import re
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).resolve().parents[2] / "deploy" / "connect.md"
SHOP_PAGE: Final = PAGE.with_name("connect_shop.md")
_CODE: Final = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """One row of the table of what gateways publish."""

    exchange: str
    routing_key: str
    schema: str
    who: str
    events: tuple[str, ...]


def lines() -> list[str]:
    """The page's lines."""
    return PAGE.read_text(encoding="utf-8").splitlines()


def table(*heads: str) -> list[list[str]]:
    """The cells of each row of the tables with these heads, of both pages."""
    head = f"| {' | '.join(heads)} |"
    pages = [lines(), SHOP_PAGE.read_text(encoding="utf-8").splitlines()]
    assert any(head in page for page in pages)
    return [row for page in pages if head in page for row in _rows(page[page.index(head) + 2 :])]


def _rows(below: list[str]) -> list[list[str]]:
    rows = []
    for line in below:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def codes(cell: str) -> tuple[str, ...]:
    """What stands in backticks."""
    return tuple(_CODE.findall(cell))


def published() -> list[Row]:
    """What gateways publish, each key with a conversation's id in the place of `<key>`."""
    heads = ("exchange", "routing key", "schema", "who", "what follows")
    return [
        Row(codes(exchange)[0], codes(key)[0].replace("<key>", "c-1"), codes(schema)[0], who, codes(events))
        for exchange, key, schema, who, events in table(*heads)
    ]


def commands(program: str) -> list[str]:
    """Every line of a shell block that calls this program."""
    return [line for line in lines() if line.startswith(f"{program} ")]
