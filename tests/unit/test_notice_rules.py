"""The decision over a notice against an oracle that walks the rules one by one; caps against counting."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.notices.caps import Cap, place_free_at, read_caps, read_delay
from shared.commerce.notices.hours import QuietHours, is_quiet
from shared.commerce.notices.rules import (
    NoticeFacts,
    NoticePolicy,
    PostponeNotice,
    QueueNotice,
    SkipNotice,
    decide_notice,
)
from shared.commerce.notices.zones import read_zone

BERLIN, NEW_YORK = read_zone("Europe/Berlin"), read_zone("America/New_York")
assert BERLIN is not None
assert NEW_YORK is not None
NOON = datetime(2026, 6, 10, 10, tzinfo=UTC)  # in Berlin; 06:00 in New York
HOUR = timedelta(hours=1)
POLICY = NoticePolicy("required", QuietHours.read("22:00-08:00"), read_caps("2/24h,3/30d"), BERLIN, ("US",))
REMINDER = NoticeFacts(
    NOON, "cart_reminder_1", "marketing", opted_in=True, country="DE", zones=(BERLIN,), has_template=True
)
ORDER = replace(REMINDER, notification_type="shipped", category="utility", opted_in=None)

hours = st.integers(-40, 40).map(lambda count: count * HOUR / 2)
instants = hours.map(lambda delta: NOON + delta)
FACTS = st.builds(
    NoticeFacts,
    now=instants,
    notification_type=st.sampled_from(["shipped", "order_confirmed", "cart_reminder_1"]),
    category=st.sampled_from(["marketing", "marketing", "utility"]),
    not_after=st.none() | instants.map(lambda at: at + 30 * HOUR),
    stopped=st.sampled_from([None, None, None, "replied"]),
    checkout_running=st.sampled_from([False, False, False, True]),
    opted_in=st.sampled_from([True, True, True, None, False]),
    refuses_all=st.sampled_from([False, False, False, True]),
    holdout=st.sampled_from([False, False, False, True]),
    country=st.sampled_from(["DE", "DE", "US", None]),
    zones=st.sampled_from([(), (BERLIN,), (NEW_YORK,), (BERLIN, NEW_YORK)]),
    written_at=st.none() | st.integers(0, 60).map(lambda count: NOON - count * HOUR / 4),
    taken=st.lists(st.integers(0, 100).map(lambda count: NOON - count * HOUR), max_size=4),
    template_only=st.booleans(),
    has_text=st.booleans(),
    has_template=st.sampled_from([True, True, False]),
)
POLICIES = st.builds(
    NoticePolicy,
    consent=st.sampled_from(["required", "not_refused"]),
    quiet=st.sampled_from(["22:00-08:00", "12:00-14:00", "09:00-09:00"]).map(QuietHours.read),
    caps=st.sampled_from(["2/24h,3/30d", "1/6h", "4/1h"]).map(read_caps),
    zone=st.just(BERLIN),
    blocked_countries=st.sampled_from([("US",), ()]),
)


def oracle(facts: NoticeFacts, policy: NoticePolicy) -> str:
    """What is decided and why, in words; times are left to others."""
    end, marketing = facts.not_after, facts.category == "marketing"
    fresh = facts.written_at is not None and facts.now - facts.written_at < timedelta(hours=23, minutes=50)
    text = fresh and facts.has_text and not facts.template_only
    awake = facts.written_at is not None and facts.now - facts.written_at <= HOUR / 2
    urgent = not marketing and (awake or facts.notification_type == "order_confirmed")
    wakes: float = quarter_hours_to_awake(facts.now, facts, policy)
    asleep_in = next((n for n in range(1, 200) if asleep(facts.now + n * HOUR / 60, facts, policy)), None)
    if wakes == 0 and asleep_in is not None and asleep_in < 5:
        wakes = asleep_in / 15 + quarter_hours_to_awake(facts.now + asleep_in * HOUR / 60, facts, policy)
    full = free_by_counting(facts.now, facts.taken, policy.caps)
    table: list[tuple[bool, str]] = [
        (end is not None and facts.now >= end, "skip expired"),
        (facts.stopped is not None, f"skip {facts.stopped}"),
        (facts.checkout_running and in_time(facts.now + HOUR / 12, end), "postpone checkout_running"),
        (facts.checkout_running, "skip expired"),
        (facts.refuses_all, "skip opted_out"),
        (marketing and facts.opted_in is False, "skip opted_out"),
        (marketing and facts.opted_in is None and policy.consent == "required", "skip no_consent"),
        (facts.holdout, "skip holdout"),
        (marketing and not text and facts.country in policy.blocked_countries, "skip country_blocked"),
        (not urgent and wakes > 0 and in_time(facts.now + wakes * HOUR / 4, end), "postpone quiet_hours"),
        (not urgent and wakes > 0, "skip expired"),
        (marketing and full > facts.now and in_time(full, end), "postpone cap"),
        (marketing and full > facts.now, "skip frequency_cap"),
        (text, "queue text"),
        (facts.has_template, "queue template"),
        (facts.has_text, "skip window_closed"),
        (True, "skip no_message"),
    ]
    return next(outcome for holds, outcome in table if holds)


def in_time(at: datetime, end: datetime | None) -> bool:
    return end is None or at < end


def asleep(at: datetime, facts: NoticeFacts, policy: NoticePolicy) -> bool:
    return is_quiet(at, facts.zones or (policy.zone,), policy.quiet)


def quarter_hours_to_awake(at: datetime, facts: NoticeFacts, policy: NoticePolicy) -> int:
    """All that is drawn begins and ends on quarters of an hour, save the look five minutes ahead."""
    return next(n for n in range(97) if not asleep(at + n * HOUR / 4, facts, policy))


def free_by_counting(now: datetime, taken: Sequence[datetime], caps: Sequence[Cap]) -> datetime:
    """The earliest of all instants at which a place could become free where counting finds room."""

    def has_room(at: datetime) -> bool:
        return all(sum(at - cap.window < item for item in taken) < cap.most for cap in caps)

    candidates = {now, *(item + cap.window for item in taken for cap in caps)}
    return min(at for at in candidates if at >= now and has_room(at))


def in_words(facts: NoticeFacts, policy: NoticePolicy) -> str:
    match decide_notice(facts, policy):
        case QueueNotice(as_text):
            return f"queue {'text' if as_text else 'template'}"
        case PostponeNotice(_, rule):
            return f"postpone {rule}"
        case SkipNotice(reason):
            return f"skip {reason}"


@given(FACTS, POLICIES)
def test_the_decision_is_that_of_the_first_rule_that_holds(facts: NoticeFacts, policy: NoticePolicy) -> None:
    assert in_words(facts, policy) == oracle(facts, policy)


@given(FACTS, POLICIES)
def test_what_is_postponed_is_later_and_not_postponed_again_for_the_same_reason(
    facts: NoticeFacts, policy: NoticePolicy
) -> None:
    decision = decide_notice(facts, policy)

    if isinstance(decision, PostponeNotice):
        assert decision.until > facts.now
        again = decide_notice(replace(facts, now=decision.until, checkout_running=False), policy)
        assert not (isinstance(again, PostponeNotice) and again.rule == decision.rule)


@given(FACTS, POLICIES)
def test_what_is_queued_leaves_before_the_night_and_its_end(facts: NoticeFacts, policy: NoticePolicy) -> None:
    decision = decide_notice(facts, policy)

    if isinstance(decision, QueueNotice) and not facts.is_urgent:
        by = decision.leaves_by or facts.now + 24 * HOUR
        minutes = range(int((by - facts.now) / timedelta(minutes=15)))
        assert not any(asleep(facts.now + n * timedelta(minutes=15), facts, policy) for n in minutes)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (REMINDER, "queue template"),
        (replace(REMINDER, opted_in=None), "skip no_consent"),
        (ORDER, "queue template"),
        (replace(ORDER, refuses_all=True), "skip opted_out"),
        (replace(ORDER, taken=[NOON] * 9), "queue template"),
        (replace(REMINDER, zones=(NEW_YORK,)), "postpone quiet_hours"),
        (replace(REMINDER, taken=[NOON, NOON - HOUR]), "postpone cap"),
        (replace(REMINDER, taken=[NOON, NOON - HOUR], not_after=NOON + 23 * HOUR), "skip frequency_cap"),
        (replace(REMINDER, country="US"), "skip country_blocked"),
        (replace(REMINDER, country="US", has_text=True, written_at=NOON - HOUR), "queue text"),
        (replace(REMINDER, has_text=True, written_at=NOON - 24 * HOUR), "queue template"),
        (replace(REMINDER, has_template=False, has_text=True), "skip window_closed"),
    ],
)
def test_a_decision_as_people_expect_it(facts: NoticeFacts, words: str) -> None:
    assert in_words(facts, POLICY) == words


def test_who_was_never_asked_gets_marketing_where_the_operator_says_so() -> None:
    never_asked = replace(REMINDER, opted_in=None)

    assert in_words(never_asked, replace(POLICY, consent="not_refused")) == "queue template"
    assert in_words(replace(never_asked, opted_in=False), replace(POLICY, consent="not_refused")) == (
        "skip opted_out"
    )


def test_ten_minutes_of_the_window_are_left_for_the_way() -> None:
    ten_to = NOON - timedelta(hours=23, minutes=50)
    facts = replace(REMINDER, has_text=True)

    assert in_words(replace(facts, written_at=ten_to + timedelta(seconds=1)), POLICY) == "queue text"
    assert in_words(replace(facts, written_at=ten_to), POLICY) == "queue template"


def test_an_urgent_order_notice_comes_at_night_and_a_reminder_never() -> None:
    night = NOON + 13 * HOUR
    just_written = replace(REMINDER, now=night, written_at=night, has_text=True)

    assert in_words(replace(ORDER, now=night), POLICY) == "postpone quiet_hours"
    assert in_words(replace(ORDER, now=night, notification_type="payment_failed"), POLICY) == "queue template"
    assert in_words(replace(ORDER, now=night, written_at=night, has_text=True), POLICY) == "queue text"
    assert in_words(just_written, POLICY) == "postpone quiet_hours"


def test_less_than_five_minutes_before_the_night_it_is_the_morning() -> None:
    evening = datetime(2026, 6, 10, 19, 55, 1, tzinfo=UTC)  # 21:55:01 in Berlin
    morning = datetime(2026, 6, 11, 6, tzinfo=UTC)

    assert decide_notice(replace(REMINDER, now=evening), POLICY) == PostponeNotice(morning, "quiet_hours")
    assert in_words(replace(REMINDER, now=evening - timedelta(seconds=1)), POLICY) == "queue template"


@given(
    st.lists(st.integers(0, 200), max_size=8),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 100)), min_size=1, max_size=3),
)
def test_a_place_is_free_when_counting_finds_room(ages: list[int], given_caps: list[tuple[int, int]]) -> None:
    taken = [NOON - age * HOUR for age in ages]
    caps = [Cap(most, window * HOUR) for most, window in given_caps]

    assert place_free_at(NOON, taken, caps) == free_by_counting(NOON, taken, caps)


@pytest.mark.parametrize(
    "text", ["", "2", "2/", "/24h", "0/24h", "2/24", "2/24h,", "-1/24h", "2/0h", "1.5/24h"]
)
def test_what_are_no_caps_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        read_caps(text)


@pytest.mark.parametrize("text", ["", "4", "h", "0h", "-4h", "4 h", "4w", "1e3h", "٤h", "123456789s"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a delay"):
        read_delay(text)
