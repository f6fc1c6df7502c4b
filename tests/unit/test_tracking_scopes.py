"""Whose fault a failure is, by what the others tell, and what its message waits for then."""

import pytest

from shared.durations import DURATIONS
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.scopes import NO_EVIDENCE, UNCOUNTED, Evidence, Hold, hold_for, wait_for

E = ErrorClass


@pytest.mark.parametrize(
    ("error_class", "evidence", "hold"),
    [
        (E.AUTH, NO_EVIDENCE, Hold.NUMBER),
        (E.AUTH, Evidence(in_campaign=True, template_fits=True), Hold.NUMBER),
        (E.AUTH, Evidence(pauses_again=True), None),
        (E.SPAM, NO_EVIDENCE, Hold.MARKETING),
        (E.TEMPLATE, NO_EVIDENCE, None),
        (E.TEMPLATE, Evidence(in_campaign=True), Hold.CAMPAIGN),
        (E.TEMPLATE, Evidence(in_campaign=True, template_fits=True), Hold.CAMPAIGN),
        (E.RATE, NO_EVIDENCE, Hold.RATE),
        (E.PAIR, NO_EVIDENCE, Hold.PAIR),
        (E.PARAMETER, NO_EVIDENCE, None),
        (E.PARAMETER, Evidence(in_campaign=True), Hold.TEMPLATE),
        (E.PARAMETER, Evidence(in_campaign=True, template_fits=True), None),
    ],
)
def test_others_tell_whose_fault_it_is(error_class: E, evidence: Evidence, hold: Hold | None) -> None:
    assert hold_for(error_class, evidence, 1) is hold


@pytest.mark.parametrize("error_class", sorted(set(E) - UNCOUNTED))
def test_all_other_classes_are_the_messages_own(error_class: E) -> None:
    everything = Evidence(in_campaign=True, template_fits=False, pauses_again=True)
    assert hold_for(error_class, everything, 1) is None


def test_spam_is_tried_a_few_times_only() -> None:
    found = [hold_for(E.SPAM, NO_EVIDENCE, attempt) for attempt in (1, 4, 5)]
    assert found == [Hold.MARKETING, Hold.MARKETING, None]


@pytest.mark.parametrize(
    ("hold", "attempt", "wait"),
    [
        (Hold.NUMBER, 1, ("number_paused", 0)),
        (Hold.MARKETING, 1, ("rate_limit", 3600)),
        (Hold.CAMPAIGN, 1, ("campaign_paused", None)),
        (Hold.TEMPLATE, 1, ("template_doubt", 5)),
        (Hold.TEMPLATE, 9, ("template_doubt", 600)),
        (Hold.RATE, 2, ("rate_limit", 30)),
        (Hold.PAIR, 2, ("rate_limit", 16)),
        (Hold.PAIR, 9, ("rate_limit", 256)),
    ],
)
def test_each_hold_has_its_wait(hold: Hold, attempt: int, wait: tuple[str, float | None]) -> None:
    assert wait_for(hold, attempt, DURATIONS) == wait
