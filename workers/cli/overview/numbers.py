"""The section of business numbers: which may send, and what of them waits."""

from collections.abc import Iterator
from typing import Final

from shared.masking import escape_controls
from shared.messaging.numbers.control import Number
from shared.messaging.overview.overview import Overview
from shared.settings.settings import Settings
from workers.cli.overview.parts import (
    BAD,
    ODD,
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    describe_counted,
    describe_freshness,
    number_column,
)
from workers.cli.printing import format_time

_COLUMNS: Final = (
    PageColumn("number"),
    PageColumn("state", 8),
    PageColumn("breaker", 7),
    number_column("waiting", 6),
    number_column("msg/s", 3),
    PageColumn("token", 2, on_page=False),
    PageColumn("reason", 5, is_prose=True, in_detail=False),
)
_NOTES: Final = (
    "waiting: deferred in PostgreSQL, for whatever reason. msg/s and token: as the settings here have them.",
    "`wabus number pause` and `wabus number resume` stop one and let it go.",
)


def describe_numbers(overview: Overview, settings: Settings) -> PageSection:
    """A line for each number that is known; in detail, since when it is so and why."""
    rows = [_number(item, settings) for item in overview.numbers.value or ()]
    return PageSection("numbers", PageTable(_COLUMNS, rows), describe_freshness(overview.numbers), _NOTES)


def _number(item: Number, settings: Settings) -> PageRow:
    own = settings.number(item.phone_number_id)
    state, style = _state(item)
    cells = (
        escape_controls(item.phone_number_id),
        state,
        item.breaker.replace("_", " "),
        describe_counted(item.waiting),
        f"{own.mps:g}",
        "no" if own.token is None else "yes",
        escape_controls(item.reason or ""),
    )
    return PageRow(cells, style, presses=bool(style), beneath=tuple(_beneath(item)))


def _state(item: Number) -> tuple[str, str]:
    if item.state == "paused" or item.breaker == "open":
        return item.state, BAD
    if item.slowed_until is not None:
        return "slowed", ODD
    if item.marketing_held_until is not None:
        return "marketing held", ODD
    return item.state, "" if item.breaker == "closed" else ODD


def _beneath(item: Number) -> Iterator[str]:
    if item.since is not None:
        who = escape_controls(item.changed_by or "unknown")
        why = escape_controls(item.reason or "no reason given")
        yield f"{item.state} since {format_time(item.since)} by {who}: {why}"
    if item.slowed_until is not None:
        yield f"slowed until {format_time(item.slowed_until)}"
    if item.marketing_held_until is not None:
        yield f"marketing held until {format_time(item.marketing_held_until)}"
