"""One message beside what came for it, before it is judged and after. Pure.

Owns what can be asked of a judgement. The judgement itself is `judgement`, what it brings with it
`consequences`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.messaging.messages.announcements import ends_sending
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.judgement import Background, Judgement, Message, judge
from shared.messaging.messages.scopes import Held, WaitsFor
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction, MessageStatus

#: States after which the body is not sent again.
_DONE: Final = frozenset({MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.FAILED})
#: States in which a message is with its customer.
_ARRIVED: Final = frozenset({MessageStatus.DELIVERED, MessageStatus.READ})


@dataclass(frozen=True, slots=True)
class HeardMessage:
    """A message, the events that came for it, and what is stored of it."""

    message: Message
    sightings: Sequence[Sighting]
    background: Background


@dataclass(frozen=True, slots=True)
class JudgedMessage:
    """One message with what came, what was there before, and what becomes of it."""

    before: Message
    sightings: Sequence[Sighting]
    background: Background
    judgement: Judgement
    trace_id: str

    @property
    def leaves_queue(self) -> bool:
        """Whether it has waited for sending until now."""
        steps = self.judgement.steps
        return bool(steps) and steps[0].old is MessageStatus.QUEUED

    @property
    def is_done(self) -> bool:
        """Whether it has just come to a state after which it is not sent again."""
        return bool(self.judgement.steps) and self.judgement.message.status in _DONE

    @property
    def arrived_after_s(self) -> float | None:
        """From its `sent` to the customer, by the platforms' times; None unless it has just arrived."""
        after = self.judgement.message
        arrived_at = after.delivered_at or after.read_at
        if self.before.status in _ARRIVED or after.status not in _ARRIVED or arrived_at is None:
            return None
        if after.sent_at is None:  # the platform was faster than its own answer
            return 0.0
        return max(0.0, (arrived_at - after.sent_at).total_seconds())

    @property
    def is_reconciled(self) -> bool:
        """Whether an attempt of which nobody knew is known now."""
        changed = {attempt.number for attempt in self.judgement.attempts}
        return any(
            item.outcome == "ambiguous" and item.number in changed for item in self.background.attempts
        )

    @property
    def opts_out(self) -> bool:
        """Whether the platform says that the customer wants no marketing."""
        return self.before.direction is Direction.OUTBOUND and any(
            item.state is MessageStatus.FAILED and item.error_class is ErrorClass.OPTED_OUT
            for item in self.sightings
        )

    @property
    def slows(self) -> Held | None:
        """The failure because of which its number or its customer is to get less for a while."""
        held = self.judgement.held
        return held if held is not None and held.hold in (WaitsFor.RATE, WaitsFor.PAIR) else None

    @property
    def needs_addressing(self) -> bool:
        """Whether what follows is told or done by the customer's address."""
        ends = any(ends_sending(step) for step in self.judgement.steps)
        return (
            self.opts_out or self.slows is not None or (ends and self.before.direction is Direction.OUTBOUND)
        )


def judge_message(heard: HeardMessage, attempts_allowed: int) -> JudgedMessage:
    """Judge what came for one message; it is traced by the first event that has a trace."""
    message, sightings, background = heard.message, heard.sightings, heard.background
    judgement = judge(message, sightings, background, attempts_allowed)
    traces = (item.event.trace_id for item in sightings if item.event.trace_id)
    return JudgedMessage(message, sightings, background, judgement, next(traces, str(message.id)))
