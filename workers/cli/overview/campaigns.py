"""The section of campaigns that are not over: how far they are, and what holds them."""

from typing import Final

from shared.masking import escape_controls
from shared.messaging.campaigns.status import STATUSES, CampaignStatus
from shared.messaging.overview.overview import Overview
from workers.cli.campaign_view import describe_holds, describe_s
from workers.cli.overview.parts import (
    ODD,
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    describe_freshness,
    number_column,
)

_COLUMNS: Final = (
    PageColumn("campaign"),
    PageColumn("status", 8),
    PageColumn("progress", 4),
    number_column("done", 7),
    number_column("rate/s", 6),
    number_column("left", 5),
    PageColumn("held by", 3, is_prose=True, in_detail=False),
)
_NOTES: Final = (
    "done: sent, failed or skipped; rate/s: sent in the last minute. A big campaign is counted more rarely.",
    "`wabus campaign status ID` tells all of one; `wabus campaign status` lists those that are over, too.",
)
_BAR: Final = 10


def describe_campaigns(overview: Overview) -> PageSection:
    """A line for each; in detail, recipients by status and what holds it."""
    rows = [_campaign(item) for item in overview.campaigns.value or ()]
    return PageSection("campaigns", PageTable(_COLUMNS, rows), describe_freshness(overview.campaigns), _NOTES)


def _campaign(item: CampaignStatus) -> PageRow:
    holds = tuple(escape_controls(hold) for hold in describe_holds(item))
    total = sum(item.recipients.values())
    done = total - item.recipients["pending"] - item.recipients["queued"]
    full = _BAR * done // total if total else 0
    counts = ", ".join(f"{status} {item.recipients[status]:,}" for status in STATUSES)
    cells = (
        escape_controls(item.id),
        item.status,
        "█" * full + "░" * (_BAR - full),
        f"{done:,} of {total:,}",
        f"{item.rate:g}",
        describe_s(item.eta_s),
        "; ".join(holds),
    )
    return PageRow(
        cells, ODD if item.status == "paused" else "", presses=bool(holds), beneath=(counts, *holds)
    )
