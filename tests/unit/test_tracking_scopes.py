"""Whose fault a failure is, by what the others tell, and what its message waits for then."""

import pytest

from shared.durations import DURATIONS
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.scopes import NO_EVIDENCE, UNCOUNTED, Evidence, WaitsFor, hold_for, wait_for

E = ErrorClass


@pytest.mark.parametrize(
    ("error_class", "evidence", "hold"),
    [
        (E.AUTH, NO_EVIDENCE, WaitsFor.NUMBER),
        (E.AUTH, Evidence(in_campaign=True, template_fits=True), WaitsFor.NUMBER),
        (E.AUTH, Evidence(pauses_again=True), None),
        (E.SPAM, NO_EVIDENCE, WaitsFor.MARKETING),
        (E.TEMPLATE, NO_EVIDENCE, None),
        (E.TEMPLATE, Evidence(in_campaign=True), WaitsFor.CAMPAIGN),
        (E.TEMPLATE, Evidence(in_campaign=True, template_fits=True), WaitsFor.CAMPAIGN),
        (E.RATE, NO_EVIDENCE, WaitsFor.RATE),
        (E.PAIR, NO_EVIDENCE, WaitsFor.PAIR),
        (E.PARAMETER, NO_EVIDENCE, None),
        (E.PARAMETER, Evidence(in_campaign=True), WaitsFor.TEMPLATE),
        (E.PARAMETER, Evidence(in_campaign=True, template_fits=True), None),
    ],
)
def test_others_tell_whose_fault_it_is(error_class: E, evidence: Evidence, hold: WaitsFor | None) -> None:
    assert hold_for(error_class, evidence, 1) is hold


@pytest.mark.parametrize("error_class", sorted(set(E) - UNCOUNTED))
def test_all_other_classes_are_the_messages_own(error_class: E) -> None:
    everything = Evidence(in_campaign=True, template_fits=False, pauses_again=True)
    assert hold_for(error_class, everything, 1) is None


def test_spam_is_tried_a_few_times_only() -> None:
    found = [hold_for(E.SPAM, NO_EVIDENCE, attempt) for attempt in (1, 4, 5)]
    assert found == [WaitsFor.MARKETING, WaitsFor.MARKETING, None]


@pytest.mark.parametrize(
    ("hold", "attempt", "wait"),
    [
        (WaitsFor.NUMBER, 1, ("number_paused", 0)),
        (WaitsFor.MARKETING, 1, ("rate_limit", 3600)),
        (WaitsFor.CAMPAIGN, 1, ("campaign_paused", None)),
        (WaitsFor.TEMPLATE, 1, ("template_doubt", 5)),
        (WaitsFor.TEMPLATE, 9, ("template_doubt", 600)),
        (WaitsFor.RATE, 2, ("rate_limit", 30)),
        (WaitsFor.PAIR, 2, ("rate_limit", 16)),
        (WaitsFor.PAIR, 9, ("rate_limit", 256)),
    ],
)
def test_each_hold_has_its_wait(hold: WaitsFor, attempt: int, wait: tuple[str, float | None]) -> None:
    assert wait_for(hold, attempt, DURATIONS) == wait
