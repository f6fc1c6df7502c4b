"""What becomes of a send of which nobody knows whether it was made."""

from dataclasses import replace

import pytest

from shared.durations import DURATIONS
from workers.scheduler.reconciliation import Doubt, Reconciliation, decide

DOUBT = Doubt(
    status="queued",
    outcome="ambiguous",
    has_attempt=True,
    age_s=91.0,
    statuses_current=True,
    well_s=3600.0,
    has_news=False,
    lane="reply",
    on_ambiguous=None,
    resends=0,
)


def verdict(**changes: object) -> Reconciliation:
    return decide(replace(DOUBT, **changes), DURATIONS)  # type: ignore[arg-type]


def test_a_reply_goes_out_again_once() -> None:
    assert verdict() is Reconciliation.RESEND
    assert verdict(resends=1) is Reconciliation.GIVE_UP


@pytest.mark.parametrize("lane", ["utility", "bulk", None])
def test_other_lanes_are_given_up_unless_they_ask_for_a_resend(lane: str | None) -> None:
    assert verdict(lane=lane) is Reconciliation.GIVE_UP
    assert verdict(lane=lane, on_ambiguous="resend") is Reconciliation.RESEND
    assert verdict(lane=lane, on_ambiguous="resend", resends=1) is Reconciliation.GIVE_UP


def test_a_reply_that_asks_to_fail_is_given_up() -> None:
    assert verdict(on_ambiguous="fail") is Reconciliation.GIVE_UP


def test_nothing_is_decided_before_the_wait_is_over() -> None:
    assert verdict(age_s=89.0) is Reconciliation.WAIT


def test_statuses_that_lag_behind_are_waited_for_up_to_the_limit() -> None:
    assert verdict(statuses_current=False, age_s=899.0) is Reconciliation.WAIT
    assert verdict(statuses_current=False, age_s=901.0) is Reconciliation.RESEND


def test_after_an_outage_statuses_are_waited_for_beyond_the_limit() -> None:
    assert verdict(statuses_current=False, age_s=3600.0, well_s=89.0) is Reconciliation.WAIT
    assert verdict(statuses_current=False, age_s=3600.0, well_s=90.0) is Reconciliation.RESEND
    assert verdict(age_s=3600.0, well_s=0.0) is Reconciliation.RESEND  # a later attempt's event is stored


def test_a_status_that_is_stored_and_not_applied_yet_is_waited_for() -> None:
    assert verdict(has_news=True, age_s=901.0) is Reconciliation.WAIT


def test_a_writer_that_died_left_the_same_doubt() -> None:
    assert verdict(outcome=None) is Reconciliation.RESEND


@pytest.mark.parametrize("status", ["delivered", "read", "failed"])
def test_what_is_decided_already_goes_back_to_the_sender(status: str) -> None:
    assert verdict(status=status) is Reconciliation.RELEASE


@pytest.mark.parametrize("outcome", ["sent", "failed", "abandoned"])
def test_an_attempt_whose_end_is_known_leaves_no_doubt(outcome: str) -> None:
    assert verdict(outcome=outcome) is Reconciliation.RELEASE
    assert verdict(has_attempt=False, outcome=None) is Reconciliation.RELEASE
