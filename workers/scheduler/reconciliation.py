"""What becomes of a message of which nobody knows whether it was sent. Pure.

Owns the rule: wait for a status that proves it; without one a reply goes out again once, others only if they
say so, and the rest is given up. Nothing else is ever sent twice.
"""

from dataclasses import dataclass
from enum import Enum

from shared.durations import Durations


class Reconciliation(Enum):
    """What to do now."""

    #: It is decided already, or no attempt was made: the sender looks at it again.
    RELEASE = "release"
    #: A status may still be on its way.
    WAIT = "wait"
    #: Once more.
    RESEND = "resend"
    #: Never again by itself.
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known. `age_s`: since the attempt ended, or began where its writer died.

    `statuses_current`: an event of a later attempt is stored, or the queue of statuses is heard out.
    `well_s`: for how long events could be stored without interruption.
    `has_news`: an event of this attempt is stored and not applied yet.
    """

    status: str
    outcome: str | None
    has_attempt: bool
    age_s: float
    statuses_current: bool
    well_s: float
    has_news: bool
    lane: str | None
    on_ambiguous: str | None
    resends: int


def decide(doubt: Doubt, durations: Durations) -> Reconciliation:
    """Decide about one message."""
    unknown = doubt.has_attempt and doubt.outcome in (None, "ambiguous")
    if doubt.status not in ("queued", "sent") or not unknown:
        return Reconciliation.RELEASE
    if doubt.has_news or doubt.age_s < durations.ambiguous_wait_s:
        return Reconciliation.WAIT
    if not doubt.statuses_current and not _is_over(doubt, durations):
        return Reconciliation.WAIT
    return Reconciliation.RESEND if _may_resend(doubt) else Reconciliation.GIVE_UP


def _is_over(doubt: Doubt, durations: Durations) -> bool:
    """After an outage that outlasted the limit its statuses come first."""
    return doubt.age_s >= durations.ambiguous_max_s and doubt.well_s >= durations.ambiguous_wait_s


def _may_resend(doubt: Doubt) -> bool:
    wanted = doubt.on_ambiguous == "resend" or (doubt.on_ambiguous is None and doubt.lane == "reply")
    return wanted and doubt.resends == 0
