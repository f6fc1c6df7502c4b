"""What becomes of each event of a batch once its message was judged, or was not found. Pure.

Owns the outcome of each event, which of them get it now, and of which rejected ones a dead letter is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.messaging.messages.judged import JudgedMessage
from shared.messaging.messages.states import EVENT_STATES, StatusOutcome
from shared.messaging.messages.values import SettledEvent, StoredEvent


@dataclass(frozen=True, slots=True)
class SettlingPlan:
    """`outcomes`: of every event, by its id. `settled`: those that get theirs in this transaction.

    `dying`: rejected ones that nobody has in hand, so that their dead letters are made here.
    """

    outcomes: Mapping[int, StatusOutcome]
    settled: Sequence[SettledEvent]
    dying: Sequence[StoredEvent]


def plan_settling(
    events: Sequence[StoredEvent], named: Mapping[int, UUID], cases: Sequence[JudgedMessage]
) -> SettlingPlan:
    """Plan for all of `events`. `named`: the message of each event that names one."""
    found = {
        item.event_id: outcome
        for case in cases
        for item, outcome in zip(case.sightings, case.judgement.outcomes, strict=True)
        if item.event_id is not None
    }
    lost = {item.id: _without_message(item) for item in events if item.id not in found}
    settled: list[SettledEvent] = [
        (item, named[item.id], found[item.id]) for item in events if item.id in found
    ]
    # what nobody has in hand waits on as it is: whoever has it settles it, and keeps what it came as
    settled += [
        (item, None, lost[item.id]) for item in events if item.id in lost and item.delivery is not None
    ]
    rejected = [item for item in events if found.get(item.id) is StatusOutcome.REJECTED]
    return SettlingPlan(found | lost, settled, [item for item in rejected if item.delivery is None])


def _without_message(item: StoredEvent) -> StatusOutcome:
    return StatusOutcome.UNMATCHED if item.event.status in EVENT_STATES else StatusOutcome.IGNORED
