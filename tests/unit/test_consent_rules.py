"""What is said of consent, as events, and what is told of a change."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest

from shared.messaging.customers.consent_rules import (
    ChangedConsent,
    ConsentEvent,
    changes_of,
    events_of_operator,
    events_of_word,
    record_of,
)
from shared.messaging.customers.words import ConsentWord
from shared.payloads import InboundMessage

AT: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANA: Final = "491700000001"
FOLDED: Final[dict[str, Any]] = {
    "phone": ANA,
    "opt_in_marketing": False,
    "marketing_opted_at": AT,
    "consent_source": "message",
    "marketing_evidence": "wamid.1",
    "opted_in_before": False,
    "notification_opt_out": False,
    "notifications_at": None,
    "notifications_source": None,
    "notifications_evidence": None,
    "opted_out_before": False,
}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (ConsentWord.OPT_OUT, [("marketing", False)]),
        (ConsentWord.OPT_OUT_ALL, [("marketing", False), ("notifications", False)]),
        (ConsentWord.OPT_IN, [("marketing", True), ("notifications", True)]),
    ],
)
def test_a_word_says_so_at_the_time_of_its_message_which_proves_it(
    word: ConsentWord, said: list[tuple[str, bool]]
) -> None:
    message = InboundMessage(wamid="wamid.1", timestamp=AT, wa_id=ANA)

    told = list(events_of_word(word, ANA, message, "trace-1"))

    assert [(item.kind, item.value) for item in told] == said
    assert {(item.address, item.source, item.at, item.evidence, item.trace_id) for item in told} == {
        (ANA, "message", AT, "wamid.1", "trace-1")
    }


def test_an_operator_says_it_of_marketing_and_a_yes_lifts_a_no_to_everything() -> None:
    no = list(events_of_operator(ANA, wanted=False, by="ben", trace_id="trace-1"))
    yes = list(events_of_operator(ANA, wanted=True, by="ben", trace_id="trace-1"))

    assert no == [ConsentEvent(ANA, "marketing", False, "operator", None, "ben", "trace-1")]
    assert [(item.kind, item.value) for item in yes] == [("marketing", True), ("notifications", True)]


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, []),
        ({"opt_in_marketing": None, "opted_in_before": None}, []),
        ({"opted_in_before": None}, [("marketing", False, "message", "wamid.1")]),
        ({"opted_in_before": True}, [("marketing", False, "message", "wamid.1")]),
        (
            {"notification_opt_out": True, "notifications_source": "shop", "notifications_at": AT},
            [("notifications", False, "shop", None)],
        ),
        (
            {"opted_out_before": True, "notifications_source": "shop", "notifications_at": AT},
            [("notifications", True, "shop", None)],
        ),
    ],
)
def test_a_change_is_an_answer_that_was_another_before(
    fields: dict[str, Any], changes: list[tuple[Any, ...]]
) -> None:
    found = [(item.kind, item.value, item.source, item.evidence) for item in changes_of(FOLDED | fields)]

    assert found == changes


def test_a_change_is_traced_as_the_event_that_it_came_by() -> None:
    events = [
        ConsentEvent(ANA, "marketing", True, "shop", AT, None, "trace-1"),
        ConsentEvent(ANA, "marketing", False, "message", AT, "wamid.1", "trace-2"),
    ]
    of_these = ChangedConsent(ANA, "marketing", False, "message", AT, "wamid.1")
    of_before = ChangedConsent(ANA, "notifications", False, "suppression", AT, None)

    recorded = record_of([of_these, of_before], events)

    assert [item.correlation_id for item in recorded.events] == ["trace-2", "trace-1"]
    assert [orjson.loads(item.payload)["source"] for item in recorded.events] == ["message", "suppression"]


@pytest.mark.parametrize(
    ("source", "label"), [("shop", "shop"), ("message", "message"), ("web form 7", "other")]
)
def test_sources_are_counted_by_few_names(source: str, label: str) -> None:
    assert ChangedConsent(ANA, "marketing", True, source, AT, None).counted_source == label
