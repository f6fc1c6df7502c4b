"""Why nothing of a campaign moves: what holds it. Pure.

Owns which holds there are, and their order. Reading what they are judged by is `status`'; whoever shows them
has the words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.durations import DURATIONS


class HoldKind(StrEnum):
    """What a campaign waits for."""

    #: No broadcast-batcher has taken up the launch.
    NOT_TAKEN_UP = "not_taken_up"
    PAUSED = "paused"
    NOT_DUE = "not_due"
    NUMBER_PAUSED = "number_paused"
    BREAKER_OPEN = "breaker_open"
    #: No scheduler holds the lease.
    NO_SCHEDULER = "no_scheduler"
    #: Messages are queued and none was sent in the last minute.
    NOTHING_SENT = "nothing_sent"
    #: It moves, as fast as its number may send.
    NUMBER_RATE = "number_rate"


@dataclass(frozen=True, slots=True)
class CampaignHold:
    """One hold. `at`: since when, of NOT_DUE until when. `number`: which, where the number is held."""

    kind: HoldKind
    at: datetime | None = None
    number: str | None = None
    reason: str | None = None


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


def holds_of(standing: CampaignSituation) -> list[CampaignHold]:
    """What holds it, the most decisive first; empty where it moves, or is over."""
    if standing.status in ("done", "cancelled"):
        return []
    return list(_holds(standing))


def _holds(item: CampaignSituation) -> Iterator[CampaignHold]:
    if item.status == "draft":
        yield CampaignHold(HoldKind.NOT_TAKEN_UP)
    if item.status == "paused":
        yield CampaignHold(HoldKind.PAUSED, reason=item.status_reason)
    if item.status == "scheduled" and item.scheduled_at is not None and not item.is_due:
        yield CampaignHold(HoldKind.NOT_DUE, item.scheduled_at)
    if item.number_paused_since is not None:
        yield CampaignHold(HoldKind.NUMBER_PAUSED, item.number_paused_since, item.number, item.number_reason)
    if item.breaker_since is not None:
        yield CampaignHold(HoldKind.BREAKER_OPEN, item.breaker_since, item.number)
    if item.lapsed_s is None or item.lapsed_s > DURATIONS.scheduler_lease_stale_s:
        yield CampaignHold(HoldKind.NO_SCHEDULER)
    if item.status == "running" and item.queued and not item.sent_lately:
        yield CampaignHold(HoldKind.NOTHING_SENT)
    elif item.status == "running" and item.queued and item.left:
        yield CampaignHold(HoldKind.NUMBER_RATE)
