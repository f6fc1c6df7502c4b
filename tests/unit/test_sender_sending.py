"""What becomes of a delivery once the answer is written: the row has the last word, not the answer."""

from uuid import UUID

import pytest

from shared.amqp.disposition import Ack, Dead, Disposition
from shared.durations import DURATIONS
from shared.messaging.messages.graph_errors import ErrorClass
from shared.payloads import OutboundMessage
from shared.reasons import DeadReason
from tests.unit.test_consuming import delivery
from workers.outbound_sender.calling.answer import Lost, Refused
from workers.outbound_sender.calling.reactions import Reaction, Reconcile, Reject, RetryLater
from workers.outbound_sender.message import Outgoing
from workers.outbound_sender.results.store import Written
from workers.outbound_sender.sending import dispose, end

MESSAGE = Outgoing(
    delivery=delivery(),
    copies=(),
    payload=OutboundMessage(client_message_id="c1", wa_id="491700000001", message_text="hello"),
    id=UUID(int=1),
    mapping_id=UUID(int=2),
    number="1001",
    customer="491700000001",
    lane="reply",
    trace_id="trace-1",
    is_replay=False,
    is_status_retry=False,
)
REJECTED = Reject(DeadReason.SEND_REJECTED)


def disposition_of(
    answer: Refused | Lost, reaction: Reaction, status: str | None, *, was_open: bool = True
) -> Disposition | None:
    ending = end(MESSAGE, 1, answer, reaction)
    return dispose(MESSAGE, ending, reaction, Written(status, was_open), DURATIONS)


def test_a_message_that_failed_is_dead() -> None:
    refused = Refused(ErrorClass.WINDOW, "131047", "no window", 400)
    expected = Dead(DeadReason.SEND_REJECTED, "131047: no window", message_id=MESSAGE.id)

    assert disposition_of(refused, REJECTED, "failed") == expected


@pytest.mark.parametrize("status", ["sent", "delivered", "read", None])
def test_a_message_that_a_status_proved_to_be_sent_is_not_dead(status: str | None) -> None:
    refused = Refused(ErrorClass.WINDOW, "131047", "no window", 400)
    assert disposition_of(refused, REJECTED, status) == Ack()


@pytest.mark.parametrize(
    "reaction", [Reconcile(), RetryLater(4, DeadReason.MAX_RETRIES_EXCEEDED)], ids=["ambiguous", "retry"]
)
def test_an_attempt_that_a_status_has_closed_is_looked_at_anew(reaction: Reaction) -> None:
    assert disposition_of(Lost("cut off"), reaction, None, was_open=False) is None
    assert disposition_of(Lost("cut off"), reaction, None) is not None
