"""The section of dead letters: how many of each reason wait, and in detail the most pressing."""

from typing import Final

from shared.deadletters.letters import LetterLine
from shared.masking import escape_controls
from shared.messaging.overview.overview import Overview
from shared.reasons import AUTOMATIC
from workers.cli.ages import describe_age
from workers.cli.overview.parts import (
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    describe_counted,
    describe_freshness,
    number_column,
)

_COLUMNS: Final = (PageColumn("reason"), number_column("pending"), PageColumn("goes back", 5))
_DETAIL: Final = (
    PageColumn("id"),
    number_column("age", 7),
    PageColumn("reason", 8),
    PageColumn("queue", 6),
    number_column("attempts", 3),
    PageColumn("error", 5, is_prose=True),
)
_NOTES: Final = (
    "The most pressing. `wabus dlq show ID` tells all of one, `wabus dlq replay ID` puts it back.",
)
_ID_DIGITS: Final = 8


def describe_dead_letters(overview: Overview) -> PageSection:
    """A line for each reason; in detail, one for each of the most pressing."""
    rows = [
        PageRow(
            (reason, describe_counted(letters), "by itself" if reason in AUTOMATIC else "by hand"),
            presses=reason not in AUTOMATIC,
        )
        for reason, letters in (overview.dead_letters.value or {}).items()
    ]
    freshness = describe_freshness(overview.dead_letters)
    letters = overview.pressing.value
    detail = None if letters is None else PageTable(_DETAIL, [_letter(line) for line in letters])
    return PageSection("dead letters", PageTable(_COLUMNS, rows), freshness, _NOTES, detail)


def _letter(line: LetterLine) -> PageRow:
    return PageRow(
        (
            line.id.hex[:_ID_DIGITS],
            describe_age(line.age_s),
            line.reason,
            escape_controls(line.source_queue),
            str(line.attempts),
            escape_controls(line.error_message or ""),
        )
    )
