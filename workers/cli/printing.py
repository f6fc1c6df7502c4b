"""What commands print: tables for people, JSON for programs.

Owns widths, colours and the forms of values. What is shown is each command's.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Column, Table

from shared.masking import escape_controls

#: Where nobody looks, lines are not folded at a terminal's width.
_FILE_COLUMNS: Final = 240


def open_console() -> Console:
    """Standard output: colours and the terminal's width where it is one, plain wide lines elsewhere."""
    return Console(width=None if sys.stdout.isatty() else _FILE_COLUMNS, highlight=False, emoji=False)


def print_json(value: object) -> None:
    """One line of JSON; times in UTC with `Z`."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z))


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A titled table; None is an empty cell, and markup in values stays text."""
    headers = [Column(name, overflow="fold") for name in columns]
    table = Table(*headers, title=escape_cell(title) or None, title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*map(escape_cell, row))
    open_console().print(table)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """A titled list of names and values; what is None is left out."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value is not None:
            grid.add_row(name, escape_cell(value))
    console = open_console()
    console.print(escape_controls(title), style="bold", markup=False)
    console.print(grid)


def escape_cell(value: object) -> Any:
    """A value as a cell: never markup, never a control character."""
    return click.unstyle(_plain(value)).replace("[", r"\[")


def format_time(at: datetime) -> str:
    """A time for people, in UTC to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return format_time(value)
        case _:
            return "".join(char if char.isprintable() else " " for char in str(value))
