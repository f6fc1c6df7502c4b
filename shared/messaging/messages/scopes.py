"""Whose fault a failure is: its message's, its number's, or its campaign's template's. Pure.

Owns the decision for both ways in which an error is told, the answer to a send and a later status, and what
the message then waits for. What the others tell is read in
`shared.messaging.numbers.holds`, which carries it out.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final
from uuid import UUID

from shared.durations import Durations
from shared.messaging.messages.graph_errors import ErrorClass

#: Classes that others have a part in; all others are decided by the message alone.
WEIGHED: Final = frozenset({ErrorClass.AUTH, ErrorClass.SPAM, ErrorClass.TEMPLATE, ErrorClass.PARAMETER})
#: Classes whose failures are not counted against a message: it was not what was wrong.
UNCOUNTED: Final = WEIGHED | {ErrorClass.RATE, ErrorClass.PAIR}
#: Attempts of a message that is taken for spam: an hour's wait each time, so not often.
_SPAM_ATTEMPTS: Final = 4
#: Recipients whose parameters are refused before anybody is accepted: then it is the template's fault.
REFUSED_RECIPIENTS: Final = 3


class WaitsFor(Enum):
    """What a message waits for that failed and may succeed later."""

    #: A person sets the paused number going.
    NUMBER = auto()
    #: The number's marketing goes on.
    MARKETING = auto()
    #: A person sets the paused campaign going; until then its recipient is pending.
    CAMPAIGN = auto()
    #: Others of its campaign tell whether the template fits: until then it is in doubt.
    TEMPLATE = auto()
    #: Its number sends more slowly for a while.
    RATE = auto()
    #: Its customer gets nothing for a while.
    PAIR = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt of a class that others have a part in."""

    message_id: UUID
    attempt: int
    error_class: ErrorClass
    code: str
    text: str

    @property
    def reason(self) -> str:
        """Why something is paused because of it, for people."""
        return f"{self.code}: {self.text}" if self.text else self.code


@dataclass(frozen=True, slots=True)
class Held:
    """A failure with what its message waits for. `is_kept`: the message waits; else it could not be repeated
    and has failed, and only the others are kept from the same.
    """

    failure: Failure
    hold: WaitsFor
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the others.

    `template_fits`: another recipient was accepted with the campaign's template. `pauses_again`: the message
    failed so before, its number was resumed since, and another message was accepted in between.
    """

    in_campaign: bool = False
    template_fits: bool = False
    pauses_again: bool = False


#: Of a message alone.
NO_EVIDENCE: Final = Evidence()


def hold_for(error_class: ErrorClass, evidence: Evidence, attempt: int) -> WaitsFor | None:
    """What a message waits for whose attempt failed so; None: it fails by itself."""
    match error_class:
        case ErrorClass.AUTH if not evidence.pauses_again:
            return WaitsFor.NUMBER
        case ErrorClass.SPAM if attempt <= _SPAM_ATTEMPTS:
            return WaitsFor.MARKETING
        case ErrorClass.TEMPLATE if evidence.in_campaign:
            return WaitsFor.CAMPAIGN
        case ErrorClass.PARAMETER if evidence.in_campaign and not evidence.template_fits:
            return WaitsFor.TEMPLATE
        case ErrorClass.RATE:
            return WaitsFor.RATE
        case ErrorClass.PAIR:
            return WaitsFor.PAIR
        case _:
            return None


def wait_for(hold: WaitsFor, attempt: int, durations: Durations) -> tuple[str, float | None]:
    """Reason of the deferral, and its seconds; none: until the event of the reason.

    Of a paused number nothing is due, whatever the time.
    """
    tiers = durations.retry_tier_s
    match hold:
        case WaitsFor.NUMBER:
            return "number_paused", 0.0
        case WaitsFor.MARKETING:
            return "rate_limit", durations.spam_hold_s
        case WaitsFor.CAMPAIGN:
            return "campaign_paused", None
        case WaitsFor.TEMPLATE:
            return "template_doubt", tiers[min(attempt, len(tiers)) - 1]
        case WaitsFor.RATE:
            return "rate_limit", tiers[min(attempt, len(tiers)) - 1]
        case WaitsFor.PAIR:
            return "rate_limit", min(durations.pair_backoff_base_s**attempt, durations.pair_backoff_max_s)
