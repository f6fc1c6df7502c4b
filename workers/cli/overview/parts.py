"""What a page is made of: sections with columns and rows, and the forms of what stands in them.

Owns no word of any section. What is left out where there is no room is `layout`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.masking import escape_controls
from shared.messaging.overview.sources import Source
from shared.upkeep import MOST_COUNTED
from workers.cli.ages import describe_age

#: Styles: what is wrong, what to look at, what has no weight.
BAD: Final = "bold red"
ODD: Final = "yellow"
FAINT: Final = "dim"


@dataclass(frozen=True, slots=True)
class PageColumn:
    """`weight`: of those that do not fit, the lightest go first. `is_prose`: may be cut.

    `on_page`, `in_detail`: whether it stands in the section's short form, and in the whole one.
    """

    title: str
    weight: int = 9
    is_right: bool = False
    is_prose: bool = False
    on_page: bool = True
    in_detail: bool = True


@dataclass(frozen=True, slots=True)
class PageRow:
    """A cell for each column. `presses`: shown before others where there is no room for all.

    `beneath`: sentences under the row, in the whole form.
    """

    cells: tuple[str, ...]
    style: str = ""
    presses: bool = False
    beneath: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageTable:
    """The first column's title is the section's on the page."""

    columns: tuple[PageColumn, ...]
    rows: Sequence[PageRow]


@dataclass(frozen=True, slots=True)
class Freshness:
    """How much a section's figures are worth. `old`: their age, where they are not those of now.

    `troubles`: servers that are away, each in a line. `empty`: what stands where there are no rows.
    """

    troubles: tuple[str, ...] = ()
    old: str = ""
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class PageSection:
    """`detail`: what stands in the whole form, where that is another table. `notes`: what columns mean."""

    title: str
    table: PageTable
    freshness: Freshness
    notes: tuple[str, ...]
    detail: PageTable | None = None


def number_column(title: str, weight: int = 9, *, on_page: bool = True, in_detail: bool = True) -> PageColumn:
    """A column of numbers or ages, which stand on the right."""
    return PageColumn(title, weight, is_right=True, on_page=on_page, in_detail=in_detail)


def describe_freshness(main: Source[Any], *others: Source[Any] | None) -> Freshness:
    """`main`: the source of the rows; `others` of parts of them, which are left out while it is away."""
    away = [source for source in (main, *others) if source is not None and source.error is not None]
    troubles = dict.fromkeys(f"{item.server} is away: {escape_controls(item.error or '')}" for item in away)
    age_s = main.age_s
    empty = "none"
    if age_s is None:
        empty = "not asked yet" if main.error is None else "not known"
    old = f"{describe_age(age_s)} old" if main.error is not None and age_s is not None else ""
    return Freshness(tuple(troubles), old, empty)


def describe_count(number: int) -> str:
    """Nothing for none: what is there stands out."""
    return f"{number:,}" if number else ""


def describe_counted(number: int) -> str:
    """Of what is counted so far only."""
    return f"{number:,}+" if number >= MOST_COUNTED else f"{number:,}"
