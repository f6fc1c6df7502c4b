"""Why nothing of a campaign moves: what holds it, in words for people. Pure.

Owns the order and wording of the reasons. Reading them from the database is `campaign_status`'.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.durations import DURATIONS
from workers.cli.printing import format_time


@dataclass(frozen=True, slots=True)
class CampaignSituation:
    """A campaign and what it waits for. `lapsed_s`: since the scheduler's lease ran out; None: never held.

    `left`: recipients pending; `queued`: handed to a sender; `sent_lately`: in the last minute.
    """

    status: str
    status_reason: str | None
    number: str | None
    is_due: bool
    scheduled_at: datetime | None
    number_paused_since: datetime | None
    number_reason: str | None
    breaker_since: datetime | None
    lapsed_s: float | None
    left: int
    queued: int
    sent_lately: int


def holds_of(standing: CampaignSituation) -> list[str]:
    """What holds it, the most decisive first; empty where it moves, or is over."""
    if standing.status in ("done", "cancelled"):
        return []
    return list(_holds(standing))


def _holds(item: CampaignSituation) -> Iterator[str]:
    if item.status == "draft":
        yield "the launch is not taken up: is a broadcast-batcher running?"
    if item.status == "paused":
        yield f"the campaign is paused: {item.status_reason or 'by an operator'}"
    if item.status == "scheduled" and item.scheduled_at is not None and not item.is_due:
        yield f"scheduled at {format_time(item.scheduled_at)}"
    if item.number_paused_since is not None:
        why = item.number_reason or "no reason given"
        yield f"number {item.number} is paused since {format_time(item.number_paused_since)}: {why}"
    if item.breaker_since is not None:
        yield f"the breaker of number {item.number} is open since {format_time(item.breaker_since)}"
    if item.lapsed_s is None or item.lapsed_s > DURATIONS.scheduler_lease_stale_s:
        yield "no scheduler acts: no batch is begun and nothing that was deferred goes on"
    if item.status == "running" and item.queued and not item.sent_lately:
        yield f"{item.queued} are queued and none was sent in the last minute: is an outbound-sender running?"
    elif item.status == "running" and item.queued and item.left:
        yield "no faster than its number's rate: the next batch waits for what is queued"
