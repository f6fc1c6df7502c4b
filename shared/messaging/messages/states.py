"""The state machine of a message, as data, and the walk that a set of status events makes through it.

Owns: which states exist, which steps a caller may ask for, how states rank, and what a set of observed
events makes of a row. Does not own: rows, events' times, or what is published of a step (`tracker`,
`announcements`).

Two rules live here side by side. The step function (`TRANSITIONS`) is for callers that ask for a change. The
rank (`RANKS`) is for the platform's evidence: a row's status is the highest rank among its events, whatever
the order, delay or repetition in which they arrive. Evidence alone corrects a failure (failed → read and
failed → processed), which no caller may ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final


class Direction(StrEnum):
    """INBOUND: from the customer. OUTBOUND: to the customer."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class MessageStatus(StrEnum):
    """State of a tracked message (`message_tracking.status`)."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"


class StatusOutcome(StrEnum):
    """What became of a status event (`status_events.outcome`, label of `wabus_status_events_total`)."""

    #: The event's status is one of the row's steps.
    APPLIED = "applied"
    #: A step that no event reported, walked because of a later state. Counted per step, not per event.
    IMPLIED = "implied"
    #: The row, or an earlier event of the same set, had this status already.
    DUPLICATE = "duplicate"
    #: The row is past this status.
    LATE = "late"
    #: The status can never apply to a row of this direction.
    REJECTED = "rejected"
    #: Not a status that moves a message. Stored, nothing more.
    IGNORED = "ignored"
    #: No message is known for the event. Given by the store, not by `walk`.
    UNMATCHED = "unmatched"


#: Steps that a caller may ask for. Nothing leaves read, processed and failed.
TRANSITIONS: Final = MappingProxyType(
    {
        MessageStatus.QUEUED: frozenset({MessageStatus.SENT, MessageStatus.FAILED}),
        MessageStatus.SENT: frozenset({MessageStatus.DELIVERED, MessageStatus.FAILED}),
        MessageStatus.DELIVERED: frozenset({MessageStatus.READ, MessageStatus.FAILED}),
        MessageStatus.RECEIVED: frozenset({MessageStatus.PROCESSED, MessageStatus.FAILED}),
        MessageStatus.READ: frozenset[MessageStatus](),
        MessageStatus.PROCESSED: frozenset[MessageStatus](),
        MessageStatus.FAILED: frozenset[MessageStatus](),
    }
)

#: States of each direction from lowest rank to highest; the first is the state in which a row begins.
RANKS: Final = MappingProxyType(
    {
        Direction.OUTBOUND: (
            MessageStatus.QUEUED,
            MessageStatus.SENT,
            MessageStatus.DELIVERED,
            MessageStatus.FAILED,
            MessageStatus.READ,
        ),
        Direction.INBOUND: (MessageStatus.RECEIVED, MessageStatus.FAILED, MessageStatus.PROCESSED),
    }
)

#: Status of an event → the state it is evidence of. A status that is not here moves nothing.
EVENT_STATES: Final = MappingProxyType(
    {
        "sent": MessageStatus.SENT,
        "delivered": MessageStatus.DELIVERED,
        "read": MessageStatus.READ,
        "played": MessageStatus.READ,
        "failed": MessageStatus.FAILED,
        "processed": MessageStatus.PROCESSED,
    }
)


def read_status(word: str) -> str:
    """A status as events have it: one that moves messages in lower case, any other as it came."""
    lowered = word.lower()
    return lowered if lowered in EVENT_STATES else word


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a row. `implied`: no event reported `new` (its time stays null)."""

    old: MessageStatus
    new: MessageStatus
    implied: bool


@dataclass(frozen=True, slots=True)
class Walk:
    """What a set of events makes of a row: its status, the steps there, and the outcome of each event."""

    status: MessageStatus
    steps: tuple[Step, ...]
    outcomes: tuple[StatusOutcome, ...]


def is_valid_transition(old: MessageStatus, new: MessageStatus) -> bool:
    """Whether a caller may ask for `old` → `new`. A state to itself is a repetition and valid.

    For callers (the API's PATCH); the platform's evidence goes through `walk`.
    """
    return old == new or new in TRANSITIONS[old]


def rank(direction: Direction, status: MessageStatus) -> int:
    """Place of `status` among the states of `direction`, from 0. ValueError where it can never apply."""
    try:
        return RANKS[direction].index(status)
    except ValueError:
        raise ValueError(f"status {status} never applies to {direction}") from None


def walk(direction: Direction, current: MessageStatus | None, events: Sequence[str]) -> Walk:
    """Fold the statuses of a message's events, in any order and with repeats, into its row.

    `current` is the row's status; None stands for a row about to be inserted, which begins in its direction's
    first state. `events` are statuses as reported (`EVENT_STATES`, any other text is ignored). Pure: the same
    events in another order, or split over several calls, end in the same status. Events of one call are taken
    together, so a failure beside a read is late rather than a state in between. Each event is exactly one of
    applied, duplicate, late, rejected or ignored. ValueError where `current` is not a state of `direction`.
    """
    ladder = RANKS[direction]
    start = ladder[0] if current is None else current
    floor = rank(direction, start)
    observed = {EVENT_STATES[event] for event in events if event in EVENT_STATES}
    path = _path(ladder, start, [state for state in ladder[floor + 1 :] if state in observed])
    steps = tuple(Step(old, new, implied=new not in observed) for old, new in pairwise((start, *path)))
    return Walk(path[-1] if path else start, steps, _outcomes(direction, start, set(path), events))


def _path(
    ladder: Sequence[MessageStatus], start: MessageStatus, ahead: Sequence[MessageStatus]
) -> tuple[MessageStatus, ...]:
    """States to enter after `start`, given those observed above it in order of rank; the last is the highest.

    A failure is entered only as the last state, and implies nothing: the states before it are walked only as
    far as they were observed. What corrects a failure is a single step.
    """
    if not ahead or start is MessageStatus.FAILED:
        return tuple(ahead[-1:])
    road = [state for state in ladder if state is not MessageStatus.FAILED]
    reached = [state for state in ahead if state is not MessageStatus.FAILED] or [start]
    walked = road[road.index(start) + 1 : road.index(reached[-1]) + 1]
    return (*walked, *(ahead[-1:] if ahead[-1] is MessageStatus.FAILED else ()))


def _outcomes(
    direction: Direction, start: MessageStatus, entered: set[MessageStatus], events: Sequence[str]
) -> tuple[StatusOutcome, ...]:
    """One outcome an event: the first of a state entered is applied, the next of it are duplicates."""
    held = {start}
    outcomes = []
    for event in events:
        state = EVENT_STATES.get(event)
        if state is None:
            outcome = StatusOutcome.IGNORED
        elif state not in RANKS[direction]:
            outcome = StatusOutcome.REJECTED
        elif state in held:
            outcome = StatusOutcome.DUPLICATE
        elif state in entered:
            outcome = StatusOutcome.APPLIED
            held.add(state)
        else:
            outcome = StatusOutcome.LATE
        outcomes.append(outcome)
    return tuple(outcomes)
