"""What crosses the seam to RabbitMQ: confirms, what is in hand, and a consumer that stays (rules 2)."""

from typing import Final

from tests.mutants.mutation import Mutation

_INLET: Final = "shared/amqp/kept/inlet.py"
_PUBLISHER: Final = "shared/amqp/pika/publisher.py"
_DELIVERING: Final = "tests/integration/amqp/test_delivering.py"
_CONNECTED: Final = "tests/integration/amqp/test_staying_connected.py"

MUTATIONS: Final = (
    Mutation(
        "a confirm counts for the publication behind its own",
        _PUBLISHER,
        "tag = first + len(numbered) + 1",
        "tag = first + len(numbered) + 2",
        "2.2 publishes are confirmed",
        ("tests/integration/amqp/test_confirms.py",),
    ),
    Mutation(
        "a confirm for many answers for the one that it names alone",
        "shared/amqp/frames/confirming.py",
        "window.answer(0 if multiple else tag, tag, answer)",
        "window.answer(tag, tag, answer)",
        "2.2 publishes are confirmed",
        ("tests/integration/amqp/test_confirms.py",),
    ),
    Mutation(
        "what was returned counts as taken once it is confirmed",
        "shared/amqp/frames/confirming.py",
        "Answer.RETURNED if number in self._returned else answer",
        "answer",
        "2.2 returned is failed",
        ("tests/integration/amqp/test_publishing.py::test_only_what_no_queue_takes_fails",),
    ),
    Mutation(
        "what is published during an alarm is sent all the same",
        "shared/amqp/kept/publisher.py",
        "    if reason is not None:\n",
        "    if False:\n",
        "2.2 what is told as failed does not go out later",
        (f"{_CONNECTED}::test_what_an_alarm_holds_is_told_and_not_waited_for",),
    ),
    Mutation(
        "what is given back is thrown away",
        "shared/amqp/pika/consumer.py",
        "requeue=True",
        "requeue=False",
        "2.2 nothing is lost",
        (_DELIVERING,),
    ),
    Mutation(
        "a closed inlet keeps what nobody took",
        _INLET,
        "[*self.empty(), *self._in_hand.take_refused()]",
        "self._in_hand.take_refused()",
        "9 a draining worker gives back what it has not begun",
        (_DELIVERING,),
    ),
    Mutation(
        "a consumer that hears nothing stays as it is",
        _INLET,
        "if suspicious > 1:",
        "if suspicious > 1_000_000:",
        "2.9 a consumer that is lost is restored",
        (f"{_CONNECTED}::test_a_consumer_that_hears_nothing_from_a_queue_that_has_something_is_made_anew",),
    ),
    Mutation(
        "a consumer that cannot be restored is tried for ever",
        _INLET,
        "> self._durations.consumer_restore_s",
        "> 1_000_000 * self._durations.consumer_restore_s",
        "2.9 a worker that cannot consume ends",
        (f"{_CONNECTED}::test_a_consumer_that_cannot_be_restored_ends_all",),
    ),
    Mutation(
        "an answer for many covers what was refused",
        "shared/amqp/in_hand.py",
        "        self._outstanding[delivery.tag] = 0\n",
        "",
        "2.5 a multiple ack covers only deliveries that are all done",
        ("tests/unit/test_in_hand.py",),
    ),
    Mutation(
        "a negative number in a header is read as a large one",
        "shared/amqp/decoding.py",
        'b"I": Struct(">i")',
        'b"I": Struct(">I")',
        "INTERFACE 2 headers of the publisher travel along",
        ("tests/unit/test_table_decoding.py",),
    ),
)
