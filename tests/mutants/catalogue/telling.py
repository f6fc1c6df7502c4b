"""What publishers are told: an end once more, a conversation that is unknown, which keys there are."""

from typing import Final

from tests.mutants.mutation import Mutation

_INTAKE: Final = ("tests/unit/test_sender_intake.py",)
_MODELS: Final = ("tests/unit/test_payload_models.py",)
_OUTBOX: Final = "tests/integration/durable/test_outbox.py"
_TELLING: Final = "tests/integration/outbound_sender/test_telling.py"
_TELLER: Final = "workers/outbound_sender/results/telling.py"
_FIND: Final = "workers/outbound_sender/results/queries.sql"
_WAITING: Final = f"{_TELLING}::test_an_unknown_conversation_is_told_at_once_and_once_a_message"

MUTATIONS: Final = (
    Mutation(
        "nobody who asks is answered",
        "workers/outbound_sender/intake/candidates.py",
        'lower() == "true"',
        'lower() == "yes"',
        "INTERFACE 5 a repetition that asks is told how the first one ended",
        _INTAKE,
    ),
    Mutation(
        "everybody is answered",
        "workers/outbound_sender/intake/admission.py",
        "return Repeated(known.id) if candidate.asks_for_echo else Ack()",
        "return Repeated(known.id)",
        "4.1 the same id with the same content is acked",
        _INTAKE,
    ),
    Mutation(
        "a retry of our own is answered as a repetition",
        "workers/outbound_sender/intake/candidates.py",
        "return not self.is_status_retry and any(",
        "return any(",
        "4.1 the same id with the same content is acked",
        _INTAKE,
    ),
    Mutation(
        "the end of another message of the trace is told",
        _FIND,
        "join chain on chain.id::text = told.aggregate_id",
        "cross join chain",
        "INTERFACE 5 a repetition that asks is told how the first one ended",
        (f"{_TELLING}::test_a_message_is_told_of_alone_though_others_share_its_trace",),
    ),
    Mutation(
        "an end is told again that does not stand",
        _FIND,
        "= (tracked.status = 'failed') desc",
        "= (tracked.status <> 'failed') desc",
        "INTERFACE 5 a repetition that asks is told how the first one ended",
        (f"{_TELLING}::test_of_two_ends_the_one_that_stands_is_told_again",),
    ),
    Mutation(
        "a replay is forgotten",
        _FIND,
        "order by chain.asked, chain.depth desc",
        "order by chain.asked, chain.depth",
        "7.3 a replay is the message sent for real",
        (f"{_TELLING}::test_what_was_replayed_is_told_by_its_replay",),
    ),
    Mutation(
        "what is to be told once more counts as told",
        "shared/durable/outbox.sql",
        "set created_at = now(), published_at = null, claimed_until",
        "set created_at = now(), claimed_until",
        "1.5 what is not marked is published by the scheduler",
        (f"{_OUTBOX}::test_what_is_told_once_more_is_as_if_it_had_just_been_recorded",),
    ),
    Mutation(
        "who asks waits for whoever writes to the event",
        "shared/durable/outbox.sql",
        "where id = any($1::uuid[]) for update skip locked) as free",
        "where id = any($1::uuid[]) for update) as free",
        "2.10 a message waits for nobody else",
        (f"{_OUTBOX}::test_what_is_told_once_more_is_as_if_it_had_just_been_recorded",),
    ),
    Mutation(
        "an answer is found and not told",
        _TELLER,
        'again = await self._outbox.reopen(connection, [row["id"] for row in found])',
        "again = []",
        "INTERFACE 5 a repetition that asks is told how the first one ended",
        (f"{_TELLING}::test_a_repetition_that_asks_is_told_how_the_first_one_ended",),
    ),
    Mutation(
        "an unknown conversation is not told",
        "workers/outbound_sender/intake/addressing.py",
        "if isinstance(verdict, Retry) and candidate.first.attempt == 1:",
        "if isinstance(verdict, Retry) and candidate.first.attempt == 0:",
        "INTERFACE 5 outbound.waiting",
        (_WAITING,),
    ),
    Mutation(
        "a message's wait is told as often as the message comes",
        _TELLER,
        "return replace(told, id=uuid5(_WAITING, repr(ids)))",
        "return told",
        "INTERFACE 5 outbound.waiting, once a message",
        (_WAITING,),
    ),
    Mutation(
        "an uploaded file may come without its type",
        "shared/payloads/outbound.py",
        "if self.media_id is not None and self.media_type is None:",
        'if self.media_id == "" and self.media_type is None:',
        "INTERFACE 3 media_id",
        _MODELS,
    ),
    Mutation(
        "an uploaded file is sent as a link",
        "workers/outbound_sender/calling/graph_body.py",
        '{"id": message.media_id}',
        '{"link": message.media_id}',
        "INTERFACE 3 media_id",
        ("tests/unit/test_sender_graph_body.py",),
    ),
    Mutation(
        "a status in capitals is not known",
        "shared/messaging/messages/states.py",
        "return lowered if lowered in EVENT_STATES else word",
        "return word",
        "INTERFACE 3 statuses",
        ("tests/unit/test_states.py",),
    ),
    Mutation(
        "an unrouted message does not say which keys there are",
        "shared/amqp/topology.py",
        "return f\"{line}: keys are {', '.join(keys)}\" if keys else line",
        "return line",
        "INTERFACE 3 unrouted",
        ("tests/unit/test_dlq_letters.py",),
    ),
)
