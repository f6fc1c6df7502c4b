"""May a message be sent now? One decision over what the database says of it. Pure.

Owns the order of the rules: first what ends or answers the question for good, then what makes it wait. The
breaker comes last, when all else allows the message: its probes are few (`shared.messaging.numbers.breaker`).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.durations import Durations
from shared.messaging.campaigns.messages import SkipReason
from shared.reasons import DeadReason
from workers.outbound_sender.message import (
    CAMPAIGN_CANCELLED,
    EARLIER_MESSAGE,
    NOTICE_TAKEN_BACK,
    PHONE_NEEDED,
)

_TAKEN_BACK: Final = "its notice was taken back"


@dataclass(frozen=True, slots=True)
class SendFacts:
    """What is known of a message at one moment. Ages by the database's clock.

    `status` None: its row is gone. `unsettled`: an attempt that may have sent it, or has; of the open and the
    ambiguous ones, `unsettled_for_s`. `unanswered_s`: since the first attempt that something else answered in
    the platform's place. `campaign` and `recipient` are None outside of a campaign of ours. `notice`: the
    status of its notice, `gone` where that has another message by now; None outside of one. `has_replied`:
    the customer has written since the notice's cart was left.
    `is_reached`: another recipient of the campaign is the same person, and was sent to. `marketing_held_s`:
    for how long the number's marketing is held yet. `phone_wanted`: how often the platform refused it because
    it goes to phones only; `has_phone`: one of the customer's is known.
    """

    status: str | None
    attempts: int = 0
    unsettled: Literal["open", "ambiguous", "sent"] | None = None
    unsettled_for_s: float = 0.0
    unanswered_s: float = 0.0
    pair_refusals: int = 0
    campaign: str | None = None
    recipient: str | None = None
    notice: str | None = None
    has_replied: bool = False
    is_reached: bool = False
    expired: bool = False
    opted_out: bool = False
    opted_out_of_all: bool = False
    number_paused: bool = False
    marketing_held_s: float = 0.0
    earlier_waits: bool = False
    phone_wanted: int = 0
    has_phone: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """What the message itself brings. `status_retry`: a status reported that its last attempt failed.

    `is_notification`: it is sent by itself, and no agent's reply.
    """

    is_marketing: bool = False
    is_notification: bool = False
    needs_phone: bool = False
    is_replay: bool = False
    status_retry: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """Send it, as this attempt. `pair_refusals`: answers 131056 in a row before it."""

    attempt: int
    pair_refusals: int = 0
    unanswered_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do for this delivery."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now; look again after so long. None: once the event comes that the reason names."""

    reason: str
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Its campaign takes it back: the recipient becomes this (None: stays as it is), the row goes."""

    recipient: Literal["pending", "skipped"] | None
    reason: SkipReason | None = None


@dataclass(frozen=True, slots=True)
class WithdrawNotice:
    """Its notice takes it back: it becomes this (None: stays as it is), the row goes."""

    notice: Literal["pending", "skipped"] | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """It will not be sent. `dead` None: that is no dead letter."""

    code: str
    text: str
    dead: DeadReason | None


Decision: TypeAlias = Claim | Done | Hold | Withdraw | WithdrawNotice | Fail


def decide(gate: SendFacts, request: Request, durations: Durations) -> Decision:
    """The one decision."""
    return (
        _settled(gate, request, durations)
        or _notice(gate, request)
        or _campaign(gate, request)
        or _end(gate, request)
        or _wait(gate, request)
        or Claim(gate.attempts + 1, gate.pair_refusals, gate.unanswered_s)
    )


def _settled(gate: SendFacts, request: Request, durations: Durations) -> Decision | None:
    allowed = ("queued", "sent") if request.status_retry else ("queued",)
    if gate.status not in allowed or gate.unsettled == "sent":
        return Done()
    if gate.unsettled is not None:
        return Hold("ambiguous", max(0.0, durations.ambiguous_wait_s - gate.unsettled_for_s))
    return None


def _notice(gate: SendFacts, request: Request) -> Decision | None:
    """What its notice, or a reply of the customer, wants no more: no dead letter, for the customer chose.

    What is late is decided anew, unless it was attempted. A replay is an operator's will.
    """
    if gate.notice is None or request.is_replay:
        return None
    attempted = request.status_retry or gate.attempts > 0
    if gate.notice == "skipped" or (gate.notice != "queued" and not request.status_retry):
        return Fail(NOTICE_TAKEN_BACK, _TAKEN_BACK, None) if attempted else WithdrawNotice(None)
    if gate.has_replied:
        return (
            Fail(NOTICE_TAKEN_BACK, _TAKEN_BACK, None) if attempted else WithdrawNotice("skipped", "replied")
        )
    if gate.expired:
        text = "its time passed before it was sent"
        return Fail("expired", text, None) if attempted else WithdrawNotice("pending")
    return None


def _campaign(gate: SendFacts, request: Request) -> Decision | None:
    """A replay is an operator's will, and its campaign has counted the recipient as failed.

    A retry that a status asked for is not taken back, because it was sent before: it waits, or fails.
    """
    if gate.recipient is None or request.is_replay:
        return None
    if request.status_retry and gate.campaign == "paused":
        return Hold("campaign_paused", None)
    if request.status_retry and gate.campaign != "cancelled":
        return None
    if request.status_retry:
        return Fail(CAMPAIGN_CANCELLED, "the campaign was cancelled", None)
    if gate.recipient != "queued":
        return Withdraw(None)
    match gate.campaign:
        case "paused":
            return Withdraw("pending")
        case "cancelled" if gate.attempts:
            return Fail(CAMPAIGN_CANCELLED, "the campaign was cancelled", None)
        case "cancelled":
            return Withdraw("skipped", SkipReason.CAMPAIGN_CANCELLED)
        case _ if gate.is_reached and not gate.attempts:
            return Withdraw("skipped", SkipReason.SAME_CUSTOMER)
        case _:
            return None


def _end(gate: SendFacts, request: Request) -> Decision | None:
    if gate.expired:
        return Fail("expired", "expires_at passed before it was sent", DeadReason.EXPIRED)
    if gate.opted_out and request.is_marketing:
        return Fail("opted_out", "the customer has opted out of marketing", DeadReason.SEND_REJECTED)
    if gate.opted_out_of_all and (request.is_notification or gate.recipient is not None):
        text = "the customer has opted out of all that is sent by itself"
        return Fail("opted_out", text, DeadReason.SEND_REJECTED)
    if (request.needs_phone or gate.phone_wanted) and not gate.has_phone:
        text = "it goes to a phone only, and of this customer none is known"
        return Fail(PHONE_NEEDED, text, DeadReason.SEND_REJECTED)
    if gate.phone_wanted > 1:
        return Fail(PHONE_NEEDED, "the platform does not take their phone for one", DeadReason.SEND_REJECTED)
    return None


def _wait(gate: SendFacts, request: Request) -> Decision | None:
    """Behind an earlier message first: of all that waits for a number, each customer's first one is due."""
    if gate.earlier_waits:
        return Hold(EARLIER_MESSAGE, None)
    if gate.number_paused:
        return Hold("number_paused", 0)
    if request.is_marketing and gate.marketing_held_s > 0:
        return Hold("rate_limit", gate.marketing_held_s)
    return None
