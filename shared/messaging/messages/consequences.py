"""What judgements bring with them, written in the caller's transaction.

Owns the order of writing: rows, attempts, recipients, then what follows of a failure (another attempt, a dead
letter, an opt-out) and of a message that waits no more (followers, ambiguous rows, stored bodies).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from shared.amqp.delivery import ATTEMPTS, ERROR, MESSAGE_ID, REASON, REPLAY_OF, SOURCE_QUEUE
from shared.deadletters.storing import DeadLetter, store_dead_letters
from shared.durable.ambiguous import hasten_messages
from shared.durable.deferral import release_followers
from shared.durable.outbox import OutboxEvent
from shared.durable.stored_bodies import ask_retries
from shared.durations import Durations
from shared.ids import read_uuid, time_ordered_uuid
from shared.messaging.customers.consent import record_opt_outs
from shared.messaging.customers.consent_rules import ChangedConsent, RecordedConsents
from shared.messaging.messages.announcements import announce, error_of
from shared.messaging.messages.judged import JudgedMessage
from shared.messaging.messages.judgement import RETRYABLE, Attempt, Message
from shared.messaging.messages.message_store import (
    Addressing,
    end_attempts,
    find_addressing,
    forget_bodies,
    move_messages,
    resettle_events,
)
from shared.messaging.messages.scopes import Held, WaitsFor, wait_for
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction
from shared.messaging.messages.values import STATUS_RETRY, STATUS_RETRY_REASON
from shared.messaging.numbers.holds import carry_out
from shared.postgres.database import Connection
from shared.reasons import DeadReason

#: What hangs on messages and is not messaging's moves with them, in their transaction; gives what to tell.
FollowMessages: TypeAlias = Callable[[Connection, Sequence[Message]], Awaitable[list[OutboxEvent]]]


@dataclass(frozen=True, slots=True)
class Slowed:
    """A number that sends too fast, or (`customer`) one to whom it sends too much, for the `n`-th time."""

    number: str
    customer: str | None
    n: int


@dataclass(frozen=True, slots=True)
class Consequences:
    """What is to be recorded in the outbox and published, and what is to be counted.

    `implied`: steps that no event reported. `dead`: the dead letters that were stored.
    `slowed`: who is to get less for a while. `rejected`: dead letters of statuses that can never apply.
    `refused`: customers who want no marketing any more.
    """

    events: list[OutboxEvent]
    implied: int
    dead: list[DeadLetter]
    slowed: Sequence[Slowed] = ()
    rejected: int = 0
    refused: Sequence[ChangedConsent] = ()


async def write_cases(
    connection: Connection,
    cases: Sequence[JudgedMessage],
    durations: Durations,
    *,
    answers: Mapping[tuple[UUID, int], tuple[int | None, str | None]],
    dead_letters: bool,
    follow: FollowMessages | None = None,
) -> Consequences:
    """Write all of it. `dead_letters`: store one for each message that fails, for nobody else will.

    `answers`: HTTP status and `message_status` by message and attempt.
    """
    held = await carry_out(connection, list(_held(cases)), durations, by="status-updater")
    await move_messages(connection, [case.judgement.message for case in cases if _is_moved(case)])
    await end_attempts(connection, list(_attempts(cases)), answers)
    await resettle_events(connection, [event_id for case in cases for event_id in _resettled(case)])
    addressing = await find_addressing(
        connection, [case.before.id for case in cases if case.needs_addressing]
    )
    events = [
        item
        for case in cases
        for item in announce(case.judgement, addressing.get(case.before.id), case.trace_id)
    ]
    await ask_retries(connection, list(_retries(cases, durations)), STATUS_RETRY)
    letters = list(_letters(cases, addressing)) if dead_letters else []
    buried = await store_dead_letters(connection, letters)
    refused = await _let_go(connection, cases, addressing)
    moved = [case.judgement.message for case in cases if _is_moved(case)]
    followed = [] if follow is None else await follow(connection, moved)
    return Consequences(
        events=[*events, *held.events, *buried, *refused.events, *followed],
        implied=sum(step.implied for case in cases for step in case.judgement.steps),
        dead=[letter for letter in letters if str(letter.id) in {item.aggregate_id for item in buried}],
        slowed=list(_slowed(cases, addressing)),
        refused=refused.changes,
    )


async def _let_go(
    connection: Connection, cases: Sequence[JudgedMessage], addressing: Mapping[UUID, Addressing]
) -> RecordedConsents:
    """Nothing is kept or waits because of these messages any longer."""
    refused = await record_opt_outs(
        connection, {case.before.id: case.trace_id for case in cases if case.opts_out}
    )
    done = [case.before.id for case in cases if case.is_done and case.before.direction is Direction.OUTBOUND]
    await forget_bodies(connection, done)
    left = [addressing[case.before.id] for case in cases if case.leaves_queue]
    followed = [(to.phone_number_id, to.customer, to.lane) for to in left if to.lane is not None]
    await release_followers(connection, followed)
    await hasten_messages(connection, [case.before.id for case in cases if case.is_reconciled])
    return refused


def _is_moved(case: JudgedMessage) -> bool:
    return case.judgement.message != case.before


def _attempts(cases: Sequence[JudgedMessage]) -> Iterator[tuple[UUID, Attempt]]:
    for case in cases:
        for attempt in case.judgement.attempts:
            yield case.before.id, attempt


def _resettled(case: JudgedMessage) -> Iterator[int]:
    return (item.event_id for item in case.judgement.resettled if item.event_id is not None)


def _held(cases: Sequence[JudgedMessage]) -> Iterator[Held]:
    for case in cases:
        if case.judgement.held is not None:
            yield case.judgement.held


def _retries(
    cases: Sequence[JudgedMessage], durations: Durations
) -> Iterator[tuple[UUID, int, str, float | None]]:
    tiers = durations.retry_tier_s
    for case in cases:
        failed, held = case.judgement.retry, case.judgement.held
        if failed is not None and held is not None:
            yield case.before.id, failed, *wait_for(held.hold, failed, durations)
        elif failed is not None:
            yield case.before.id, failed, STATUS_RETRY_REASON, tiers[min(failed, len(tiers)) - 1]


def _slowed(cases: Sequence[JudgedMessage], addressing: Mapping[UUID, Addressing]) -> Iterator[Slowed]:
    for case in cases:
        held, to = case.slows, addressing.get(case.before.id)
        if held is not None and to is not None:
            customer = to.customer if held.hold is WaitsFor.PAIR else None
            yield Slowed(to.phone_number_id, customer, held.failure.attempt)


def _letters(cases: Sequence[JudgedMessage], addressing: Mapping[UUID, Addressing]) -> Iterator[DeadLetter]:
    """Dead letters of what the platform took and failed, as far as bodies are kept."""
    for case in cases:
        failure, to = case.judgement.failure, addressing.get(case.before.id)
        if failure is not None and to is not None and to.body is not None and to.queue is not None:
            yield _letter(case, failure, to, to.queue, to.body)


def _letter(case: JudgedMessage, failure: Sighting, to: Addressing, queue: str, body: bytes) -> DeadLetter:
    message = case.judgement.message
    retried = failure.error_class in RETRYABLE
    reason = DeadReason.MAX_RETRIES_EXCEEDED if retried else DeadReason.SEND_REJECTED
    error = error_of(message)
    text = f"{error.code}: {error.message}" if error.message else error.code
    attempts = max(1, len(case.background.attempts))
    headers = {
        name: value for name, value in to.headers.items() if name not in ("correlation_id", "idempotency_key")
    }
    headers |= {
        REASON: reason.value,
        ERROR: text[:500],
        ATTEMPTS: attempts,
        SOURCE_QUEUE: queue,
        MESSAGE_ID: str(message.id),
    }
    return DeadLetter(
        id=time_ordered_uuid(),
        dedupe_key=f"failed:{message.id}",
        source_queue=queue,
        exchange=to.exchange or "",
        routing_key=to.routing_key or "",
        reason=reason,
        error_message=text,
        raw_body=body,
        headers=headers,
        attempts=attempts,
        correlation_id=to.headers.get("correlation_id") or case.trace_id,
        message_id=message.id,
        replay_of=read_uuid(to.headers.get(REPLAY_OF)),
    )
