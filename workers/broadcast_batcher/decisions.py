"""What a launch and a control do to a campaign, given what it is. Pure.

Owns that the latest control by `requested_at` wins, and cancel is final whenever it comes: so the order
in which controls arrive does not matter.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

from shared.payloads.events import CampaignState

Action = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign's row, locked, and the database's time `at`. `fields_hash` None: not launched yet."""

    status: CampaignState
    at: datetime
    fields_hash: bytes | None = None
    control_at: datetime | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NextState:
    """What a campaign's row becomes. `next_batch_at` None: no batch is to come."""

    status: CampaignState
    next_batch_at: datetime | None = None


class Launch(Enum):
    """What a launch is, beside what was launched under its id before."""

    FIRST = "first"
    REPEATED = "repeated"
    CONTRADICTION = "contradiction"


def decide_launch(standing: CampaignRow, fields_hash: bytes) -> Launch:
    """The same again is nothing new; other content under one id contradicts."""
    if standing.fields_hash is None:
        return Launch.FIRST
    return Launch.REPEATED if standing.fields_hash == fields_hash else Launch.CONTRADICTION


def launched(standing: CampaignRow, scheduled_at: datetime | None) -> NextState:
    """What a first launch makes of its row: a control that overtook it stands."""
    if standing.status != "draft":
        return NextState(standing.status)
    return _going(scheduled_at, standing.at)


def decide_control(standing: CampaignRow, action: Action, requested_at: datetime) -> NextState | None:
    """What a control changes; None where it comes too late to count.

    A change to the same status counts: a control requested before it is stale from then on.
    """
    if standing.status in ("cancelled", "done"):
        return None
    if action == "cancel":
        return NextState("cancelled")
    if standing.control_at is not None and requested_at <= standing.control_at:
        return None
    if action == "pause":
        return NextState("paused")
    return _resumed(standing)


def _resumed(standing: CampaignRow) -> NextState:
    """What was never launched waits for its launch, whatever was paused."""
    if standing.fields_hash is None:
        return NextState("draft")
    return _going(standing.scheduled_at, standing.at)


def _going(scheduled_at: datetime | None, at: datetime) -> NextState:
    if scheduled_at is not None and scheduled_at > at:
        return NextState("scheduled", scheduled_at)
    return NextState("running", at)
