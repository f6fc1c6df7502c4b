"""What follows from an answer: one table, error class by error class. Pure.

Owns the decision as far as the answer and its message tell it; `sending` carries it out. Whose fault it is
where others decide that too, a number's or a template's, is asked with the database at hand (`results`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from shared.durations import Durations
from shared.messaging.messages.graph_errors import ErrorClass, classify, read_code
from shared.messaging.numbers.breaker import ApiHealth
from shared.reasons import DeadReason
from workers.outbound_sender import message
from workers.outbound_sender.calling.answer import (
    Accepted,
    Answer,
    Lost,
    Refused,
    TooLate,
    Unable,
    Unreachable,
)

#: Counted retries of a medium that the platform could not fetch.
_MEDIA_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Situation:
    """Of which send it is the answer. `attempt` counts claims, `delivery_attempt` counted deliveries.

    `unanswered_s`: since when something else answers in the platform's place.
    """

    attempt: int
    delivery_attempt: int
    pair_refusals: int
    unanswered_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """Done."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Wait for a status that proves it was sent."""


@dataclass(frozen=True, slots=True)
class Again:
    """Look at it again at once: the claim was given up before its request, or it goes elsewhere."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Through the retry tiers, counted."""

    retries: int
    exhausted: DeadReason


@dataclass(frozen=True, slots=True)
class SlowNumber:
    """The number sends too fast."""

    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class SlowCustomer:
    """This customer gets too much: the n-th such answer in a row."""

    n: int


@dataclass(frozen=True, slots=True)
class Weigh:
    """Others have a part in it: it fails by itself, or waits, as `messages.scopes` decides."""


@dataclass(frozen=True, slots=True)
class AwaitPlatform:
    """Something else answered: wait for the platform, not counted."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class AwaitWorker:
    """Nothing can be asked from here: it waits for a worker that can, not counted."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Reject:
    """Over: no attempt can succeed."""

    dead: DeadReason


Reaction: TypeAlias = (
    Sent
    | Reconcile
    | Again
    | RetryLater
    | SlowNumber
    | SlowCustomer
    | Weigh
    | AwaitPlatform
    | AwaitWorker
    | Reject
)


def react(answer: Answer, situation: Situation, durations: Durations) -> Reaction:
    """What to do about an answer."""
    match answer:
        case Accepted():
            return Sent()
        case Lost():
            return Reconcile()
        case TooLate():
            return Again()
        case Unreachable():
            return _retry(situation, durations.retry_attempts, DeadReason.MAX_RETRIES_EXCEEDED)
        case Unable():
            return AwaitWorker(durations.retry_tier_s[0])
        case Refused():
            return _RULES[answer.error_class](answer, situation, durations)


def reason_of(code: str, http_status: int | None) -> DeadReason | None:
    """Why a message is dead that failed with this code, as far as that tells. None: it is no dead letter."""
    match code:
        case message.CAMPAIGN_CANCELLED:
            return None
        case DeadReason.EXPIRED.value:
            return DeadReason.EXPIRED
        case "unreachable":
            return DeadReason.MAX_RETRIES_EXCEEDED
    error_class = classify(http_status, read_code(code))
    if error_class in (ErrorClass.TRANSIENT, ErrorClass.NOT_PLATFORM):
        return DeadReason.MAX_RETRIES_EXCEEDED
    return DeadReason.SEND_REJECTED


def health_of(answer: Answer, message_id: UUID) -> ApiHealth | None:
    """What an answer says to the number's breaker: whatever the API itself answers below 500 is well.

    What answers in its place is no sign of life.
    """
    match answer:
        case Accepted():
            return ApiHealth(message_id, answered=True)
        case Lost() | Unreachable():
            return ApiHealth(message_id, answered=False)
        case Refused(error_class=ErrorClass.NOT_PLATFORM):
            return ApiHealth(message_id, answered=False)
        case Refused(http_status=int(http_status)):
            return ApiHealth(message_id, answered=http_status < 500)
        case Refused() | TooLate() | Unable():
            return None


def _retry(situation: Situation, retries: int, exhausted: DeadReason) -> Reaction:
    if situation.delivery_attempt > retries:
        return Reject(exhausted)
    return RetryLater(retries, exhausted)


def _retry_transient(_: Refused, situation: Situation, durations: Durations) -> Reaction:
    return _retry(situation, durations.retry_attempts, DeadReason.MAX_RETRIES_EXCEEDED)


def _retry_medium(_: Refused, situation: Situation, _durations: Durations) -> Reaction:
    return _retry(situation, _MEDIA_RETRIES, DeadReason.SEND_REJECTED)


def _await_platform(_: Refused, situation: Situation, durations: Durations) -> Reaction:
    if situation.unanswered_s >= durations.unanswered_max_s:
        return Reject(DeadReason.MAX_RETRIES_EXCEEDED)
    tiers = durations.retry_tier_s
    return AwaitPlatform(tiers[min(situation.attempt, len(tiers)) - 1])


def _weigh(*_: object) -> Reaction:
    return Weigh()


def _reject(*_: object) -> Reaction:
    return Reject(DeadReason.SEND_REJECTED)


#: Every class of error, and what is done about it.
_RULES: Final[Mapping[ErrorClass, Callable[[Refused, Situation, Durations], Reaction]]] = MappingProxyType(
    {
        ErrorClass.TRANSIENT: _retry_transient,
        ErrorClass.MEDIA: _retry_medium,
        ErrorClass.RATE: lambda refused, *_: SlowNumber(refused.retry_after_s),
        ErrorClass.PAIR: lambda _refused, situation, _durations: SlowCustomer(situation.pair_refusals + 1),
        ErrorClass.SPAM: _weigh,
        ErrorClass.AUTH: _weigh,
        ErrorClass.TEMPLATE: _weigh,
        ErrorClass.PARAMETER: _weigh,
        ErrorClass.NOT_PLATFORM: _await_platform,
        ErrorClass.OPTED_OUT: _reject,
        ErrorClass.WINDOW: _reject,
        ErrorClass.UNDELIVERABLE: _reject,
        ErrorClass.PHONE_NEEDED: lambda *_: Again(),  # the gate knows whether there is one
        ErrorClass.WITHHELD: _reject,
        ErrorClass.INVALID: _reject,
        ErrorClass.UNKNOWN: _reject,
        ErrorClass.AMBIGUOUS: lambda *_: Reconcile(),
    }
)
