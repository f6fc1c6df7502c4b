"""Which events of a batch get their outcome, and which rejected ones become dead letters here."""

from dataclasses import replace
from uuid import UUID

from shared.durations import DURATIONS
from shared.messaging.messages import StoredEvent
from shared.messaging.messages.judged import HeardMessage, JudgedMessage, judge_message
from shared.messaging.messages.judgement import Background, Message
from shared.messaging.messages.settling import plan_settling
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction, MessageStatus, StatusOutcome
from tests.support.tracking import IN_HAND, happened

MESSAGE = UUID(int=1)


def judged(*events: StoredEvent) -> JudgedMessage:
    """What these events make of an outbound message that was sent."""
    message = Message(id=MESSAGE, direction=Direction.OUTBOUND, status=MessageStatus.SENT, wamid="wamid.1")
    sightings = [Sighting(item.event, item.id) for item in events]
    heard = HeardMessage(message, sightings, Background())
    return judge_message(heard, DURATIONS.status_retry_attempts)


def in_hand(event: StoredEvent) -> StoredEvent:
    return replace(event, delivery=IN_HAND)


def test_an_event_of_a_message_is_settled_with_it() -> None:
    event = StoredEvent(7, happened("delivered"))

    plan = plan_settling([event], {7: MESSAGE}, [judged(event)])

    assert plan.outcomes == {7: StatusOutcome.APPLIED}
    assert plan.settled == [(event, MESSAGE, StatusOutcome.APPLIED)]
    assert plan.dying == []


def test_an_event_without_its_message_is_settled_by_whoever_has_it_in_hand() -> None:
    waiting, held = StoredEvent(7, happened("read")), in_hand(StoredEvent(8, happened("delivered")))

    plan = plan_settling([waiting, held], {7: MESSAGE}, [])  # named, and gone since

    assert plan.outcomes == {7: StatusOutcome.UNMATCHED, 8: StatusOutcome.UNMATCHED}
    assert plan.settled == [(held, None, StatusOutcome.UNMATCHED)]


def test_an_unknown_status_waits_for_no_message() -> None:
    event = in_hand(StoredEvent(7, happened("warped")))

    plan = plan_settling([event], {}, [])

    assert plan.outcomes == {7: StatusOutcome.IGNORED}


def test_only_a_rejected_event_that_nobody_has_in_hand_becomes_a_dead_letter_here() -> None:
    waited, held = StoredEvent(7, happened("processed")), in_hand(StoredEvent(8, happened("processed", 1)))

    plan = plan_settling([waited, held], {7: MESSAGE, 8: MESSAGE}, [judged(waited, held)])

    assert plan.outcomes == {7: StatusOutcome.REJECTED, 8: StatusOutcome.REJECTED}
    assert plan.dying == [waited]
