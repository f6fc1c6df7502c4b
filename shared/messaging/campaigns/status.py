"""How campaigns stand: counts from their rows, the rate of the last minute, and when they will be through.

Owns the reading. What holds a campaign is judged in `holds`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.messaging.campaigns.holds import CampaignHold, CampaignSituation, holds_of
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.campaigns", "status.sql")
#: Of a recipient, in the order in which they go through them.
STATUSES: Final = ("pending", "queued", "sent", "delivered", "read", "failed", "skipped")
_WINDOW_S: Final = 60.0
#: Columns that tell what a campaign waits for.
_WAITS: Final = ("is_due", "number_paused_since", "number_reason", "breaker_since", "lapsed_s")


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """A campaign as operators see it. `rate`: recipients sent to per second, over the last minute.

    `holds`: why it does not move, or no faster. `reasons`: of those not reached, how many by why.
    `eta_s` None: not running, or nothing moves.
    """

    id: str
    name: str | None
    status: str
    status_reason: str | None
    phone_number_id: str | None
    category: str | None
    batch_size: int
    batch_delay_ms: int
    scheduled_at: datetime | None
    on_ambiguous: str | None
    next_batch_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    recipients: dict[str, int]
    reasons: dict[str, int]
    holds: list[CampaignHold]
    rate: float
    eta_s: float | None


async def read_statuses(
    database: Database,
    campaign_id: str | None,
    limit: int,
    default_number: str | None,
    *,
    only_open: bool = False,
) -> list[CampaignStatus]:
    """One campaign, or the latest; those that are not over first, or alone."""
    rows = await database.fetch(_QUERIES["list"], campaign_id, limit, default_number, only_open)
    counts = await database.fetch(_QUERIES["count"], [row["id"] for row in rows])
    statuses = []
    for row in rows:
        values = dict(row)
        running_s = values.pop("running_s")
        waits = {name: values.pop(name) for name in _WAITS}
        own = [count for count in counts if count["campaign_id"] == row["id"]]
        recipients, reasons, lately = _sum(own)
        rate = lately / min(_WINDOW_S, max(1.0, running_s or _WINDOW_S))
        left = recipients["pending"] + recipients["queued"]
        eta_s = left / rate if rate and row["status"] == "running" else None
        standing = CampaignSituation(
            **waits,
            **{name: values[name] for name in ("status", "status_reason", "scheduled_at")},
            number=values["phone_number_id"] or default_number,
            left=recipients["pending"],
            queued=recipients["queued"],
            sent_lately=lately,
        )
        counted: dict[str, Any] = {"recipients": recipients, "reasons": reasons}
        statuses.append(
            CampaignStatus(**values, **counted, holds=holds_of(standing), rate=round(rate, 1), eta_s=eta_s)
        )
    return statuses


def _sum(own: Sequence[Any]) -> tuple[dict[str, int], dict[str, int], int]:
    recipients = Counter(dict.fromkeys(STATUSES, 0))
    reasons: Counter[str] = Counter()
    for count in own:
        recipients[count["status"]] += count["recipients"]
        if count["why"] is not None:
            reasons[count["why"]] += count["recipients"]
    return dict(recipients), dict(reasons), sum(count["lately"] for count in own)
