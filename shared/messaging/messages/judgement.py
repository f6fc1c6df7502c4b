"""What a set of events makes of one message and its attempts. Pure.

Owns: which attempt an event belongs to, whether a failure counts, whether it is tried again, milestones and
the error that stands. How states follow each other is in `states`, reading and writing rows
in `message_store`.

A message is judged from what is stored and what has just come, never from the order in which it came: a
failure that does not count yet stays stored and is weighed again with each later one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.messaging.messages.graph_errors import ErrorClass, classify, read_code
from shared.messaging.messages.scopes import (
    NO_EVIDENCE,
    UNCOUNTED,
    WEIGHED,
    Evidence,
    Held,
    WaitsFor,
    hold_for,
)
from shared.messaging.messages.sightings import Sighting, failure_of
from shared.messaging.messages.states import Direction, MessageStatus, StatusOutcome, Step, walk
from shared.messaging.messages.values import OWN_SOURCE, StatusEvent, read_callback_data

#: Errors after which another attempt of an accepted message may succeed.
RETRYABLE: Final = frozenset(
    {ErrorClass.TRANSIENT, ErrorClass.RATE, ErrorClass.PAIR, ErrorClass.MEDIA, ErrorClass.PHONE_NEEDED}
)

_DELIVERY: Final = frozenset({MessageStatus.DELIVERED, MessageStatus.READ})
_UNMOVING: Final = frozenset({StatusOutcome.REJECTED, StatusOutcome.IGNORED})
_SETTLED: Final = frozenset({MessageStatus.FAILED, MessageStatus.READ})
#: Why we gave an attempt up; anything else is what the platform said of it.
_OUR_REASONS: Final = frozenset({None, "not_started", "resent"})


@dataclass(frozen=True, slots=True)
class Message:
    """A row of `message_tracking`, as far as events move it or tell of it.

    `has_recipient`: a recipient of a campaign carries it, and moves with it. `trace`: its trace's W3C id.
    """

    id: UUID
    direction: Direction
    status: MessageStatus
    wamid: str | None = None
    genesys_message_id: str | None = None
    client_message_id: str | None = None
    campaign_id: str | None = None
    lane: str | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    has_recipient: bool = False
    trace: UUID | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `send_attempts`. An open one has no outcome."""

    number: int
    outcome: str | None = None
    wamid: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def can_succeed(self) -> bool:
        """Whether its message may still reach the customer by it, as far as is known.

        An abandoned one that a status proved to be accepted can; one of which nothing was heard is lost.
        """
        if self.outcome == "abandoned":
            return self.wamid is not None and self.error_code in _OUR_REASONS
        return self.outcome != "failed"


@dataclass(frozen=True, slots=True)
class Background:
    """What is stored of a message beside its row: attempts by number, failures that came before.

    `evidence`: what others tell of a failure in hand.
    """

    attempts: Sequence[Attempt] = ()
    failures: Sequence[Sighting] = ()
    has_body: bool = False
    evidence: Evidence = NO_EVIDENCE


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a message. `outcomes` are those of the sightings, in their order.

    `retry`: number of the failed attempt after which another is to be made. `held`: what number or campaign
    has to do with it, and the message waits for. `failure`: what its step to `failed` is owed to.
    `resettled`: failures that came before and count now.
    """

    message: Message
    steps: tuple[Step, ...]
    outcomes: tuple[StatusOutcome, ...]
    counted: tuple[Sighting, ...]
    attempts: tuple[Attempt, ...] = ()
    retry: int | None = None
    held: Held | None = None
    failure: Sighting | None = None
    resettled: tuple[Sighting, ...] = ()


def locate(event: StatusEvent, message_id: UUID, attempts: Sequence[Attempt]) -> int:
    """The attempt an event belongs to: by its callback data, by its wamid, else the latest; 0 for none.

    Our own word names its attempt, or speaks of the message as a whole.
    """
    named = read_callback_data(event.callback_data)
    if named is not None and named[0] == message_id:
        return named[1]
    by_wamid = [item.number for item in attempts if item.wamid and item.wamid == event.wamid]
    return by_wamid[0] if by_wamid else max((item.number for item in attempts), default=0)


def judge(
    message: Message, sightings: Sequence[Sighting], background: Background, attempts_allowed: int
) -> Judgement:
    """Judge the events of one message together. `attempts_allowed`: how often it may be accepted in all."""
    attempts = end_attempts(background, sightings)
    weighed = _weigh(message, sightings, background, attempts, attempts_allowed)
    counting, retry = weighed.counting, weighed.retry
    resettled = tuple(item for item in background.failures if item in counting)
    heard = [*(item for item in sightings if not item.is_failure or item in counting), *resettled]
    walked = walk(message.direction, message.status, [item.event.status for item in heard])
    found = {id(item): outcome for item, outcome in zip(heard, walked.outcomes, strict=True)}
    counted = tuple(item for item in heard if found[id(item)] not in _UNMOVING)
    failure = _first_failure(counted) if walked.status is MessageStatus.FAILED else None
    changed = tuple(item for item in attempts if item not in background.attempts)
    row = _move(message, walked.status, counted)
    row = _set_error(row, message, failure or _find([*sightings, *background.failures], retry), attempts)
    return Judgement(
        message=_bind(row, changed, attempts, counted),
        steps=walked.steps,
        outcomes=tuple(found.get(id(item), StatusOutcome.LATE) for item in sightings),
        counted=counted,
        attempts=changed,
        retry=retry,
        held=weighed.held,
        failure=failure if walked.steps else None,
        resettled=resettled,
    )


def end_attempts(background: Background, sightings: Sequence[Sighting]) -> tuple[Attempt, ...]:
    """The attempts as the events leave them: bound to a wamid, `sent` or `failed`.

    An abandoned one that fails stays abandoned: one resend is all it gives. At most one is open or `sent`.
    """
    if not background.attempts:
        return ()
    attempts = {item.number: item for item in background.attempts}
    failed = {item.attempt for item in (*background.failures, *sightings) if item.is_failure}
    for item in sightings:
        if item.state is None or item.attempt not in attempts:
            continue
        attempt = attempts[item.attempt]
        attempt = replace(attempt, wamid=attempt.wamid or item.event.wamid)
        others = [other for other in attempts.values() if other.number != item.attempt]
        if item.is_failure:
            attempt = _fail(attempt, item)
        elif item.attempt not in failed and not any(other.outcome in (None, "sent") for other in others):
            attempt = replace(attempt, outcome="sent", error_code=None, error_message=None)
        attempts[item.attempt] = attempt
    return tuple(attempts[number] for number in sorted(attempts))


def _fail(attempt: Attempt, item: Sighting) -> Attempt:
    outcome = "abandoned" if attempt.outcome == "abandoned" else "failed"
    return replace(
        attempt,
        outcome=outcome,
        error_code=attempt.error_code or item.error_code or "unknown",
        error_message=attempt.error_message or item.error_message,
    )


@dataclass(frozen=True, slots=True)
class _CountedFailures:
    """The failures that count, and the attempt to be followed by another one instead."""

    counting: Sequence[Sighting] = ()
    retry: int | None = None
    held: Held | None = None


def _weigh(
    message: Message,
    sightings: Sequence[Sighting],
    background: Background,
    attempts: Sequence[Attempt],
    attempts_allowed: int,
) -> _CountedFailures:
    """Which failures count.

    Only the latest attempt's failure counts, or that of one which was accepted in its place, and only when no
    other can still succeed. One that does not count is not lost: it is stored and weighed again.
    """
    fresh = [item for item in sightings if item.is_failure]
    if message.direction is Direction.INBOUND or message.status in _SETTLED or not attempts:
        return _CountedFailures(fresh)
    failed = {item.attempt for item in (*background.failures, *fresh)}
    given_up = {item.number for item in attempts if item.outcome == "abandoned"}
    if any(item.can_succeed and item.number not in failed & given_up for item in attempts):
        return _CountedFailures()
    latest = attempts[-1].number
    earlier = [item for item in background.failures if item.attempt in (0, latest)]
    culprits = [item for item in fresh if item.attempt in (0, latest)] + earlier
    if not culprits and _is_under_way_no_more(message, sightings):
        culprits = [*fresh, *background.failures]
    if not culprits or not _may_pass(message, sightings, culprits):
        return _CountedFailures(culprits)
    if earlier and message.error_code is not None:
        return _CountedFailures()  # it is to be sent again because of the first of them
    return _again(message, culprits, background, _has_tries(attempts, failed, attempts_allowed))


def _again(
    message: Message, culprits: Sequence[Sighting], background: Background, has_tries: bool
) -> _CountedFailures:
    """Another attempt, where one may succeed. What is wrong with the number concerns others in any case."""
    last = max(item.attempt for item in culprits)
    first = _first_failure(culprits)
    hold = None if first is None else hold_for(first.error_class, background.evidence, last)
    if hold is None or first is None:
        passes = has_tries and all(item.error_class in RETRYABLE for item in culprits)
        return _CountedFailures((), last) if passes and background.has_body else _CountedFailures(culprits)
    failure = replace(failure_of(message.id, first), attempt=last)
    if background.has_body:
        return _CountedFailures((), last, Held(failure, hold))
    return _CountedFailures(
        culprits, None, None if hold is WaitsFor.TEMPLATE else Held(failure, hold, is_kept=False)
    )


def _has_tries(attempts: Sequence[Attempt], failed: set[int], attempts_allowed: int) -> bool:
    """Whether the platform may be asked once more; failures that others had a part in do not count."""
    accepted = [item for item in attempts if item.wamid is not None or item.number in failed]
    return sum(not _is_uncounted(item) for item in accepted) < attempts_allowed


def _is_uncounted(attempt: Attempt) -> bool:
    return classify(None, read_code(attempt.error_code)) in UNCOUNTED


def _is_under_way_no_more(message: Message, sightings: Sequence[Sighting]) -> bool:
    """Whether an earlier attempt was accepted, so that whatever was to follow it is not made any more.

    An error beside it tells of a retry that a status asked for: that one is.
    """
    accepted = message.status is MessageStatus.SENT or any(
        item.state is MessageStatus.SENT for item in sightings
    )
    return accepted and message.error_code is None


def _may_pass(message: Message, sightings: Sequence[Sighting], culprits: Sequence[Sighting]) -> bool:
    """Whether what the platform said of them may pass, and nothing says that the message was delivered."""
    return (
        message.status not in _DELIVERY
        and not any(item.state in _DELIVERY for item in sightings)
        and all(
            item.event.source != OWN_SOURCE and item.error_class in RETRYABLE | WEIGHED for item in culprits
        )
    )


def _find(sightings: Sequence[Sighting], retry: int | None) -> Sighting | None:
    return None if retry is None else _first_failure(item for item in sightings if item.attempt == retry)


def _first_failure(items: Iterable[Sighting]) -> Sighting | None:
    """Of several failures the earliest stands; of the same time, the lowest code."""
    failures = [item for item in items if item.is_failure]
    return min(failures, key=lambda item: (item.event.occurred_at, item.error_code or ""), default=None)


def _move(message: Message, status: MessageStatus, heard: Sequence[Sighting]) -> Message:
    """The row in its new status; milestones are the earliest event of each kind."""
    earliest = {
        MessageStatus.SENT: message.sent_at,
        MessageStatus.DELIVERED: message.delivered_at,
        MessageStatus.READ: message.read_at,
        MessageStatus.FAILED: message.failed_at,
    }
    for item in heard:
        if item.state is not None and item.state in earliest:
            known = earliest[item.state]
            at = item.event.occurred_at
            earliest[item.state] = at if known is None else min(known, at)
    return replace(
        message,
        status=status,
        sent_at=earliest[MessageStatus.SENT],
        delivered_at=earliest[MessageStatus.DELIVERED],
        read_at=earliest[MessageStatus.READ],
        failed_at=earliest[MessageStatus.FAILED],
    )


def _set_error(
    row: Message, before: Message, failure: Sighting | None, attempts: Sequence[Attempt]
) -> Message:
    """The error of a failed message, or of the attempt after which another one is under way."""
    if failure is not None:
        told = (failure.event.occurred_at, failure.error_code or "")
        stood = before.failed_at if before.status is MessageStatus.FAILED else None
        if stood is not None and (stood, before.error_code or "") <= told:
            return row
        return replace(row, error_code=failure.error_code, error_message=failure.error_message)
    succeeded = bool(attempts) and attempts[-1].outcome == "sent"
    if row.error_code and (row.status is MessageStatus.READ or succeeded):
        return replace(row, error_code=None, error_message=None)
    return row


def _bind(
    row: Message, changed: Sequence[Attempt], attempts: Sequence[Attempt], counted: Sequence[Sighting]
) -> Message:
    """A message has the wamid of its latest attempt that has one, else the one that an event brought."""
    bound = [item for item in attempts if item.wamid]
    if bound and bound[-1] in changed:
        return replace(row, wamid=bound[-1].wamid)
    if row.wamid is None:
        return replace(row, wamid=next((item.event.wamid for item in counted if item.event.wamid), None))
    return row
