"""May a message be sent now: every rule of the gate, and which goes before which."""

from dataclasses import replace
from typing import Any

import pytest

from shared.durations import DURATIONS
from shared.messaging.campaigns.messages import SkipReason
from shared.reasons import DeadReason
from workers.outbound_sender.claiming.gate import (
    Claim,
    Decision,
    Done,
    Fail,
    Hold,
    Request,
    SendFacts,
    Withdraw,
    WithdrawNotice,
    decide,
)

FREE = SendFacts(status="queued")
MARKETING = Request(is_marketing=True)
NO_PHONE = Fail(
    "phone_needed", "it goes to a phone only, and of this customer none is known", DeadReason.SEND_REJECTED
)
EXPIRED = Fail("expired", "expires_at passed before it was sent", DeadReason.EXPIRED)
OPTED_OUT = Fail("opted_out", "the customer has opted out of marketing", DeadReason.SEND_REJECTED)
CANCELLED = Fail("campaign_cancelled", "the campaign was cancelled", None)


def decision(request: Request = Request(), **facts: Any) -> Decision:  # noqa: B008 - frozen
    return decide(replace(FREE, **facts), request, DURATIONS)


def test_a_message_that_nothing_stops_is_claimed() -> None:
    assert decision() == Claim(1)


def test_a_claim_counts_on_from_the_last_attempt() -> None:
    assert decision(attempts=3, pair_refusals=2) == Claim(4, 2)


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed", None])
def test_a_message_that_is_past_queued_is_done(status: str | None) -> None:
    assert decision(status=status) == Done()


@pytest.mark.parametrize(
    ("status", "decided"),
    [("queued", Claim(2)), ("sent", Claim(2)), ("delivered", Done()), ("failed", Done()), (None, Done())],
)
def test_a_retry_that_a_status_asked_for_may_follow_a_sent_message(
    status: str | None, decided: Decision
) -> None:
    assert decision(Request(status_retry=True), status=status, attempts=1) == decided


def test_a_successful_attempt_is_never_followed_by_another() -> None:
    assert decision(Request(status_retry=True), status="sent", attempts=1, unsettled="sent") == Done()


@pytest.mark.parametrize("unsettled", ["open", "ambiguous"])
@pytest.mark.parametrize(("age_s", "delay_s"), [(10.0, 80.0), (90.0, 0.0), (500.0, 0.0)])
def test_an_attempt_nobody_knows_about_is_waited_for(unsettled: Any, age_s: float, delay_s: float) -> None:
    found = decision(attempts=1, unsettled=unsettled, unsettled_for_s=age_s)
    assert found == Hold("ambiguous", delay_s)


TAKEN_BACK = Fail("notice_taken_back", "its notice was taken back", None)
LATE = Fail("expired", "its time passed before it was sent", None)


@pytest.mark.parametrize(
    ("facts", "decided"),
    [
        ({"notice": "queued"}, Claim(1)),
        ({"notice": None, "has_replied": True}, Claim(1)),
        ({"notice": "skipped"}, WithdrawNotice(None)),
        ({"notice": "gone"}, WithdrawNotice(None)),
        ({"notice": "pending"}, WithdrawNotice(None)),
        ({"notice": "skipped", "attempts": 1}, TAKEN_BACK),
        ({"notice": "queued", "has_replied": True}, WithdrawNotice("skipped", "replied")),
        ({"notice": "queued", "has_replied": True, "attempts": 1}, TAKEN_BACK),
        ({"notice": "queued", "expired": True}, WithdrawNotice("pending")),
        ({"notice": "queued", "expired": True, "attempts": 1}, LATE),
        ({"notice": "skipped", "expired": True, "opted_out": True}, WithdrawNotice(None)),
        ({"notice": "skipped", "attempts": 1, "unsettled": "open"}, Hold("ambiguous", 90.0)),
    ],
)
def test_a_notice_takes_its_message_back_and_leaves_no_dead_letter(
    facts: dict[str, Any], decided: Decision
) -> None:
    assert decision(MARKETING, **facts) == decided


@pytest.mark.parametrize(
    ("notice", "decided"),
    [("sent", Claim(2)), ("failed", Claim(2)), ("skipped", TAKEN_BACK), ("queued", Claim(2))],
)
def test_a_notice_that_was_accepted_may_be_sent_again_unless_it_was_taken_back(
    notice: str, decided: Decision
) -> None:
    retry = Request(is_marketing=True, status_retry=True)

    assert decision(retry, notice=notice, status="sent", attempts=1) == decided


def test_a_replay_of_a_notice_is_an_operators_will() -> None:
    assert decision(Request(is_replay=True), notice="skipped", has_replied=True) == Claim(1)


@pytest.mark.parametrize(
    ("campaign", "recipient", "attempts", "decided"),
    [
        ("running", "queued", 0, Claim(1)),
        ("done", "queued", 0, Claim(1)),
        ("paused", "queued", 0, Withdraw("pending")),
        ("paused", "queued", 1, Withdraw("pending")),
        ("cancelled", "queued", 0, Withdraw("skipped", SkipReason.CAMPAIGN_CANCELLED)),
        ("cancelled", "queued", 1, CANCELLED),
        ("running", "pending", 0, Withdraw(None)),
        ("running", "skipped", 0, Withdraw(None)),
        ("running", "sent", 0, Withdraw(None)),
        ("paused", None, 0, Claim(1)),
    ],
)
def test_the_campaign_decides_over_its_recipients(
    campaign: str, recipient: str | None, attempts: int, decided: Decision
) -> None:
    assert decision(campaign=campaign, recipient=recipient, attempts=attempts) == decided


@pytest.mark.parametrize("recipient", ["queued", "sent", "failed"])
@pytest.mark.parametrize(
    ("campaign", "decided"),
    [
        ("running", Claim(2)),
        ("done", Claim(2)),
        ("paused", Hold("campaign_paused", None)),
        ("cancelled", CANCELLED),
    ],
)
def test_a_campaign_stops_retries_that_a_status_asked_for(
    campaign: str, recipient: str, decided: Decision
) -> None:
    retry = Request(status_retry=True)
    found = decision(retry, status="sent", attempts=1, campaign=campaign, recipient=recipient)

    assert found == decided


def test_a_replay_does_not_ask_its_campaign() -> None:
    assert decision(Request(is_replay=True), campaign="cancelled", recipient="failed") == Claim(1)


def test_an_expired_message_fails_also_while_its_number_is_paused() -> None:
    assert decision(expired=True) == EXPIRED
    assert decision(expired=True, number_paused=True) == EXPIRED


def test_only_marketing_heeds_the_opt_out() -> None:
    assert decision(MARKETING, opted_out=True) == OPTED_OUT
    assert decision(opted_out=True) == Claim(1)


def test_a_refusal_of_everything_binds_what_is_sent_by_itself_and_no_reply() -> None:
    all_of_it = Fail(
        "opted_out", "the customer has opted out of all that is sent by itself", DeadReason.SEND_REJECTED
    )

    assert decision(Request(is_notification=True), opted_out=True, opted_out_of_all=True) == all_of_it
    assert decision(campaign="running", recipient="queued", opted_out_of_all=True) == all_of_it
    assert decision(Request(is_notification=True), opted_out=True) == Claim(1)
    assert decision(opted_out=True, opted_out_of_all=True) == Claim(1)


def test_a_paused_number_holds_its_messages() -> None:
    assert decision(number_paused=True) == Hold("number_paused", 0)


def test_held_marketing_waits_and_the_rest_goes() -> None:
    assert decision(MARKETING, marketing_held_s=70) == Hold("rate_limit", 70)
    assert decision(marketing_held_s=70) == Claim(1)


def test_a_message_waits_behind_an_earlier_one() -> None:
    assert decision(earlier_waits=True) == Hold("earlier_message", None)
    assert decision(earlier_waits=True, number_paused=True) == Hold("earlier_message", None)


def test_a_cancelled_campaign_goes_before_an_ambiguous_attempt_is_known() -> None:
    found = decision(campaign="cancelled", recipient="queued", attempts=1, unsettled="open")
    assert found == Hold("ambiguous", 90)


@pytest.mark.parametrize(
    ("request_", "facts", "decided"),
    [
        (Request(needs_phone=True), {"has_phone": False}, NO_PHONE),
        (Request(needs_phone=True), {"has_phone": True}, Claim(1)),
        (Request(), {"has_phone": False}, Claim(1)),
        (Request(), {"has_phone": False, "attempts": 1, "phone_wanted": 1}, NO_PHONE),
        (Request(), {"has_phone": True, "attempts": 1, "phone_wanted": 1}, Claim(2)),
    ],
)
def test_what_goes_to_phones_only_fails_where_none_is_known(
    request_: Request, facts: dict[str, Any], decided: Decision
) -> None:
    assert decision(request_, **facts) == decided


def test_a_phone_that_the_platform_does_not_take_for_one_is_asked_for_once() -> None:
    found = decision(attempts=2, phone_wanted=2)
    assert isinstance(found, Fail)
    assert found.code == "phone_needed"


def test_a_recipient_whose_person_was_reached_is_skipped_unless_it_was_tried_itself() -> None:
    reached: dict[str, Any] = {"campaign": "running", "recipient": "queued", "is_reached": True}
    assert decision(**reached) == Withdraw("skipped", SkipReason.SAME_CUSTOMER)
    assert decision(**reached, attempts=1) == Claim(2)
    assert decision(Request(is_replay=True), **reached) == Claim(1)
