"""What commands print: tables for people, JSON for programs.

Owns widths, colours and the forms of values. What is shown is each command's.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import click
import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table

from shared.masking import escape_controls

#: Where nobody looks, lines are not folded at a terminal's width.
_FILE_COLUMNS: Final = 240
#: How often what is watched is shown anew.
WATCH_S: Final = 2.0
#: So much room is enough for text that may be folded.
_PROSE_COLUMNS: Final = 30


def open_console() -> Console:
    """Standard output: colours and the terminal's width where it is one, plain wide lines elsewhere."""
    return Console(width=None if sys.stdout.isatty() else _FILE_COLUMNS, highlight=False, emoji=False)


def print_json(value: object) -> None:
    """One line of JSON; times in UTC with `Z`."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z))


def print_table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], prose: Collection[str] = ()
) -> None:
    """A titled table; None is an empty cell, and markup in values stays text.

    Only what stands in columns of `prose` is folded: where the rest does not fit, each row becomes a card.
    """
    names = tuple(columns)
    cells = [[_plain(value) for value in row] for row in rows]
    console = open_console()
    if not _fits(names, cells, prose, console.width):
        _print_cards(console, title, names, cells)
        return
    headers = [Column(name, overflow="fold", no_wrap=name not in prose) for name in names]
    table = Table(*headers, title=escape_cell(title) or None, title_justify="left", title_style="bold")
    for row in cells:
        table.add_row(*map(escape_cell, row))
    console.print(table)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """A titled list of names and values; what is None is left out. Only a terminal breaks its lines."""
    console = open_console()
    console.print(escape_controls(title), style="bold", markup=False, soft_wrap=True)
    _print_lines(console, {name: _plain(value) for name, value in facts.items()})


def tell_shown(shown: int, total: int, what: str) -> None:
    """A line that says how much is left out, if anything is."""
    if shown < total:
        click.echo(f"{shown} of {total} {what}; --all shows every one, --limit as many as it says")


def _fits(names: Sequence[str], cells: Sequence[Sequence[str]], prose: Collection[str], width: int) -> bool:
    needed = 1
    for number, name in enumerate(names):
        longest = max((cell_len(row[number]) for row in cells), default=0)
        needed += 3 + max(cell_len(name), min(longest, _PROSE_COLUMNS) if name in prose else longest)
    return needed <= width


def _print_cards(console: Console, title: str, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    if title:
        console.print(_plain(title), style="bold", markup=False, soft_wrap=True)
    for number, row in enumerate(cells):
        if number:
            console.print()
        _print_lines(console, dict(zip(names, row, strict=True)))


def _print_lines(console: Console, lines: Mapping[str, str]) -> None:
    """Name and value on one line each, whatever its length: ids and times stay whole, for copying too."""
    width = max(map(cell_len, lines), default=0)
    for name, value in lines.items():
        if value:
            console.print(f"{name:<{width}}  {value}", markup=False, soft_wrap=True)


def escape_cell(value: object) -> Any:
    """A value as a cell: never markup, never a control character."""
    return _plain(value).replace("[", r"\[")


def format_time(at: datetime, timespec: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """A time for people, in UTC."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec) + "Z"


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return format_time(value, "milliseconds")
        case _:
            text = click.unstyle(str(value))
            return "".join(char if char.isprintable() else " " for char in text)
