"""Whether an automatic message goes now, later or never: one decision over what is known of it. Pure.

Owns the order of the rules: over, consent, holdout, country, quiet hours, cap, window and content. The rate
of the number comes after them. Who decides holds the customer's profile, so that what is counted here is what
the next one counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from shared.commerce.notices.caps import Cap, place_free_at
from shared.commerce.notices.hours import QuietHours, first_awake, next_quiet
from shared.commerce.notices.planning import NoticeCategory

#: What a customer waits for: it comes at night, too.
URGENT: Final = frozenset({"order_confirmed", "payment_failed", "payment_link"})
#: Who has just written is awake.
_AWAKE_FOR: Final = timedelta(minutes=30)
#: The platform's window of 24 h, less what a message may wait on its way.
_WINDOW: Final = timedelta(hours=24) - timedelta(minutes=10)
#: With less than this until the quiet hours it is left for the morning.
_LEAST: Final = timedelta(minutes=5)
#: How soon a cart is looked at again whose checkout is under way.
_CHECKOUT: Final = timedelta(minutes=5)

Consent = Literal["required", "not_refused"]


@dataclass(frozen=True, slots=True)
class NoticePolicy:
    """What the merchant and the operator chose."""

    consent: Consent
    quiet: QuietHours
    caps: Sequence[Cap]
    zone: ZoneInfo
    blocked_countries: Sequence[str]


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """What is known of a notice and its customer at one moment, `now`, by the database's clock.

    `stopped`: why its subject wants it no more. `checkout_running`: its cart is being bought. `opted_in`
    None: never asked. `written_at`: their latest message to the number. `taken`: when places under the
    caps were taken. `has_text`, `has_template`: what its type can say in their language.
    """

    now: datetime
    notification_type: str
    category: NoticeCategory
    not_after: datetime | None = None
    stopped: str | None = None
    checkout_running: bool = False
    opted_in: bool | None = None
    refuses_all: bool = False
    holdout: bool = False
    country: str | None = None
    zones: Sequence[ZoneInfo] = ()
    written_at: datetime | None = None
    taken: Sequence[datetime] = ()
    template_only: bool = False
    has_text: bool = False
    has_template: bool = False

    @property
    def says_text(self) -> bool:
        """Whether it goes as free text: the window is open, and its type has one."""
        is_open = self.written_at is not None and self.now - self.written_at < _WINDOW
        return is_open and self.has_text and not self.template_only

    @property
    def is_urgent(self) -> bool:
        """Whether quiet hours do not hold it up."""
        if self.category == "marketing":
            return False
        is_awake = self.written_at is not None and self.now - self.written_at <= _AWAKE_FOR
        return is_awake or self.notification_type in URGENT


@dataclass(frozen=True, slots=True)
class QueueNotice:
    """It goes, as text or as template, unless it has not left by `leaves_by`."""

    as_text: bool
    leaves_by: datetime | None


@dataclass(frozen=True, slots=True)
class PostponeNotice:
    """It is decided anew at that time."""

    until: datetime
    rule: str


@dataclass(frozen=True, slots=True)
class SkipNotice:
    """It never goes."""

    reason: str


NoticeDecision: TypeAlias = QueueNotice | PostponeNotice | SkipNotice


def decide_notice(facts: NoticeFacts, policy: NoticePolicy) -> NoticeDecision:
    """The one decision."""
    return (
        _over(facts)
        or _unwanted(facts, policy)
        or _woken(facts, policy)
        or _too_many(facts, policy)
        or _speechless(facts)
        or QueueNotice(facts.says_text, _leaves_by(facts, policy))
    )


def _over(facts: NoticeFacts) -> NoticeDecision | None:
    if facts.not_after is not None and facts.now >= facts.not_after:
        return SkipNotice("expired")
    if facts.stopped is not None:
        return SkipNotice(facts.stopped)
    if facts.checkout_running:
        return _later(facts, facts.now + _CHECKOUT, "checkout_running", "expired")
    return None


def _unwanted(facts: NoticeFacts, policy: NoticePolicy) -> SkipNotice | None:
    """A refusal binds all that comes by itself, marketing needs a yes as far as the operator says so."""
    if facts.refuses_all:
        return SkipNotice("opted_out")
    if facts.category == "marketing":
        if facts.opted_in is False:
            return SkipNotice("opted_out")
        if facts.opted_in is None and policy.consent == "required":
            return SkipNotice("no_consent")
    if facts.holdout:
        return SkipNotice("holdout")
    if facts.category == "marketing" and not facts.says_text and facts.country in policy.blocked_countries:
        return SkipNotice("country_blocked")
    return None


def _woken(facts: NoticeFacts, policy: NoticePolicy) -> NoticeDecision | None:
    if facts.is_urgent:
        return None
    awake_at = first_awake(facts.now, facts.zones, policy.quiet, policy.zone)
    if awake_at is None:
        return SkipNotice("quiet_hours")
    if awake_at > facts.now:
        return _later(facts, awake_at, "quiet_hours", "expired")
    ends_at = _quiet_at(facts, policy)
    if ends_at is None or ends_at - facts.now >= _LEAST:
        return None
    morning = first_awake(ends_at, facts.zones, policy.quiet, policy.zone)
    return SkipNotice("quiet_hours") if morning is None else _later(facts, morning, "quiet_hours", "expired")


def _too_many(facts: NoticeFacts, policy: NoticePolicy) -> NoticeDecision | None:
    if facts.category != "marketing":
        return None
    free_at = place_free_at(facts.now, facts.taken, policy.caps)
    return _later(facts, free_at, "cap", "frequency_cap") if free_at > facts.now else None


def _speechless(facts: NoticeFacts) -> SkipNotice | None:
    if facts.says_text or facts.has_template:
        return None
    return SkipNotice("window_closed" if facts.has_text else "no_message")


def _later(facts: NoticeFacts, at: datetime, rule: str, too_late: str) -> NoticeDecision:
    """Postponed if that is in time."""
    if facts.not_after is not None and at >= facts.not_after:
        return SkipNotice(too_late)
    return PostponeNotice(at, rule)


def _leaves_by(facts: NoticeFacts, policy: NoticePolicy) -> datetime | None:
    """Not in the quiet hours that come, however slow the queue is; what is urgent has its own end alone."""
    ends = [facts.not_after, None if facts.is_urgent else _quiet_at(facts, policy)]
    return min((end for end in ends if end is not None), default=None)


def _quiet_at(facts: NoticeFacts, policy: NoticePolicy) -> datetime | None:
    """The next quiet start, in the zones that were asked; the shop's where those are never all awake."""
    zones = facts.zones or (policy.zone,)
    found = next_quiet(facts.now, zones, policy.quiet)
    return next_quiet(facts.now, (policy.zone,), policy.quiet) if found == facts.now else found
